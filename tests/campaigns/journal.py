"""The journal of a run: one line of JSON for each trial that ended, durable before the next one counts.

A run that was stopped goes on from it; whatever stopped the run can have spoilt at most the last line.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any


class JournalInUse(Exception):
    """Another run writes to the same journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one trial came to, as it stands in the journal."""

    number: int
    seed: int
    seconds: float
    figures: Mapping[str, int]
    violations: tuple[str, ...]
    commit: str
    """Of the program the trial ran."""


class Journal:
    """An open journal; nobody else writes to it."""

    def __init__(self, file: BufferedRandom) -> None:
        self._file = file
        self.records = {record.number: record for record in self._read()}
        """What ended so far, by number."""

    def append(self, record: Record) -> None:
        """Keep what a trial came to, whatever happens next."""
        self._file.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records[record.number] = record

    def _read(self) -> list[Record]:
        lines = self._file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # the write of it was cut short: that trial runs again
            self._file.truncate(sum(map(len, lines[:-1])))
            self._file.seek(0, os.SEEK_END)
            lines.pop()
        return [_record(json.loads(line)) for line in lines]


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """The journal at this path, made when there is none. Raises `JournalInUse`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalInUse(f"{path}: another run writes to it; end that one, or give another --dir") from None
        yield Journal(file)


def _record(line: dict[str, Any]) -> Record:
    return Record(**{**line, "violations": tuple(line["violations"])})
