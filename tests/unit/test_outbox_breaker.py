"""The circuit breaker of one endpoint: every transition, and what must hold whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outbox.breaker import MOST_PATIENCE, Breaker, BreakerPolicy

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
POLICY = BreakerPolicy()
OPEN_FOR = POLICY.open_for
MOMENT = timedelta(microseconds=1)
CALL = timedelta(seconds=30)


def failed(
    breaker: Breaker, times: int = 1, *, now: datetime = NOW, retry_after: timedelta | None = None, info: str = "down"
) -> Breaker:
    for _ in range(times):
        breaker = breaker.failed(info, breaker.probe_until, now=now, policy=POLICY, retry_after=retry_after)
    return breaker


def answered(breaker: Breaker) -> Breaker:
    """The call that began last is answered."""
    return breaker.succeeded(POLICY, breaker.probe_until)


OPEN = failed(Breaker(), POLICY.failures)


def test_policy_is_five_failures_a_minute_and_three_probes_unless_told_otherwise() -> None:
    assert BreakerPolicy() == BreakerPolicy(failures=5, open_for=timedelta(seconds=60), probes=3)


def test_breaker_lets_everything_pass_as_long_as_nothing_failed() -> None:
    assert Breaker().state(NOW) == "closed"
    assert Breaker().lets_pass(NOW)
    assert Breaker().called(NOW + CALL) == Breaker()
    assert answered(Breaker()) == Breaker()


@pytest.mark.parametrize("failures", range(1, 5))
def test_breaker_stays_closed_before_the_last_failure_that_opens_it(failures: int) -> None:
    breaker = failed(Breaker(), failures)
    assert (breaker.state(NOW), breaker.failures, breaker.info) == ("closed", failures, "down")
    assert breaker.lets_pass(NOW)
    assert breaker.called(NOW + CALL).lets_pass(NOW)


def test_breaker_opens_for_its_time_at_the_fifth_failure_in_a_row() -> None:
    assert (OPEN.state(NOW), OPEN.failures) == ("open", 5)
    assert OPEN.open_until == NOW + timedelta(seconds=60)
    assert not OPEN.lets_pass(NOW + OPEN_FOR - MOMENT)


def test_breaker_forgets_its_failures_when_a_call_succeeds_between_them() -> None:
    assert answered(failed(Breaker(), 4)) == Breaker()
    assert failed(answered(failed(Breaker(), 4)), 4).state(NOW) == "closed"


def test_breaker_lets_one_probe_at_a_time_pass_when_its_time_is_over() -> None:
    later = NOW + OPEN_FOR
    assert OPEN.state(later) == "half open"
    assert OPEN.lets_pass(later)
    probing = OPEN.called(later + CALL)
    assert not probing.lets_pass(later)
    assert not probing.lets_pass(later + CALL - MOMENT)


def test_breaker_lets_another_probe_pass_when_the_first_never_came_back() -> None:
    later = NOW + OPEN_FOR
    assert OPEN.called(later + CALL).lets_pass(later + CALL)


def test_breaker_opens_again_when_a_probe_fails_after_others_succeeded() -> None:
    later = NOW + OPEN_FOR
    probed = answered(answered(OPEN.called(later + CALL)).called(later + CALL)).called(later + CALL)
    again = failed(probed, now=later)
    assert (again.state(later), again.open_until, again.probes) == ("open", later + OPEN_FOR, 0)
    assert not again.lets_pass(later + OPEN_FOR - MOMENT)
    assert again.lets_pass(later + OPEN_FOR)


def test_breaker_closes_at_the_third_probe_in_a_row_that_succeeds() -> None:
    later = NOW + OPEN_FOR
    breaker = OPEN
    for probes in (1, 2):
        breaker = answered(breaker.called(later + CALL))
        assert (breaker.state(later), breaker.probes) == ("half open", probes)
        assert breaker.lets_pass(later)
    assert answered(breaker.called(later + CALL)) == Breaker()


def test_breaker_is_not_moved_by_a_call_that_began_before_it_opened() -> None:
    later = NOW + OPEN_FOR
    for breaker in (OPEN, OPEN.called(later + CALL)):
        assert breaker.succeeded(POLICY, None) == breaker
    probing = OPEN.called(later + CALL)
    assert probing.failed("late", None, now=later, policy=POLICY).probe_until == probing.probe_until
    assert probing.withdrawn(None) == probing
    assert probing.withdrawn(probing.probe_until).lets_pass(later)


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_breaker_opens_at_once_when_customs_names_a_time(failures: int) -> None:
    breaker = failed(failed(Breaker(), failures), retry_after=timedelta(seconds=300))
    assert breaker.open_until == NOW + timedelta(seconds=300)
    assert not breaker.lets_pass(NOW + timedelta(seconds=300) - MOMENT)
    assert breaker.lets_pass(NOW + timedelta(seconds=300))


@pytest.mark.parametrize("named", [timedelta(hours=1, seconds=1), timedelta(days=10_000), timedelta.max])
def test_breaker_is_no_more_patient_than_an_hour_whatever_customs_names(named: timedelta) -> None:
    assert failed(Breaker(), retry_after=named).open_until == NOW + MOST_PATIENCE == NOW + timedelta(hours=1)


@pytest.mark.parametrize("named", [timedelta(), timedelta(seconds=1)])
def test_breaker_stays_open_for_its_own_time_when_customs_names_a_shorter_one(named: timedelta) -> None:
    """A date of a clock behind ours is a time that has passed: it must not have us call without a pause."""
    assert failed(Breaker(), POLICY.failures, retry_after=named).open_until == NOW + OPEN_FOR
    assert failed(OPEN, now=NOW + OPEN_FOR, retry_after=named).open_until == NOW + 2 * OPEN_FOR


def test_breaker_keeps_the_time_that_customs_named_when_a_call_begun_before_fails_without_one() -> None:
    told = failed(Breaker(), 4, retry_after=timedelta(hours=1))
    assert failed(told, now=NOW + timedelta(seconds=5)).open_until == NOW + timedelta(hours=1)


events = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 90)),
        st.tuples(st.just("succeed"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("turn away"), st.integers(0, 7200)),
    ),
    max_size=60,
)


@given(events=events)
def test_breaker_never_lets_a_call_pass_before_its_time_nor_two_probes_at_once(events: list[tuple[str, int]]) -> None:
    breaker, now, under_way = Breaker(), NOW, 0
    for what, seconds in events:
        if what == "call":
            now += timedelta(seconds=seconds)
            if breaker.lets_pass(now):
                assert breaker.state(now) != "open"
                assert breaker.state(now) == "closed" or not under_way
                under_way += 1
                breaker = breaker.called(now + timedelta(days=1))
        elif under_way:
            # Calls that were under way when it opened are told of as well; here they all end before the first probe.
            under_way -= 1
            was_open = breaker.open_until is not None
            if what == "succeed":
                breaker = answered(breaker)
            else:
                named = timedelta(seconds=seconds) if what == "turn away" else None
                breaker = failed(breaker, now=now, retry_after=named)
                assert (breaker.open_until is not None) == (was_open or named is not None or breaker.failures >= 5)
                under_way = 0 if breaker.open_until else under_way
        assert (breaker.open_until is None) <= (breaker.failures < POLICY.failures)
        assert breaker.probes < POLICY.probes
