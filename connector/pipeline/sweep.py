"""sweep: a window that was read before is read again, for changes that the time of change does not tell.

Found are rows that changed under an old time, and rows that are there no longer: what was declared from those still
stands at customs, so it waits for an operator. Every sweep is certified in the log, with the number of rows that the
source itself counts in the same window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum, auto

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import SourceChanged
from connector.messages.catalogue import message_type
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import documents
from connector.outbox.documents import Standing
from connector.pipeline.collect import Collected, Window, collected_entry, read_window
from connector.pipeline.entries import quarantined
from connector.pipeline.leasing import held
from connector.pipeline.left_behind import still_standing
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.interface import Cursor, Sweep
from connector.storage import leases
from connector.storage.database import lock
from connector.storage.leases import Lease

_SUSPICIOUS = 100
"""So many rows may be gone; of more, only half of the window."""
_SOON = timedelta(hours=1)
_TEXT = "the source has the row no longer; put it back, or `quarantine release --void` what was declared from it"


class Sweeping(Enum):
    """When a collection is swept."""

    WHEN_DUE = auto()
    """As often as its records file says."""
    NOW = auto()
    """In any case, where its records file says how far back."""


def sweep(connector: Connector, collection: Collection, sweeping: Sweeping) -> Collected:
    """Read a collection's window again, if it is time; while another process collects it, nothing is done.

    Raises `SourceUnreachable` or `SourceChanged`, also when so many rows are gone that the query must be at fault.
    """
    total = Collected()
    plan = collection.source.sweep
    if plan is None or not _is_due(connector, collection, plan, sweeping):
        return total
    with held(connector, f"collect {collection.name}", connector.collection_lease) as lease:
        total.is_elsewhere = lease is None
        if lease is not None:
            _sweep(connector, collection, plan, lease, total)
    return total


def _is_due(connector: Connector, collection: Collection, plan: Sweep, sweeping: Sweeping) -> bool:
    with connector.database.read() as connection:
        if inbox.read_cursor(connection, collection.name) is None:
            return False
        last = inbox.swept_at(connection, collection.name)
        now = connector.clock(connection)
    if sweeping is Sweeping.NOW or not plan.every:
        return True
    if last is None:  # what there is has just been read; the first sweep is due a period from now
        with connector.database.write(Deed.COLLECT) as transaction:
            inbox.note_sweep(transaction, collection.name, now=now)
        return False
    return now >= last + plan.every


def _sweep(connector: Connector, collection: Collection, plan: Sweep, lease: Lease, total: Collected) -> None:
    source = collection.source
    with connector.database.read() as connection:
        end = inbox.read_cursor(connection, collection.name)
    begin = source.before(end, plan.back) if end is not None else None
    if begin is None or end is None:
        if end is not None:
            total.warnings.append(
                f"{collection.name}: its change times are written as {end.changed_at}, a form in which no earlier time "
                "can be named, so nothing is read again; have the query write them as 2026-06-01 08:00:00"
            )
        return
    window = Window(kind="sweep", begin=begin, end=end, place=begin, keys=set())
    counts = [source.count(begin, end)]
    if not read_window(connector, collection, lease, window, total):
        return
    counts.append(source.count(begin, end))
    if not min(counts) <= window.rows <= max(counts):  # what changes meanwhile leaves the window
        total.warnings.append(
            f"{collection.name}: the sweep read {window.rows} rows where the source counts {counts[-1]}; "
            "look whether the query of the records file gives each row once, whenever it is asked"
        )
    gone, moved = _missing(connector, collection, begin, end, window.keys or set())
    with connector.database.read() as connection:
        waiting = quarantine.waiting_for(connection, collection.name, quarantine.UNREADABLE)
    vanished = source.vanished(sorted(waiting, key=str)) if waiting else []
    with connector.database.write(Deed.COLLECT) as transaction:
        lock(transaction, f"collect {collection.name}")
        lock(transaction, "prepare")
        now = connector.clock(transaction)
        leases.extend(transaction, lease, now=now)
        stored = inbox.store(transaction, moved, now=now)
        standing = documents.standing(transaction, gone)
        newest = inbox.newest_ids(transaction, gone)
        left = [
            still_standing(one, newest[one.source], quarantine.ROW_DISAPPEARED, _TEXT)
            for one in standing
            if _may_go(one)
        ]
        fresh = quarantine.not_yet_held(transaction, left)
        quarantine.hold(transaction, fresh, now=now)
        declared = {one.source for one in standing}
        over = quarantine.held_among(transaction, [key for key in gone if key not in declared])
        quarantine.release(transaction, over, now=now)  # nothing was declared, and nothing is left to correct
        over |= set(quarantine.release_from(transaction, quarantine.UNREADABLE, vanished, now=now))
        inbox.note_gone(transaction, gone)
        entries = [collected_entry(one) for one in stored]
        entries += [Entry(event=Event.DISAPPEARED, source_key=str(key)) for key in gone]
        entries += [quarantined(one) for one in fresh]
        entries += [
            Entry(event=Event.QUARANTINE_LEFT, source_key=str(key), document_type=kind)
            for key, kind in sorted(over, key=str)
        ]
        entries.append(window.certificate(collection.name, counted=counts[-1], gone=len(gone)))
        inbox.note_sweep(transaction, collection.name, now=now)
        log.append(transaction, entries, actor=ACTOR, time=now)
    total.changed += len(stored)
    total.unreadable += len(fresh)


def _missing(
    connector: Connector, collection: Collection, begin: Cursor, end: Cursor, seen: set[str]
) -> tuple[Sequence[SourceKey], Sequence[SourceRecord]]:
    """Records of the window that the source has no longer; and those it has, with a time out of the window."""
    first, last = collection.source.moment(begin), collection.source.moment(end)
    if first is None or last is None:
        return [], []
    with connector.database.read() as connection:
        stored = inbox.keys_between(connection, collection.name, first, last)
    missing = [key for key in stored if key.key not in seen]
    found = collection.source.all_current(missing)
    gone = [key for key in missing if key not in found]
    if len(gone) > _SUSPICIOUS and len(gone) * 2 > len(stored):
        _put_off(connector, collection)
        raise SourceChanged(
            f"{collection.name}: {len(gone)} of {len(stored)} records collected before are not there any more",
            effect="none of them is held for that; the sweep is tried again, an hour from now at the latest",
            remedy="check the query of the records file and the source; where they are gone for good, sweep fewer days",
        )
    return gone, [one for one in found.values() if isinstance(one, SourceRecord)]


def _put_off(connector: Connector, collection: Collection) -> None:
    """Have the next sweep come sooner than usual, but not with the next pass: it reads much."""
    every = collection.source.sweep.every if collection.source.sweep else timedelta()
    with connector.database.write(Deed.COLLECT) as transaction:
        now = connector.clock(transaction) - every + min(every, _SOON)
        inbox.note_sweep(transaction, collection.name, now=now)


def _may_go(standing: Standing) -> bool:
    """Whether customs can be told that the document is void."""
    return message_type(standing.type).is_revisable
