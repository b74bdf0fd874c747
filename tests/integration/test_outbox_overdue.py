"""Documents without their final answer for too long, on both kinds of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import Document
from connector.messages.receipts import CustomsStatus
from connector.outbox.overdue import Overdue, overdue
from connector.storage.database import Database
from connector.storage.outbox import DOCUMENTS, MESSAGES

Keep = Callable[..., list[Document]]

NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
DEADLINES = {"CEB213": DAY, "CEB215": timedelta(hours=2)}


def deliver(database: Database, message_id: str, at: datetime = NOW, state: str = "delivered") -> None:
    with database.write(Deed.RECORD) as transaction:
        this = update(MESSAGES).where(MESSAGES.c.id == message_id)
        transaction.execute(this.values(state=DeliveryState(state), state_since=at))


def keys(database: Database, now: datetime) -> list[str]:
    with database.read() as connection:
        return [one.business_key for one in overdue(connection, DEADLINES, now=now)]


def test_document_is_overdue_when_its_deadline_since_delivery_has_passed(database: Database, keep: Keep) -> None:
    keep("1", message_id="m", waybill="W1", export_list="L1")
    deliver(database, "m", at=NOW + timedelta(hours=1))
    late = NOW + timedelta(hours=1) + DAY
    assert keys(database, late) == []
    with database.read() as connection:
        assert overdue(connection, DEADLINES, now=late + MOMENT) == [
            Overdue(
                type="CEB213",
                business_key="A/1",
                waybill="W1",
                export_list="L1",
                customs_status="none",
                delivered_at=NOW + timedelta(hours=1),
            )
        ]


def test_each_type_has_its_own_deadline_and_the_oldest_comes_first(database: Database, keep: Keep) -> None:
    keep("1", "2", message_id="m")
    keep("3", kind="CEB215", message_id="n")
    deliver(database, "m")
    deliver(database, "n", at=NOW - MOMENT)
    assert keys(database, NOW + timedelta(hours=2)) == ["A/3"]
    assert keys(database, NOW + DAY + MOMENT) == ["A/3", "A/1", "A/2"]
    with database.read() as connection:
        assert overdue(connection, {}, now=NOW + 9 * DAY) == []


@pytest.mark.parametrize("state", [state for state in DeliveryState if state is not DeliveryState.DELIVERED])
def test_document_is_not_overdue_before_its_message_was_delivered(
    database: Database, keep: Keep, state: DeliveryState
) -> None:
    keep("1", message_id="m")
    deliver(database, "m", state=state.value)
    assert keys(database, NOW + 9 * DAY) == []


@pytest.mark.parametrize("status", list(CustomsStatus))
def test_document_is_overdue_as_long_as_no_answer_is_final(
    database: Database, keep: Keep, status: CustomsStatus
) -> None:
    keep("1", message_id="m")
    deliver(database, "m")
    with database.write(Deed.RECORD) as transaction:
        transaction.execute(update(DOCUMENTS).values(customs_status=status.value))
    final = status in {"released", "finished", "rejected", "failed"}
    assert keys(database, NOW + 9 * DAY) == ([] if final else ["A/1"])
