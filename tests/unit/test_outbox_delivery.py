"""Every transition of the delivery state machine that an answer, a finding or the lack of one causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.messages.deliveries import (
    Answer,
    DeliveryState,
    InDoubt,
    Known,
    NotKnown,
    NotSent,
    RefusedAtDoor,
    TakenIn,
    Withdrawn,
)
from connector.outbox.delivery import Step, after_answer, after_finding, after_no_finding, doubt
from connector.outbox.retry import RetryPolicy

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
SETTLE = timedelta(seconds=120)
TRIES = 5
POLICY = RetryPolicy(
    first=timedelta(seconds=5), most=timedelta(hours=1), tries=TRIES, settle=SETTLE, give_up=timedelta(days=7)
)
OURS, OTHER = "a" * 64, "b" * 64


def answered(answer: Answer, tries: int = 1) -> Step:
    return after_answer(answer, tries=tries, now=NOW, policy=POLICY, random=Random(1))


def found(digest: str | None, tries: int = 2) -> Step:
    finding = NotKnown() if digest is None else Known(digest=digest, received_at=NOW)
    return after_finding(finding, digest=OURS, tries=tries, now=NOW, policy=POLICY, random=Random(1))


def unanswered(tries: int) -> Step:
    settle_at = NOW - timedelta(seconds=3)
    return after_no_finding("no route", tries=tries, settle_at=settle_at, now=NOW, policy=POLICY, random=Random(1))


@pytest.mark.parametrize("tries", [1, TRIES, TRIES + 1])
def test_message_is_delivered_when_customs_takes_it_in_at_whatever_try(tries: int) -> None:
    step = answered(TakenIn(raw=b"1", info="处理成功"), tries)
    assert (step.state, step.info) == (DeliveryState.DELIVERED, "处理成功")


@pytest.mark.parametrize("tries", [1, TRIES])
def test_message_is_refused_when_customs_refuses_it_at_the_door(tries: int) -> None:
    assert answered(RefusedAtDoor(raw=b"2", info="验签失败"), tries).state is DeliveryState.REFUSED


def test_message_waits_for_its_next_try_when_it_was_surely_not_sent() -> None:
    steps = [
        after_answer(NotSent(info="refused"), tries=3, now=NOW, policy=POLICY, random=Random(seed))
        for seed in range(50)
    ]
    assert {step.state for step in steps} == {DeliveryState.PENDING}
    assert all(NOW <= step.due_at <= NOW + timedelta(seconds=20) for step in steps)
    assert len({step.due_at for step in steps}) > 40


@given(seconds=st.integers(0, 10**6))
def test_message_in_doubt_waits_its_settling_time_whatever_time_customs_named(seconds: int) -> None:
    step = answered(InDoubt(raw=b"", info="busy", retry_after=timedelta(seconds=seconds)))
    assert (step.state, step.due_at, step.settle_at) == (DeliveryState.IN_DOUBT, NOW + SETTLE, NOW + SETTLE)


@pytest.mark.parametrize("tries", [TRIES, TRIES + 1])
def test_message_is_parked_when_its_tries_are_used_up_and_it_was_not_sent(tries: int) -> None:
    assert answered(NotSent(info="refused"), tries).state is DeliveryState.PARKED


@pytest.mark.parametrize("tries", [1, TRIES, TRIES + 1])
def test_message_goes_on_at_once_when_it_was_withdrawn_at_whatever_try(tries: int) -> None:
    step = answered(Withdrawn(info="overtaken"), tries)
    assert step == Step(state=DeliveryState.PENDING, info="overtaken", due_at=NOW, settle_at=NOW)


@given(tries=st.integers(1, 100), raw=st.binary(max_size=8), info=st.text(max_size=8))
def test_message_in_doubt_is_never_pending_and_never_asked_about_before_it_settled(
    tries: int, raw: bytes, info: str
) -> None:
    step = answered(InDoubt(raw=raw, info=info), tries)
    assert step == Step(state=DeliveryState.IN_DOUBT, info=info, due_at=NOW + SETTLE, settle_at=NOW + SETTLE)


def test_message_whose_sender_is_gone_is_in_doubt_until_it_settled() -> None:
    step = doubt("its sender is gone", now=NOW, policy=POLICY)
    assert (step.state, step.due_at, step.settle_at) == (DeliveryState.IN_DOUBT, NOW + SETTLE, NOW + SETTLE)


@pytest.mark.parametrize("tries", [2, TRIES + 1])
def test_doubt_ends_as_delivered_when_customs_holds_our_bytes(tries: int) -> None:
    assert found(OURS, tries).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("digest", [OTHER, "", OURS.upper(), OURS[:-1]])
def test_doubt_ends_as_conflict_when_customs_holds_any_other_bytes(digest: str) -> None:
    step = found(digest)
    assert step.state is DeliveryState.CONFLICT
    assert digest in step.info


def test_doubt_ends_as_pending_at_once_when_customs_does_not_know_the_message() -> None:
    step = found(None)
    assert (step.state, step.due_at) == (DeliveryState.PENDING, NOW)


def test_doubt_ends_as_parked_when_customs_does_not_know_it_and_the_tries_are_used_up() -> None:
    assert found(None, TRIES).state is DeliveryState.PARKED


def test_doubt_stays_and_keeps_its_settling_time_when_the_question_finds_no_answer() -> None:
    step = unanswered(2)
    assert step.state is DeliveryState.IN_DOUBT
    assert NOW <= step.due_at <= NOW + timedelta(seconds=10)
    assert step.settle_at == NOW - timedelta(seconds=3)


def test_doubt_ends_as_parked_when_no_question_finds_an_answer() -> None:
    assert unanswered(TRIES).state is DeliveryState.PARKED
