"""collect: changed rows of the enterprise become stored records, page by page.

One page is one commit: its records, the cursor behind it, the audit entries. One process at a time collects a
collection, under a lease. A row that cannot even be read waits in quarantine for every message type made of it.

A pass reads what lies just before the place it has come to, for rows that were committed late, and from there on all
that is new, which alone moves the cursor. Content that is known is stored once, however often it is read. Each window
that brought something is certified in the log: how many rows, and their digest.

The cursor that is remembered never passes the present, so a pass may read rows of the future, which every later pass
reads again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.mapping.outcomes import FaultCode
from connector.messages.records import digest, rfc3339
from connector.pipeline.entries import quarantined
from connector.pipeline.leasing import held
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.inbox import Stored
from connector.sources.interface import Cursor, Page
from connector.sources.quarantine import Held
from connector.storage import leases
from connector.storage.database import lock
from connector.storage.leases import Lease

_ENDED_ELSEWHERE = (FaultCode.LOOKUP_MISSING, FaultCode.LOOKUP_AMBIGUOUS, FaultCode.CODE_UNKNOWN, quarantine.RULE)
"""Reasons that a row looked up, a code list or another document can end although the record itself does not change."""


@dataclass(slots=True, kw_only=True)
class Collected:
    """What collecting came to."""

    changed: int = 0
    """Records that are new or differ from their last version."""
    unreadable: int = 0
    """Rows newly held in quarantine because they cannot become records."""
    is_elsewhere: bool = False
    """Another process is at it; nothing was done here."""

    def add(self, other: Collected) -> None:
        """Count what was collected besides."""
        self.changed += other.changed
        self.unreadable += other.unreadable
        self.is_elsewhere |= other.is_elsewhere


@dataclass(slots=True, kw_only=True)
class Window:
    """A part of a collection that is read from one place to another, page by page."""

    kind: str
    """new, overlap or sweep."""
    begin: Cursor | None
    end: Cursor | None
    """None: as far as there is anything."""
    rows: int = 0
    stored: int = 0
    keys: set[str] | None = None
    """Which records there are; None where nobody asks."""
    _sha: Any = field(default_factory=hashlib.sha256)

    def add(self, page: Page) -> None:
        """Count the records of a page and add them to the digest: key and content, in the order they are read."""
        for record in page.records:
            self._sha.update(f"{record.key.key}\0{digest(record.to_json())}\n".encode())
        self.rows += len(page.records)
        if self.keys is not None:
            self.keys |= {one.key.key for one in page.records} | {one.key.key for one in page.unreadable}

    def certificate(self, collection: str, cursor: Cursor | None, **more: object) -> Entry:
        """What the log says of it."""
        end = self.end or cursor
        detail = {
            "window": self.kind,
            "from": str(self.begin) if self.begin else "the beginning",
            "to": str(end) if end else "the beginning",
            "rows": self.rows,
            "stored": self.stored,
            "digest": self._sha.hexdigest(),
        }
        return Entry(event=Event.WINDOW_READ, source_key=collection, detail=detail | more)


def collect(connector: Connector, collection: Collection) -> Collected:
    """Read every page that there is now; then what waits for a row looked up waits to be prepared again.

    While another process collects the same, nothing is done. Raises `SourceUnreachable` or `SourceChanged`; pages
    committed before stay.
    """
    total = Collected()
    with held(connector, f"collect {collection.name}", connector.collection_lease) as lease:
        total.is_elsewhere = lease is None
        if lease is not None:
            _collect(connector, collection, lease, total)
    return total


def _collect(connector: Connector, collection: Collection, lease: Lease, total: Collected) -> None:
    with connector.database.read() as connection:
        cursor = inbox.read_cursor(connection, collection.name)
    earlier = collection.source.before(cursor) if cursor is not None else None
    if earlier is not None:
        read_window(connector, collection, lease, Window(kind="overlap", begin=earlier, end=cursor), total)
    read_window(connector, collection, lease, Window(kind="new", begin=cursor, end=None), total)
    with connector.database.write(Deed.TRY_AGAIN) as transaction:
        lock(transaction, "prepare")
        quarantine.try_again(transaction, collection.name, _ENDED_ELSEWHERE)


def read_window(connector: Connector, collection: Collection, lease: Lease, window: Window, total: Collected) -> bool:
    """Read a window to its end and certify it if it brought something; False when the connector stops before.

    Only what is new moves the cursor.
    """
    cursor, more = window.begin, True
    while more and not connector.is_stopping():
        page = collection.source.page(cursor, window.end)
        window.add(page)
        with connector.database.write(Deed.COLLECT) as transaction:
            lock(transaction, f"collect {collection.name}")
            lock(transaction, "prepare")  # the rows it marks as superseded are those that are being prepared
            now = connector.clock(transaction)
            leases.extend(transaction, lease, now=now)
            stored = inbox.store(transaction, page.records, now=now)
            window.stored += len(stored)
            if page.remember is not None and window.kind == "new":
                inbox.move_cursor(transaction, collection.name, page.remember)
            unreadable = quarantine.not_yet_held(transaction, _unreadable(collection, page))
            quarantine.hold(transaction, unreadable, now=now)
            back = quarantine.release_returned(transaction, [record.key for record in page.records], now=now)
            entries = [_collected(one) for one in stored] + [quarantined(one) for one in unreadable]
            entries += [
                Entry(event=Event.QUARANTINE_LEFT, source_key=str(key), document_type=kind) for key, kind in back
            ]
            if not page.more and window.stored and window.kind != "sweep":
                entries.append(window.certificate(collection.name, page.cursor))
            log.append(transaction, entries, actor=ACTOR, time=now)
        total.changed += len(stored)
        total.unreadable += len(unreadable)
        cursor, more = page.cursor, page.more
    return not more


def _collected(stored: Stored) -> Entry:
    record = stored.record
    return Entry(
        event=Event.COLLECTED,
        source_key=str(record.key),
        detail={
            "version": stored.version,
            "changed_at": rfc3339(record.changed_at),
            "lines": len(record.lines),
            "digest": stored.digest,
        },
    )


def _unreadable(collection: Collection, page: Page) -> list[Held]:
    return [
        Held(
            record_id=None,
            key=row.key,
            type=mapping.message_type.name,
            reason=quarantine.UNREADABLE,
            faults=[{"code": quarantine.UNREADABLE, "field": "", "text": row.reason, "row": row.row}],
        )
        for row in page.unreadable
        for mapping in collection.mappings
    ]
