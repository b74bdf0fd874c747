"""The tables of the simulated customs office, in a SQLite file of its own.

Times are milliseconds since 1970 (UTC): that is the grain of returnTime, and integers compare exactly. What a test may
want to read with plain SQL is what came in, repeats and refusals included; `archive.signed_message` gives the signed
bytes of a message back, e.g. for xmlsec1::

    SELECT message_id, mark, info, body FROM requests ORDER BY number

What was done about one message, in its exact order; what has no place was not processed or answered, and comes first::

    SELECT place, received_at, processed_at, fault, mark, NULL AS known FROM requests WHERE message_id = :id
    UNION ALL SELECT place, asked_at, answered_at, fault, NULL, known FROM queries WHERE message_id = :id
    ORDER BY place
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from connector.errors import ConfigurationError

metadata = MetaData()

requests = Table(
    "requests",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("received_at", Integer, nullable=False, doc="when its last byte had come"),
    Column("processed_at", Integer, doc="just before the commit; empty while, or because, it was not processed"),
    Column("place", Integer, unique=True, doc="in the order of all that was processed or answered; see queries"),
    Column("message_id", Text, index=True, doc="CopMsgId, where the envelope could be read"),
    Column("body", LargeBinary, nullable=False, doc="the HTTP body as received"),
    Column(
        "mark", Text, nullable=False, doc="chkMark of the answer: 1 taken in, 2 refused at the door; '' unprocessed"
    ),
    Column("info", Text, nullable=False, doc="resultInfo of the answer"),
    Column("fault", Text, nullable=False, doc="which fault kept the answer from the peer, or changed it; '' for none"),
)
"""Every request to take a message in, but those whose connection was reset before they were read."""

queries = Table(
    "queries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("asked_at", Integer, nullable=False, doc="when the last byte of the question had come"),
    Column("answered_at", Integer, doc="when it was looked up; empty where it was not"),
    Column("place", Integer, unique=True, doc="in the order of all that was processed or answered; see requests"),
    Column("sender", Text, nullable=False, doc="dxpId"),
    Column("message_id", Text, nullable=False, index=True, doc="CopMsgId"),
    Column("known", Integer, doc="the answer: 1 known, 0 not known"),
    Column("digest", Text, doc="the answer's dataDigest, where the message is known"),
    Column("fault", Text, nullable=False, doc="which fault kept the answer from the peer, or changed it; '' for none"),
)
"""Every queryMessage, likewise."""

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True, doc="CopMsgId"),
    Column("type", Text, nullable=False, doc="as its envelope calls it, e.g. CEB213Message"),
    Column("sender", Text, nullable=False, doc="dxpId"),
    Column("digest", Text, nullable=False, doc="SHA-256 of the signed bytes, lower-case hex"),
    Column("received_at", Integer, nullable=False),
    Column("times_received", Integer, nullable=False),
    Column("answer", Text, nullable=False, doc="the mo document, given again to a repeat"),
    Column("format_fault", Text, nullable=False, doc="why a CEB900 follows; empty when the schema takes it"),
    Column("fault", Text, nullable=False, doc="what befell its receipts; '' for nothing"),
)
"""Messages taken in (chkMark 1). What was refused at the door does not own its CopMsgId."""

declarations = Table(
    "declarations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("message_id", Text, ForeignKey("messages.id"), nullable=False, index=True),
    Column("type", Text, nullable=False, doc="CEB213, WOD101, …"),
    Column("business_key", Text, nullable=False),
    Column("digest", Text, nullable=False, doc="SHA-256 of the record's exclusive C14N"),
    Column("app_type", Text, nullable=False),
    Column("code", Text, nullable=False, doc="the verdict: empty when accepted, else 100 or below 0"),
    Column("info", Text, nullable=False),
    Column("echo", Text, nullable=False, doc="JSON of the fields its receipts repeat, with the preNo the office gave"),
)
"""Every document of every well-formed message, in order, with its verdict."""

documents = Table(
    "documents",
    metadata,
    Column("type", Text, primary_key=True),
    Column("business_key", Text, primary_key=True),
    Column("declaration", ForeignKey("declarations.number"), nullable=False, doc="what the office goes by"),
    Column("free_at", Integer, doc="when the rejection is said and the key free again; empty while it is held"),
    Column("times_received", Integer, nullable=False),
    Column("times_accepted", Integer, nullable=False),
)
"""The ledger: one row per business key."""

returned = Table(
    "returned",
    metadata,
    Column("business_key", Text, primary_key=True),
    Column("invt_no", Text, primary_key=True, index=True),
    Column("gnum", Integer, primary_key=True),
    Column("qty", Text, nullable=False),
    Column("qty1", Text, nullable=False),
    Column("qty2", Text, nullable=False),
)
"""What accepted CEB213 documents have taken of the lines of original export lists."""

receipts = Table(
    "receipts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("message_id", Text, ForeignKey("messages.id"), nullable=False),
    Column("sender", Text, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("said_at", Integer, nullable=False, doc="its returnTime"),
    Column("due_at", Integer, nullable=False, doc="when it is given out; the same unless a fault befell it"),
    Column("wrapping", Integer, nullable=False, doc="1 for a duplicate in another envelope than the first"),
    Column("sequence", Integer, unique=True, doc="its place in the stream; empty until it is due and asked for"),
)
"""Planned receipt messages. They are written out when fetched, always the same way."""

Index("receipts_planned", receipts.c.sender, receipts.c.due_at, sqlite_where=receipts.c.sequence.is_(None))
Index("receipts_issued", receipts.c.sender, receipts.c.sequence)
Index("receipts_of_message", receipts.c.message_id)

export_lists = Table(
    "export_lists",
    metadata,
    Column("invt_no", Text, primary_key=True),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The original export lists customs knows, each as the JSON it came in."""

imports = Table("imports", metadata, Column("digest", Text, primary_key=True))
"""SHA-256 of the file the export lists came from; one row."""


def open_database(path: Path, synchronous: str = "FULL") -> Engine:
    """Open the office's file and make the tables that are missing.

    synchronous: FULL, or NORMAL for writing what may be lost with the power, though not with the process.
    A transaction is a writer's (BEGIN IMMEDIATE); `reading` gives connections that only read. Raises
    `ConfigurationError` when the file cannot be opened, or was made by a version with other tables.
    """
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", partial(_on_connect, synchronous))
    event.listen(engine, "begin", _on_begin)
    try:
        with engine.begin() as connection:
            missing = _missing_columns(connection)
            if not missing:
                metadata.create_all(connection)
    except DatabaseError as error:
        raise ConfigurationError(
            f"{path}: {error.orig}",
            effect="the simulated customs office was not started",
            remedy="correct database in the registry",
        ) from None
    if missing:
        engine.dispose()
        raise ConfigurationError(
            f"{path} was made by an older version: it has no {', '.join(missing)}",
            effect="the simulated customs office did not use it",
            remedy="move the file away, so that a new one is made, or name another as database in the registry",
        )
    return engine


def _missing_columns(connection: Connection) -> list[str]:
    """Columns that tables of the file lack; a table that is missing altogether is made."""
    found = inspect(connection)
    return [
        f"{name}.{column}"
        for name in sorted(set(found.get_table_names()) & set(metadata.tables))
        for column in sorted({c.name for c in metadata.tables[name].c} - {c["name"] for c in found.get_columns(name)})
    ]


def reading(engine: Engine) -> Engine:
    """The same engine for readers: each statement sees what is committed when it starts, and blocks nobody."""
    return engine.execution_options(reading=True)


def _on_connect(synchronous: str, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would open transactions by itself, deferred; SQLAlchemy's documentation gives this way out.
    raw: Any = connection
    raw.isolation_level = None
    raw.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA foreign_keys=ON;")


def _on_begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("reading"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
