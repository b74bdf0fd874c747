"""Payloads: the large parts of rows that may leave the database when customs has answered long ago, and when they may.

What stays behind is the row and, in the audit log, the SHA-256 of everything that left, so the log verifies as before.

==============  =====================================  ================================================================
payload         what leaves                            it is due when, for all of its time in the policy,
==============  =====================================  ================================================================
source_rows     rows and lines as collected            every document of that record is answered for good; no version
                                                       of it waits or is in quarantine
documents       the content of each revision           every revision of that business key is
messages        signed bytes and request body          it is at rest, and every document in it is
responses       what customs' interface answered       the same of its message
receipts        envelopes as fetched                   all in it was read, belongs to us, and the same of its documents
==============  =====================================  ================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, tuple_, update

from connector.messages.deliveries import DeliveryState
from connector.messages.receipts import CustomsStatus
from connector.storage.limits import portions
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGE_BYTES, MESSAGE_DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_ENVELOPES, RECEIPTS
from connector.storage.sources import QUARANTINE, SOURCE_RECORDS

Condition = ColumnElement[bool]
Key = tuple[Any, ...]
Policy = Mapping["Payload", timedelta]
"""How long each payload stays after customs' last word; of what it does not name, nothing ever leaves."""

_FINAL = [status.value for status in CustomsStatus if status.is_final]
_AT_REST = [DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.CLOSED]


class Payload(StrEnum):
    """A kind of payload."""

    SOURCE_ROWS = "source_rows"
    DOCUMENTS = "documents"
    MESSAGES = "messages"
    RESPONSES = "responses"
    RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where payloads of a kind stand; ``gone``: what a row holds afterwards, None where the row itself goes."""

    table: Table
    key: tuple[str, ...]
    content: tuple[str, ...]
    gone: Mapping[str, object] | None


_PLACES = {
    Payload.SOURCE_ROWS: _Place(table=SOURCE_RECORDS, key=("id",), content=("body",), gone={"body": ""}),
    Payload.DOCUMENTS: _Place(table=DOCUMENTS, key=("guid",), content=("content",), gone={"content": ""}),
    Payload.MESSAGES: _Place(table=MESSAGE_BYTES, key=("message_id",), content=("xml", "body"), gone=None),
    Payload.RESPONSES: _Place(table=ATTEMPTS, key=("id",), content=("response",), gone={"response": None}),
    Payload.RECEIPTS: _Place(
        table=RECEIPT_ENVELOPES, key=("endpoint", "sequence"), content=("content",), gone={"content": b""}
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much is due."""

    count: int
    size: int
    """Bytes, of text characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One payload that may leave."""

    kind: Payload
    key: Key
    content: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Whose entries in the log tell of payloads, as `connector.audit.queries.story` takes it."""

    source_keys: Sequence[str]
    business_keys: Sequence[str]
    message_ids: Sequence[str]


def amount(connection: Connection, kind: Payload, *, before: datetime) -> Amount:
    """How much of a kind is due. before: a document counts as answered when customs' last word is older."""
    place = _PLACES[kind]
    size = sum((func.length(place.table.c[name]) for name in place.content[1:]), func.length(_first(place)))
    row = connection.execute(select(func.count(), func.coalesce(func.sum(size), 0)).where(_due(kind, before))).one()
    return Amount(count=row[0], size=int(row[1]))


def due(connection: Connection, kind: Payload, *, before: datetime, after: Key | None, at_most: int) -> list[Due]:
    """The next of a kind in the order of their keys."""
    place = _PLACES[kind]
    keys = [place.table.c[name] for name in place.key]
    query = select(*keys, *(place.table.c[name] for name in place.content)).where(_due(kind, before))
    if after is not None:
        query = query.where(tuple_(*keys) > after)
    return [
        Due(kind=kind, key=tuple(row[: len(keys)]), content=[_bytes(one) for one in row[len(keys) :]])
        for row in connection.execute(query.order_by(*keys).limit(at_most))
    ]


def remove(transaction: Connection, kind: Payload, keys: Sequence[Key], *, before: datetime) -> int:
    """Take these away, as far as they are still due; how many that were."""
    place = _PLACES[kind]
    chosen = and_(tuple_(*(place.table.c[name] for name in place.key)).in_(keys), _due(kind, before))
    if place.gone is None:
        return transaction.execute(delete(place.table).where(chosen)).rowcount
    return transaction.execute(update(place.table).where(chosen).values(**place.gone)).rowcount


def concerned(connection: Connection, found: Sequence[Due]) -> Concerned:
    """Whose payloads these are."""

    def keys(kind: Payload) -> list[Any]:
        return [one.key if len(one.key) > 1 else one.key[0] for one in found if one.kind is kind]

    def look(wanted: Any, column: Any, values: Iterable[Any]) -> set[str]:
        """What is wanted, where the column has one of the values."""
        queries = [select(wanted).where(column.in_(some), wanted.is_not(None)) for some in portions(list(values))]
        return {value for query in queries for value in connection.execute(query).scalars()}

    envelope = tuple_(RECEIPTS.c.endpoint, RECEIPTS.c.sequence)
    messages = {*keys(Payload.MESSAGES), *look(ATTEMPTS.c.message_id, ATTEMPTS.c.id, keys(Payload.RESPONSES))}
    messages |= look(RECEIPTS.c.message_id, envelope, keys(Payload.RECEIPTS))
    guids = {*keys(Payload.DOCUMENTS), *look(RECEIPTS.c.document_guid, envelope, keys(Payload.RECEIPTS))}
    guids |= look(MESSAGE_DOCUMENTS.c.guid, MESSAGE_DOCUMENTS.c.message_id, messages)
    source_key = SOURCE_RECORDS.c.collection + "/" + SOURCE_RECORDS.c.key
    return Concerned(
        source_keys=sorted(look(source_key, SOURCE_RECORDS.c.id, keys(Payload.SOURCE_ROWS))),
        business_keys=sorted(look(DOCUMENTS.c.business_key, DOCUMENTS.c.guid, guids)),
        message_ids=sorted(messages),
    )


def _due(kind: Payload, before: datetime) -> Condition:
    is_there = _first(_PLACES[kind]).is_not(None)
    match kind:
        case Payload.SOURCE_ROWS:
            return and_(SOURCE_RECORDS.c.body != "", SOURCE_RECORDS.c.collected_at < before, _is_done(before))
        case Payload.DOCUMENTS:
            return and_(DOCUMENTS.c.content != "", _all_answered(before, _document.c.guid == DOCUMENTS.c.guid))
        case Payload.MESSAGES:
            return and_(is_there, _rests(MESSAGE_BYTES, before))
        case Payload.RESPONSES:
            return and_(is_there, ATTEMPTS.c.ended_at.is_not(None), _rests(ATTEMPTS, before))
        case Payload.RECEIPTS:
            table = RECEIPT_ENVELOPES.c
            return and_(table.content != b"", table.problem == "", table.received_at < before, _is_read(before))


_document = DOCUMENTS.alias("document_of_it")
_revision = DOCUMENTS.alias("revision_of_it")


def _all_answered(before: datetime, *whose: Condition) -> Condition:
    """No revision of the business keys of these documents lacks a final answer, or got its last less long ago.

    By customs' clock and by ours. What a format check refused together with others has no answer: it goes again alone.
    """
    same_key = and_(_revision.c.type == _document.c.type, _revision.c.business_key == _document.c.business_key)
    lately = exists().where(RECEIPTS.c.document_guid == _revision.c.guid, RECEIPTS.c.received_at >= before)
    beside = MESSAGE_DOCUMENTS.alias("beside_it")
    in_refused_batch = (
        exists()
        .where(
            MESSAGE_DOCUMENTS.c.guid == _revision.c.guid,
            MESSAGES.c.id == MESSAGE_DOCUMENTS.c.message_id,
            MESSAGES.c.state == DeliveryState.REFUSED,
            beside.c.message_id == MESSAGE_DOCUMENTS.c.message_id,
            beside.c.guid != MESSAGE_DOCUMENTS.c.guid,
        )
        .correlate(_revision)
    )
    is_open = or_(
        _revision.c.customs_status.not_in(_FINAL),
        _revision.c.customs_time >= before,
        lately.correlate(_revision),
        in_refused_batch,
    )
    return ~exists(select(1).select_from(_document.join(_revision, same_key)).where(is_open, *whose))


def _rests(table: Table, before: datetime) -> Condition:
    inside = _document.c.guid.in_(
        select(MESSAGE_DOCUMENTS.c.guid).where(MESSAGE_DOCUMENTS.c.message_id == table.c.message_id).correlate(table)
    )
    at_rest = exists().where(MESSAGES.c.id == table.c.message_id, MESSAGES.c.state.in_(_AT_REST)).correlate(table)
    return and_(at_rest, _all_answered(before, inside))


def _is_done(before: datetime) -> Condition:
    """Nothing is to come of any version of the record."""
    other = SOURCE_RECORDS.alias("version_of_it")
    same = and_(other.c.collection == SOURCE_RECORDS.c.collection, other.c.key == SOURCE_RECORDS.c.key)
    waits = exists().where(same, other.c.state == "waiting").correlate(SOURCE_RECORDS)
    is_held = (
        exists()
        .where(
            QUARANTINE.c.collection == SOURCE_RECORDS.c.collection,
            QUARANTINE.c.key == SOURCE_RECORDS.c.key,
            QUARANTINE.c.resolved_at.is_(None),
        )
        .correlate(SOURCE_RECORDS)
    )
    made_of_it = _document.c.record_id.in_(select(other.c.id).where(same).correlate(SOURCE_RECORDS))
    return and_(~waits, ~is_held, _all_answered(before, made_of_it))


def _is_read(before: datetime) -> Condition:
    """Every receipt in the envelope is of documents or messages of ours, and these are answered."""
    envelope = and_(
        RECEIPTS.c.endpoint == RECEIPT_ENVELOPES.c.endpoint, RECEIPTS.c.sequence == RECEIPT_ENVELOPES.c.sequence
    )
    stranger = exists().where(
        envelope,
        RECEIPTS.c.document_guid.is_(None),
        or_(RECEIPTS.c.message_id.is_(None), RECEIPTS.c.message_id.not_in(select(MESSAGES.c.id))),
    )
    of_documents = select(RECEIPTS.c.document_guid).where(envelope, RECEIPTS.c.document_guid.is_not(None))
    of_messages = (
        select(MESSAGE_DOCUMENTS.c.guid)
        .join(RECEIPTS, RECEIPTS.c.message_id == MESSAGE_DOCUMENTS.c.message_id)
        .where(envelope)
    )
    return and_(
        ~stranger.correlate(RECEIPT_ENVELOPES),
        _all_answered(before, _document.c.guid.in_(of_documents.correlate(RECEIPT_ENVELOPES))),
        _all_answered(before, _document.c.guid.in_(of_messages.correlate(RECEIPT_ENVELOPES))),
    )


def _first(place: _Place) -> Any:
    return place.table.c[place.content[0]]


def _bytes(value: Any) -> bytes:
    """As it was hashed: see `connector.messages.records.digest`."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
