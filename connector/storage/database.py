"""One database, SQLite or PostgreSQL, and the two ways into it: `Database.read` and `Database.write`.

SQLite runs with a write-ahead log that is synced at every commit, and a writer takes the write lock when it begins: a
transaction that first reads and then asks for the lock fails at once under load, whatever the time-out
(https://www.sqlite.org/rescode.html#busy_snapshot)::

    with database.write(Deed.COLLECT) as transaction:
        transaction.execute(...)          # committed at the end of the block, rolled back by any exception
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)

from connector.deeds import Deed, Watch, unwatched
from connector.errors import ConfigurationError, DatabaseUnreachable
from connector.storage import sqlite_build
from connector.storage.sqlite_file import SqliteFile

_WRITER = "connector_writer"

_POOL: dict[str, Any] = {"pool_size": 24, "max_overflow": 0}
"""Connections at once, opened when first needed: one for each worker, one for each other part of the daemon."""

_FROZEN_MILLISECONDS = 10_000
"""How long PostgreSQL waits for the next statement of a transaction before it ends it."""

_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""How soon a PostgreSQL that is gone without a word is noticed (libpq connection parameters)."""

_WRITE_FAILED = "what was being written is there whole or not at all; it is looked up before it is done again"

_STATEMENTS_KEPT = 16
"""Prepared statements that a connection to SQLite keeps. Lists of keys make long ones that seldom come again; the
driver would keep 128 of them."""


class Database:
    """Our own records. Safe to share between threads; each block has a connection of its own."""

    def __init__(self, url: str, password: str | None = None, *, watch: Watch = unwatched) -> None:
        self._engine = _engine(url, password)
        self._file = _sqlite_file(self._engine)
        self._watch = watch
        # PostgreSQL's own level shows each statement another state.
        options = {"isolation_level": "REPEATABLE READ"} if self.is_postgresql else {}
        self._reader = self._engine.execution_options(**options)
        self._writer = self._engine.execution_options(**{_WRITER: True})

    @property
    def is_postgresql(self) -> bool:
        """PostgreSQL; otherwise SQLite."""
        return self._engine.dialect.name == "postgresql"

    @property
    def address(self) -> str:
        """Its URL without the password."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def warning(self) -> str:
        """What is wrong with the program that keeps it, in words; empty when nothing is."""
        return "" if self.is_postgresql else sqlite_build.warning()

    @property
    def is_missing(self) -> bool:
        """A SQLite file that does not exist, and that connecting would make."""
        return self._file is not None and not self._file.path.exists()

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        return self._file.path if self._file else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Raises `DatabaseUnreachable`."""
        with self._translated("nothing was read"), self._reader.connect() as connection, connection.begin():
            self._require_same_file()
            yield connection

    @contextmanager
    def write(self, deed: Deed) -> Iterator[Connection]:
        """One transaction: all of the block or nothing of it. Raises `DatabaseUnreachable`."""
        with self._translated(_WRITE_FAILED), self._writer.begin() as transaction:
            self._require_same_file()
            yield transaction
            self._watch(deed, "before")
        self._watch(deed, "after")

    @contextmanager
    def held_alone(self) -> Iterator[bool]:
        """Be the only one that works on a SQLite file, as long as the block lasts; True when that is so.

        PostgreSQL serves many, and leases keep them apart: False. Raises `InstanceLocked` when another has the file.
        The operating system gives the lock back when a process ends, however it ends.
        """
        if self._file is None:
            yield False
            return
        with self._file.locked():
            yield True

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def _require_same_file(self) -> None:
        """Whoever writes to a file that was deleted or replaced keeps no record of what is sent."""
        if self._file is not None and not self._file.is_still_there():
            raise DatabaseUnreachable(
                f"{self.address}: the file was deleted or replaced after it was opened",
                effect="nothing is sent or recorded any more",
                remedy="stop the program, put the file back, and start it again",
            )

    @contextmanager
    def _translated(self, effect: str) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            ours = type(error) not in {DatabaseError, InterfaceError, InternalError, OperationalError}
            if ours or "no such table" in str(error.orig):
                raise  # a fault of the statement, not of the database
            raise DatabaseUnreachable(
                f"{self.address}: {_first_line(error)}",
                effect=effect,
                remedy="check that the database runs, its disk is writable and has room, and [database] is right",
            ) from error


def now_by_database(connection: Connection) -> datetime:
    """The database's own clock, UTC: leases of all processes are measured by it."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return moment.astimezone(UTC)
    written = connection.execute(text("SELECT strftime('%Y-%m-%dT%H:%M:%f', julianday('now'))")).scalar_one()
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"


def lock(transaction: Connection, name: str) -> None:
    """Wait until no other transaction holds this name. SQLite's only writer holds every name already."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(text(LOCK), {"name": name})


def _sqlite_file(engine: Engine) -> SqliteFile | None:
    """None for PostgreSQL and for what is in memory."""
    file = engine.url.database
    return SqliteFile(Path(file)) if engine.dialect.name == "sqlite" and file and file != ":memory:" else None


def _engine(url: str, password: str | None) -> Engine:
    try:
        parsed = make_url(url)
        if password is not None:
            parsed = parsed.set(password=password)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ConfigurationError(
                f"[database] url: {parsed.get_backend_name()} is not supported",
                effect="nothing was started",
                remedy="use sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME",
            )
        if parsed.get_backend_name() == "sqlite":
            _require_folder(parsed.database)
            engine = create_engine(
                parsed, module=sqlite_build.DRIVER, connect_args={"cached_statements": _STATEMENTS_KEPT}, **_POOL
            )
        else:
            engine = create_engine(parsed, connect_args=_PATIENCE, **_POOL)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"[database] url: {error}",
            effect="nothing was started",
            remedy="use sqlite:///FILE, or postgresql+psycopg://USER@HOST/NAME with the extra `postgresql` installed",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", _drop_read_only)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _require_folder(file: str | None) -> None:
    if file and file != ":memory:" and not Path(file).parent.is_dir():
        raise DatabaseUnreachable(
            f"{Path(file).parent}: no such folder",
            effect="no database was made",
            remedy="make the folder, or correct url",
        )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own transactions begin too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 10000")
    if cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0] not in {"wal", "memory"}:
        raise DatabaseUnreachable(
            "SQLite cannot keep a write-ahead log here",
            effect="nothing was changed",
            remedy="keep the database on a local disk, not on a network file system",
        )
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: object) -> None:
    # A process that is frozen inside a transaction must not hold its locks for ever.
    connection.execute(f"SET idle_in_transaction_session_timeout = {_FROZEN_MILLISECONDS}")
    # An attempt that a crash of the server may take back is no record; every other setting keeps it on disk.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    writer = connection.get_execution_options().get(_WRITER)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def _drop_read_only(context: ExceptionContext) -> None:
    """While a disk is read-only, SQLite opens connections that never write again: the pool is made anew."""
    if "readonly" in str(context.original_exception):
        context.is_disconnect = True


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
