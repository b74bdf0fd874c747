"""Resending what was refused as a whole: what may go again, and what would declare something twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.receipts import CustomsStatus, Receipt
from connector.outbox import queries
from connector.outbox.queries import DocumentView, Filter, MessageView
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.resend import Action, Plan, carry_out, plan_documents, plan_messages
from connector.pipeline.wiring import Connector
from connector.receipts import ledger, matching
from connector.receipts.ledger import FetchedEnvelope
from connector.storage.outbox import DOCUMENTS, MESSAGES

RETURNS = 8


@pytest.fixture
def site(enterprise: Callable[..., Connector]) -> Connector:
    """A connector whose two messages, of eight returns each, were refused as a whole."""
    connector = enterprise(RETURNS, 9, "resend")
    collect_and_prepare(connector)
    with connector.database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=DeliveryState.REFUSED))
    return connector


def message(connector: Connector, kind: str = "CEB213") -> MessageView:
    """The one refused or closed message of a type."""
    with connector.database.read() as connection:
        found = queries.messages(connection, Filter(type=kind))
    return found[0]


def documents(connector: Connector, kind: str = "CEB213") -> list[DocumentView]:
    with connector.database.read() as connection:
        return queries.documents(connection, Filter(type=kind))


def plan(connector: Connector, *, split: bool = False) -> Plan:
    (made,) = plan_messages(connector, [message(connector)], split=split)
    return made


def do(connector: Connector, made: Plan) -> Plan:
    (done,) = carry_out(connector, [made], reason="the registry is corrected", actor="wang")
    return done


def format_check(connector: Connector) -> None:
    """CEB900 for the CEB213 message, taken as the pipeline takes it."""
    refused = message(connector).id
    receipt = Receipt(
        type="CEB900",
        answers=(),
        guid="",
        business_key="",
        message_id=MessageId(refused),
        code="-1",
        time=datetime(2026, 11, 1, tzinfo=UTC),
        info="schema",
        pre_no="",
        digest="d",
    )
    envelope = FetchedEnvelope(sequence=1, content=b"", receipts=(receipt,))
    with connector.database.write(Deed.PREPARE) as transaction:
        now = connector.clock(transaction)
        ledger.take(transaction, connector.endpoint, [envelope], now=now)
        ledger.refold(transaction, matching.owners_in(transaction, refused))


def correct_first_row(connector: Connector, folder: Path) -> None:
    """Change what the first document says, as its users would, and prepare it."""
    order_no = documents(connector)[0].business_key.rpartition("/")[2]
    with closing(sqlite3.connect(folder / "warehouse.db")) as warehouse, warehouse:
        warehouse.execute(
            "UPDATE wms_receipt_order_detail SET quantity = quantity + 1 WHERE order_id ="
            " (SELECT id FROM wms_receipt_order WHERE order_no = ?)",
            [order_no],
        )
        warehouse.execute(
            "UPDATE wms_receipt_order SET update_time = '2026-11-01 08:00:00.000' WHERE order_no = ?", [order_no]
        )
    collect_and_prepare(connector)


def test_same_bytes_are_queued_when_a_message_was_refused_at_the_door(site: Connector) -> None:
    assert plan(site).action is Action.QUEUE
    assert do(site, plan(site)).action is Action.QUEUE
    assert message(site).delivery_state == DeliveryState.PENDING


def test_same_bytes_are_not_queued_when_a_format_check_refused_them(site: Connector) -> None:
    format_check(site)
    assert plan(site).action is Action.REFUSE
    assert "--split" in plan(site).text


def test_documents_wait_for_their_own_answer_when_they_were_split_after_a_format_check(site: Connector) -> None:
    format_check(site)
    assert {view.customs_status for view in documents(site)} == {"rejected"}
    count = len(documents(site))
    do(site, plan(site, split=True))
    assert {view.customs_status for view in documents(site)} == {"none"}
    assert {len(view.message_ids) for view in documents(site)} == {2}
    with site.database.read() as connection:
        states = queries.count_messages(connection)
    assert states == {"closed": 1, "pending": count, "refused": 1}


def test_corrected_row_goes_out_when_its_message_was_refused_and_the_others_can_still_be_split(
    site: Connector, tmp_path: Path
) -> None:
    before = len(documents(site))
    correct_first_row(site, tmp_path / "resend")
    revisions = [view for view in documents(site) if view.revision == 2]
    assert len(revisions) == 1
    (refused,) = plan_messages(site, [message_of(site, revisions[0].business_key, 1)], split=False)
    assert refused.action is Action.REFUSE
    (split,) = plan_messages(site, [message_of(site, revisions[0].business_key, 1)], split=True)
    assert len(split.guids) == before - 1
    assert do(site, split).action is Action.SPLIT
    carried = [view for view in documents(site) if view.business_key == revisions[0].business_key]
    assert [len(view.message_ids) for view in carried] == [1, 1]


def message_of(connector: Connector, business_key: str, revision: int) -> MessageView:
    with connector.database.read() as connection:
        (view,) = [
            one for one in queries.documents(connection, Filter(business_key=business_key)) if one.revision == revision
        ]
        found = queries.message(connection, view.message_ids[0])
    assert found is not None
    return found


def test_nothing_is_queued_when_a_revision_was_made_while_the_operator_looked(site: Connector, tmp_path: Path) -> None:
    looked_at = plan(site)
    first = message(site).id
    correct_first_row(site, tmp_path / "resend")
    assert do(site, looked_at).action is Action.REFUSE
    with site.database.read() as connection:
        found = queries.message(connection, first)
    assert found is not None
    assert found.delivery_state == DeliveryState.REFUSED


def test_message_of_one_document_is_signed_anew_when_it_is_split(site: Connector) -> None:
    do(site, plan(site, split=True))
    with site.database.write(Deed.PREPARE) as transaction:
        pending = MESSAGES.c.state == DeliveryState.PENDING
        transaction.execute(update(MESSAGES).where(pending).values(state=DeliveryState.REFUSED))
    view = documents(site)[0]
    (split,) = plan_documents(site, [view], split=True)
    assert do(site, split).action is Action.SPLIT
    assert len(documents(site)[0].message_ids) == 3


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (DeliveryState.PENDING, Action.REFUSE),
        (DeliveryState.SENDING, Action.REFUSE),
        (DeliveryState.DELIVERED, Action.REFUSE),
        (DeliveryState.CONFLICT, Action.REFUSE),
        (DeliveryState.CLOSED, Action.REFUSE),
        (DeliveryState.IN_DOUBT, Action.ASK),
        (DeliveryState.PARKED, Action.QUEUE),
        (DeliveryState.REFUSED, Action.QUEUE),
    ],
)
def test_message_is_resent_as_its_state_allows(site: Connector, state: DeliveryState, action: Action) -> None:
    with site.database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=state))
    assert plan(site).action is action


@pytest.mark.parametrize("status", [CustomsStatus.REJECTED, CustomsStatus.FAILED])
def test_document_is_not_resent_when_its_row_is_as_customs_refused_it(site: Connector, status: CustomsStatus) -> None:
    with site.database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=DeliveryState.DELIVERED))
        transaction.execute(update(DOCUMENTS).values(customs_status=status))
    (made,) = plan_documents(site, documents(site)[:1], split=False)
    assert made.action is Action.REFUSE
    assert "nothing has changed" in made.text
