"""What a rule says that cannot be judged, what clerks are told, and what the book promises."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from connector.errors import UsageError
from connector.messages.catalogue import MESSAGE_TYPES
from connector.rules.book import RULES, judge, rule_named
from connector.rules.facts import Original, Step
from connector.rules.rule import Outcome, Severity
from tests.unit.rule_facts import (
    ALL_GIVEN,
    BREAKS,
    since_everywhere,
    sound,
    with_head,
    with_line,
    with_original,
    with_original_line,
)

EVERYTHING = sound(Random(7), when=since_everywhere(Random(7)))


@pytest.mark.parametrize(
    ("fact", "rules"),
    [
        ("trade_mode", {"R1"}),
        ("ebp_code", {"R6"}),
        ("ebc_code", {"R6"}),
        ("released_at", {"R4", "R9"}),
        ("gcode", {"R5"}),
        ("gname", {"R5"}),
        ("gmodel", {"R5"}),
        ("unit", {"R5"}),
        ("qty", {"R5"}),
        ("qty1", {"R5"}),
        ("unit1", set()),
        ("unit2", set()),
    ],
)
def test_a_rule_is_not_judged_where_the_mapping_has_no_such_fact(fact: str, rules: set[str]) -> None:
    judgement = judge(with_original(EVERYTHING, given=ALL_GIVEN - {fact}))
    assert {(one.rule, one.severity, one.lacks) for one in judgement.findings} == {
        (rule, Severity.WARN, fact) for rule in rules
    }
    assert {name for name, outcome in judgement.outcomes.items() if outcome is Outcome.NOT_JUDGED} == rules
    assert not judgement.blocks
    for finding in judgement.findings:
        assert f"{fact} = " in finding.text
        assert "CEB213" in finding.text


def test_a_second_quantity_is_asked_for_only_where_one_is_declared() -> None:
    facts = with_original(EVERYTHING, given=ALL_GIVEN - {"qty2"})
    told = tuple({**line, "qty2": "1"} for line in facts.lines)
    assert judge(replace(facts, lines=told)).outcomes["R5"] is Outcome.NOT_JUDGED
    untold = tuple({name: text for name, text in line.items() if name not in {"qty2", "unit2"}} for line in facts.lines)
    for line in range(len(facts.lines)):
        facts = with_original_line(facts, line, unit2=None)
    assert judge(replace(facts, lines=untold)).outcomes["R5"] is Outcome.PASS


@pytest.mark.parametrize("original", [None, Original()])
def test_nothing_about_the_original_leaves_its_rules_not_judged(original: Original | None) -> None:
    judgement = judge(replace(EVERYTHING, original=original))
    assert {name for name, outcome in judgement.outcomes.items() if outcome is Outcome.NOT_JUDGED} == {
        "R1",
        "R4",
        "R5",
        "R6",
        "R9",
    }
    assert not judgement.blocks


def test_an_unknown_export_list_breaks_every_rule_about_it() -> None:
    judgement = judge(replace(EVERYTHING, original=Original(given=ALL_GIVEN)))
    blocked = {name for name, outcome in judgement.outcomes.items() if outcome is Outcome.BLOCK}
    assert blocked == {"R1", "R4", "R5", "R6"}
    assert judgement.outcomes["R9"] is Outcome.INFORM


def test_a_true_flaw_outweighs_what_could_not_be_judged() -> None:
    judgement = judge(with_line(with_original(EVERYTHING, given=ALL_GIVEN - {"gname"}), 0, gcode="0"))
    assert judgement.outcomes["R5"] is Outcome.BLOCK
    assert {found.lacks for found in judgement.findings} == {"", "gname"}


@pytest.mark.parametrize("type_", ["CEB213", "CEB215", "WOD101"])
def test_rules_of_the_site_are_not_judged_where_none_is_declared(type_: str) -> None:
    facts = replace(sound(Random(1), type_, since_everywhere(Random(1))), sites=None)
    judgement = judge(facts)
    assert judgement.outcomes["R8"] is Outcome.NOT_JUDGED
    assert judgement.outcomes.get("R2", Outcome.NOT_JUDGED) is Outcome.NOT_JUDGED
    assert all("[sites.CODE]" in found.text for found in judgement.findings)
    assert not judgement.blocks


def test_handling_is_not_judged_where_no_mapping_reports_it() -> None:
    outcomes = judge(replace(EVERYTHING, steps=None)).outcomes
    assert (outcomes["R8"], outcomes["R10"]) == (Outcome.NOT_JUDGED, Outcome.NOT_JUDGED)
    assert judge(replace(EVERYTHING, steps=())).outcomes["R8"] is Outcome.PASS


def test_an_event_of_a_site_that_is_not_declared_is_reported_with_a_warning() -> None:
    facts = replace(sound(Random(1), "WOD101", since_everywhere(Random(1))), sites=())
    judgement = judge(facts)
    assert (judgement.outcomes["R8"], judgement.blocks) == (Outcome.WARN, False)


def test_what_a_parcel_went_on_without_is_told_apart_from_what_is_yet_to_come() -> None:
    kept = {"arriving", "storing"}
    facts = replace(EVERYTHING, steps=tuple(step for step in EVERYTHING.steps or () if step.step in kept))
    (found,) = judge(facts).findings
    assert "unpacking, inspection, dispatch; the parcel went on without unpacking and inspection" in found.text


def test_a_tally_detail_without_an_export_list_is_sent() -> None:
    facts = sound(Random(1), "CEB215")
    assert judge(with_head(facts, invtNo="")).findings == ()


def test_a_type_without_rules_has_no_outcomes() -> None:
    judgement = judge(replace(EVERYTHING, type="WOD201"))
    assert (judgement.outcomes, judgement.findings, judgement.blocks) == ({}, (), False)


def test_texts_say_what_was_found_what_is_demanded_and_what_to_do() -> None:
    for rule, ways in BREAKS.items():
        for number, way in enumerate(ways * 8):
            facts = way(Random(f"text {rule} {number}"))
            for found in judge(facts).findings:
                assert re.fullmatch(r".+[;,].+: .+|.+; .+", found.text), found.text
                assert "None" not in found.text
                fields = {one.name for one in MESSAGE_TYPES[facts.type].head_fields}
                lines = {one.name for one in MESSAGE_TYPES[facts.type].line_fields}
                line = re.fullmatch(r"lines\[[1-9][0-9]*\]\.(.+)", found.field)
                assert found.field in {"", *fields} or (line and line[1] in lines), found.field


def test_an_event_tells_where_its_step_happened() -> None:
    head = {"step": "storing", "eventTime": "20260401003000", "eventId": "E1", "siteCode": "S1"}
    ends = {"fromLocation": "A", "fromArea": "unpacking", "toLocation": "B", "toArea": "storage"}
    told_at = datetime(2026, 5, 1, tzinfo=UTC)
    assert Step.of_event(head | ends, told_at=told_at) == Step(
        step="storing",
        time=datetime(2026, 3, 31, 16, 30, tzinfo=UTC),
        area="storage",
        event_id="E1",
        location="B",
        site="S1",
    )
    shipped = Step.of_event(head | ends | {"step": "shipping", "eventTime": "soon"}, told_at=told_at)
    assert (shipped.area, shipped.time) == ("unpacking", told_at)
    assert Step.of_event(head | {"fromLocation": "A"}, told_at=told_at).location == "A"


def test_the_book_has_ten_rules_in_order_each_with_its_words() -> None:
    assert [rule.id for rule in RULES] == [f"R{number}" for number in range(1, 11)]
    for rule in RULES:
        assert set(rule.applies_to) <= MESSAGE_TYPES.keys()
        assert all((rule.title, rule.citation, rule.chinese, rule.english, rule.breaks, rule.remedy))
        assert re.search("[一-鿿]", rule.chinese)
    severities = {rule.id: rule.severity for rule in RULES}
    assert {severities.pop("R9"), severities.pop("R10")} == {Severity.INFORM, Severity.WARN}
    assert set(severities.values()) == {Severity.BLOCK}


def test_a_rule_is_found_by_its_id_and_an_unknown_one_names_those_there_are() -> None:
    assert rule_named("r5").id == "R5"
    with pytest.raises(UsageError, match="R11") as raised:
        rule_named("R11")
    assert "R10" in raised.value.remedy
