"""The SQLite file that files are taken into: which contents were taken, their rows, and rows that cannot be read."""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import text

from connector.sources.files import is_workbook, read
from connector.sources.interface import Problem
from connector.sources.rows import OWN, BadFile, BadRow, FileRow, folded

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence
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
  size INTEGER, line INTEGER, is_ended INTEGER, bad INTEGER);
CREATE INDEX IF NOT EXISTS _by_name ON _content (name, "table", id);
CREATE INDEX IF NOT EXISTS _by_digest ON _content (digest);
CREATE TABLE IF NOT EXISTS _seen (name TEXT PRIMARY KEY, settings TEXT, size INTEGER, changed INTEGER,
  noted INTEGER, inode INTEGER);
CREATE TABLE IF NOT EXISTS _problem (id INTEGER PRIMARY KEY, content INTEGER, place TEXT, reason TEXT, row TEXT,
  is_over INTEGER NOT NULL DEFAULT 0);
"""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """By which a file is known without reading it again."""

    size: int
    changed: int
    """Nanoseconds since 1970."""
    noted: int
    """When the file system last noted a change of any kind, which no program can set."""
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Of the file as it is now."""
        found: os.stat_result = path.stat()
        return cls(
            size=found.st_size, changed=found.st_mtime_ns, noted=found.st_ctime_ns, inode=found.st_ino & (2**63 - 1)
        )

    @property
    def age(self) -> float:
        """Seconds since it was written last; below 0 where the clock of its file system is ahead of ours."""
        return time.time() - self.changed / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedFile:
    """A file that has not been looked at as it is now."""

    path: Path
    stamp: Stamp
    settings: FileSettings

    @property
    def name(self) -> str:
        """Its name; bytes that are no UTF-8 show escaped."""
        return self.path.name.encode("utf-8", "backslashreplace").decode("utf-8")

    @property
    def manner(self) -> str:
        """How it is to be read; the same text for the same."""
        return self.settings.model_dump_json()

    @property
    def mark(self) -> tuple[object, ...]:
        """By which it is known without reading it again."""
        return self.manner, *astuple(self.stamp)

    def is_unchanged(self) -> bool:
        """Whether it still is what it was when it was found."""
        return self.path.exists() and Stamp.of(self.path) == self.stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was taken of a file last."""

    id: int
    digest: str
    settings: str
    size: int
    line: int
    """Of its last row."""
    is_ended: bool
    """Whether that row was whole beyond doubt."""
    bad: int
    """How many rows could not be read."""


def make_tables(connection: sqlite3.Connection, files: Iterable[FileSettings]) -> None:
    """Whatever is missing of them."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in filter(str.strip, _SCHEMA.split(";")):
        connection.execute(statement)
    for settings in files:
        _make_table(connection, settings.table)
        _add_columns(connection, settings.table, settings.columns or ())
    connection.execute("COMMIT")


def lacks(connection: sqlite3.Connection, files: Iterable[FileSettings], query: str) -> bool:
    """Whether a query names a table that no file was taken into yet, so that nobody knows its columns."""
    return any(len(_columns(connection, table)) <= len(OWN) for table in named({one.table for one in files}, [query]))


def named(tables: Iterable[str], queries: Iterable[str]) -> set[str]:
    """Which of these tables the queries name, themselves or what is current of them."""
    words = {folded(word) for query in queries for word in _WORD.findall(query)}
    return {table for table in tables if words & {folded(table), folded(f"{table}_current")}}


def seen(connection: sqlite3.Connection) -> dict[str, tuple[object, ...]]:
    """Names of files that were looked at -> the mark they had then."""
    return {row[0]: row[1:] for row in connection.execute("SELECT * FROM _seen")}


def note_seen(connection: sqlite3.Connection, file: DroppedFile) -> None:
    """Remember that a file was looked at as it is."""
    connection.execute("INSERT OR REPLACE INTO _seen VALUES (?, ?, ?, ?, ?, ?)", (file.name, *file.mark))


def newest(connection: sqlite3.Connection, file: DroppedFile) -> Content | None:
    """What was taken last of the file of this name; None where nothing was."""
    row = connection.execute(
        'SELECT id, digest, settings, size, line, is_ended, bad FROM _content WHERE name = ? AND "table" = ?'
        " ORDER BY id DESC LIMIT 1",
        (file.name, file.settings.table),
    ).fetchone()
    if row is None:
        return None
    names = ("id", "digest", "settings", "size", "line", "is_ended", "bad")
    return Content(**(dict(zip(names, row, strict=True)) | {"is_ended": bool(row[5])}))


def is_new(connection: sqlite3.Connection, file: DroppedFile, examined: Examined) -> bool:
    """Whether its content is not what was last taken of it, or, where nothing was, not known by another name."""
    last = newest(connection, file)
    if last is not None:
        return (last.digest, last.settings) != (examined.digest, file.manner)
    known = (examined.digest, file.settings.table, file.manner)
    same = 'SELECT 1 FROM _content WHERE digest = ? AND "table" = ? AND settings = ?'
    return connection.execute(same, known).fetchone() is None


def take(connection: sqlite3.Connection, file: DroppedFile, examined: Examined) -> None:
    """Take the rows of one file in, in the transaction that is open: of one that has grown, the new ones."""
    last = newest(connection, file)
    is_grown = (
        last is not None
        and last.settings == file.manner
        and 0 < last.size < file.stamp.size
        and examined.part == last.digest
        and not is_workbook(file.path)
    )
    if last is None or not is_grown:
        _forget(connection, file)
        last = _begin(connection, file)
    elif not last.is_ended:  # its last row comes once more, now that it is whole
        place = f"{file.name} line {last.line}"
        connection.execute("UPDATE _problem SET is_over = 1 WHERE content = ? AND place = ?", (last.id, place))
        half = f"DELETE FROM {_quoted(file.settings.table)} WHERE _content = ? AND _line = ?"  # noqa: S608 - quoted
        connection.execute(half, (last.id, last.line))
    came = _fill(connection, file, examined, last)
    connection.execute(
        "UPDATE _content SET digest = ?, size = ?, line = ?, is_ended = ?, bad = ? WHERE id = ?",
        (examined.digest, file.stamp.size, came.line, examined.is_ended, came.bad, came.id),
    )


def problems(connection: Connection, queries: Sequence[str]) -> tuple[list[Problem], list[str]]:
    """Rows of the tables that queries name that could not be read and still stand in their files.

    And the places of those that do no more.
    """
    ordered = text(
        'SELECT "table", place, reason, row, is_over FROM _problem JOIN _content ON _content.id = content'
        " ORDER BY _problem.id"
    )
    rows = connection.execute(ordered).all()
    asked = named({row.table for row in rows}, queries)
    rows = [row for row in rows if row.table in asked]
    found = [Problem(place=row.place, reason=row.reason, row=row.row) for row in rows if not row.is_over]
    return found, sorted({row.place for row in rows} - {one.place for one in found})


def _forget(connection: sqlite3.Connection, file: DroppedFile) -> None:
    """What stood wrong in earlier contents of a file is over; rows that were read in another way never came."""
    earlier = connection.execute('SELECT id, "table", settings FROM _content WHERE name = ?', [file.name]).fetchall()
    connection.executemany("UPDATE _problem SET is_over = 1 WHERE content = ?", [row[:1] for row in earlier])
    for content, table, settings in earlier:
        if settings != file.manner and _columns(connection, table):
            connection.execute(f"DELETE FROM {_quoted(table)} WHERE _content = ?", [content])  # noqa: S608 - quoted


def _begin(connection: sqlite3.Connection, file: DroppedFile) -> Content:
    into = 'INSERT INTO _content (name, "table", settings) VALUES (?, ?, ?)'
    number = connection.execute(into, (file.name, file.settings.table, file.manner)).lastrowid
    assert number is not None, "a row was inserted"
    return Content(id=number, digest="", settings=file.manner, size=0, line=0, is_ended=True, bad=0)


def _fill(connection: sqlite3.Connection, file: DroppedFile, examined: Examined, content: Content) -> Content:
    """Insert the rows behind those that were taken before; what there is then."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    after = content.line if content.is_ended else content.line - 1
    line, bad = content.line, content.bad
    connection.execute("SAVEPOINT rows")
    try:
        rows = (row for row in read(file.path, file.settings, examined.encoding) if row.line > after)
        while some := list(islice(rows, _AT_ONCE)):
            _insert(connection, file.settings.table, (file.name, now, content.id), some)
            wrong = [row for row in some if isinstance(row, BadRow)]
            for row in wrong[: max(0, PROBLEMS_AT_MOST - bad)]:
                _note(connection, content.id, f"{file.name} line {row.line}", row.reason, row.row)
            line, bad = some[-1].line, bad + len(wrong)
    except BadFile as error:
        connection.execute("ROLLBACK TO rows")
        _note(connection, content.id, file.name, str(error), "")
        return replace(content, line=0, bad=1)
    if bad > PROBLEMS_AT_MOST:
        more = f"{bad - PROBLEMS_AT_MOST} more rows cannot be read; the first {PROBLEMS_AT_MOST} are named"
        connection.execute(
            "DELETE FROM _problem WHERE content = ? AND place = ?", (content.id, f"{file.name} and more")
        )
        _note(connection, content.id, f"{file.name} and more", more, "")
    return replace(content, line=line, bad=bad)


def _insert(
    connection: sqlite3.Connection, table: str, origin: tuple[str, str, int], rows: Sequence[FileRow | BadRow]
) -> None:
    good = [row for row in rows if isinstance(row, FileRow)]
    if not good:
        return
    columns = list({folded(column): column for row in good for column in row.values}.values())
    _add_columns(connection, table, columns)
    names = ", ".join(["_file", "_taken_at", "_content", "_line", *map(_quoted, columns)])
    places = ", ".join("?" * (4 + len(columns)))
    into = f"INSERT INTO {_quoted(table)} ({names}) VALUES ({places})"  # noqa: S608 - names are quoted
    connection.executemany(into, ((*origin, row.line, *_in_order(row, columns)) for row in good))


def _in_order(row: FileRow, columns: Sequence[str]) -> Iterator[str | None]:
    """A row's values by column; where rows write the same name in several ways, as this one does."""
    if row.values.keys() <= set(columns):
        return map(row.values.get, columns)
    values = {folded(column): value for column, value in row.values.items()}
    return (values.get(folded(column)) for column in columns)


def _note(connection: sqlite3.Connection, content: int, place: str, reason: str, row: str) -> None:
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
