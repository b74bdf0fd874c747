"""A message in doubt ends by customs' answer, by a receipt, or by an operator; what an operator may say, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed, Moment
from connector.errors import DatabaseUnreachable, ResendRefused, UsageError
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.documents import Document
from connector.outbox import queries, queue, turns
from connector.pipeline.deliver import deliver
from connector.pipeline.resend import Action, carry_out, plan_messages
from connector.pipeline.settle import Verdict, settle
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.signing.keyfiles import FileKey
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS, MESSAGES
from tests.integration.small_office import LEASE, SETTLE, Clock, Office, connect, receipt, working_office

Keep = Callable[..., list[Document]]

M = MessageId("m")
MOMENT = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
_END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def office() -> Iterator[Office]:
    with working_office() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connector(office: Office, database: Database, signing_key: FileKey, clock: Clock, keep: Keep) -> Connector:
    """One message m that waits to be sent."""
    keep("1", message_id="m", at=clock())
    return connect(office.url, database, signing_key, clock)


@pytest.fixture
def doubtful(connector: Connector, office: Office) -> Connector:
    """The message was sent, its answer lost; customs holds it."""
    office.manner = "cut"
    deliver(connector)
    office.manner = "take"
    assert state(connector) == "in_doubt"
    return connector


def message(connector: Connector) -> queries.MessageView:
    with connector.database.read() as connection:
        found = queries.message(connection, M)
    assert found is not None
    return found


def state(connector: Connector) -> str:
    return message(connector).delivery_state


def put(connector: Connector, state: DeliveryState, **values: object) -> None:
    with connector.database.write(Deed.RECORD) as transaction:
        transaction.execute(update(MESSAGES).values(state=state, lease_token=1, **values))


def say(connector: Connector, verdict: Verdict) -> DeliveryState:
    return settle(connector.database, M, verdict, reason="they said so", actor="wang", clock=connector.clock)


def told(connector: Connector, event: str) -> list[tuple[str, object]]:
    with connector.database.read() as connection:
        found = entries(connection, EntryFilter(message_id=M, event=event))
    return [(one.actor, one.detail.get("delivery_state")) for one in found]


def test_doubt_is_ended_by_customs_answer_once_the_message_settled(
    doubtful: Connector, office: Office, clock: Clock
) -> None:
    clock.pass_by(SETTLE - MOMENT)
    deliver(doubtful)
    assert (state(doubtful), office.asked) == ("in_doubt", [])
    clock.pass_by(MOMENT)
    deliver(doubtful)
    assert (state(doubtful), office.asked, len(office.bodies)) == ("delivered", ["m"], 1)


def test_doubt_is_ended_by_a_receipt_and_customs_is_not_asked_any_more(
    doubtful: Connector, office: Office, clock: Clock
) -> None:
    with doubtful.database.read() as connection:
        (document,) = queries.documents(connection, queries.Filter())
    office.give(receipt(document, "120", clock()))
    take_receipts(doubtful)
    assert state(doubtful) == "delivered"
    clock.pass_by(SETTLE)
    deliver(doubtful)
    assert (office.asked, len(office.bodies)) == ([], 1)


def test_doubt_is_ended_by_an_operator_who_knows_that_it_arrived(
    doubtful: Connector, office: Office, clock: Clock
) -> None:
    assert say(doubtful, Verdict.DELIVERED) is DeliveryState.DELIVERED
    assert state(doubtful) == "delivered"
    assert "wang" in message(doubtful).info
    assert told(doubtful, "settled") == [("wang", "delivered")]
    clock.pass_by(SETTLE)
    deliver(doubtful)
    assert (office.asked, len(office.bodies)) == ([], 1)


def test_doubt_is_ended_by_an_operator_who_knows_that_it_did_not_arrive_but_not_before_it_settled(
    doubtful: Connector, office: Office, clock: Clock
) -> None:
    clock.pass_by(SETTLE - MOMENT)
    with pytest.raises(ResendRefused, match="it has not settled") as caught:
        say(doubtful, Verdict.NOT_RECEIVED)
    assert caught.value.exit_code == 3
    assert "settle_seconds" in caught.value.remedy
    assert (state(doubtful), told(doubtful, "settled")) == ("in_doubt", [])
    clock.pass_by(MOMENT)
    assert say(doubtful, Verdict.NOT_RECEIVED) is DeliveryState.PENDING
    deliver(doubtful)
    assert (state(doubtful), office.asked) == ("delivered", [])
    assert office.bodies == [b"body of m"] * 2


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("at_rest", list(DeliveryState))
def test_operator_settles_only_what_the_table_allows(
    connector: Connector, clock: Clock, at_rest: DeliveryState, verdict: Verdict
) -> None:
    put(connector, at_rest, settle_at=clock())
    allowed = {
        (DeliveryState.IN_DOUBT, Verdict.DELIVERED): "delivered",
        (DeliveryState.PARKED, Verdict.DELIVERED): "delivered",
        (DeliveryState.IN_DOUBT, Verdict.NOT_RECEIVED): "pending",
        (DeliveryState.PARKED, Verdict.NOT_RECEIVED): "pending",
        (DeliveryState.CONFLICT, Verdict.CLOSED): "closed",
    }
    expected = allowed.get((at_rest, verdict))
    if expected is None:
        with pytest.raises(ResendRefused, match=f"it is {at_rest}"):
            say(connector, verdict)
    else:
        assert say(connector, verdict) == expected
    assert state(connector) == (expected or at_rest)
    assert len(told(connector, "settled")) == (expected is not None)


def test_operator_is_told_when_there_is_no_such_message(connector: Connector) -> None:
    with pytest.raises(UsageError, match="there is no message other"):
        settle(connector.database, MessageId("other"), Verdict.DELIVERED, reason="r", actor="wang")


def test_question_that_is_under_way_changes_nothing_when_an_operator_settles_meanwhile(
    doubtful: Connector, clock: Clock
) -> None:
    clock.pass_by(SETTLE)
    with doubtful.database.write(Deed.CLAIM) as transaction:
        asked = queue.claim(transaction, "query", now=clock(), lease=LEASE)
    assert asked is not None
    say(doubtful, Verdict.DELIVERED)
    with doubtful.database.read() as connection:
        assert not queue.is_ours(connection, asked, until=clock())
    clock.pass_by(LEASE + MOMENT)
    deliver(doubtful)
    assert state(doubtful) == "delivered"


def test_message_is_parked_and_told_when_customs_was_not_reached_for_long_and_comes_back_when_resent(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.manner = "lose"
    clock.pass_by(WEEK + HOUR)
    assert deliver(connector).outcomes == {"in_doubt": 1}
    deliver(connector)
    assert state(connector) == "in_doubt"  # how long it waited for its first try does not count
    clock.pass_by(WEEK)
    with connector.database.read() as connection:
        assert turns.past_deadline(connection, clock() - WEEK) == []  # exactly a week is not yet too long
    clock.pass_by(MOMENT)
    deliver(connector)
    assert (state(connector), len(office.bodies), office.asked) == ("parked", 1, [])
    assert "7 days" in message(connector).info
    assert told(connector, "delivery_changed") == [("connector", "parked")]
    clock.pass_by(HOUR)
    deliver(connector)
    assert len(office.bodies) == 1

    office.manner = "take"
    (plan,) = plan_messages(connector, [message(connector)], split=False)
    assert plan.action is Action.ASK  # it may have arrived
    (split,) = plan_messages(connector, [message(connector)], split=True)
    assert split.action is Action.REFUSE
    carry_out(connector, [plan], reason="they are back", actor="wang")
    assert (state(connector), message(connector).tries) == ("in_doubt", 0)
    clock.pass_by(WEEK - HOUR)
    deliver(connector)
    assert (state(connector), office.asked, set(office.bodies)) == ("delivered", ["m"], {b"body of m"})


def test_message_that_never_left_is_parked_when_the_time_is_used_up(connector: Connector, clock: Clock) -> None:
    put(connector, DeliveryState.PENDING, tries=1)
    clock.pass_by(WEEK + MOMENT)
    assert deliver(connector).outcomes == {}
    assert state(connector) == "parked"
    (plan,) = plan_messages(connector, [message(connector)], split=False)
    assert plan.action is Action.QUEUE


def test_message_that_was_never_tried_is_sent_however_long_the_program_was_off(
    connector: Connector, clock: Clock
) -> None:
    clock.pass_by(WEEK + MOMENT)
    assert deliver(connector).outcomes == {"taken_in": 1}


@pytest.mark.parametrize("at_rest", ["sending", "delivered", "refused", "conflict", "closed"])
def test_message_is_not_parked_in_any_other_state(connector: Connector, clock: Clock, at_rest: str) -> None:
    clock.pass_by(WEEK + HOUR)
    put(connector, DeliveryState(at_rest), lease_until=clock() + HOUR)
    deliver(connector)
    assert state(connector) == at_rest


def refuse(connector: Connector, info: str) -> None:
    """The message as if customs had refused it once more at the door, in these words."""
    with connector.database.write(Deed.RECORD) as transaction:
        number = len(transaction.execute(select(ATTEMPTS.c.number).where(ATTEMPTS.c.message_id == M)).all()) + 1
        now = connector.clock(transaction)
        attempt = {"message_id": M, "number": number, "kind": "send", "body_digest": "", "started_at": now}
        transaction.execute(insert(ATTEMPTS).values(**attempt, outcome="refused", info=info))
    put(connector, DeliveryState.REFUSED)


def test_resend_is_refused_when_customs_refused_the_message_five_times_in_the_same_words(connector: Connector) -> None:
    for number in range(1, 6):
        refuse(connector, "验签失败")
        refuse(connector, f"busy {number}")
        (plan,) = plan_messages(connector, [message(connector)], split=False)
        assert plan.action is (Action.QUEUE if number < 5 else Action.REFUSE)
    assert "5 times in the same words" in plan.text
    (done,) = carry_out(connector, [plan], reason="r", actor="wang")
    assert (done.action, state(connector)) == (Action.REFUSE, "refused")


def test_identical_refusals_are_counted_as_customs_gives_them(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.manner = "refuse"
    for _ in range(9):
        deliver(connector)
        (plan,) = plan_messages(connector, [message(connector)], split=False)
        carry_out(connector, [plan], reason="r", actor="wang")
        clock.pass_by(HOUR)
    assert (len(office.bodies), state(connector)) == (5, "refused")


def test_customs_is_asked_ten_times_an_hour_however_often_an_operator_asks_for_it(
    doubtful: Connector, office: Office, clock: Clock
) -> None:
    """Its answers are lost every time; an operator asks every minute, and the breaker, which is not meant, is away."""
    clock.pass_by(SETTLE)
    begun = clock()
    asked: list[int] = []
    for _ in range(130):
        (plan,) = plan_messages(doubtful, [message(doubtful)], split=False)
        assert plan.action is Action.ASK
        carry_out(doubtful, [plan], reason="r", actor="wang")
        with doubtful.database.write(Deed.CLAIM) as transaction:
            claim = queue.claim(transaction, "query", now=clock(), lease=LEASE)
            if claim is not None:
                asked.append(int((clock() - begun).total_seconds() // 60))
                transaction.execute(update(MESSAGES).values(lease_until=None, tries=1))
        clock.pass_by(timedelta(minutes=1))
    assert asked == [*range(10), *range(60, 70), *range(120, 130)]
    assert state(doubtful) == "in_doubt"
    clock.pass_by(HOUR)
    deliver(doubtful)
    assert (state(doubtful), office.asked, len(office.bodies)) == ("delivered", ["m"], 1)


def test_receipt_that_may_be_about_an_earlier_revision_leaves_a_message_in_doubt(
    doubtful: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    with doubtful.database.read() as connection:
        (document,) = queries.documents(connection, queries.Filter())
    settle(doubtful.database, M, Verdict.DELIVERED, reason="seen", actor="wang", clock=clock)
    keep("1", revision=2, message_id="m2", at=clock())
    office.manner = "lose"
    deliver(doubtful)
    stranger = receipt(replace(document, guid="0" * 36), "800", clock() + HOUR)
    office.give(stranger)
    take_receipts(doubtful)
    with doubtful.database.read() as connection:
        assert queries.count_messages(connection) == {"delivered": 1, "in_doubt": 1}
        assert [view.customs_status for view in queries.documents(connection, queries.Filter())] == ["none", "released"]


def test_operator_cannot_say_that_a_message_did_not_arrive_while_customs_is_being_asked(
    doubtful: Connector, clock: Clock
) -> None:
    clock.pass_by(SETTLE)
    with doubtful.database.write(Deed.CLAIM) as transaction:
        assert queue.claim(transaction, "query", now=clock(), lease=LEASE) is not None
    with pytest.raises(ResendRefused, match="being asked"):
        say(doubtful, Verdict.NOT_RECEIVED)
    clock.pass_by(LEASE + MOMENT)
    assert say(doubtful, Verdict.NOT_RECEIVED) == "pending"


def test_answer_is_kept_when_the_database_fails_just_after_the_call(
    connector: Connector, office: Office, database: Database
) -> None:
    """On SQLite its file is away for a moment, on PostgreSQL the server ends the sessions."""

    def fail() -> None:
        if database.is_postgresql:
            with database.write(Deed.UPGRADE) as other:
                other.execute(text(_END_OTHER_SESSIONS))
            return
        file = Path(database.address.removeprefix("sqlite:///"))
        away = file.rename(file.with_name("away.db"))
        threading.Timer(0.8, lambda: away.rename(file)).start()

    office.while_submitting = fail
    assert deliver(connector).outcomes == {"taken_in": 1}
    assert (state(connector), len(office.bodies)) == ("delivered", 1)


def test_nothing_is_sent_when_the_database_is_deleted_between_claim_and_sending(
    connector: Connector, office: Office, database: Database
) -> None:
    if database.is_postgresql:
        return  # a database that sessions work on cannot be dropped
    file = Path(database.address.removeprefix("sqlite:///"))

    def delete(deed: Deed, moment: Moment) -> None:
        if (deed, moment) == (Deed.CLAIM, "after"):
            file.unlink()

    watched = Database(database.address, watch=delete)
    with pytest.raises(DatabaseUnreachable, match="deleted or replaced"):
        deliver(replace(connector, database=watched, lease=timedelta(seconds=1)))
    watched.close()
    assert office.bodies == []
    with pytest.raises(DatabaseUnreachable, match="deleted or replaced"):
        deliver(connector)
