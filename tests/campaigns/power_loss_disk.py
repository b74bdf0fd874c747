"""A disk that loses its power: what may be left of the files of a database at any point of a recorded log.

What is taken for granted is what POSIX and the documentation of SQLite grant, and no more:

- fsync or fdatasync of a file makes its earlier writes and its size durable. Of what was written since, each sector
  may have reached the disk or not, whatever the order it was written in. That a later write arrives without an earlier
  one is what a disk that reorders looks like afterwards.
- A sector, 512 or 4096 bytes, is written whole or not at all, and a write changes nothing beside its own bytes
  (SQLite: "powersafe overwrite"). Data that did not arrive may have left the file as long as if it had, filled with
  zeros or with anything.
- A name made or removed is durable once the folder is synced. Until then each name stands as it did after any one of
  its changes since; a file removed in this way comes back with what is durable of its content.
- A truncation not yet synced may or may not have happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.campaigns.disk_shim import File, Kind, Record

NAMES = {File.DATABASE: "connector.db", File.WAL: "connector.db-wal", File.JOURNAL: "connector.db-journal"}
"""What is kept of the folder; -shm is rebuilt from the write-ahead log."""

Survives: TypeAlias = Callable[[File, int, int], bool]
"""Whether a sector (its number) of a change (its number in the log) to a file reached the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A write, or, without data, a truncation to ``offset``."""

    number: int
    offset: int
    data: bytes | None


@dataclass(slots=True)
class _Content:
    """What a name stands for: the durable bytes, and the changes since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    waiting: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.waiting:
            if change.data is None:
                _truncate(self.durable, change.offset)
            else:
                _write(self.durable, change.offset, change.data)
        self.waiting.clear()


@dataclass(slots=True)
class Disk:
    """The files of one database, as the records come."""

    _names: dict[File, list[_Content | None]] = field(default_factory=lambda: {file: [None] for file in NAMES})
    """What each name stood for: durably, then after each change since."""
    _open: dict[tuple[int, int], _Content] = field(default_factory=dict)
    _count: int = 0

    def apply(self, record: Record) -> None:
        """Let the next thing happen."""
        self._count += 1
        if record.kind is Kind.SYNC and record.file is File.FOLDER:
            for name, history in self._names.items():
                self._names[name] = history[-1:]
        if record.file not in NAMES:
            return
        handle = (record.process, record.fd)
        match record.kind:
            case Kind.OPEN:
                self._open[handle] = self._opened(record)
            case Kind.CLOSE:
                self._open.pop(handle, None)
            case Kind.UNLINK:
                self._names[record.file].append(None)
            case Kind.SYNC:
                self._open[handle].sync()
            case Kind.WRITE | Kind.TRUNCATE:
                data = record.data if record.kind is Kind.WRITE else None
                change = _Change(number=self._count, offset=record.offset, data=data)
                self._open[handle].waiting.append(change)

    def lose_power(self, folder: Path, random: Random) -> None:
        """Write into a folder what may be left of the files now."""
        sector = random.choice([512, 4096])
        changes = sorted(
            (change.number, file)
            for file, history in self._names.items()
            for content in {id(one): one for one in history if one is not None}.values()
            for change in content.waiting
        )
        survives = _loss([number for number, _ in changes], random)
        for file, history in self._names.items():
            content = random.choice(history)
            if content is not None:
                left = _left(content, file, sector, survives, random)
                (folder / NAMES[file]).write_bytes(left)

    def _opened(self, record: Record) -> _Content:
        history = self._names[record.file]
        current = history[-1]
        if current is None or record.created:
            current = _Content()
            history.append(current)
        return current


def _loss(changes: list[int], random: Random) -> Survives:
    """One way to lose what is not synced: all, nothing, the newest, the oldest, all of some file, or any sector."""
    at = random.choice(changes) if changes else 0
    share = random.choice([0.1, 0.5, 0.9])
    files = {file: random.random() < share for file in NAMES}
    torn = random.randrange(8)
    return random.choice(
        [
            lambda _file, _number, _sector: False,
            lambda _file, _number, _sector: True,
            lambda _file, number, sector: number < at or (number == at and sector <= torn),
            lambda _file, number, sector: number > at or (number == at and sector > torn),
            lambda file, _number, _sector: files[file],
            lambda _file, _number, _sector: random.random() < share,
        ]
    )


def _left(content: _Content, file: File, sector: int, survives: Survives, random: Random) -> bytearray:
    left = bytearray(content.durable)
    grows = random.random() < 0.5
    fill = random.choice([b"\0", random.randbytes(1)])
    for change in content.waiting:
        if change.data is None:
            if survives(file, change.number, 0):
                _truncate(left, change.offset)
            continue
        end = change.offset + len(change.data)
        if grows:
            left.extend(fill * (end - len(left)))
        start = change.offset
        while start < end:
            stop = min((start // sector + 1) * sector, end)
            if survives(file, change.number, start // sector - change.offset // sector):
                _write(left, start, change.data[start - change.offset : stop - change.offset])
            start = stop
    return left


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _truncate(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))
