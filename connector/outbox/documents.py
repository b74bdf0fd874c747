"""Every revision of every document, kept for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Exists, insert, select

from connector.errors import PayloadArchived
from connector.messages.catalogue import message_type
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import AppType, Content, Document
from connector.messages.receipts import CustomsStatus
from connector.messages.records import SourceKey, digest
from connector.outbox import quantities
from connector.outbox.revisions import Revision
from connector.storage.limits import portions
from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS, MESSAGES
from connector.storage.sources import SOURCE_RECORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a revision was made from, and what people look for it by."""

    record_id: int
    mapping: str
    mapping_digest: str
    waybill: str
    export_list: str
    part: str = ""
    """What of the record it tells, where that is not all of it."""
    corrects: str = ""
    """Business key of the document that it replaces, where it is one of a chain."""


def newest_revisions(connection: Connection, type_: str, business_keys: Sequence[str]) -> dict[str, Revision]:
    """The newest revision of each key that has one."""
    table = DOCUMENTS.c
    found: dict[str, Revision] = {}
    for some in portions(business_keys):
        query = (
            select(
                table.guid,
                table.business_key,
                table.revision,
                table.app_type,
                table.content_digest,
                table.customs_status,
                table.record_id,
                _is_carried().label("is_carried"),
            )
            .where(table.type == type_, table.business_key.in_(some))
            .order_by(table.revision)
        )
        for row in connection.execute(query):
            found[row.business_key] = Revision(
                guid=row.guid,
                number=row.revision,
                app_type=AppType(row.app_type),
                content_digest=row.content_digest,
                status=CustomsStatus(row.customs_status),
                is_carried=bool(row.is_carried),
                record_id=row.record_id,
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a chain of documents has told last about one part of a source record."""

    business_key: str
    corrects: str
    """The document that it replaces; empty for none."""
    stands: str
    """The last one of the chain that customs has not turned down; empty where there is none."""


def last_told(connection: Connection, type_: str, keys: Sequence[SourceKey]) -> dict[tuple[SourceKey, str], Told]:
    """By source record and part, what documents of a type have told of these records."""
    table, record = DOCUMENTS.c, SOURCE_RECORDS.c
    found: dict[tuple[SourceKey, str], Told] = {}
    for some in portions(sorted(keys, key=str)):
        query = (
            select(record.collection, record.key, table.part, table.business_key, table.corrects, table.customs_status)
            .join(SOURCE_RECORDS, record.id == table.record_id)
            .where(
                table.type == type_,
                record.collection.in_({key.collection for key in some}),
                record.key.in_([key.key for key in some]),
            )
            .order_by(record.version, table.app_time, table.revision)
        )
        for row in connection.execute(query):
            place = SourceKey(collection=row.collection, key=row.key), row.part
            before = found.get(place)
            is_turned_down = CustomsStatus(row.customs_status).may_be_declared_again
            stands = (before.stands if before else "") if is_turned_down else row.business_key
            found[place] = Told(business_key=row.business_key, corrects=row.corrects, stands=stands)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A document that customs holds or may come to hold, made of a source record."""

    source: SourceKey
    record_id: int
    type: str
    guid: str
    """Of its newest revision made of this record."""
    business_key: str
    waybill: str
    export_list: str


def standing(connection: Connection, keys: Sequence[SourceKey]) -> list[Standing]:
    """The documents of these records that were neither turned down nor deleted, one for each type and business key."""
    table, record = DOCUMENTS.c, SOURCE_RECORDS.c
    newest: dict[tuple[str, str], tuple[Standing, bool]] = {}
    for some in portions(sorted(keys, key=str)):
        query = (
            select(DOCUMENTS, record.collection, record.key, _is_carried().label("is_carried"))
            .join(SOURCE_RECORDS, record.id == table.record_id)
            .where(record.collection.in_({key.collection for key in some}), record.key.in_([key.key for key in some]))
            .order_by(table.revision)
        )
        for row in connection.execute(query):
            one = Standing(
                source=SourceKey(collection=row.collection, key=row.key),
                record_id=row.record_id,
                type=row.type,
                guid=row.guid,
                business_key=row.business_key,
                waybill=row.waybill,
                export_list=row.export_list,
            )
            status = CustomsStatus(row.customs_status)
            is_unheard = status is CustomsStatus.NONE and not row.is_carried
            is_turned_down = status.may_be_declared_again
            stands = {
                AppType.NEW: not is_turned_down,
                AppType.CHANGE: True,
                AppType.DELETE: is_turned_down or is_unheard,
            }
            newest[row.type, row.business_key] = one, stands[AppType(row.app_type)]
    return [one for one, stands in newest.values() if stands]


def standing_events(connection: Connection, type_: str, waybills: Sequence[str]) -> Iterator[tuple[str, Document]]:
    """By waybill, the documents of a chain that customs has not turned down and that no other one corrects.

    Those whose content was archived are left out.
    """
    table = DOCUMENTS.c
    for some in portions(waybills):
        rows = connection.execute(select(DOCUMENTS).where(table.type == type_, table.waybill.in_(some))).all()
        standing = [row for row in rows if not CustomsStatus(row.customs_status).may_be_declared_again]
        corrected = {row.corrects for row in standing}
        for row in standing:
            if row.content and row.business_key not in corrected:
                yield row.waybill, _document(row)


def _is_carried() -> Exists:
    return (
        select(MESSAGE_DOCUMENTS.c.guid)
        .join(MESSAGES)
        .where(
            MESSAGE_DOCUMENTS.c.guid == DOCUMENTS.c.guid,
            MESSAGES.c.state.not_in([DeliveryState.REFUSED, DeliveryState.CLOSED]),
        )
        .correlate(DOCUMENTS)
        .exists()
    )


def add(transaction: Connection, documents: Sequence[tuple[Document, Origin]]) -> None:
    """Store revisions and what they take of export lists; customs has said nothing about them yet."""
    if documents:
        transaction.execute(insert(DOCUMENTS), [_row(document, origin) for document, origin in documents])
        taking = [document for document, _ in documents if message_type(document.type).takes]
        quantities.add(transaction, taking)


def load(connection: Connection, guids: Sequence[str]) -> list[Document]:
    """Revisions by guid, in the order given. Raises `PayloadArchived`."""
    table = DOCUMENTS.c
    rows = {row.guid: row for row in connection.execute(select(DOCUMENTS).where(table.guid.in_(guids)))}
    for row in rows.values():
        if not row.content:
            raise PayloadArchived(f"the content of {row.type} {row.business_key} revision {row.revision}")
    return [_document(rows[guid]) for guid in guids]


def _document(row: Any) -> Document:
    return Document(
        type=row.type,
        business_key=row.business_key,
        revision=row.revision,
        app_type=AppType(row.app_type),
        app_time=row.app_time,
        content=Content.from_json(row.content),
    )


def archived(connection: Connection, guids: Sequence[str]) -> bool:
    """Whether the content of any of these has left the database."""
    gone = select(DOCUMENTS.c.guid).where(DOCUMENTS.c.guid.in_(guids), DOCUMENTS.c.content == "")
    return connection.execute(gone).first() is not None


def origins(connection: Connection, guids: Sequence[str]) -> dict[str, Origin]:
    """What revisions were made from, by guid."""
    return {
        row.guid: Origin(
            record_id=row.record_id,
            mapping=row.mapping,
            mapping_digest=row.mapping_digest,
            waybill=row.waybill,
            export_list=row.export_list,
            part=row.part,
            corrects=row.corrects,
        )
        for row in connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.guid.in_(guids)))
    }


def _row(document: Document, origin: Origin) -> dict[str, object]:
    content = document.content.to_json()
    return {
        "guid": document.guid,
        "type": document.type,
        "business_key": document.business_key,
        "revision": document.revision,
        "app_type": document.app_type.value,
        "app_time": document.app_time,
        "content": content,
        "content_digest": digest(content),
        "record_id": origin.record_id,
        "part": origin.part,
        "corrects": origin.corrects,
        "mapping": origin.mapping,
        "mapping_digest": origin.mapping_digest,
        "waybill": origin.waybill,
        "export_list": origin.export_list,
        "customs_status": CustomsStatus.NONE.value,
        "customs_code": "",
        "customs_info": "",
        "customs_time": None,
    }
