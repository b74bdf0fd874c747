"""`DropFolder`: files of a folder, taken into tables of a SQLite file of ours, where records files read them with SQL.

Each table has the columns of its files' headers as exact text, and four of ours: ``_id``, which only grows, ``_file``
and ``_line``, which lead back to where a row stands, and ``_taken_at``. A file is taken once by its content, rows and
mark in one transaction, so that an end at any moment loses and doubles nothing. Files are only read; whoever puts them
there takes them away.

A file that may still be written is left alone. It counts as finished when its size and time have not changed for
``quiet_seconds`` (where it was just written, that long is waited, once), and one whose last line is not ended waits for
``unfinished_seconds``. Names that begin with a dot or ``~$`` or end in .tmp, .part, .filepart or ~ are not looked at.
What grows later is another content, and its rows come again; their keys keep them from being declared twice.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import text

from connector.errors import SourceUnreachable
from connector.sources.files import BadFile, BadRow, Examined, FileRow, examine, read
from connector.sources.interface import Problem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from connector.config import FileSettings

PROBLEMS_AT_MOST = 1000
"""Bad rows that one pass names; the newest."""
_AT_ONCE = 5000
_OWN = "_id INTEGER PRIMARY KEY AUTOINCREMENT, _file TEXT NOT NULL, _line INTEGER NOT NULL, _taken_at TEXT NOT NULL"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS _file (digest TEXT, "table" TEXT, name TEXT, taken_at TEXT, rows INTEGER, bad INTEGER,
  PRIMARY KEY (digest, "table"));
CREATE TABLE IF NOT EXISTS _problem (id INTEGER PRIMARY KEY, place TEXT, reason TEXT, row TEXT);
"""
_NEVER_BEGINS = (".", "~$")
_NEVER_ENDS = (".tmp", ".part", ".filepart", "~")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """By which a file is known without reading it again."""

    size: int
    changed: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        found: os.stat_result = path.stat()
        return cls(size=found.st_size, changed=found.st_mtime_ns, inode=found.st_ino)

    @property
    def age(self) -> float:
        """Seconds since it was written last."""
        return time.time() - self.changed / 1e9


class DropFolder:
    """One ``[sources.NAME]`` with a folder."""

    def __init__(
        self,
        folder: Path,
        database: Path,
        files: Mapping[str, FileSettings],
        *,
        quiet_seconds: float,
        unfinished_seconds: float,
    ) -> None:
        self._folder = folder
        self._database = database
        self._files = files
        self._quiet = quiet_seconds
        self._unfinished = unfinished_seconds
        self._seen: dict[Path, _Stamp] = {}
        """Files that need not be looked at again."""

    def take(self) -> None:
        """Take every finished file that was not taken yet. Raises `SourceUnreachable` when the folder is not there."""
        try:
            self._make_tables()
            found = [(path, stamp) for path, stamp in self._candidates() if self._seen.get(path) != stamp]
            if any(stamp.age < self._quiet for _, stamp in found):
                time.sleep(self._quiet)
            for path, stamp in found:
                if self._is_quiet(path, stamp):
                    self._take(path, stamp)
        except (OSError, sqlite3.Error) as error:
            raise SourceUnreachable(
                f"folder {self._folder}: {error}",
                effect="nothing new was taken from its files; the rest goes on",
                remedy=f"check that the folder is there and can be read, and that {self._database} can be written",
            ) from None

    @property
    def is_empty(self) -> bool:
        """Whether no file was ever taken, so that nobody knows yet which columns there are."""
        with closing(self._open()) as connection:
            return connection.execute("SELECT 1 FROM _file LIMIT 1").fetchone() is None

    def _candidates(self) -> Iterator[tuple[Path, _Stamp]]:
        for path in sorted(self._folder.iterdir()):
            name = path.name
            if name.startswith(_NEVER_BEGINS) or name.lower().endswith(_NEVER_ENDS) or not path.is_file():
                continue
            if self._settings(path) is not None:
                yield path, _Stamp.of(path)

    def _settings(self, path: Path) -> FileSettings | None:
        return next((one for pattern, one in self._files.items() if fnmatchcase(path.name, pattern)), None)

    def _is_quiet(self, path: Path, stamp: _Stamp) -> bool:
        return path.exists() and _Stamp.of(path) == stamp and stamp.age >= self._quiet

    def _take(self, path: Path, stamp: _Stamp) -> None:
        settings = self._settings(path)
        assert settings is not None, "only such files are candidates"
        examined = examine(path, settings.encoding)
        is_text = path.suffix.lower() != ".xlsx"
        if is_text and not examined.is_ended and stamp.age < self._unfinished:
            return
        if _Stamp.of(path) != stamp:
            return  # it grew while it was read
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            known = connection.execute(
                'SELECT 1 FROM _file WHERE digest = ? AND "table" = ?', (examined.digest, settings.table)
            ).fetchone()
            if known is None:
                _fill(connection, path, settings, examined)
            connection.execute("COMMIT")
        self._seen[path] = stamp

    def _make_tables(self) -> None:
        with closing(self._open()) as connection:
            connection.executescript(_SCHEMA)
            for settings in self._files.values():
                connection.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(settings.table)} ({_OWN})")
                _add_columns(connection, settings.table, settings.columns or ())

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._database, isolation_level=None, timeout=60)


def problems(connection: Connection) -> list[Problem]:
    """Rows that could not be read, the newest of them, oldest first."""
    query = text("SELECT place, reason, row FROM _problem ORDER BY id DESC LIMIT :most")
    rows = connection.execute(query, {"most": PROBLEMS_AT_MOST}).all()
    return [Problem(place=row.place, reason=row.reason, row=row.row) for row in reversed(rows)]


def _fill(connection: sqlite3.Connection, path: Path, settings: FileSettings, examined: Examined) -> None:
    """Take one file in, whole, in the transaction that is open."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    taken, bad = 0, 0
    try:
        rows = read(path, settings, examined.encoding)
        while some := list(islice(rows, _AT_ONCE)):
            good = [row for row in some if isinstance(row, FileRow)]
            columns = list(dict.fromkeys(name for row in good for name in row.values))
            _add_columns(connection, settings.table, columns)
            names = ", ".join(map(_quoted, columns))
            places = ", ".join("?" * (3 + len(columns)))
            into = f"INSERT INTO {_quoted(settings.table)} (_file, _line, _taken_at, {names}) VALUES ({places})"  # noqa: S608 - names are quoted
            connection.executemany(into, ((path.name, row.line, now, *map(row.values.get, columns)) for row in good))
            for wrong in some:
                if isinstance(wrong, BadRow):
                    _note(connection, f"{path.name} line {wrong.line}", wrong.reason, wrong.row)
            taken, bad = taken + len(good), bad + len(some) - len(good)
    except BadFile as error:
        _note(connection, path.name, str(error), "")
        bad += 1
    connection.execute(
        "INSERT INTO _file VALUES (?, ?, ?, ?, ?, ?)",
        (examined.digest, settings.table, path.name, now, taken, bad),
    )


def _note(connection: sqlite3.Connection, place: str, reason: str, row: str) -> None:
    connection.execute("INSERT INTO _problem (place, reason, row) VALUES (?, ?, ?)", (place, reason, row))


def _add_columns(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
    there = {row[1].casefold() for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")}
    for column in columns:
        if column.casefold() not in there:
            connection.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(column)} TEXT")
            there.add(column.casefold())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
