"""When a message is tried again."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outbox.retry import RetryPolicy

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
