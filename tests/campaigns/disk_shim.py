"""Builds ``disk_shim.c``, starts programs under it, and reads the log that it writes.

::

    library = build(folder)
    subprocess.run(command, env=os.environ | recording(library, database, log))
    for record in read_log(log): ...

    with fault(control, "ENOSPC all"):      # of a program started with faults(library, database, control)
        ...
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_SOURCE = Path(__file__).with_name("disk_shim.c")
_RECORD = struct.Struct("<IiBBHIq")


class File(IntEnum):
    """What a record is about."""

    NONE = 0
    DATABASE = 1
    WAL = 2
    JOURNAL = 3
    FOLDER = 4
    """The folder the database is in: the names of its files."""
    ACKNOWLEDGED = 5
    """Where the program under test writes what it considers done."""
    SHM = 6
    SOCKET = 7
    """A TCP connection."""


class Kind(IntEnum):
    """What happened."""

    START = 1
    """A process began."""
    OPEN = 2
    CLOSE = 3
    WRITE = 4
    TRUNCATE = 5
    SYNC = 6
    UNLINK = 7
    SENDING = 8
    """Bytes are about to be handed to a connection."""
    SENT = 9
    """They were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that a process did, in the order of all of them."""

    process: int
    fd: int
    kind: Kind
    file: File
    created: bool
    """OPEN: the file did not exist before."""
    offset: int
    """WRITE: where; TRUNCATE: the new size."""
    data: bytes


def is_possible() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("gcc") is not None


def build(folder: Path) -> Path:
    """Compile the shim into a folder; the library."""
    library = folder / "disk_shim.so"
    options = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *options, "-o", str(library), str(_SOURCE), "-ldl", "-pthread"], check=True)
    return library


def recording(library: Path, database: Path, log: Path) -> dict[str, str]:
    """The environment of a program whose writes to a database are to be recorded."""
    return {"LD_PRELOAD": str(library), "DISK_SHIM_DATABASE": str(database.resolve()), "DISK_SHIM_LOG": str(log)}


def faults(library: Path, database: Path, control: Path) -> dict[str, str]:
    """The environment of a program whose writes to a database fail as long as a control file exists."""
    return {"LD_PRELOAD": str(library), "DISK_SHIM_DATABASE": str(database.resolve()), "DISK_SHIM_FAULT": str(control)}


@contextmanager
def fault(control: Path, order: str) -> Iterator[None]:
    """Have the disk fail as long as the block lasts; ``disk_shim.c`` says what there is to order."""
    new = control.with_suffix(".new")
    new.write_text(order, "ascii")
    new.rename(control)
    try:
        yield
    finally:
        control.unlink()


def read_log(log: Path) -> list[Record]:
    """Everything that was recorded."""
    content = log.read_bytes()
    records, start = [], 0
    while start < len(content):
        process, fd, kind, file, created, length, offset = _RECORD.unpack_from(content, start)
        start += _RECORD.size
        records.append(
            Record(
                process=process,
                fd=fd,
                kind=Kind(kind),
                file=File(file),
                created=bool(created),
                offset=offset,
                data=content[start : start + length],
            )
        )
        start += length
    return records


def acknowledge(log: Path, line: bytes) -> None:
    """Add to the log, from outside, that something is now considered done: somebody has been shown it."""
    record = _RECORD.pack(os.getpid(), -1, Kind.WRITE, File.ACKNOWLEDGED, 0, len(line), 0)
    with log.open("ab") as file:
        file.write(record + line)
