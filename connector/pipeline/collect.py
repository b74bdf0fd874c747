"""collect: changed rows of the enterprise become stored records, page by page.

One page is one commit: its records, the cursor behind it, the audit entries. A page that another collector took
meanwhile is left to it. A row that cannot even be read waits in quarantine for every message type made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.messages.records import SourceRecord
from connector.pipeline.entries import quarantined
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.interface import Page
from connector.sources.quarantine import Held
from connector.storage.database import lock


@dataclass(slots=True, kw_only=True)
class Collected:
    """What collecting came to."""

    changed: int = 0
    """Records that are new or differ from their last version."""
    unreadable: int = 0
    """Rows newly held in quarantine because they cannot become records."""


def collect(connector: Connector, collection: Collection) -> Collected:
    """Read every page that there is now.

    Raises `SourceUnreachable` or `SourceChanged`; pages committed before stay.
    """
    total = Collected()
    more = True
    while more and not connector.is_stopping():
        with connector.database.read() as connection:
            cursor = inbox.read_cursor(connection, collection.name)
        page = collection.source.page(cursor)
        with connector.database.write() as transaction:
            lock(transaction, f"collect {collection.name}")
            if inbox.read_cursor(transaction, collection.name) != cursor:
                continue
            now = connector.clock()
            stored = inbox.store(transaction, page.records, now=now)
            if page.cursor is not None and page.cursor != cursor:
                inbox.move_cursor(transaction, collection.name, page.cursor)
            held = quarantine.not_yet_held(transaction, _held(collection, page))
            quarantine.hold(transaction, held, now=now)
            entries = [_collected(*one) for one in stored] + [quarantined(one) for one in held]
            log.append(transaction, entries, actor=ACTOR, time=now)
        total.changed += len(stored)
        total.unreadable += len(held)
        more = page.more
    return total


def _collected(record: SourceRecord, version: int) -> Entry:
    return Entry(
        event=Event.COLLECTED,
        source_key=f"{record.key.collection}/{record.key.key}",
        detail={"version": version, "changed_at": record.changed_at.isoformat(), "lines": len(record.lines)},
    )


def _held(collection: Collection, page: Page) -> list[Held]:
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
