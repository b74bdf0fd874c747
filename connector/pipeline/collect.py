"""collect: changed rows of the enterprise become stored records, page by page.

One page is one commit: its records, the cursor behind it, the audit entries. One process at a time collects a
collection, under a lease. A row that cannot even be read waits in quarantine for every message type made of it.

The cursor that is remembered never passes the present, so a pass may read rows of the future, which every later pass
reads again; the same content is stored once.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.mapping.outcomes import FaultCode
from connector.messages.records import rfc3339
from connector.pipeline.entries import quarantined
from connector.pipeline.leasing import held
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.inbox import Stored
from connector.sources.interface import Page
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
    more = True
    while more and not connector.is_stopping():
        page = collection.source.page(cursor)
        with connector.database.write(Deed.COLLECT) as transaction:
            lock(transaction, f"collect {collection.name}")
            lock(transaction, "prepare")  # the rows it marks as superseded are those that are being prepared
            now = connector.clock(transaction)
            leases.extend(transaction, lease, now=now)
            stored = inbox.store(transaction, page.records, now=now)
            if page.remember is not None:
                inbox.move_cursor(transaction, collection.name, page.remember)
            unreadable = quarantine.not_yet_held(transaction, _unreadable(collection, page))
            quarantine.hold(transaction, unreadable, now=now)
            entries = [_collected(one) for one in stored] + [quarantined(one) for one in unreadable]
            log.append(transaction, entries, actor=ACTOR, time=now)
        total.changed += len(stored)
        total.unreadable += len(unreadable)
        cursor, more = page.cursor, page.more
    with connector.database.write(Deed.TRY_AGAIN) as transaction:
        lock(transaction, "prepare")
        quarantine.try_again(transaction, collection.name, _ENDED_ELSEWHERE)


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
