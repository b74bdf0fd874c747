"""Where checkpoints are kept outside of the database: the port, and a file that is only added to.

A sink that whoever can write to the database cannot write to is what makes a cut or replaced log show.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from connector.errors import ConfigurationError

_NOTE = re.compile(r"^[^\n]+\n\d+\n[A-Za-z0-9+/=]+\n\n(?:— \S+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)
_END = b"\n\n"
_TAIL = 8192
"""Bytes from the end of a file that surely hold a whole note."""


class CheckpointSink(Protocol):
    """Keeps signed checkpoints in order."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def append(self, notes: list[str]) -> None:
        """Keep these, durably. Raises `ConfigurationError`."""

    def newest(self) -> str | None:
        """The last one. Raises `ConfigurationError`."""

    def notes(self) -> list[str]:
        """What it keeps, oldest first. Raises `ConfigurationError`."""


class CheckpointFile:
    """A file of signed notes with an empty line after each; a note that a crash left incomplete is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self._path)

    def append(self, notes: list[str]) -> None:
        """Add to the file, and wait until it is on the disk."""
        try:
            with self._path.open("ab+") as file:
                file.seek(-min(file.tell(), len(_END)), os.SEEK_END)
                mended = b"" if file.read() in {b"", _END} else b"!" + _END  # no signature ends like this
                file.write(mended + "".join(f"{note}\n" for note in notes).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unusable(self._path, error) from None

    def newest(self) -> str | None:
        """The last one, read from the end of the file; None where there is no file yet."""
        notes = self._read(_TAIL)
        return notes[-1] if notes else None

    def notes(self) -> list[str]:
        """All of them."""
        return self._read()

    def _read(self, at_most: int | None = None) -> list[str]:
        try:
            with self._path.open("rb") as file:
                if at_most is not None:
                    file.seek(-min(file.seek(0, os.SEEK_END), at_most), os.SEEK_END)
                return _NOTE.findall(file.read().decode("utf-8", errors="replace"))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable(self._path, error) from None


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: {error.strerror}",
        effect="checkpoints of the audit log stand in the database only, until this is mended",
        remedy="make the file writable, or correct checkpoint_file in [audit]",
    )
