"""Reading documents and messages for people: by time, key, waybill, export list number, state and customs status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select

from connector.errors import PayloadArchived
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import Content
from connector.storage.limits import portions
from connector.storage.outbox import DOCUMENTS, MESSAGE_BYTES, MESSAGE_DOCUMENTS, MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which documents, or the messages that carry them; everything given must hold, None asks for nothing."""

    since: datetime | None = None
    """Made at or after this time."""
    until: datetime | None = None
    """Made before this time."""
    type: str | None = None
    business_key: str | None = None
    waybill: str | None = None
    export_list: str | None = None
    delivery_state: str | None = None
    customs_status: str | None = None
    mapping: str | None = None
    """``NAME`` of the mapping they were made with, or ``NAME VERSION``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """One revision, with the messages that carried it, oldest first."""

    guid: str
    type: str
    business_key: str
    revision: int
    app_type: str
    app_time: datetime
    waybill: str
    export_list: str
    customs_status: str
    customs_code: str
    customs_info: str
    customs_time: datetime | None
    mapping: str
    record_id: int
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """One message without its bytes."""

    id: str
    type: str
    delivery_state: str
    state_since: datetime
    info: str
    created_at: datetime
    due_at: datetime
    tries: int
    suite: str
    key_id: str
    digest: str
    documents: tuple[str, ...]
    """Business keys of the documents it carries, in order."""
    guids: tuple[str, ...]
    """The revisions it carries, in order."""


def documents(connection: Connection, wanted: Filter, *, at_most: int | None = None) -> list[DocumentView]:
    """Revisions, oldest first; with ``at_most``, the newest of them, still oldest first."""
    table = DOCUMENTS.c
    query = _documents(wanted).order_by(table.app_time.desc(), table.guid.desc()).limit(at_most)
    rows = list(reversed(connection.execute(query).all()))
    carriers = _carriers(connection, [row.guid for row in rows])
    return [_document(row, carriers) for row in rows]


def find_documents(connection: Connection, name: str) -> list[DocumentView]:
    """Every revision that a person may mean: by guid, business key, its last part, waybill or export list number."""
    table = DOCUMENTS.c
    query = (
        select(DOCUMENTS)
        .where(
            or_(
                table.guid == name.upper(),
                table.business_key == name,
                table.business_key.endswith(f"/{name}", autoescape=True),
                table.waybill == name,
                table.export_list == name,
            )
        )
        .order_by(table.type, table.business_key, table.revision)
    )
    rows = connection.execute(query).all()
    carriers = _carriers(connection, [row.guid for row in rows])
    return [_document(row, carriers) for row in rows]


def documents_of_keys(connection: Connection, business_keys: Sequence[str]) -> list[DocumentView]:
    """Every revision of these documents."""
    table = DOCUMENTS.c
    queries = [select(DOCUMENTS).where(table.business_key.in_(some)) for some in portions(business_keys)]
    rows = [row for query in queries for row in connection.execute(query)]
    rows.sort(key=lambda row: (row.type, row.business_key, row.revision))
    carriers = _carriers(connection, [row.guid for row in rows])
    return [_document(row, carriers) for row in rows]


def content(connection: Connection, guid: str) -> Content | None:
    """What a revision says; None once that was archived."""
    text = connection.execute(select(DOCUMENTS.c.content).where(DOCUMENTS.c.guid == guid)).scalar_one()
    return Content.from_json(text) if text else None


def messages(connection: Connection, wanted: Filter, *, at_most: int | None = None) -> list[MessageView]:
    """Messages, oldest first; with ``at_most``, the newest of them, still oldest first."""
    table = MESSAGES.c
    query = _messages().order_by(table.created_at.desc(), table.id.desc()).limit(at_most)
    if wanted.since is not None:
        query = query.where(table.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.created_at < wanted.until)
    if wanted.type is not None:
        query = query.where(table.type == wanted.type)
    if wanted.delivery_state is not None:
        query = query.where(table.state == wanted.delivery_state)
    about_documents = Filter(
        business_key=wanted.business_key,
        waybill=wanted.waybill,
        export_list=wanted.export_list,
        customs_status=wanted.customs_status,
        mapping=wanted.mapping,
    )
    if about_documents != Filter():
        about = _documents(about_documents).with_only_columns(DOCUMENTS.c.guid)
        carrying = select(MESSAGE_DOCUMENTS.c.message_id).where(MESSAGE_DOCUMENTS.c.guid.in_(about))
        query = query.where(table.id.in_(carrying))
    rows = list(reversed(connection.execute(query).all()))
    carried = _carried(connection, [row.id for row in rows])
    return [_message(row, carried) for row in rows]


def message(connection: Connection, message_id: str) -> MessageView | None:
    """One message."""
    row = connection.execute(_messages().where(MESSAGES.c.id == message_id)).one_or_none()
    return _message(row, _carried(connection, [row.id])) if row else None


def other_carriers(connection: Connection, message_id: str) -> set[str]:
    """Which revisions of a message another message carries that was neither refused nor closed."""
    inside = select(MESSAGE_DOCUMENTS.c.guid).where(MESSAGE_DOCUMENTS.c.message_id == message_id)
    query = (
        select(MESSAGE_DOCUMENTS.c.guid)
        .join(MESSAGES)
        .where(
            MESSAGE_DOCUMENTS.c.guid.in_(inside),
            MESSAGES.c.id != message_id,
            MESSAGES.c.state.not_in([DeliveryState.REFUSED, DeliveryState.CLOSED]),
        )
    )
    return set(connection.execute(query).scalars())


def signed_bytes(connection: Connection, message_id: str) -> bytes:
    """Exactly the stored signed bytes of a message. Raises `PayloadArchived`."""
    stored = select(MESSAGE_BYTES.c.xml).where(MESSAGE_BYTES.c.message_id == message_id)
    xml: bytes | None = connection.execute(stored).scalar()
    if xml is None:
        raise PayloadArchived(f"message {message_id}")
    return xml


def request_body(connection: Connection, message_id: str) -> bytes:
    """Exactly what every attempt sends of a message. Raises `PayloadArchived`."""
    stored = select(MESSAGE_BYTES.c.body).where(MESSAGE_BYTES.c.message_id == message_id)
    body: bytes | None = connection.execute(stored).scalar()
    if body is None:
        raise PayloadArchived(f"message {message_id}")
    return body


def is_archived(connection: Connection, message_id: str) -> bool:
    """Whether the bytes of a message have left the database."""
    there = select(MESSAGE_BYTES.c.message_id).where(MESSAGE_BYTES.c.message_id == message_id)
    return connection.execute(there).first() is None


def count_documents(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How many newest revisions there are by (type, customs status)."""
    table = DOCUMENTS.c
    newest = (
        select(table.type, table.business_key, func.max(table.revision).label("revision"))
        .group_by(table.type, table.business_key)
        .subquery()
    )
    query = (
        select(table.type, table.customs_status, func.count())
        .join(
            newest,
            (newest.c.type == table.type)
            & (newest.c.business_key == table.business_key)
            & (newest.c.revision == table.revision),
        )
        .group_by(table.type, table.customs_status)
        .order_by(table.type, table.customs_status)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def count_messages(connection: Connection) -> Mapping[str, int]:
    """How many messages there are by delivery state."""
    query = select(MESSAGES.c.state, func.count()).group_by(MESSAGES.c.state).order_by(MESSAGES.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def open_messages(connection: Connection) -> tuple[int, datetime | None]:
    """How many messages wait to be sent or asked about, and when the next one is due; None for none."""
    is_open = MESSAGES.c.state.in_([DeliveryState.PENDING, DeliveryState.IN_DOUBT])
    found = connection.execute(select(func.count(), func.min(MESSAGES.c.due_at)).where(is_open)).one()
    return found[0], found[1]


def _documents(wanted: Filter) -> Select[Any]:
    table = DOCUMENTS.c
    query = select(DOCUMENTS)
    if wanted.since is not None:
        query = query.where(table.app_time >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.app_time < wanted.until)
    for name in ("type", "business_key", "waybill", "export_list", "customs_status"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table[name] == value)
    if wanted.mapping is not None and " " in wanted.mapping:
        query = query.where(table.mapping == wanted.mapping)
    elif wanted.mapping is not None:
        query = query.where(table.mapping.startswith(f"{wanted.mapping} ", autoescape=True))
    if wanted.delivery_state is not None:
        carried = select(MESSAGE_DOCUMENTS.c.guid).join(MESSAGES).where(MESSAGES.c.state == wanted.delivery_state)
        query = query.where(table.guid.in_(carried))
    return query


def _messages() -> Select[Any]:
    return select(MESSAGES)


def _carriers(connection: Connection, guids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for some in portions(guids):
        query = (
            select(MESSAGE_DOCUMENTS.c.guid, MESSAGE_DOCUMENTS.c.message_id)
            .join(MESSAGES)
            .where(MESSAGE_DOCUMENTS.c.guid.in_(some))
            .order_by(MESSAGES.c.created_at, MESSAGES.c.id)
        )
        for guid, message_id in connection.execute(query):
            found.setdefault(guid, []).append(message_id)
    return found


def _carried(connection: Connection, message_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for some in portions(message_ids):
        table = MESSAGE_DOCUMENTS.c
        query = (
            select(table.message_id, DOCUMENTS.c.business_key, table.guid)
            .join(DOCUMENTS)
            .where(table.message_id.in_(some))
            .order_by(table.message_id, table.position)
        )
        for message_id, key, guid in connection.execute(query):
            found.setdefault(message_id, []).append((key, guid))
    return found


def _document(row: Row[Any], carriers: Mapping[str, Sequence[str]]) -> DocumentView:
    return DocumentView(
        guid=row.guid,
        type=row.type,
        business_key=row.business_key,
        revision=row.revision,
        app_type=row.app_type,
        app_time=row.app_time,
        waybill=row.waybill,
        export_list=row.export_list,
        customs_status=row.customs_status,
        customs_code=row.customs_code,
        customs_info=row.customs_info,
        customs_time=row.customs_time,
        mapping=row.mapping,
        record_id=row.record_id,
        message_ids=tuple(carriers.get(row.guid, ())),
    )


def _message(row: Row[Any], carried: Mapping[str, Sequence[tuple[str, str]]]) -> MessageView:
    inside = carried.get(row.id, ())
    return MessageView(
        id=row.id,
        type=row.type,
        delivery_state=row.state,
        state_since=row.state_since,
        info=row.info,
        created_at=row.created_at,
        due_at=row.due_at,
        tries=row.tries,
        suite=row.suite,
        key_id=row.key_id,
        digest=row.digest,
        documents=tuple(key for key, _ in inside),
        guids=tuple(guid for _, guid in inside),
    )
