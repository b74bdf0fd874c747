"""Documents that customs took in and has not answered for too long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select

from connector.messages.deliveries import DeliveryState
from connector.messages.receipts import CustomsStatus
from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS, MESSAGES

_UNANSWERED = [status for status in CustomsStatus if not status.is_final]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """One document without its final answer."""

    type: str
    business_key: str
    waybill: str
    export_list: str
    customs_status: str
    delivered_at: datetime


def overdue(connection: Connection, deadlines: Mapping[str, timedelta], *, now: datetime) -> list[Overdue]:
    """Documents that customs holds for longer than the deadline of their type without a final answer, oldest first.

    It holds what was delivered, and whatever it has said something of.

    deadlines: by message type; a type that is not named has none.
    """
    document, message = DOCUMENTS.c, MESSAGES.c
    found: dict[str, Overdue] = {}
    for type_, deadline in deadlines.items():
        query = (
            select(
                document.guid,
                document.type,
                document.business_key,
                document.waybill,
                document.export_list,
                document.customs_status,
                message.state_since.label("delivered_at"),
            )
            .join(MESSAGE_DOCUMENTS, MESSAGE_DOCUMENTS.c.guid == document.guid)
            .join(MESSAGES)
            .where(
                document.type == type_,
                document.customs_status.in_(_UNANSWERED),
                or_(message.state == DeliveryState.DELIVERED, document.customs_status != CustomsStatus.NONE),
                message.state_since < now - deadline,
            )
            .order_by(message.state_since)
        )
        for row in connection.execute(query).mappings():
            found[row["guid"]] = Overdue(**{name: row[name] for name in row if name != "guid"})
    return sorted(found.values(), key=lambda one: (one.delivered_at, one.type, one.business_key))
