"""Both sides of every boundary: the last second, the last unit, the first instant in Beijing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from connector.messages.amounts import Amounts
from connector.messages.catalogue import BEIJING
from connector.rules.book import judge
from connector.rules.facts import RuleFacts
from connector.rules.rule import Outcome
from connector.rules.time_limits import months_after
from tests.unit.rule_facts import (
    DUTY_FREE_FROM,
    DUTY_FREE_UNTIL,
    EVERYWHERE_DAY,
    OTHERS,
    PILOT_DAY,
    PILOTS,
    SECOND,
    SMALLEST,
    Times,
    across,
    event,
    original_line,
    since_everywhere,
    sound,
    with_head,
    with_line,
    with_original,
    with_original_line,
    with_site,
)

TICK = timedelta(microseconds=1)
RANDOM_CASES = 20


def beijing(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BEIJING)  # type: ignore[arg-type, misc]


def outcome(rule: str, facts: RuleFacts) -> Outcome:
    return judge(facts).outcomes[rule]


def returned(released: datetime, back: datetime) -> RuleFacts:
    """Sound but for the time between release and return."""
    when = Times(released=released, returned=back, declared=back + timedelta(days=1))
    return sound(Random(f"{released}"), when=when)


@pytest.mark.parametrize(
    ("released", "last"),
    [
        (beijing(2024, 5, 10, 8, 30, 15), beijing(2025, 5, 10, 8, 30, 15)),
        (beijing(2024, 2, 29, 10), beijing(2025, 2, 28, 10)),
        (beijing(2023, 2, 28, 10), beijing(2024, 2, 28, 10)),
        (beijing(2023, 3, 1, 0), beijing(2024, 3, 1, 0)),
        (beijing(2024, 12, 31, 23, 59, 59), beijing(2025, 12, 31, 23, 59, 59)),
        (datetime(2024, 2, 28, 17, tzinfo=UTC), datetime(2025, 2, 27, 17, tzinfo=UTC)),  # the 29th in Beijing
    ],
)
def test_a_return_is_in_time_until_the_same_second_a_year_later(released: datetime, last: datetime) -> None:
    assert outcome("R4", returned(released, last)) is Outcome.PASS
    assert outcome("R4", returned(released, last + SECOND)) is Outcome.BLOCK


def test_a_return_at_the_second_of_the_release_passes_and_one_before_it_is_blocked() -> None:
    released = beijing(2025, 5, 10, 8, 30, 15)
    assert outcome("R4", returned(released, released)) is Outcome.PASS
    assert outcome("R4", returned(released, released - SECOND)) is Outcome.BLOCK


def test_one_year_is_in_force_for_returns_from_27_march_2020() -> None:
    released, day = beijing(2019, 1, 1), beijing(2020, 3, 27)
    assert outcome("R4", returned(released, day - SECOND)) is Outcome.NOT_IN_FORCE
    assert outcome("R4", returned(released, day)) is Outcome.BLOCK


@pytest.mark.parametrize(
    ("released", "last"),
    [
        (beijing(2026, 2, 10, 8, 30, 15), beijing(2026, 8, 10, 8, 30, 15)),
        (beijing(2026, 8, 31, 7), beijing(2027, 2, 28, 7)),
        (beijing(2027, 8, 30, 7), beijing(2028, 2, 29, 7)),
        (beijing(2026, 10, 31, 0), beijing(2027, 4, 30, 0)),
    ],
)
def test_a_return_is_duty_free_until_the_same_second_six_months_later(released: datetime, last: datetime) -> None:
    assert outcome("R9", returned(released, last)) is Outcome.PASS
    late = judge(returned(released, last + SECOND))
    assert late.outcomes["R9"] is Outcome.INFORM
    assert not late.blocks


@pytest.mark.parametrize(
    ("released", "is_in_force"),
    [
        (DUTY_FREE_FROM - TICK, False),
        (DUTY_FREE_FROM, True),
        (DUTY_FREE_UNTIL - TICK, True),
        (DUTY_FREE_UNTIL, False),
    ],
)
def test_the_duty_free_window_is_in_force_for_exports_of_two_years(released: datetime, is_in_force: bool) -> None:  # noqa: FBT001
    late = returned(released, months_after(released, 6) + SECOND)
    assert outcome("R9", late) is (Outcome.INFORM if is_in_force else Outcome.NOT_IN_FORCE)


@pytest.mark.parametrize("name", ["qty", "qty1", "qty2"])
def test_the_last_unit_may_return_and_the_smallest_amount_more_may_not(name: str) -> None:
    for number in range(RANDOM_CASES):
        facts = with_original_line(sound(Random(number)), 0, unit2="007", qty2=Decimal(40))
        facts = with_line(replace(facts, lines=facts.lines[:1]), 0, qty2="4", unit2="007")
        gnum, original = original_line(facts, 0)
        left: Decimal = getattr(original, name) - Decimal(facts.lines[0][name])
        last_unit = replace(facts, taken={gnum: Amounts(**{name: left})})
        assert outcome("R5", last_unit) is Outcome.PASS
        by_others = replace(facts, taken={gnum: Amounts(**{name: left + SMALLEST})})
        assert outcome("R5", by_others) is Outcome.BLOCK
        more = str(Decimal(facts.lines[0][name]) + SMALLEST)
        (found,) = judge(with_line(last_unit, 0, **{name: more})).findings
        assert (found.rule, found.field) == ("R5", f"lines[1].{name}")


def test_lines_of_the_same_original_line_add_up() -> None:
    facts = with_original_line(sound(Random(1)), 0, qty=Decimal(10), qty1=Decimal(10), qty2=None, unit2=None)
    line = {name: text for name, text in facts.lines[0].items() if name not in {"qty2", "unit2"}}
    gnum = int(line["gnum"])
    lines = tuple({**line, "qty": qty, "qty1": "1"} for qty in ("3.33333", "3.33333", "3.33334"))
    facts = replace(facts, lines=lines, taken={})
    assert outcome("R5", facts) is Outcome.PASS
    assert outcome("R5", with_line(facts, 1, qty="3.33334")) is Outcome.BLOCK
    assert outcome("R5", replace(facts, taken={gnum: Amounts(qty=SMALLEST)})) is Outcome.BLOCK
    assert outcome("R5", replace(facts, taken={gnum + 1: Amounts(qty=Decimal(99))})) is Outcome.PASS


def test_quantities_of_nineteen_digits_are_exact() -> None:
    most = Decimal("99999999999999.99999")
    facts = with_original_line(sound(Random(1)), 0, qty=most * 2)
    facts = replace(facts, lines=facts.lines[:1], taken={int(facts.lines[0]["gnum"]): Amounts(qty=most)})
    assert outcome("R5", with_line(facts, 0, qty=str(most))) is Outcome.PASS
    assert outcome("R5", with_line(facts, 0, qty=str(most + SMALLEST))) is Outcome.BLOCK


def declared(exported: str, back: str, at: datetime) -> RuleFacts:
    """A return from one customs area to another, declared at a moment."""
    when = Times(released=at - timedelta(days=60), returned=at - timedelta(days=3), declared=at)
    return across(Random(f"{exported}{back}{at}"), exported, back, when)


@pytest.mark.parametrize(
    ("at", "among_pilots", "to_no_pilot", "from_no_pilot"),
    [
        (PILOT_DAY - TICK, Outcome.BLOCK, Outcome.BLOCK, Outcome.BLOCK),
        (PILOT_DAY, Outcome.PASS, Outcome.BLOCK, Outcome.BLOCK),
        (EVERYWHERE_DAY - TICK, Outcome.PASS, Outcome.BLOCK, Outcome.BLOCK),
        (EVERYWHERE_DAY, Outcome.PASS, Outcome.PASS, Outcome.PASS),
    ],
)
def test_areas_may_be_crossed_from_the_first_instant_of_the_day_in_beijing(
    at: datetime, among_pilots: Outcome, to_no_pilot: Outcome, from_no_pilot: Outcome
) -> None:
    assert outcome("R3", declared(PILOTS[0], PILOTS[1], at)) is among_pilots
    assert outcome("R3", declared(PILOTS[0], OTHERS[0], at)) is to_no_pilot
    assert outcome("R3", declared(OTHERS[0], PILOTS[0], at)) is from_no_pilot
    assert outcome("R3", declared(OTHERS[0], OTHERS[0], at)) is Outcome.PASS


def test_every_pair_of_areas_is_allowed_as_the_three_phases_say() -> None:
    areas = (*PILOTS, *OTHERS)
    assert (len(PILOTS), len(OTHERS)) == (20, 22)
    for exported in areas:
        for back in areas:
            same, pilots = exported == back, exported in PILOTS and back in PILOTS
            facts = declared(exported, back, EVERYWHERE_DAY)
            for at, allowed in (
                (PILOT_DAY - TICK, same),
                (PILOT_DAY, same or pilots),
                (EVERYWHERE_DAY - TICK, same or pilots),
                (EVERYWHERE_DAY, True),
            ):
                assert (outcome("R3", replace(facts, declared_at=at.astimezone(UTC))) is Outcome.PASS) is allowed


def misplaced(type_: str, at: datetime) -> RuleFacts:
    """One step outside every area, declared at this very moment."""
    facts = sound(Random(type_), type_, Times(released=at - timedelta(days=9), returned=at, declared=at))
    assert facts.steps
    step = replace(facts.steps[0], time=at.astimezone(UTC), area="")
    head = event(step, facts.head["customsCode"]) if type_ == "WOD101" else facts.head
    return replace(facts, head=head, steps=(step, *facts.steps[1:]))


@pytest.mark.parametrize(
    ("type_", "outcome_since"),
    [("CEB213", Outcome.BLOCK), ("CEB215", Outcome.BLOCK), ("WOD101", Outcome.WARN)],
)
def test_areas_of_their_own_are_demanded_from_1_april_2026_in_beijing(type_: str, outcome_since: Outcome) -> None:
    assert outcome("R8", misplaced(type_, EVERYWHERE_DAY - SECOND)) is Outcome.NOT_IN_FORCE
    assert outcome("R8", misplaced(type_, EVERYWHERE_DAY)) is outcome_since
    assert judge(misplaced(type_, EVERYWHERE_DAY)).blocks is (outcome_since is Outcome.BLOCK)


@pytest.mark.parametrize("type_", ["CEB213", "CEB215", "WOD101"])
def test_a_step_before_areas_were_demanded_is_no_fault_of_a_later_declaration(type_: str) -> None:
    late = timedelta(days=3)
    before = replace(misplaced(type_, EVERYWHERE_DAY - SECOND), declared_at=(EVERYWHERE_DAY + late).astimezone(UTC))
    since = replace(misplaced(type_, EVERYWHERE_DAY), declared_at=(EVERYWHERE_DAY + late).astimezone(UTC))
    assert outcome("R8", before) is Outcome.PASS
    assert outcome("R8", since) is not Outcome.PASS


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        (beijing(2026, 5, 1) - TICK, Outcome.BLOCK),
        (beijing(2026, 5, 1), Outcome.PASS),
        (beijing(2026, 6, 30, 23, 59, 59), Outcome.PASS),
        (beijing(2026, 7, 1), Outcome.BLOCK),
    ],
)
def test_a_site_receives_from_its_first_day_to_its_last_in_beijing(back: datetime, expected: Outcome) -> None:
    facts = returned(beijing(2026, 4, 20), back)
    facts = with_site(facts, exports_9610_from=date(2026, 5, 1), exports_9610_until=date(2026, 6, 30))
    assert outcome("R2", facts) is expected


def test_each_site_of_an_office_counts_until_the_right_one_is_told() -> None:
    facts = sound(Random(1), "CEB215", since_everywhere(Random(1)))
    assert facts.sites
    right = facts.sites[0]
    wrong = replace(right, code="CLOSED", exports_9610_from=None)
    facts = replace(facts, sites=(wrong, right))
    assert outcome("R2", facts) is Outcome.PASS  # the parcel was handled in the right one
    assert outcome("R2", replace(facts, steps=())) is Outcome.BLOCK
    assert outcome("R2", replace(with_head(facts, loctNo=right.code), steps=())) is Outcome.PASS
    assert outcome("R2", replace(with_head(facts, loctNo="CLOSED"), steps=())) is Outcome.BLOCK


def test_a_release_that_is_not_on_record_blocks_and_tells_of_duties() -> None:
    judgement = judge(with_original(sound(Random(1)), released_at=None))
    assert [(found.rule, found.severity.value) for found in judgement.findings] == [("R4", "block"), ("R9", "inform")]
