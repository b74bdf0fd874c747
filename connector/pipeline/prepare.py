"""prepare: stored records become documents in signed messages, or wait in quarantine.

Mapping, rules, building and signing happen outside any transaction. The commit re-checks under the write lock that
nobody has made a revision or taken the same goods meanwhile, and everything starts again if somebody has. Messages fill
up across pages: a document waits in memory until its message is full or nothing more is to come, and a record counts as
prepared only when all its documents are committed. After a crash the record is simply mapped again: what was committed
is then the same as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.checkpoints import Issued
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import UnreadableMessage
from connector.messages.catalogue import message_type
from connector.messages.records import SourceKey
from connector.outbox import documents, queue
from connector.outbox.queue import NewMessage
from connector.outbox.revisions import Revision
from connector.pipeline.checking import Bench, is_exceeded
from connector.pipeline.entries import quarantined
from connector.pipeline.leasing import held
from connector.pipeline.packing import anchor, new_message, signed_entry
from connector.pipeline.sorting import Draft, Sorted, sort
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.quarantine import Held
from connector.storage import leases
from connector.storage.database import lock
from connector.storage.leases import Lease

PAGE = 1000
"""Records mapped at once."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """What preparing came to, counted as it is committed."""

    documents: int = 0
    messages: int = 0
    quarantined: int = 0
    is_elsewhere: bool = False
    """Another process is at it; nothing was done here."""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """What one commit holds."""

    made_at: datetime
    anchored: Issued | None
    """The checkpoint of the audit log that its messages carry."""
    messages: list[tuple[NewMessage, Sequence[Draft]]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    sound: set[tuple[SourceKey, str]] = field(default_factory=set)
    prepared: set[int] = field(default_factory=set)
    """Records that nothing more is to come of."""
    judged: dict[tuple[str, str], Revision | None] = field(default_factory=dict)
    """What the decisions rest on: the newest revision of each (message type, business key)."""


class _Outdated(Exception):
    """A revision of the same key was made, or answered, or goods of the same line were taken, meanwhile."""


def prepare(connector: Connector, collection: Collection) -> Prepared:
    """Prepare every record that waits.

    While another process prepares the same collection, nothing is done. Raises `SourceUnreachable` when a lookup
    cannot be made and `SigningError` when the key cannot sign; what was committed before stays, the rest keeps waiting.
    """
    total = Prepared()
    with held(connector, f"prepare {collection.name}", connector.collection_lease) as lease:
        total.is_elsewhere = lease is None
        while lease is not None and not connector.is_stopping():
            try:
                _run(connector, collection, lease, total)
            except _Outdated:
                continue
            break
    return total


def _run(connector: Connector, collection: Collection, lease: Lease, total: Prepared) -> None:
    """One way through all waiting records."""
    drafts: list[Draft] = []
    bench = Bench(connector.rules)
    after, last = 0, False
    while not last and not connector.is_stopping():
        with connector.database.read() as connection:
            now = connector.clock(connection)
            anchored = anchor(connector, connection)
            page = inbox.waiting(connection, collection.name, after=after, at_most=PAGE)
        after, last = (page[-1].id if page else after), len(page) < PAGE
        found = sort(connector, collection, page, bench, now=now) if page else Sorted()
        before = {draft.origin.record_id for draft in drafts}
        drafts, twins = _without_twins(drafts + found.drafts)
        held = found.held + twins
        batch = _Batch(made_at=now, anchored=anchored, held=held, sound=found.sound, judged=found.judged)
        drafts = _pack(connector, drafts, batch, everything=last)
        unfinished = {draft.origin.record_id for draft in drafts}
        batch.prepared = (before | {stored.id for stored in page}) - unfinished
        _commit(connector, batch, lease)
        total.documents += sum(len(inside) for _, inside in batch.messages)
        total.messages += len(batch.messages)
        total.quarantined += len(batch.held)


def _without_twins(drafts: Sequence[Draft]) -> tuple[list[Draft], list[Held]]:
    """One draft for every business key: of the same record the newer, while another record under the key is held."""
    first: dict[tuple[str, str], Draft] = {}
    twins: list[Held] = []
    for draft in drafts:
        known = first.setdefault(_key(draft), draft)
        if known.source == draft.source:
            first[_key(draft)] = draft
        else:
            text = f"record {known.source.key} has the same business key {draft.document.business_key}; give it its own"
            twins.append(_hold(draft, "same_key", text))
    return list(first.values()), twins


def _pack(connector: Connector, drafts: Sequence[Draft], batch: _Batch, *, everything: bool) -> list[Draft]:
    """Put drafts into messages of their type, full ones only unless ``everything``; the drafts that are left."""
    left: list[Draft] = []
    by_type: dict[str, list[Draft]] = {}
    for draft in drafts:
        by_type.setdefault(draft.document.type, []).append(draft)
    for name, waiting in by_type.items():
        limit = message_type(name).batch_limit
        ready = len(waiting) if everything else len(waiting) - len(waiting) % limit
        for start in range(0, ready, limit):
            _fill(connector, waiting[start : min(start + limit, ready)], batch)
        left += waiting[ready:]
    return left


def _fill(connector: Connector, drafts: Sequence[Draft], batch: _Batch) -> None:
    """Make one message of the drafts; where it cannot be made, halve it until the draft at fault is alone."""
    try:
        kind = message_type(drafts[0].document.type)
        inside = [draft.document for draft in drafts]
        message = new_message(connector, kind, inside, created=batch.made_at, anchored=batch.anchored)
    except UnreadableMessage as error:
        if len(drafts) == 1:
            batch.held.append(_hold(drafts[0], "schema", error.cause))
            return
        middle = len(drafts) // 2
        _fill(connector, drafts[:middle], batch)
        _fill(connector, drafts[middle:], batch)
    else:
        batch.messages.append((message, drafts))


def _commit(connector: Connector, batch: _Batch, lease: Lease) -> None:
    drafts = [draft for _, inside in batch.messages for draft in inside]
    if not (drafts or batch.held or batch.sound or batch.prepared):
        return
    with connector.database.write(Deed.PREPARE) as transaction:
        lock(transaction, "prepare")
        now = connector.clock(transaction)
        leases.extend(transaction, lease, now=now)
        _recheck(transaction, batch.judged | {_key(draft): draft.after for draft in drafts})
        documents.add(transaction, [(draft.document, draft.origin) for draft in drafts])
        if is_exceeded(transaction, [(draft.candidate, draft.judgement) for draft in drafts]):
            raise _Outdated
        queue.add(transaction, [message for message, _ in batch.messages], now=now)
        over = batch.sound & quarantine.held_among(transaction, [key for key, _ in batch.sound])
        quarantine.release(transaction, over, now=now)
        batch.held = quarantine.not_yet_held(transaction, batch.held)
        quarantine.hold(transaction, batch.held, now=now)
        inbox.mark_prepared(transaction, batch.prepared)
        log.append(transaction, _entries(batch, over), actor=ACTOR, time=now)


def _recheck(transaction: Connection, judged: Mapping[tuple[str, str], Revision | None]) -> None:
    """Raise `_Outdated` unless the newest revisions are still those that everything was decided by."""
    for name in {name for name, _ in judged}:
        expected = {key: newest for (kind, key), newest in judged.items() if kind == name}
        newest = documents.newest_revisions(transaction, name, list(expected))
        if any(newest.get(key) != revision for key, revision in expected.items()):
            raise _Outdated


def _key(draft: Draft) -> tuple[str, str]:
    return draft.document.type, draft.document.business_key


def _hold(draft: Draft, reason: str, text: str) -> Held:
    return Held(
        record_id=draft.origin.record_id,
        key=draft.source,
        type=draft.document.type,
        business_key=draft.document.business_key,
        waybill=draft.origin.waybill,
        export_list=draft.origin.export_list,
        reason=reason,
        faults=[{"code": reason, "field": "", "text": text}],
    )


def _entries(batch: _Batch, over: set[tuple[SourceKey, str]]) -> list[Entry]:
    entries = [_mapped(draft, message) for message, inside in batch.messages for draft in inside]
    entries += [signed_entry(message) for message, _ in batch.messages]
    entries += [quarantined(held) for held in batch.held]
    entries += [
        Entry(event=Event.QUARANTINE_LEFT, source_key=str(key), document_type=kind)
        for key, kind in sorted(over, key=lambda pair: (pair[0].key, pair[1]))
    ]
    return entries


def _mapped(draft: Draft, message: NewMessage) -> Entry:
    document = draft.document
    return Entry(
        event=Event.MAPPED,
        source_key=str(draft.source),
        document_type=document.type,
        business_key=document.business_key,
        message_id=message.id,
        waybill=draft.origin.waybill,
        export_list=draft.origin.export_list,
        detail={
            "guid": document.guid,
            "revision": document.revision,
            "content": document.content.digest(),
            "mapping": draft.origin.mapping,
            "mapping_digest": draft.origin.mapping_digest,
            "rules": {rule: outcome.value for rule, outcome in draft.judgement.outcomes.items()},
        },
    )
