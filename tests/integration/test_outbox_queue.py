"""The queue of messages: claims, leases, what attempts and receipts change, on both kinds of database."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import insert, select, text, update

from connector.deeds import Deed
from connector.messages.deliveries import (
    Answer,
    DeliveryState,
    InDoubt,
    MessageId,
    NotKnown,
    NotSent,
    TakenIn,
    Withdrawn,
)
from connector.messages.documents import Document
from connector.outbox import queries, queue, turns
from connector.outbox.attempts import may_have_arrived
from connector.outbox.delivery import Step, after_answer, after_finding, doubt
from connector.outbox.queue import Claim
from connector.outbox.retry import QUESTION_PERIOD, QUESTIONS, RetryPolicy
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS, MESSAGES

Keep = Callable[..., list[Document]]

NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
LEASE = timedelta(seconds=60)
POLICY = RetryPolicy(
    first=timedelta(seconds=5),
    most=timedelta(hours=1),
    tries=20,
    settle=timedelta(seconds=120),
    give_up=timedelta(days=7),
)
M = MessageId("m")


def claim(database: Database, *, now: datetime = NOW, lease: timedelta = LEASE) -> Claim | None:
    with database.write(Deed.CLAIM) as transaction:
        return queue.claim(transaction, "send", now=now, lease=lease) or queue.claim(
            transaction, "query", now=now, lease=lease
        )


def claimed(database: Database, *, now: datetime = NOW, lease: timedelta = LEASE) -> Claim:
    found = claim(database, now=now, lease=lease)
    assert found is not None
    return found


def answer(database: Database, claim: Claim, answer: Answer, *, now: datetime = NOW) -> bool:
    step = after_answer(answer, tries=claim.tries, now=now, policy=POLICY, random=Random(1))
    return record(database, claim, step, getattr(answer, "raw", None), now=now)


def record(database: Database, claim: Claim, step: Step, response: bytes | None = None, *, now: datetime = NOW) -> bool:
    with database.write(Deed.PREPARE) as transaction:
        return queue.record(transaction, claim, step, outcome="an outcome", response=response, now=now)


def message(database: Database, message_id: str = M) -> queries.MessageView:
    with database.read() as connection:
        found = queries.message(connection, message_id)
    assert found is not None
    return found


def state(database: Database, message_id: str = M) -> str:
    return message(database, message_id).delivery_state


def put(database: Database, state: DeliveryState, **values: object) -> None:
    """A message as if it had come to this state after a try."""
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=state, lease_token=1, **values))


def test_message_is_claimed_with_everything_its_attempt_needs(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    claim = claimed(database)
    assert claim == Claim(
        message_id=M,
        kind="send",
        body=b"body of m",
        digest=hashlib.sha256(b"<m/>").hexdigest(),
        number=1,
        tries=1,
        settle_at=NOW,
        token=1,
    )
    with database.read() as connection:
        row = connection.execute(select(ATTEMPTS)).one()
    assert (row.kind, row.number, row.outcome, row.ended_at) == ("send", 1, "", None)
    assert row.body_digest == hashlib.sha256(b"body of m").hexdigest()
    assert state(database) == "sending"


def test_message_that_has_been_due_longest_is_claimed_first(database: Database, keep: Keep) -> None:
    for number, minutes in enumerate([3, 1, 2]):
        keep(str(number), message_id=f"m{minutes}", at=NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=9)
    assert [claimed(database, now=later).message_id for _ in range(3)] == ["m1", "m2", "m3"]
    assert claim(database, now=later) is None


def test_message_is_not_claimed_before_it_is_due(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    assert claim(database, now=NOW - timedelta(microseconds=1)) is None
    answer(database, claimed(database), NotSent(info="no route"))
    due = message(database).due_at
    assert due > NOW
    assert claim(database, now=due - timedelta(microseconds=1)) is None
    assert claimed(database, now=due).tries == 2


@pytest.mark.parametrize("at_rest", ["sending", "delivered", "refused", "conflict", "parked", "closed"])
def test_message_is_not_claimed_in_any_other_state(database: Database, keep: Keep, at_rest: str) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    assert claim(database, now=NOW + timedelta(days=9)) is None


def test_message_in_doubt_is_asked_about_no_earlier_than_it_settled(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    answer(database, claimed(database), InDoubt(raw=b"<cut", info="cut"))
    assert claim(database, now=NOW + POLICY.settle - timedelta(microseconds=1)) is None
    asked = claimed(database, now=NOW + POLICY.settle)
    assert (asked.kind, asked.number, asked.settle_at) == ("query", 2, NOW + POLICY.settle)
    assert state(database) == "in_doubt"


def test_message_that_customs_does_not_know_goes_again_with_the_very_same_bytes(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    first = claimed(database)
    answer(database, first, InDoubt(raw=b"", info="lost"))
    later = NOW + POLICY.settle
    asked = claimed(database, now=later)
    step = after_finding(NotKnown(), digest=asked.digest, tries=asked.tries, now=later, policy=POLICY, random=Random(1))
    assert record(database, asked, step, now=later)
    again = claimed(database, now=later)
    assert (again.kind, again.body, again.digest, again.number) == ("send", first.body, first.digest, 3)


def test_two_never_hold_the_same_message_when_four_claim_at_once(database: Database, keep: Keep) -> None:
    for number in range(40):
        keep(str(number), message_id=f"m{number}")
    taken: list[str] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while found := claim(database):
                taken.append(found.message_id)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    # On PostgreSQL a claim may pass over a message that another is just claiming, so one more look takes what is left.
    work()
    assert sorted(taken) == sorted(f"m{number}" for number in range(40))


def test_holder_that_lost_its_lease_changes_nothing_but_its_answer_is_kept(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    stale = claimed(database, lease=-LEASE)
    with database.write(Deed.PREPARE) as transaction:
        assert queue.has_expired(transaction, now=NOW)
        assert queue.abandon(transaction, doubt("gone", now=NOW, policy=POLICY), now=NOW) == [M]
        assert not queue.has_expired(transaction, now=NOW)
    before = message(database)
    assert before.delivery_state == "in_doubt"
    assert not answer(database, stale, TakenIn(raw=b"<taken/>", info="处理成功"))
    assert message(database) == before
    with database.read() as connection:
        row = connection.execute(select(ATTEMPTS)).one()
    assert (bytes(row.response), row.outcome) == (b"<taken/>", "an outcome")


def test_message_is_not_taken_for_abandoned_while_its_lease_lasts(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    claimed(database)
    with database.write(Deed.RECOVER) as transaction:
        assert not queue.has_expired(transaction, now=NOW)
        assert queue.abandon(transaction, doubt("gone", now=NOW, policy=POLICY), now=NOW) == []
    assert state(database) == "sending"


def test_message_is_not_abandoned_when_its_sender_comes_back_meanwhile(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    slow = claimed(database, lease=-LEASE)
    with ThreadPoolExecutor(1) as other:
        with database.write(Deed.RECORD) as transaction:
            step = after_answer(TakenIn(raw=b"", info="处理成功"), tries=1, now=NOW, policy=POLICY, random=Random(1))
            assert queue.record(transaction, slow, step, outcome="taken_in", response=b"", now=NOW)
            abandoned = other.submit(_abandon, database)  # it waits for this commit
            time.sleep(0.2)
        assert abandoned.result() == []
    assert state(database) == "delivered"


def _abandon(database: Database) -> list[MessageId]:
    with database.write(Deed.RECOVER) as transaction:
        return queue.abandon(transaction, doubt("gone", now=NOW, policy=POLICY), now=NOW)


def test_question_can_be_asked_again_when_the_one_who_asked_is_gone(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState.IN_DOUBT)
    first = claimed(database, lease=-LEASE)
    second = claimed(database)
    assert (second.kind, second.number) == ("query", 2)
    assert not record(database, first, doubt("late", now=NOW, policy=POLICY))


@pytest.mark.parametrize("at_rest", ["refused", "parked"])
def test_message_is_queued_again_with_new_tries(database: Database, keep: Keep, at_rest: str) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest), tries=20)
    with database.write(Deed.PREPARE) as transaction:
        assert turns.requeue(transaction, M, info="resent", now=NOW)
    assert (state(database), message(database).tries, message(database).info) == ("pending", 0, "resent")
    assert claimed(database).kind == "send"


@pytest.mark.parametrize("at_rest", ["pending", "sending", "in_doubt", "delivered", "conflict", "closed"])
def test_message_is_neither_queued_nor_closed_in_any_other_state(database: Database, keep: Keep, at_rest: str) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    before = message(database)
    with database.write(Deed.PREPARE) as transaction:
        assert not turns.requeue(transaction, M, info="resent", now=NOW)
        assert not turns.close(transaction, M, info="split", now=NOW)
    assert message(database) == before


@pytest.mark.parametrize("at_rest", ["refused", "parked"])
def test_message_is_closed_when_its_documents_go_out_in_others(database: Database, keep: Keep, at_rest: str) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    with database.write(Deed.PREPARE) as transaction:
        assert turns.close(transaction, M, info="split", now=NOW)
    assert state(database) == "closed"


def test_question_is_brought_forward_but_never_before_the_message_settled(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    settle_at, far = NOW + timedelta(minutes=2), NOW + timedelta(hours=1)
    put(database, DeliveryState.IN_DOUBT, settle_at=settle_at, due_at=far)
    for now, due in [(NOW, settle_at), (NOW + timedelta(minutes=3), NOW + timedelta(minutes=3))]:
        with database.write(Deed.PREPARE) as transaction:
            assert turns.ask_soon(transaction, M, info="asked for", now=now)
        assert message(database).due_at == due
    put(database, DeliveryState.REFUSED)
    with database.write(Deed.PREPARE) as transaction:
        assert not turns.ask_soon(transaction, M, info="asked for", now=NOW)


def test_parked_message_that_may_have_arrived_is_asked_about_with_new_tries_but_not_before_it_settled(
    database: Database, keep: Keep
) -> None:
    keep("1", message_id="m")
    answer(database, claimed(database), InDoubt(raw=b"", info="lost"))
    with database.write(Deed.RECOVER) as transaction:
        assert turns.park(transaction, [M], info="no certain answer", now=NOW) == [M]
        assert may_have_arrived(transaction, M)
        assert turns.ask_soon(transaction, M, info="asked for", now=NOW)
    found = message(database)
    assert (found.delivery_state, found.tries, found.due_at) == ("in_doubt", 0, NOW + POLICY.settle)
    assert claim(database, now=NOW + POLICY.settle - timedelta(microseconds=1)) is None
    asked = claimed(database, now=NOW + POLICY.settle)
    step = after_finding(NotKnown(), digest=asked.digest, tries=asked.tries, now=NOW, policy=POLICY, random=Random(1))
    with database.write(Deed.RECORD) as transaction:
        assert queue.record(transaction, asked, step, outcome="not_known", response=None, now=NOW)
        assert not may_have_arrived(transaction, M)


def confirm(database: Database, made: list[Document]) -> list[MessageId]:
    with database.write(Deed.PREPARE) as transaction:
        return turns.confirm_by_receipt(transaction, [document.guid for document in made], now=NOW)


def refuse(database: Database) -> list[MessageId]:
    with database.write(Deed.PREPARE) as transaction:
        return turns.refuse_by_receipt(transaction, M, "schema", now=NOW)


@pytest.mark.parametrize("at_rest", ["pending", "sending", "in_doubt", "parked"])
def test_receipt_of_a_document_proves_that_its_message_arrived(database: Database, keep: Keep, at_rest: str) -> None:
    made = keep("1", "2", message_id="m")
    answer(database, claimed(database), InDoubt(raw=b"", info="lost"))
    put(database, DeliveryState(at_rest))
    assert confirm(database, made[1:]) == [M]
    assert state(database) == "delivered"
    assert confirm(database, made) == []


@pytest.mark.parametrize("at_rest", ["delivered", "refused", "conflict", "closed"])
def test_receipt_of_a_document_leaves_its_message_alone_when_that_is_settled(
    database: Database, keep: Keep, at_rest: str
) -> None:
    made = keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    assert confirm(database, made) == []
    assert state(database) == at_rest


@pytest.mark.parametrize("found", [NotSent(info="no route"), Withdrawn(info="overtaken")])
def test_receipt_of_a_document_leaves_a_message_alone_that_surely_did_not_arrive(
    database: Database, keep: Keep, found: Answer
) -> None:
    made = keep("1", message_id="m")
    step = after_answer(found, tries=1, now=NOW, policy=POLICY, random=Random(1))
    with database.write(Deed.RECORD) as transaction:
        claim = queue.claim(transaction, "send", now=NOW, lease=LEASE)
        assert claim is not None
        outcome = "not_sent" if isinstance(found, NotSent) else "withdrawn"
        queue.record(transaction, claim, step, outcome=outcome, response=None, now=NOW)
    assert confirm(database, made) == []
    assert state(database) == "pending"


def test_receipt_of_a_document_leaves_a_message_alone_that_was_never_sent(database: Database, keep: Keep) -> None:
    made = keep("1", message_id="m")
    assert confirm(database, made) == []
    assert state(database) == "pending"


@pytest.mark.parametrize("at_rest", ["pending", "sending", "in_doubt", "parked", "delivered"])
def test_format_check_refuses_its_message(database: Database, keep: Keep, at_rest: str) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    assert refuse(database) == [M]
    assert (state(database), message(database).info) == ("refused", "schema")


@pytest.mark.parametrize("at_rest", ["refused", "conflict", "closed"])
def test_format_check_leaves_a_message_alone_that_an_operator_has_to_settle(
    database: Database, keep: Keep, at_rest: str
) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState(at_rest))
    assert refuse(database) == []
    assert state(database) == at_rest


@pytest.mark.parametrize("doubtful", [True, False])
def test_what_a_receipt_proved_stands_when_an_attempt_under_way_ends_otherwise(
    database: Database,
    keep: Keep,
    doubtful: bool,  # noqa: FBT001 - a case of the table
) -> None:
    made = keep("1", message_id="m")
    under_way = claimed(database)
    if doubtful:
        answer(database, under_way, InDoubt(raw=b"", info="lost"))
        under_way = claimed(database, now=NOW + POLICY.settle)
    confirm(database, made)
    step = after_finding(NotKnown(), digest="", tries=2, now=NOW, policy=POLICY, random=Random(1))
    assert not record(database, under_way, step)
    assert state(database) == "delivered"
    assert claim(database, now=NOW + timedelta(days=1)) is None


def asked(database: Database, minutes: int) -> None:
    """The message as if it had been asked about so many minutes after NOW, without an answer."""
    with database.write(Deed.PREPARE) as transaction:
        number = len(transaction.execute(select(ATTEMPTS.c.id).where(ATTEMPTS.c.message_id == M)).all()) + 1
        at = NOW + timedelta(minutes=minutes)
        attempt = {"message_id": M, "number": number, "kind": "query", "body_digest": "", "started_at": at, "info": ""}
        transaction.execute(insert(ATTEMPTS).values(**attempt, ended_at=at, outcome="unanswered"))


def test_question_beyond_what_an_hour_allows_is_put_off_and_not_lost(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    put(database, DeliveryState.IN_DOUBT)
    for number in range(QUESTIONS):
        asked(database, 2 * number)
    early = NOW + QUESTION_PERIOD - timedelta(microseconds=1)
    for now in (NOW + timedelta(minutes=20), early):
        assert claim(database, now=now) is None
        assert (state(database), message(database).due_at) == ("in_doubt", NOW + QUESTION_PERIOD)
        with database.write(Deed.RESEND) as transaction:
            assert turns.ask_soon(transaction, M, info="asked for", now=now)
    assert claim(database, now=early) is None
    found = claimed(database, now=NOW + QUESTION_PERIOD)
    assert (found.kind, found.number) == ("query", QUESTIONS + 1)


def test_question_put_off_holds_up_no_other(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    keep("2", message_id="n", at=NOW + timedelta(minutes=1))
    put(database, DeliveryState.IN_DOUBT)
    for number in range(QUESTIONS):
        asked(database, number)
    assert claimed(database, now=NOW + timedelta(minutes=20)).message_id == "n"


def test_sends_are_not_counted_as_questions(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    for number in range(2 * QUESTIONS):
        answer(database, claimed(database, now=NOW + timedelta(seconds=number)), NotSent(info="no route"))
        put(database, DeliveryState.PENDING, due_at=NOW)
    put(database, DeliveryState.IN_DOUBT, due_at=NOW)
    assert claimed(database, now=NOW + timedelta(minutes=1)).kind == "query"


def test_claim_is_ours_until_it_is_overtaken_or_too_little_of_its_lease_is_left(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    first = claimed(database)
    with database.read() as connection:
        assert queue.is_ours(connection, first, until=NOW + LEASE)
        assert not queue.is_ours(connection, first, until=NOW + LEASE + timedelta(microseconds=1))
    with database.write(Deed.RECOVER) as transaction:
        step = doubt("gone", now=NOW, policy=POLICY)
        assert queue.abandon(transaction, step, now=NOW + LEASE + timedelta(microseconds=1)) == [M]
    with database.read() as connection:
        assert not queue.is_ours(connection, first, until=NOW)


def test_claim_is_not_ours_any_more_when_its_attempt_is_recorded(database: Database, keep: Keep) -> None:
    keep("1", message_id="m")
    first = claimed(database)
    answer(database, first, TakenIn(raw=b"", info=""))
    with database.read() as connection:
        assert not queue.is_ours(connection, first, until=NOW)


def test_messages_that_waited_too_long_are_found_and_parked_with_their_doubts(database: Database, keep: Keep) -> None:
    for number, kept in enumerate(["pending", "in_doubt", "delivered", "pending"]):
        keep(str(number), message_id=f"m{number}", at=NOW + timedelta(hours=number // 3))
        with database.write(Deed.PREPARE) as transaction:
            transaction.execute(update(MESSAGES).where(MESSAGES.c.id == f"m{number}").values(state=DeliveryState(kept)))
    assert claimed(database).message_id == "m0"  # it is being sent
    with database.write(Deed.RECOVER) as transaction:
        late = turns.past_deadline(transaction, NOW + timedelta(microseconds=1))
        assert late == ["m1"]
        turns.park(transaction, late, info="too long", now=NOW)
        assert turns.past_deadline(transaction, NOW + timedelta(microseconds=1)) == []
        assert turns.park(transaction, [MessageId("m2")], info="too long", now=NOW) == []
    assert (state(database, "m1"), state(database, "m2"), state(database, "m3")) == ("parked", "delivered", "pending")


MANY = 20_000


def test_next_message_is_found_by_its_index_however_many_wait(database: Database, keep: Keep) -> None:
    """Rows are counted, not seconds: the first claim after a start reads a few of them, not the whole outbox."""
    keep("1", message_id="m", at=NOW - timedelta(days=1))
    with database.write(Deed.PREPARE) as transaction:
        row = dict(transaction.execute(select(MESSAGES)).mappings().one())
        due = ({**row, "id": f"n{number}", "due_at": NOW - timedelta(seconds=number)} for number in range(MANY))
        transaction.execute(insert(MESSAGES), list(due))
        if database.is_postgresql:
            transaction.execute(text("ANALYZE message"))
    with database.read() as connection:
        query = queue._due("send", NOW).compile(connection, compile_kwargs={"literal_binds": True})  # noqa: SLF001
        explain = "EXPLAIN (ANALYZE, FORMAT TEXT)" if database.is_postgresql else "EXPLAIN QUERY PLAN"
        plan = "\n".join(str(row[-1]) for row in connection.execute(text(f"{explain} {query}".replace(":", "\\:"))))
    assert "ix_message_due" in plan
    assert "Seq Scan" not in plan
    assert "SCAN message" not in plan
    if not database.is_postgresql:
        assert "SEARCH message USING INDEX ix_message_due (state=? AND due_at<?)" in plan
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # at most for those that are due at the very same moment
    assert claimed(database).message_id == "m"
