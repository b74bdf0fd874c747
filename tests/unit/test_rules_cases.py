"""Every rule against hundreds of cases: those that break it and no other, and sound ones."""

from __future__ import annotations

from random import Random

import pytest

from connector.rules.book import RULES, judge
from connector.rules.rule import Outcome, Rule, Severity
from tests.unit.rule_facts import BREAKS, any_times, since_everywhere, sound

_CASES = 240
"""Of each kind, for each rule."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_broken_rule_is_the_only_one_that_fires(rule: Rule) -> None:
    ways = BREAKS[rule.id]
    for number in range(_CASES):
        facts = ways[number % len(ways)](Random(f"{rule.id} {number}"))
        judgement = judge(facts)
        severity = rule.severity_for(facts.type)
        assert {(found.rule, found.severity, found.lacks) for found in judgement.findings} == {(rule.id, severity, "")}
        assert judgement.outcomes[rule.id] == severity.value
        assert judgement.blocks is (severity is Severity.BLOCK)
        others = {outcome for name, outcome in judgement.outcomes.items() if name != rule.id}
        assert others <= {Outcome.PASS, Outcome.NOT_IN_FORCE}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_sound_document_passes_every_rule(rule: Rule) -> None:
    for number in range(_CASES):
        random = Random(f"sound {rule.id} {number}")
        facts = sound(random, rule.applies_to[number % len(rule.applies_to)], since_everywhere(random))
        judgement = judge(facts)
        assert judgement.findings == ()
        assert judgement.outcomes[rule.id] is Outcome.PASS
        assert set(judgement.outcomes.values()) == {Outcome.PASS}


@pytest.mark.parametrize("type_", ["CEB213", "CEB215", "WOD101"])
def test_a_sound_document_has_no_findings_at_any_time(type_: str) -> None:
    for number in range(_CASES):
        random = Random(f"{type_} {number}")
        judgement = judge(sound(random, type_, any_times(random)))
        assert judgement.findings == ()
        assert judgement.outcomes.keys() == {rule.id for rule in RULES if type_ in rule.applies_to}
