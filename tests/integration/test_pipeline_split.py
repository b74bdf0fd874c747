"""A format check (CEB900) refuses a batch: its documents go again, each alone, once, by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from connector.audit.queries import EntryFilter, entries
from connector.config import CustomsSettings
from connector.deeds import Deed, Moment
from connector.errors import CustomsUnreachable, UnreadableMessage
from connector.outbox import queries
from connector.outbox.queries import DocumentView, Filter, MessageView
from connector.pipeline.cycle import Cycle, run_once
from connector.pipeline.split import split_refused
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.signing.envelopes import EnvelopeOpener
from connector.storage.database import Database
from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS, MESSAGES
from connector.transport.customs import SoapCustoms
from tests.integration.small_office import Clock, Office, format_check, receipt, working_office

RETURNS = 6


@pytest.fixture
def office() -> Iterator[Office]:
    with working_office() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connector(enterprise: Callable[..., Connector], office: Office, clock: Clock) -> Connector:
    """A connector of six returns, whose two batches were taken in."""
    made = enterprise(RETURNS, 9)
    settings = CustomsSettings(
        submit_url=f"{office.url}/submit", receipts_url=f"{office.url}/receipts", require_signed_receipts=False
    )
    made = replace(
        made,
        clock=clock,
        customs=SoapCustoms(settings, made.transfer.dxp_id),
        submit_endpoint=settings.submit_url,
        endpoint=f"{office.url}/receipts",
        open_envelope=EnvelopeOpener(trusted=(), is_required=False),
    )
    run_once(made)
    clock.pass_by(timedelta(seconds=1))
    return made


def documents(connector: Connector) -> list[DocumentView]:
    with connector.database.read() as connection:
        return queries.documents(connection, Filter(type="CEB213"))


def messages(connector: Connector) -> list[MessageView]:
    with connector.database.read() as connection:
        return queries.messages(connection, Filter(type="CEB213"))


def states(connector: Connector) -> dict[str, int]:
    with connector.database.read() as connection:
        query = select(MESSAGES.c.state, func.count()).where(MESSAGES.c.type == "CEB213").group_by(MESSAGES.c.state)
        return {row[0]: row[1] for row in connection.execute(query)}


def batch(connector: Connector) -> str:
    return max(messages(connector), key=lambda one: len(one.documents)).id


def test_documents_of_a_refused_batch_go_again_alone_and_only_the_guilty_one_stays_rejected(
    connector: Connector, office: Office, clock: Clock
) -> None:
    inside = documents(connector)
    assert len(inside) > 2
    before = list(office.bodies)
    office.give(format_check(batch(connector), clock()))
    cycle = run_once(connector)
    assert (cycle.split, cycle.received.rejected) == (1, len(inside))
    assert {view.customs_status for view in documents(connector)} == {"none"}
    clock.pass_by(timedelta(seconds=1))
    assert run_once(connector).delivered.outcomes == {"taken_in": len(inside)}
    assert states(connector) == {"closed": 1, "delivered": len(inside)}
    assert len(set(office.bodies)) == len(office.bodies) == len(before) + len(inside)

    guilty, *innocent = documents(connector)
    clock.pass_by(timedelta(seconds=1))
    office.give(format_check(guilty.message_ids[-1], clock()))
    for view in innocent:
        office.give(receipt(view, "800", clock(), "放行"))
    assert run_once(connector).split == 0
    found = {view.business_key: view.customs_status for view in documents(connector)}
    assert found == {guilty.business_key: "rejected"} | {view.business_key: "released" for view in innocent}

    sent = len(office.bodies)
    for _ in range(3):
        clock.pass_by(timedelta(hours=1))
        assert run_once(connector) == Cycle()
    assert len(office.bodies) == sent
    assert states(connector) == {"closed": 1, "refused": 1, "delivered": len(innocent)}
    assert {view.revision for view in documents(connector)} == {1}


def test_split_is_told_in_the_log_with_the_reason(connector: Connector, office: Office, clock: Clock) -> None:
    refused = batch(connector)
    office.give(format_check(refused, clock()))
    run_once(connector)
    with connector.database.read() as connection:
        (told,) = entries(connection, EntryFilter(message_id=refused, event="resent"))
    assert told.actor == "connector"
    assert told.detail["action"] == "split"
    assert "CEB900" in str(told.detail["reason"])


def test_nothing_is_sent_again_when_every_single_is_refused_too(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.give(format_check(batch(connector), clock()))
    run_once(connector)
    run_once(connector)
    clock.pass_by(timedelta(seconds=1))
    count = len(documents(connector))
    for view in documents(connector):
        office.give(format_check(view.message_ids[-1], clock()))
    sent = len(office.bodies)
    for _ in range(3):
        assert run_once(connector).split == 0
    assert len(office.bodies) == sent
    assert states(connector) == {"closed": 1, "refused": count}
    assert {view.customs_status for view in documents(connector)} == {"rejected"}


def test_batch_is_split_once_when_its_refusal_comes_twice_and_in_other_words(
    connector: Connector, office: Office, clock: Clock
) -> None:
    refused = batch(connector)
    for info in ("first", "first", "second"):
        office.give(format_check(refused, clock(), info))
        run_once(connector)
    run_once(connector)
    office.give(format_check(refused, clock(), "much later"))
    for _ in range(2):
        run_once(connector)
    count = len(documents(connector))
    assert states(connector) == {"closed": 1, "delivered": count}
    assert {len(view.message_ids) for view in documents(connector)} == {2}
    assert {view.customs_status for view in documents(connector)} == {"none"}


def test_batch_that_was_refused_at_the_door_waits_for_an_operator(
    connector: Connector, office: Office, clock: Clock
) -> None:
    with connector.database.write(Deed.RECORD) as transaction:
        transaction.execute(MESSAGES.update().values(state="refused"))
    assert split_refused(connector) == 0
    clock.pass_by(timedelta(hours=1))
    sent = len(office.bodies)
    run_once(connector)
    assert (len(office.bodies), states(connector)) == (sent, {"refused": 1})


def test_document_that_customs_has_released_does_not_go_again_when_its_batch_is_refused(
    connector: Connector, office: Office, clock: Clock
) -> None:
    """What customs said of a document itself shows that the check let it pass: receipts come in any order."""
    first, second, *others = documents(connector)
    office.give(receipt(first, "800", clock() + timedelta(minutes=5), "放行"))
    office.give(format_check(batch(connector), clock()))
    run_once(connector)
    run_once(connector)
    carriers = {view.business_key: len(view.message_ids) for view in documents(connector)}
    assert carriers == {first.business_key: 1} | {view.business_key: 2 for view in [second, *others]}
    assert {view.customs_status for view in documents(connector)} == {"released", "none"}


class Killed(BaseException):
    """The end of a process, as near as one can come to it inside another."""


@pytest.mark.parametrize("place", ["after taking the receipt", "before the split", "after the split"])
def test_split_is_neither_lost_nor_repeated_when_the_process_ends(
    connector: Connector, office: Office, clock: Clock, place: str
) -> None:
    dies_at: tuple[Deed, Moment] = {
        "after taking the receipt": (Deed.TAKE_RECEIPTS, "after"),
        "before the split": (Deed.RESEND, "before"),
        "after the split": (Deed.RESEND, "after"),
    }[place]  # type: ignore[assignment]
    count = len(documents(connector))
    office.give(format_check(batch(connector), clock()))

    def kill(deed: Deed, moment: Moment) -> None:
        if (deed, moment) == dies_at:
            raise Killed

    dying = Database(connector.database.address, watch=kill)
    with pytest.raises(Killed):
        run_once(replace(connector, database=dying))
    dying.close()
    clock.pass_by(timedelta(hours=1))
    for _ in range(3):
        run_once(connector)
    assert states(connector) == {"closed": 1, "delivered": count}
    assert {len(view.message_ids) for view in documents(connector)} == {2}
    assert len(set(office.bodies)) == len(office.bodies)


def test_batch_is_split_although_the_receipts_after_its_refusal_cannot_be_fetched(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.give(format_check(batch(connector), clock()))
    take_receipts(connector)
    office.receipts_manner = "lose"
    assert run_once(connector).split == 1
    with pytest.raises(CustomsUnreachable):
        take_receipts(connector)
    with connector.database.read() as connection:
        carried = connection.execute(select(func.count()).select_from(MESSAGE_DOCUMENTS)).scalar_one()
    assert carried >= 2 * len(documents(connector))


def test_batch_that_cannot_be_split_does_not_hold_up_another(
    connector: Connector, office: Office, clock: Clock
) -> None:
    """A document may fit its schema no more after the program was upgraded."""
    with connector.database.write(Deed.PREPARE) as transaction:
        spoilt = func.replace(DOCUMENTS.c.content, '"coElNo"', '"unheardOf"')
        transaction.execute(update(DOCUMENTS).where(DOCUMENTS.c.type == "CEB213").values(content=spoilt))
        batches = transaction.execute(select(MESSAGES.c.id, MESSAGES.c.type).order_by(MESSAGES.c.id)).all()
    for one in batches:
        office.give(format_check(one.id, clock()))
    take_receipts(connector)
    with pytest.raises(UnreadableMessage, match=next(one.id for one in batches if one.type == "CEB213")):
        split_refused(connector)
    with connector.database.read() as connection:
        closed = select(MESSAGES.c.type).where(MESSAGES.c.state == "closed")
        assert connection.execute(closed).scalars().all() == ["CEB215"]
    cycle = run_once(connector)
    assert "cannot be split" in cycle.failures[0].cause
