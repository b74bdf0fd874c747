"""What must be true of any image of the database, and of one taken after something was acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from connector.audit import log, queries
from connector.audit.events import Entry, Event
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.errors import ConnectorError
from connector.outbox import queue
from connector.storage import schema
from connector.storage.database import Database, now_by_database

_LISTED = 100
"""Entries of the audit log that are read as a user reads them."""

_ROWS = {
    "records": "SELECT key FROM source_record",
    "documents": "SELECT guid FROM document",
    "messages": "SELECT id FROM message JOIN message_bytes ON message_id = id",
    "attempts": "SELECT message_id, number FROM attempt",
    "outcomes": "SELECT message_id, number FROM attempt WHERE outcome <> '' AND ended_at IS NOT NULL",
}
"""What an acknowledgement may name, and where it is found."""

_TOGETHER = {
    "collected": "SELECT count(*) FROM source_record",
    "mapped": "SELECT count(*) FROM document",
    "signed": "SELECT count(*) FROM message JOIN message_bytes ON message_id = id",
    "attempted": "SELECT count(*) FROM attempt",
    "answered": "SELECT count(*) FROM attempt WHERE outcome NOT IN ('', 'abandoned')",
    "receipt_taken": "SELECT count(*) FROM receipt",
}
"""Event -> the rows that are written in the same transaction as an entry of it, one for one."""


@dataclass(slots=True)
class Acknowledged:
    """Everything that was acknowledged up to some moment."""

    count: int = 0
    """Acknowledgements."""
    schema: str = ""
    rows: dict[str, set[Any]] = field(default_factory=lambda: {kind: set() for kind in _ROWS})
    sent: dict[str, int] = field(default_factory=dict)
    """SHA-256 of a request body -> how often customs saw the beginning of that request."""
    questions: int = 0
    """How often customs saw the beginning of a question about a message in doubt."""
    cursor: int = 0
    """Up to which receipt customs was told that we have them."""
    entries: int = 0
    """Audit entries that somebody was shown."""

    def add(self, lines: bytes) -> None:
        """Take in what a program wrote, one JSON object a line."""
        for line in lines.splitlines():
            said = json.loads(line)
            self.count += 1
            self.schema = said.pop("schema", self.schema)
            self.entries = max(self.entries, said.pop("entries", 0))
            for kind, values in said.items():
                self.rows[kind].update(tuple(one) if isinstance(one, list) else one for one in values)


def wrongs(database: Path, acknowledged: Acknowledged) -> list[str]:
    """What is wrong with an image, each in a sentence; the image is recovered, and written to, by looking at it."""
    if not database.exists() and not acknowledged.count:
        return []
    opened = Database(f"sqlite:///{database}")
    try:
        with opened.read() as connection:
            found = list(_unsound(connection))
            made = schema.current(connection)
            if made != acknowledged.schema and (acknowledged.schema or made not in schema.versions()):
                found.append(f"lost: the schema is {made or 'not made'}, but {acknowledged.schema} was acknowledged")
            if made:
                found += [*_torn(connection), *_lost(connection, acknowledged)]
        if made:
            _go_on(opened)
    except ConnectorError as error:
        return [f"it cannot be read: {error.cause}"]
    finally:
        opened.close()
    return found


def _unsound(connection: Connection) -> Iterable[str]:
    """SQLite's own checks."""
    problems = connection.execute(text("PRAGMA integrity_check")).scalars().all()
    if problems != ["ok"]:
        yield f"integrity_check: {'; '.join(problems[:3])}"
    if orphans := connection.execute(text("PRAGMA foreign_key_check")).all():
        yield f"foreign_key_check: {len(orphans)} rows without the row they point to"


def _torn(connection: Connection) -> Iterable[str]:
    """Transactions of which only a part is there: rows without their audit entry, or the other way round."""
    first, last, count = connection.execute(
        text("SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0), count(*) FROM audit_entry")
    ).one()
    if first != 1 or last != count:
        yield f"torn: the audit log has {count} entries, numbered from {first} to {last}"
    if len(queries.entries(connection, EntryFilter(), at_most=_LISTED)) != min(count, _LISTED):
        yield "torn: the audit log cannot be listed"
    said = _counts(connection, "SELECT event, count(*) FROM audit_entry GROUP BY event")
    for event, statement in _TOGETHER.items():
        rows = connection.execute(text(statement)).scalar_one()
        if rows != said.get(event, 0):
            yield f"torn: {said.get(event, 0)} audit entries say {event}, but there are {rows} rows of it"
    if connection.execute(text("SELECT 1 FROM source_record WHERE key LIKE 'rolled-back%'")).first():
        yield "torn: rows of a transaction that was rolled back"


def _lost(connection: Connection, acknowledged: Acknowledged) -> Iterable[str]:
    """What was acknowledged and is not there."""
    for kind, expected in acknowledged.rows.items():
        if not expected:
            continue
        rows = connection.execute(text(_ROWS[kind])).all()
        missing = expected - {row[0] if len(row) == 1 else tuple(row) for row in rows}
        if missing:
            yield f"lost: {len(missing)} acknowledged {kind}, e.g. {min(missing)}"
    if acknowledged.sent:
        tries = "SELECT body_digest, count(*) FROM attempt WHERE kind = 'send' GROUP BY body_digest"
        known = _counts(connection, tries)
        for body, count in acknowledged.sent.items():
            if known.get(body, 0) < count:
                yield f"lost: customs saw a message {count} times, of which {known.get(body, 0)} attempts are known"
    asked = connection.execute(text("SELECT count(*) FROM attempt WHERE kind = 'query'")).scalar_one()
    if asked < acknowledged.questions:
        yield f"lost: customs was asked {acknowledged.questions} times, of which {asked} attempts are known"
    cursor = connection.execute(text("SELECT coalesce(max(sequence), 0) FROM receipt_cursor")).scalar_one()
    if cursor < acknowledged.cursor:
        yield f"lost: customs was told that we have receipt {acknowledged.cursor}, but we know of {cursor}"
    if queries.count(connection) < acknowledged.entries:
        yield f"lost: {acknowledged.entries} audit entries were shown, of which {queries.count(connection)} are left"


def _counts(connection: Connection, statement: str) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(text(statement))}


def _go_on(database: Database) -> None:
    """The connector works on: the queue is read, and the log written to."""
    with database.write(Deed.RECOVER) as transaction:
        now = now_by_database(transaction)
        queue.has_expired(transaction, now=now)
        log.append(transaction, [Entry(event=Event.DELIVERY_CHANGED)], actor="after the power loss", time=now)
