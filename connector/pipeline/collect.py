"""collect: changed rows of the enterprise become stored records, page by page.

One page is one commit: its records, the cursor behind it, the audit entries. A page that another collector took
meanwhile is left to it. A row that cannot even be read waits in quarantine for every message type made of it.

The cursor that is remembered never passes the present, so a pass may read rows of the future, which every later pass
reads again; the same content is stored once.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.mapping.outcomes import FaultCode
from connector.messages.records import SourceRecord, rfc3339
from connector.pipeline.entries import quarantined
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.interface import Page
from connector.sources.quarantine import Held
from connector.storage.database import lock

_ENDED_ELSEWHERE = (FaultCode.LOOKUP_MISSING, FaultCode.LOOKUP_AMBIGUOUS, FaultCode.CODE_UNKNOWN)
"""Reasons that a row looked up, or a code list, can end although the record itself does not change."""


@dataclass(slots=True, kw_only=True)
class Collected:
    """What collecting came to."""

    changed: int = 0
    """Records that are new or differ from their last version."""
    unreadable: int = 0
    """Rows newly held in quarantine because they cannot become records."""


def collect(connector: Connector, collection: Collection) -> Collected:
    """Read every page that there is now; then what waits for a row looked up waits to be prepared again.

    Raises `SourceUnreachable` or `SourceChanged`; pages committed before stay.
    """
    total = Collected()
    with connector.database.read() as connection:
        remembered = cursor = inbox.read_cursor(connection, collection.name)
    more = True
    while more and not connector.is_stopping():
        page = collection.source.page(cursor)
        with connector.database.write() as transaction:
            lock(transaction, f"collect {collection.name}")
            found = inbox.read_cursor(transaction, collection.name)
            if found != remembered:
                remembered = cursor = found
                continue
            now = connector.clock()
            stored = inbox.store(transaction, page.records, now=now)
            if page.remember is not None:
                inbox.move_cursor(transaction, collection.name, page.remember)
            held = quarantine.not_yet_held(transaction, _held(collection, page))
            quarantine.hold(transaction, held, now=now)
            entries = [_collected(*one) for one in stored] + [quarantined(one) for one in held]
            log.append(transaction, entries, actor=ACTOR, time=now)
        total.changed += len(stored)
        total.unreadable += len(held)
        remembered, cursor, more = page.remember or remembered, page.cursor, page.more
    with connector.database.write() as transaction:
        quarantine.try_again(transaction, collection.name, _ENDED_ELSEWHERE)
    return total


def _collected(record: SourceRecord, version: int) -> Entry:
    return Entry(
        event=Event.COLLECTED,
        source_key=str(record.key),
        detail={"version": version, "changed_at": rfc3339(record.changed_at), "lines": len(record.lines)},
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
