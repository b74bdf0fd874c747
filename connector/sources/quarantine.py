"""Source records that gave no document of one message type, each with its reasons: they wait and stop no others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, exists, func, insert, or_, select, update

from connector.messages.records import SourceKey
from connector.storage.limits import portions
from connector.storage.outbox import DOCUMENTS
from connector.storage.sources import QUARANTINE, SOURCE_RECORDS

CHANGED_WHILE_OPEN = "changed_while_open"
"""The row changed while customs has not answered about what was sent; tried again when it has."""
CHANGED_AFTER_ACCEPTANCE = "changed_after_acceptance"
"""The row changed although customs accepted the document; only an operator may change it there."""
DELETED_AT_CUSTOMS = "deleted_at_customs"
"""Customs has deleted what was declared, and the row still says it; only an operator may declare it anew."""
RULE = "rule"
"""A customs rule forbids to declare it as it is."""
ROW_DISAPPEARED = "row_disappeared"
"""The source has the row no longer; what was declared from it still stands."""
NO_LONGER_MEANT = "no_longer_meant"
"""Customs holds a document that its record does not say any more: its mapping leaves it out, or gives another key."""
UNREADABLE = "unreadable"
"""The row itself does not fit what its records file declares."""


class Release(StrEnum):
    """How an operator lets a record go out that waits."""

    CHANGE = "change"
    """As a change of what customs accepted."""
    DELETE = "delete"
    """As the deletion of what customs accepted: the row is void."""
    ANEW = "anew"
    """As new, although customs has deleted it before."""
    AGAINST_RULES = "against_rules"
    """As it is, although a rule forbids it."""


RELEASES: Mapping[str, frozenset[Release]] = MappingProxyType(
    {
        CHANGED_AFTER_ACCEPTANCE: frozenset({Release.CHANGE, Release.DELETE}),
        DELETED_AT_CUSTOMS: frozenset({Release.ANEW}),
        ROW_DISAPPEARED: frozenset({Release.DELETE}),
        NO_LONGER_MEANT: frozenset({Release.DELETE}),
        RULE: frozenset({Release.AGAINST_RULES}),
    }
)
"""What an operator may let out, by the reason it waits for; whatever else waits says nothing that could go out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One record that waits, for one message type."""

    record_id: int | None
    """The stored version; None for a row that could not even be read."""
    key: SourceKey
    type: str
    business_key: str = ""
    waybill: str = ""
    export_list: str = ""
    reason: str
    """The first fault's code."""
    faults: Sequence[Mapping[str, str]]
    """Each {code, field, text}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Held):
    """One record that waits, as it stands in the quarantine."""

    id: int
    since: datetime


def hold(transaction: Connection, held: Sequence[Held], *, now: datetime) -> None:
    """Put records in quarantine; an earlier entry of the same record and type ends."""
    if not held:
        return
    release(transaction, {(one.key, one.type) for one in held}, now=now)
    transaction.execute(
        insert(QUARANTINE),
        [
            {
                "record_id": one.record_id,
                "collection": one.key.collection,
                "key": one.key.key,
                "type": one.type,
                "business_key": one.business_key,
                "waybill": one.waybill,
                "export_list": one.export_list,
                "reason": one.reason,
                "faults": _faults(one),
                "since": now,
                "released_as": "",
            }
            for one in held
        ],
    )


def release(transaction: Connection, left: Iterable[tuple[SourceKey, str]], *, now: datetime) -> int:
    """End the entries of these records and types; how many there were."""
    chosen = [{"a": key.collection, "b": key.key, "c": message_type} for key, message_type in left]
    if not chosen:
        return 0
    table = QUARANTINE.c
    statement = (
        update(QUARANTINE)
        .where(
            table.collection == bindparam("a"),
            table.key == bindparam("b"),
            table.type == bindparam("c"),
            table.resolved_at.is_(None),
        )
        .values(resolved_at=now)
    )
    return transaction.execute(statement, chosen).rowcount


def set_free(transaction: Connection, entries: Iterable[int], release_as: Release) -> None:
    """Let the records of these entries go out when they are prepared next, unless they have changed by then."""
    table = QUARANTINE.c
    chosen = (table.id.in_(list(entries)), table.resolved_at.is_(None))
    transaction.execute(update(QUARANTINE).where(*chosen).values(released_as=release_as.value))


def set_free_among(connection: Connection, record_ids: Sequence[int]) -> dict[tuple[int, str], Release]:
    """Which of these stored versions an operator lets go out: version and message type -> how."""
    table = QUARANTINE.c
    found: dict[tuple[int, str], Release] = {}
    for some in portions(record_ids):
        query = select(table.record_id, table.type, table.released_as).where(
            table.resolved_at.is_(None), table.released_as != "", table.record_id.in_(some)
        )
        found |= {(row.record_id, row.type): Release(row.released_as) for row in connection.execute(query)}
    return found


def waiting_for(connection: Connection, collection: str, reason: str) -> set[SourceKey]:
    """Which records of a collection wait for a reason of which there are hardly ever any."""
    table = QUARANTINE.c
    query = select(table.key).where(table.resolved_at.is_(None), table.reason == reason, table.collection == collection)
    return {SourceKey(collection=collection, key=key) for key in connection.execute(query).scalars()}


def release_from(
    transaction: Connection, reason: str, keys: Sequence[SourceKey], *, now: datetime
) -> list[tuple[SourceKey, str]]:
    """End the entries of these records that wait for this reason; which."""
    table, over = QUARANTINE.c, set(keys)
    if not over:
        return []
    query = select(table.collection, table.key, table.type).where(table.resolved_at.is_(None), table.reason == reason)
    found = [(SourceKey(collection=row.collection, key=row.key), row.type) for row in transaction.execute(query)]
    left = [(key, kind) for key, kind in found if key in over]
    release(transaction, left, now=now)
    return left


def held_among(connection: Connection, keys: Sequence[SourceKey]) -> set[tuple[SourceKey, str]]:
    """Which of these records wait, and for which message types."""
    return {(key, message_type) for key, message_type, _ in _open(connection, keys)}


def not_yet_held(connection: Connection, held: Sequence[Held]) -> list[Held]:
    """Those that do not wait already for the very same reason: a row that stays wrong is recorded once."""
    known = _open(connection, [one.key for one in held])
    return [one for one in held if (one.key, one.type, _faults(one)) not in known]


def held_for_answer(connection: Connection, documents: Sequence[tuple[str, str]]) -> list[SourceKey]:
    """Records that wait because these documents, given as (type, business key), were unanswered.

    Among them those that an operator voids: only what customs has accepted can be deleted there.
    """
    table, document, record = QUARANTINE.c, DOCUMENTS.c, SOURCE_RECORDS.c
    found: dict[SourceKey, None] = {}
    for some in portions(sorted(set(documents))):
        keys = {key for _, key in some}
        made_of_it = exists().where(  # where several documents wait, the entry names one of them
            record.collection == table.collection,
            record.key == table.key,
            document.record_id == record.id,
            document.type == table.type,
            document.business_key.in_(keys),
        )
        query = select(table.collection, table.key).where(
            table.resolved_at.is_(None),
            or_(table.reason.in_([CHANGED_WHILE_OPEN, NO_LONGER_MEANT]), table.released_as == Release.DELETE.value),
            table.type.in_({kind for kind, _ in some}),
            or_(table.business_key.in_(keys), made_of_it),
        )
        found |= {SourceKey(collection=row.collection, key=row.key): None for row in connection.execute(query)}
    return list(found)


def try_again(transaction: Connection, collection: str, reasons: Iterable[str]) -> int:
    """Have the newest version of every record of the collection that waits for one of these reasons prepared once more.

    For reasons that other rows than its own can end. The entries stay open until then; how many records there were.
    """
    entry, table, newer = QUARANTINE.c, SOURCE_RECORDS.c, SOURCE_RECORDS.alias("newer")
    keys = select(entry.key).where(
        entry.resolved_at.is_(None), entry.collection == collection, entry.reason.in_(list(reasons))
    )
    is_renewed = exists().where(
        newer.c.collection == table.collection, newer.c.key == table.key, newer.c.version > table.version
    )
    return transaction.execute(
        update(SOURCE_RECORDS)
        .where(table.collection == collection, table.state == "prepared", table.key.in_(keys), ~is_renewed)
        .values(state="waiting")
    ).rowcount


def waiting_entries(connection: Connection) -> list[Waiting]:
    """Everything that waits, oldest first."""
    rows = connection.execute(select(QUARANTINE).where(QUARANTINE.c.resolved_at.is_(None)).order_by(QUARANTINE.c.id))
    return [
        Waiting(
            id=row.id,
            record_id=row.record_id,
            key=SourceKey(collection=row.collection, key=row.key),
            type=row.type,
            business_key=row.business_key,
            waybill=row.waybill,
            export_list=row.export_list,
            reason=row.reason,
            faults=json.loads(row.faults),
            since=row.since,
        )
        for row in rows
    ]


def count_waiting(connection: Connection) -> int:
    """How many entries wait."""
    return connection.execute(
        select(func.count()).select_from(QUARANTINE).where(QUARANTINE.c.resolved_at.is_(None))
    ).scalar_one()


def _open(connection: Connection, keys: Iterable[SourceKey]) -> set[tuple[SourceKey, str, str]]:
    """What holds these records: key, message type, faults as they are written."""
    table = QUARANTINE.c
    wanted = set(keys)
    found: set[tuple[SourceKey, str, str]] = set()
    for collection in {key.collection for key in wanted}:
        for some in portions(sorted(key.key for key in wanted if key.collection == collection)):
            query = select(table.key, table.type, table.faults).where(
                table.resolved_at.is_(None), table.collection == collection, table.key.in_(some)
            )
            found |= {
                (SourceKey(collection=collection, key=row.key), row.type, row.faults)
                for row in connection.execute(query)
            }
    return found


def _faults(held: Held) -> str:
    return json.dumps([dict(fault) for fault in held.faults], ensure_ascii=False)
