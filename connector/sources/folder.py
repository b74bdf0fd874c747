"""`DropFolder`: files of a folder, taken into tables of a SQLite file of ours, where records files read them with SQL.

Each table has the columns of its files' headers as exact text, and five of ours: ``_id``, which only grows, ``_file``
and ``_line``, which lead back to where a row stands, ``_taken_at``, and ``_content``, the number of the content that it
was taken from. Beside a table ``returns``, a view ``returns_current`` has the rows of the newest content of each file
alone, for lines and lookups.

A file is taken once by its content, rows and mark in one transaction, so that an end at any moment loses and doubles
nothing. Files are only read; whoever puts them there takes them away. What grows later, or is replaced, is another
content, and its rows come again; their keys keep them from being declared twice. So they do when it is to be read in
another way, and what was read the old way is forgotten.

A file that may still be written is left alone. It counts as finished when its size and times have not changed for
``quiet_seconds`` (where it was just written, that long is waited, once), and one whose last line is not ended waits for
``unfinished_seconds``. Names that begin with a dot or ``~$`` or end in .tmp, .part, .filepart or ~ are not looked at.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import text

from connector.errors import SourceUnreachable
from connector.sources.files import examine, read
from connector.sources.interface import Problem
from connector.sources.rows import OWN, BadFile, BadRow, FileRow, folded
from connector.sources.workbooks import MissingLibrary

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from connector.config import FileSettings
    from connector.sources.files import Examined

PROBLEMS_AT_MOST = 1000
"""Bad rows of one content that are named; of more it is said that there are more."""
_SHOWN = 2000
"""Characters of a bad row that are kept."""
_AT_ONCE = 5000
_OWN = """_id INTEGER PRIMARY KEY AUTOINCREMENT, _file TEXT NOT NULL, _line INTEGER NOT NULL, _taken_at TEXT NOT NULL,
  _content INTEGER NOT NULL"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS _content (id INTEGER PRIMARY KEY, name TEXT, "table" TEXT, digest TEXT, settings TEXT,
  taken_at TEXT, rows INTEGER, bad INTEGER);
CREATE INDEX IF NOT EXISTS _by_name ON _content (name, "table", id);
CREATE INDEX IF NOT EXISTS _by_digest ON _content (digest);
CREATE TABLE IF NOT EXISTS _seen (name TEXT PRIMARY KEY, settings TEXT, size INTEGER, changed INTEGER,
  noted INTEGER, inode INTEGER);
CREATE TABLE IF NOT EXISTS _problem (id INTEGER PRIMARY KEY, content INTEGER, place TEXT, reason TEXT, row TEXT,
  is_over INTEGER NOT NULL DEFAULT 0);
"""
_NEVER_BEGINS = (".", "~$")
_NEVER_ENDS = (".tmp", ".part", ".filepart", "~")

_NAME = re.compile(r"\w+")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """By which a file is known without reading it again."""

    size: int
    changed: int
    noted: int
    """When the file system last noted a change of any kind, which no program can set."""
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        found: os.stat_result = path.stat()
        return cls(
            size=found.st_size, changed=found.st_mtime_ns, noted=found.st_ctime_ns, inode=found.st_ino & (2**63 - 1)
        )

    @property
    def age(self) -> float:
        """Seconds since it was written last; below 0 where the clock of its file system is ahead of ours."""
        return time.time() - self.changed / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that has not been looked at as it is now."""

    path: Path
    stamp: _Stamp
    settings: FileSettings

    @property
    def name(self) -> str:
        """Its name; bytes that are no UTF-8 show escaped."""
        return self.path.name.encode("utf-8", "backslashreplace").decode("utf-8")

    @property
    def manner(self) -> str:
        """How it is to be read; the same text for the same."""
        return self.settings.model_dump_json()

    def is_unchanged(self) -> bool:
        """Whether it still is what it was when it was found."""
        return self.path.exists() and _Stamp.of(self.path) == self.stamp


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
        self._left: set[tuple[Path, _Stamp]] = set()
        """Files of which it was said that they are left for later."""

    def take(self) -> None:
        """Take every finished file that was not taken yet.

        Raises `SourceUnreachable` when the folder is not there, or one of its files cannot be read; the others are
        taken before.
        """
        failed: OSError | None = None
        with self._translated():
            self._make_tables()
            found = self._fresh()
            if young := [file.stamp.age for file in found if file.stamp.age < self._quiet]:
                time.sleep(min(self._quiet, self._quiet - min(young)))
            for file in found:
                try:
                    self._take(file)
                except OSError as error:
                    failed = error
            if failed:
                raise failed

    def lacks(self, query: str) -> bool:
        """Whether a query names a table that no file was taken into yet, so that nobody knows its columns."""
        if not self._database.exists():
            return True
        with self._translated(), closing(self._open()) as connection:
            named = set(_NAME.findall(query))
            tables = {one.table for one in self._files.values() if named & {one.table, f"{one.table}_current"}}
            return any(len(_columns(connection, table)) <= len(OWN) for table in tables)

    def _fresh(self) -> list[_File]:
        """Files to be looked at, those written first in front."""
        with closing(self._open()) as connection:
            seen = {row[0]: row[1:] for row in connection.execute("SELECT * FROM _seen")}
        found = [file for file in self._candidates() if seen.get(file.name) != (file.manner, *astuple(file.stamp))]
        return sorted(found, key=lambda file: (file.stamp.changed, file.name))

    def _candidates(self) -> Iterator[_File]:
        for path in self._folder.iterdir():
            name = path.name
            settings = next((one for pattern, one in self._files.items() if fnmatchcase(name, pattern)), None)
            is_unfinished = name.startswith(_NEVER_BEGINS) or name.lower().endswith(_NEVER_ENDS)
            if settings is not None and not is_unfinished and path.is_file():
                yield _File(path=path, stamp=_Stamp.of(path), settings=settings)

    def _take(self, file: _File) -> None:
        if not file.is_unchanged():
            self._leave(file, "it is being written")
            return
        examined = examine(file.path, file.settings.encoding)
        if not examined.is_ended and file.stamp.age < self._unfinished:
            self._leave(file, f"its end is missing; it is taken {self._unfinished:g} s after it was written last")
            return
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if _is_new(connection, file, examined.digest):
                _forget(connection, file)
                _fill(connection, file, examined)
            values = (file.name, file.manner, *astuple(file.stamp))
            connection.execute("INSERT OR REPLACE INTO _seen VALUES (?, ?, ?, ?, ?, ?)", values)
            if file.is_unchanged():
                connection.execute("COMMIT")  # otherwise nothing of it is kept, and it is looked at again

    def _leave(self, file: _File, reason: str) -> None:
        if (file.path, file.stamp) not in self._left:
            self._left.add((file.path, file.stamp))
            log.info("%s is left for later: %s", file.path, reason)

    def _make_tables(self) -> None:
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            for settings in self._files.values():
                _make_table(connection, settings.table)
                _add_columns(connection, settings.table, settings.columns or ())
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._database, isolation_level=None, timeout=60)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise SourceUnreachable(
                f"folder {self._folder}: {error}",
                effect="what cannot be read was not taken; the rest goes on",
                remedy=f"check that the folder is there and can be read, and that {self._database} can be written",
            ) from None
        except MissingLibrary:
            raise SourceUnreachable(
                f"folder {self._folder} has Excel files, and the package openpyxl is not installed",
                effect="they wait",
                remedy="install the extra `xlsx`: pip install 'customs-warehouse-connector[xlsx]'",
            ) from None


def problems(connection: Connection) -> tuple[list[Problem], list[str]]:
    """Rows that could not be read and still stand in their files; and the places of those that do no more."""
    rows = connection.execute(text("SELECT place, reason, row, is_over FROM _problem ORDER BY id")).all()
    found = [Problem(place=row.place, reason=row.reason, row=row.row) for row in rows if not row.is_over]
    return found, sorted({row.place for row in rows} - {one.place for one in found})


def _is_new(connection: sqlite3.Connection, file: _File, digest: str) -> bool:
    """Whether its content is not what was last taken of it, or, where nothing was, not known by another name."""
    newest = connection.execute(
        'SELECT digest, settings FROM _content WHERE name = ? AND "table" = ? ORDER BY id DESC LIMIT 1',
        (file.name, file.settings.table),
    ).fetchone()
    if newest is not None:
        return bool(newest != (digest, file.manner))
    known = (digest, file.settings.table, file.manner)
    same = 'SELECT 1 FROM _content WHERE digest = ? AND "table" = ? AND settings = ?'
    return connection.execute(same, known).fetchone() is None


def _forget(connection: sqlite3.Connection, file: _File) -> None:
    """What stood wrong in earlier contents of a file is over; rows that were read in another way never came."""
    earlier = connection.execute('SELECT id, "table", settings FROM _content WHERE name = ?', [file.name]).fetchall()
    connection.executemany("UPDATE _problem SET is_over = 1 WHERE content = ?", [row[:1] for row in earlier])
    for content, table, settings in earlier:
        if settings != file.manner and _columns(connection, table):
            connection.execute(f"DELETE FROM {_quoted(table)} WHERE _content = ?", [content])  # noqa: S608 - quoted


def _fill(connection: sqlite3.Connection, file: _File, examined: Examined) -> None:
    """Take one file in, whole, in the transaction that is open."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    content = connection.execute(
        'INSERT INTO _content (name, "table", digest, settings, taken_at, rows, bad) VALUES (?, ?, ?, ?, ?, 0, 0)',
        (file.name, file.settings.table, examined.digest, file.manner, now),
    ).lastrowid
    taken, bad = 0, 0
    connection.execute("SAVEPOINT rows")
    try:
        rows = read(file.path, file.settings, examined.encoding)
        while some := list(islice(rows, _AT_ONCE)):
            good = [row for row in some if isinstance(row, FileRow)]
            wrong = [row for row in some if isinstance(row, BadRow)]
            _insert(connection, file.settings.table, (file.name, now, content), good)
            for row in wrong[: max(0, PROBLEMS_AT_MOST - bad)]:
                _note(connection, content, f"{file.name} line {row.line}", row.reason, row.row)
            taken, bad = taken + len(good), bad + len(wrong)
    except BadFile as error:
        connection.execute("ROLLBACK TO rows")
        _note(connection, content, file.name, str(error), "")
        taken, bad = 0, 1
    if bad > PROBLEMS_AT_MOST:
        more = f"{bad - PROBLEMS_AT_MOST} more rows cannot be read; the first {PROBLEMS_AT_MOST} are named"
        _note(connection, content, f"{file.name} and more", more, "")
    connection.execute("UPDATE _content SET rows = ?, bad = ? WHERE id = ?", (taken, bad, content))


def _insert(
    connection: sqlite3.Connection, table: str, origin: tuple[str, str, int | None], rows: Sequence[FileRow]
) -> None:
    if not rows:
        return
    name, now, content = origin
    columns = list({folded(column): column for row in rows for column in row.values}.values())
    _add_columns(connection, table, columns)
    names = ", ".join(["_file", "_line", "_taken_at", "_content", *map(_quoted, columns)])
    places = ", ".join("?" * (4 + len(columns)))
    into = f"INSERT INTO {_quoted(table)} ({names}) VALUES ({places})"  # noqa: S608 - names are quoted
    connection.executemany(into, ((name, row.line, now, content, *_in_order(row, columns)) for row in rows))


def _in_order(row: FileRow, columns: Sequence[str]) -> Iterator[str | None]:
    """A row's values by column; where rows write the same name in several ways, as this one does."""
    if row.values.keys() <= set(columns):
        return map(row.values.get, columns)
    values = {folded(column): value for column, value in row.values.items()}
    return (values.get(folded(column)) for column in columns)


def _note(connection: sqlite3.Connection, content: int | None, place: str, reason: str, row: str) -> None:
    shown = row[:_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
    into = "INSERT INTO _problem (content, place, reason, row) VALUES (?, ?, ?, ?)"
    connection.execute(into, (content, place, reason, shown))


def _make_table(connection: sqlite3.Connection, table: str) -> None:
    if _columns(connection, table):
        return
    connection.execute(f"CREATE TABLE {_quoted(table)} ({_OWN})")
    # Whoever deletes the file has its numbers go on above those that were given before: they are remembered.
    begin = time.time_ns() // 1000
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, begin))
    newest = f"SELECT MAX(id) FROM _content WHERE \"table\" = '{table}' GROUP BY name"  # noqa: S608 - a plain name
    connection.execute(
        f"CREATE VIEW IF NOT EXISTS {_quoted(f'{table}_current')} AS "  # noqa: S608 - quoted
        f"SELECT * FROM {_quoted(table)} WHERE _content IN ({newest})"
    )


def _add_columns(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> None:
    there = {folded(name) for name in _columns(connection, table)}
    for column in columns:
        if folded(column) not in there:
            try:
                connection.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(column)} TEXT")
            except sqlite3.OperationalError as error:
                raise BadFile(f"its column {column} cannot be added: {error}") from None
            there.add(folded(column))


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
