"""Before something that cannot be taken back: show it, and ask."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from connector.cli.output import say
from connector.errors import UsageError


def confirm(show: Callable[[], None], *, remedy: str) -> None:
    """Go on only when a person agrees. remedy: what to type where nobody is there to ask. Raises `UsageError`."""
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to confirm", effect="nothing was done", remedy=remedy)
    show()
    try:
        agreed = typer.confirm("Do this?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        say("nothing was done")
        raise typer.Exit
