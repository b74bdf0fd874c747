"""When a message is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outbox.retry import QUESTION_PERIOD, QUESTIONS, RetryPolicy, next_question

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
SECONDS = st.floats(min_value=0.001, max_value=604_800)


def policy(first: float = 5, most: float = 3600, tries: int = 20) -> RetryPolicy:
    return RetryPolicy(
        first=timedelta(seconds=first),
        most=timedelta(seconds=most),
        tries=tries,
        settle=timedelta(seconds=120),
        give_up=timedelta(days=7),
    )


@given(first=SECONDS, most=SECONDS, tries=st.integers(1, 10_000), seed=st.integers())
def test_wait_lies_between_nothing_and_its_bound_however_often_it_was_tried(
    first: float, most: float, tries: int, seed: int
) -> None:
    wait = policy(first, most).wait(tries, Random(seed))
    assert timedelta() <= wait <= timedelta(seconds=min(most, first * 2.0 ** min(tries - 1, 60)))


@given(seed=st.integers(), tries=st.integers(1, 30))
def test_wait_is_the_same_when_the_random_source_is(seed: int, tries: int) -> None:
    assert policy().wait(tries, Random(seed)) == policy().wait(tries, Random(seed))


@pytest.mark.parametrize(("tries", "bound"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (40, 3600)])
def test_waits_fill_the_whole_range_up_to_a_bound_that_doubles_to_the_cap(tries: int, bound: float) -> None:
    random = Random(7)
    waits = sorted(policy().wait(tries, random).total_seconds() for _ in range(4000))
    assert waits[0] < bound * 0.01
    assert bound * 0.99 < waits[-1] <= bound
    assert waits[1000] == pytest.approx(bound * 0.25, rel=0.1)
    assert waits[2000] == pytest.approx(bound * 0.5, rel=0.1)


@pytest.mark.parametrize(("tries", "used_up"), [(1, False), (2, False), (3, True), (4, True)])
def test_tries_are_used_up_at_the_last_one(tries: int, used_up: bool) -> None:  # noqa: FBT001 - a column of a table
    assert policy(tries=3).is_used_up(tries) is used_up


def test_questions_are_ten_an_hour() -> None:
    assert QUESTIONS == 10
    assert timedelta(hours=1) == QUESTION_PERIOD


@pytest.mark.parametrize("asked", range(10))
def test_question_may_be_asked_now_when_fewer_than_ten_were(asked: int) -> None:
    assert next_question([NOW] * asked, NOW) == NOW


@pytest.mark.parametrize("minutes_ago", [0, 1, 59])
def test_question_waits_until_the_tenth_last_is_an_hour_old(minutes_ago: int) -> None:
    tenth = NOW - timedelta(minutes=minutes_ago)
    assert next_question([NOW] * 9 + [tenth], NOW) == tenth + timedelta(hours=1)


def test_question_may_be_asked_now_when_the_tenth_last_is_older_than_an_hour() -> None:
    assert next_question([NOW] * 9 + [NOW - timedelta(hours=1)], NOW) == NOW
    assert next_question([NOW] * 9 + [NOW - timedelta(days=1)], NOW) == NOW


@given(gaps=st.lists(st.floats(0, 5000), min_size=30, max_size=60))
def test_no_hour_holds_more_than_ten_questions_however_eagerly_they_are_asked(gaps: list[float]) -> None:
    asked: list[datetime] = []
    now = NOW
    for gap in gaps:
        now = next_question(asked[:QUESTIONS], now + timedelta(seconds=gap))
        asked.insert(0, now)
    assert all(late - early >= QUESTION_PERIOD for late, early in zip(asked, asked[QUESTIONS:], strict=False))
