"""Reading receipts, for people and for what follows from a format check."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from connector.errors import PayloadArchived
from connector.messages.deliveries import DeliveryState
from connector.storage.outbox import MESSAGE_DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_ENVELOPES, RECEIPTS


def is_format_checked(connection: Connection, message_id: str) -> bool:
    """Whether a format check (CEB900) has refused this message."""
    return bool(connection.execute(select(RECEIPTS.c.digest).where(RECEIPTS.c.message_id == message_id)).first())


def answered_in(connection: Connection, message_id: str) -> set[str]:
    """Revisions of a message of which customs has said something by themselves: it let them pass the format check."""
    inside = select(MESSAGE_DOCUMENTS.c.guid).where(MESSAGE_DOCUMENTS.c.message_id == message_id)
    answered = select(RECEIPTS.c.document_guid).where(RECEIPTS.c.document_guid.in_(inside))
    return set(connection.execute(answered).scalars())


def refused_batches(connection: Connection) -> list[str]:
    """Messages of several documents that stand refused by a format check (CEB900)."""
    table = MESSAGES.c
    query = (
        select(table.id)
        .join(MESSAGE_DOCUMENTS, MESSAGE_DOCUMENTS.c.message_id == table.id)
        .where(table.state == DeliveryState.REFUSED, table.id.in_(select(RECEIPTS.c.message_id)))
        .group_by(table.id)
        .having(func.count() > 1)
        .order_by(table.id)
    )
    return list(connection.execute(query).scalars())


def receipts_of(connection: Connection, guid: str) -> list[Any]:
    """The receipts of a revision in the order customs gave them: rows of the receipt table."""
    own = select(RECEIPTS).where(RECEIPTS.c.document_guid == guid)
    carriers = select(MESSAGE_DOCUMENTS.c.message_id).where(MESSAGE_DOCUMENTS.c.guid == guid)
    of_messages = select(RECEIPTS).where(RECEIPTS.c.document_guid.is_(None), RECEIPTS.c.message_id.in_(carriers))
    rows = [*connection.execute(own), *connection.execute(of_messages)]
    return sorted(rows, key=lambda row: (row.time, row.sequence))


def unmatched(connection: Connection) -> list[Any]:
    """Receipts that belong to nothing of ours: rows of the receipt table, oldest first."""
    ours = select(MESSAGE_DOCUMENTS.c.message_id)
    query = (
        select(RECEIPTS)
        .where(
            RECEIPTS.c.document_guid.is_(None),
            RECEIPTS.c.message_id.is_(None) | RECEIPTS.c.message_id.not_in(ours),
        )
        .order_by(RECEIPTS.c.received_at, RECEIPTS.c.digest)
    )
    return list(connection.execute(query))


def unreadable(connection: Connection) -> list[Any]:
    """Kept envelopes of which something could not be read or trusted: rows without their content, oldest first."""
    table = RECEIPT_ENVELOPES.c
    query = select(table.sequence, table.received_at, table.problem).where(table.problem != "")
    return list(connection.execute(query.order_by(table.received_at, table.sequence)))


def envelope(connection: Connection, sequence: int) -> bytes | None:
    """The bytes of a kept envelope as they came; of several endpoints the newest. Raises `PayloadArchived`."""
    table = RECEIPT_ENVELOPES.c
    query = select(table.content).where(table.sequence == sequence).order_by(table.received_at.desc()).limit(1)
    found = connection.execute(query).scalar()
    if found == b"":
        raise PayloadArchived(f"envelope {sequence}")
    return None if found is None else bytes(found)


def count_unreadable(connection: Connection) -> int:
    """How many envelopes are kept of which something could not be read."""
    query = select(func.count()).select_from(RECEIPT_ENVELOPES).where(RECEIPT_ENVELOPES.c.problem != "")
    return connection.execute(query).scalar_one()
