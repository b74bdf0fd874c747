"""One command in a process of its own that begins with the program loaded.

A command with variables of its own is not for this: some are read while Python or a library is loaded.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import connector
from connector.__main__ import main
from tests.forks import FORKS

_SECONDS = 120


def run(arguments: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run one command; what it prints passes through files in the folder."""
    out, err = folder / "stdout", folder / "stderr"
    process = FORKS.Process(target=_command, args=(arguments, environment, out, err))
    process.start()
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired(arguments, _SECONDS)
    return subprocess.CompletedProcess(arguments, process.exitcode, out.read_bytes(), err.read_bytes())


def _command(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [str(Path(connector.__file__).with_name("__main__.py")), *arguments]
    try:
        main()
    except SystemExit as end:
        code = end.code
    # As the end of a true process does, and that of a forked one does not: connections are closed, so that all of a
    # SQLite database is in its one file.
    gc.collect()
    sys.exit(code)
