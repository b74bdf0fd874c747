"""The command ``connector``: runs the command line and turns errors into messages and exit codes."""

from __future__ import annotations

import gc
import sys

from connector.errors import ConnectorError

_INTERRUPTED = 130
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Instead of 700: loading modules makes many objects and no garbage, and took a sixth of a command looking for some."""


def main() -> None:
    """Run the command line; never returns."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from connector.cli.app import app  # noqa: PLC0415 - so that Ctrl-C while importing is caught as well

    for stream in (sys.stdout, sys.stderr):
        # A console of another encoding shows a replacement character rather than ending the program.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except ConnectorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
