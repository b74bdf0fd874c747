"""Warehouses that a campaign fills, changes and spoils: tables of three databases, and a folder of files.

Each knows what it holds, so that what was collected can be held against it: for every key the content that stands, and
every content there ever was.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

from sqlalchemy import NullPool, create_engine, text

from tests.campaigns.listing import MARIADB
from tests.campaigns.model_databases import postgresql_url

KINDS = ("csv", "sqlite by time", "sqlite by id", "jsonl", "postgresql by time", "mariadb by time")
PAGE = 7
OVERLAP_SECONDS, OVERLAP_ROWS = 100, 60
_BEGIN = datetime.fromisoformat("2026-06-01 08:00:00")
_TIMES = {"sqlite": "TEXT", "postgresql": "TIMESTAMP(3)", "mariadb": "DATETIME(3)"}
_BIG = 2**53
"""Numbers of rows lie above what floats can tell apart."""


class Warehouse(ABC):
    """What a trial reads from."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.stands: dict[str, str] = {}
        """Key -> content, of what is there now."""
        self.was: dict[str, list[str]] = defaultdict(list)
        """Key -> every content that it ever had, in order."""
        self.gone: set[str] = set()
        """Keys whose rows were deleted."""
        self.hidden: set[str] = set()
        """Keys that changed in a way that only a sweep finds."""
        self.late = 0
        """Rows that came behind others that were there before."""

    @property
    @abstractmethod
    def source(self) -> str:
        """``[sources.site]`` of the configuration."""

    @property
    @abstractmethod
    def records(self) -> str:
        """The records file."""

    @abstractmethod
    def work(self) -> None:
        """Let some things happen."""

    def put(self, key: str) -> str:
        """A new content of a key."""
        content = f"{len(self.was[key])} {self.random.randrange(10**6)} 货"
        self.was[key].append(content)
        self.stands[key] = content
        return content

    @property
    def contents(self) -> int:
        """How many there ever were."""
        return sum(map(len, self.was.values()))

    def some_key(self) -> str | None:
        """One of those that stand."""
        return self.random.choice(sorted(self.stands)) if self.stands else None


class Table(Warehouse):
    """A table that is read in the order of its change time."""

    def __init__(self, random: Random, url: str, technology: str) -> None:
        super().__init__(random)
        self._url = url
        self._clock = _BEGIN
        self._number = _BIG
        self._engine = create_engine(url, poolclass=NullPool)
        with self._engine.begin() as connection:
            create = f"CREATE TABLE move (id BIGINT, no VARCHAR(20), note VARCHAR(60), at {_TIMES[technology]})"
            connection.execute(text(create))

    @property
    def source(self) -> str:
        return f'[sources.site]\nurl = "{self._url}"\ntimezone = "Asia/Shanghai"\n'

    @property
    def records(self) -> str:
        return (
            _RECORDS.format(
                columns="m.id, m.no, m.note, m.at",
                order=f'changed = "at"\noverlap_seconds = {OVERLAP_SECONDS}',
                unique="id",
            )
            + '\nid = "integer"\nat = "time"\n'
        )

    def work(self) -> None:
        for _ in range(self.random.randint(5, 40)):
            if self.random.random() < 0.4:  # the others share a time
                self._clock += timedelta(milliseconds=self.random.randint(1, 9000))
            self.random.choices([self._add, self._come_late, self._change, self._lie, self._delete], [8, 3, 4, 1, 1])[
                0
            ]()

    def _run(self, statement: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(statement), values)

    def _insert(self, at: datetime) -> None:
        self._number += 1
        key = f"K{self._number}"
        note = self.put(key)
        insert = "INSERT INTO move VALUES (:id, :no, :note, :at)"
        self._run(insert, id=self._number, no=key, note=note, at=_written(at))

    def _add(self) -> None:
        self._insert(self._clock)

    def _come_late(self) -> None:
        self.late += 1
        self._insert(self._clock - timedelta(milliseconds=self.random.randint(1, (OVERLAP_SECONDS - 1) * 1000)))

    def _change(self) -> None:
        if key := self.some_key():
            change = "UPDATE move SET note = :note, at = :at WHERE no = :no"
            self._run(change, no=key, note=self.put(key), at=_written(self._clock))
            self.hidden.discard(key)

    def _lie(self) -> None:
        if key := self.some_key():
            self._run("UPDATE move SET note = :note WHERE no = :no", no=key, note=self.put(key))
            self.hidden.add(key)

    def _delete(self) -> None:
        if key := self.some_key():
            self._run("DELETE FROM move WHERE no = :no", no=key)
            del self.stands[key]
            self.hidden.discard(key)
            self.gone.add(key)


class Log(Warehouse):
    """A table that rows are only added to, read by its number; several rows have one key."""

    def __init__(self, random: Random, url: str) -> None:
        super().__init__(random)
        self._url = url
        self._number = _BIG
        self._left_out: list[int] = []
        """Numbers that were given to transactions that are slow."""
        self._engine = create_engine(url, poolclass=NullPool)
        with self._engine.begin() as connection:
            connection.execute(text("CREATE TABLE move (id BIGINT PRIMARY KEY, no VARCHAR(20), note VARCHAR(60))"))

    @property
    def source(self) -> str:
        return f'[sources.site]\nurl = "{self._url}"\ntimezone = "Asia/Shanghai"\n'

    @property
    def records(self) -> str:
        return (
            _RECORDS.format(columns="m.id, m.no, m.note", order=f"overlap_rows = {OVERLAP_ROWS}", unique="id")
            + '\nid = "integer"\n'
        )

    def work(self) -> None:
        for _ in range(self.random.randint(5, 40)):
            self._number += 1
            if self.random.random() < 0.1:
                self._left_out.append(self._number)
                continue
            while self._left_out and self._left_out[0] < self._number - OVERLAP_ROWS // 2:
                self._insert(self._left_out.pop(0), f"L{self._number}")  # a key of its own
                self.late += 1
            key = self.some_key() if self.random.random() < 0.3 else None
            self._insert(self._number, key or f"K{self._number}")

    def _insert(self, number: int, key: str) -> None:
        with self._engine.begin() as connection:
            values = {"id": number, "no": key, "note": self.put(key)}
            connection.execute(text("INSERT INTO move VALUES (:id, :no, :note)"), values)


class Folder(Warehouse):
    """A folder that files are put into; some grow, and some are written anew."""

    def __init__(self, random: Random, folder: Path, ending: str) -> None:
        super().__init__(random)
        self._folder = folder
        self._ending = ending
        self._files = 0
        self._rows = 0
        folder.mkdir()

    @property
    def source(self) -> str:
        return (
            f'[sources.site]\nurl = "sqlite:///{self._folder}.db"\nfolder = "{self._folder}"\n'
            f'timezone = "Asia/Shanghai"\nquiet_seconds = 0\n[sources.site.files]\n"move-*" = "move"\n'
        )

    @property
    def records(self) -> str:
        columns = "m._id, m._file, m._line, m.no, m.note"
        order = "overlap_rows = 0"  # nothing comes late, and a cursor that moves too early shows
        types = '\n_id = "integer"\n_file = "text"\n_line = "integer"\n'
        return _RECORDS.format(columns=columns, order=order, unique="_id") + types

    def work(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            if not self._files or self.random.random() < 0.6:
                self._files += 1
                self._write(b"no,note\n" if self._ending == "csv" else b"")
            else:
                self._write(self._path.read_bytes())  # the newest one grows

    @property
    def _path(self) -> Path:
        return self._folder / f"move-{self._files:04}.{self._ending}"

    def _write(self, content: bytes) -> None:
        for _ in range(self.random.randint(1, 120 if self.random.random() < 0.1 else 20)):
            self._rows += 1
            key = self.some_key() if self.random.random() < 0.3 else None
            content += self._row(key or f"K{self._rows}")
        part = self._path.with_suffix(".part")
        part.write_bytes(content)
        part.rename(self._path)
        at = _BEGIN.timestamp() + self._files
        os.utime(self._path, (at, at))

    def _row(self, key: str) -> bytes:
        note = self.put(key)
        if self._ending == "csv":
            return f'{key},"{note}"\n'.encode()
        return f"{json.dumps({'no': key, 'note': note})}\n".encode()


@contextmanager
def opened(kind: str, folder: Path, random: Random) -> Iterator[Warehouse]:
    """A warehouse of this kind, empty; removed afterwards where it does not lie in the folder."""
    match kind:
        case "sqlite by time":
            yield Table(random, f"sqlite:///{folder / 'site.db'}", "sqlite")
        case "sqlite by id":
            yield Log(random, f"sqlite:///{folder / 'site.db'}")
        case "postgresql by time":
            with postgresql_url() as url:
                yield Table(random, url, "postgresql")
        case "mariadb by time":
            with _mariadb_url() as url:
                yield Table(random, url, "mariadb")
        case _:
            yield Folder(random, folder / "drop", kind)


@contextmanager
def _mariadb_url() -> Iterator[str]:
    name = f"connector_campaign_{uuid4().hex[:12]}"
    server = create_engine(MARIADB, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    try:
        yield MARIADB + name
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))


def _written(at: datetime) -> str:
    return at.isoformat(" ", "milliseconds")


_RECORDS = f"""\
records = "moves"
database = "site"
query = "SELECT {{columns}} FROM move m"
key = ["no"]
{{order}}
unique = "{{unique}}"
page_size = {PAGE}

[columns]
no = "text"
note = "text"\
"""
