"""Read-only connections to the databases of an enterprise.

Three defences keep us from writing: the connection or transaction is read only in the database itself, every query is
wrapped in a SELECT of ours, and the account needs no right but SELECT. A transaction sees one state of the database, so
a record and its lines belong together.

Drivers are told to hand times over as text. The text compares in the database exactly as it was written, a time beyond
Python's years spoils its own row only, and one function reads all of them (see ``values``).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from connector.errors import ConfigurationError, SourceUnreachable
from connector.secret_file import secret
from connector.sources.folder import DropFolder
from connector.sources.staging import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import URL, Connection, Engine

    from connector.config import SourceSettings
    from connector.sources.interface import Problem

CONNECT_SECONDS = 10
QUERY_SECONDS = 300
"""A first pass over a large table without an index may take minutes; nothing may take for ever."""


class SourceDatabase:
    """One ``[sources.NAME]`` of the configuration. Safe to share between threads.

    Raises `ConfigurationError` for an address it does not know. A MySQL TIMESTAMP is read in the source's zone; where
    that zone has summer time, the server needs its zone tables (``mysql_tzinfo_to_sql``).
    """

    def __init__(self, name: str, settings: SourceSettings) -> None:
        self.name = name
        self.zone = ZoneInfo(settings.timezone)
        self._password = secret(settings.password, settings.password_file)
        self._folder = _drop_folder(name, settings)
        try:
            self._url = make_url(settings.url).set(password=self._password)
            self._engine = _TECHNOLOGIES[self._url.drivername](self._url, self.zone)
        except (KeyError, ArgumentError):
            raise ConfigurationError(
                f"sources.{name}.url: {settings.url} is no address of a database this connector reads",
                effect="nothing was started",
                remedy=f"begin it with one of {', '.join(f'{driver}://' for driver in _TECHNOLOGIES)}",
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"sources.{name}.url: the driver {error.name} is not installed",
                effect="nothing was started",
                remedy="install the connector with the extra mysql, postgresql, oracle, mssql or dameng",
            ) from None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read-only transaction. Raises `SourceUnreachable` for whatever the database says instead of answering."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise self._unreachable(error) from None

    def refresh(self) -> None:
        """Take in the files that have come since. Raises `SourceUnreachable`."""
        if self._folder is not None:
            self._folder.take()

    @property
    def folder(self) -> DropFolder | None:
        """Where its rows come from, where that is a folder of files."""
        return self._folder

    def lacks(self, query: str) -> bool:
        """Whether a query names a table that no file has come for yet, so that there is nothing to ask."""
        return self._folder is not None and self._folder.lacks(query)

    def problems(self, queries: Sequence[str]) -> tuple[list[Problem], list[str]]:
        """Rows of files for these queries that could not be read, and the places of those that stand there no more."""
        if self._folder is None:
            return [], []
        with self.reading() as connection:
            return problems(connection, queries)

    def close(self) -> None:
        """Close idle connections; those in use are closed when they are given back."""
        self._engine.dispose()

    def _unreachable(self, error: SQLAlchemyError) -> SourceUnreachable:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        if self._password:
            said = said.replace(self._password, "***")
        address = self._url.render_as_string(hide_password=True)
        asked = isinstance(error, DBAPIError) and error.statement is not None and not error.connection_invalidated
        return SourceUnreachable(
            f"source {self.name} ({address}) {'refuses the query' if asked else 'cannot be reached'}: {said}",
            effect="what needs it was not collected, or waits to be prepared; the rest goes on",
            remedy="check the query in the records file and that the account may SELECT what it reads"
            if asked
            else f"check [sources.{self.name}], its password file and that the database answers",
        )


def _drop_folder(name: str, settings: SourceSettings) -> DropFolder | None:
    if settings.folder is None:
        return None
    address = make_url(settings.url)
    if address.drivername != "sqlite" or not address.database:
        raise ConfigurationError(
            f"sources.{name}.url: {settings.url} is no SQLite file, which a folder needs for what was taken from it",
            effect="nothing was started",
            remedy='write url = "sqlite:///FILE", a file of its own that the connector makes',
        )
    return DropFolder(
        settings.folder,
        Path(address.database),
        settings.files,
        quiet_seconds=settings.quiet_seconds,
        unfinished_seconds=settings.unfinished_seconds,
    )


def _sqlite(url: URL, _zone: ZoneInfo) -> Engine:
    address = f"{Path(url.database or '').absolute().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False, timeout=CONNECT_SECONDS
        )
        # Text that is no UTF-8 must spoil its own row, not the whole answer.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    _begin_with(engine, "BEGIN")
    return engine


def _mysql(url: URL, zone: ZoneInfo) -> Engine:
    # The driver is an extra, so it is imported where it is needed; it comes without type information.
    converters = import_module("pymysql.converters")
    kinds = import_module("pymysql.constants.FIELD_TYPE")
    as_text = {kinds.DATETIME, kinds.TIMESTAMP, kinds.DATE}
    engine = create_engine(
        url,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": QUERY_SECONDS,
            "conv": {kind: convert for kind, convert in converters.conversions.items() if kind not in as_text},
        },
    )

    @event.listens_for(engine, "connect")
    def _session(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET time_zone = %s", (_mysql_zone(zone),))

    return engine


def _mysql_zone(zone: ZoneInfo) -> str:
    """The offset where the zone has one only: a name needs zone tables, which few servers have."""
    months = [datetime(year, month, 1, tzinfo=zone) for year in range(2000, 2040) for month in (1, 7)]
    offsets = {f"{moment:%z}" for moment in months}
    (offset, *others) = offsets
    return zone.key if others else f"{offset[:3]}:{offset[3:]}"


def _postgresql(url: URL, zone: ZoneInfo) -> Engine:
    from psycopg.types.string import TextLoader  # noqa: PLC0415 - the driver is an extra

    engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})

    @event.listens_for(engine, "connect")
    def _session(connection: Any, _record: object) -> None:
        for kind in ("timestamp", "timestamptz", "date", "uuid"):
            connection.adapters.register_loader(kind, TextLoader)

    # Settings of the transaction, not of the session, so that they hold behind a pooler too.
    _begin_with(
        engine,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        f"SET LOCAL TIME ZONE '{zone.key}'",
        "SET LOCAL datestyle = 'ISO'",
        f"SET LOCAL statement_timeout = '{QUERY_SECONDS}s'",
    )
    return engine


def _begin_with(engine: Engine, *statements: str) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _untested(url: URL, _zone: ZoneInfo) -> Engine:
    """Oracle, SQL Server and 达梦, written by their manuals and not tested here.

    Their drivers hand times over as such, without the zone. On SQL Server the transaction is not read only: give the
    account SELECT and nothing else.
    """
    engine = create_engine(url, pool_pre_ping=True)
    if url.drivername == "mssql+pymssql":
        return engine
    _begin_with(engine, "SET TRANSACTION READ ONLY")

    @event.listens_for(engine, "connect")
    def _session(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:  # so that a time written as text compares as a time
            cursor.execute("ALTER SESSION SET NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF6'")
            cursor.execute("ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS'")

    return engine


_TECHNOLOGIES: dict[str, Callable[[URL, ZoneInfo], Engine]] = {
    "sqlite": _sqlite,
    "mysql+pymysql": _mysql,
    "mariadb+pymysql": _mysql,
    "postgresql+psycopg": _postgresql,
    "oracle+oracledb": _untested,
    "mssql+pymssql": _untested,
    "dm+dmPython": _untested,
}
"""How to open each technology, by the beginning of its address."""
