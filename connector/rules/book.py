"""`RULES`, all of them in order, and `judge`, which holds a document against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.errors import UsageError
from connector.rules.facts import RuleFacts
from connector.rules.goods import R5, R7
from connector.rules.monitoring import R10
from connector.rules.original import R1, R6
from connector.rules.rule import Finding, Outcome, Rule, Severity
from connector.rules.site import R2, R3, R8
from connector.rules.time_limits import R4, R9

RULES: tuple[Rule, ...] = (R1, R2, R3, R4, R5, R6, R7, R8, R9, R10)
_GRAVEST_FIRST = (Outcome.BLOCK, Outcome.NOT_JUDGED, Outcome.WARN, Outcome.INFORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What all rules say of one document."""

    findings: tuple[Finding, ...]
    """In the order of the rules."""
    outcomes: Mapping[str, Outcome]
    """By the id of the rule, for those that apply to documents of its type."""

    @property
    def blocks(self) -> bool:
        """Whether the document must not be sent."""
        return any(finding.severity is Severity.BLOCK for finding in self.findings)


def judge(facts: RuleFacts) -> Judgement:
    """Hold a document against every rule that applies to its type, each as of the date that it goes by."""
    findings: list[Finding] = []
    outcomes: dict[str, Outcome] = {}
    for rule in RULES:
        if facts.type not in rule.applies_to:
            continue
        if not rule.is_in_force(facts):
            outcomes[rule.id] = Outcome.NOT_IN_FORCE
            continue
        found = list(rule.check(facts))
        findings += found
        outcomes[rule.id] = _outcome(found)
    return Judgement(findings=tuple(findings), outcomes=outcomes)


def rule_named(name: str) -> Rule:
    """The rule of an id, in whatever case it is written. Raises `UsageError` naming those there are."""
    for rule in RULES:
        if rule.id == name.upper():
            return rule
    raise UsageError(f"there is no rule {name}", remedy=f"choose one of {', '.join(rule.id for rule in RULES)}")


def _outcome(found: Sequence[Finding]) -> Outcome:
    """The gravest thing that was found; that something is left to judge outweighs a warning."""
    said = {Outcome.NOT_JUDGED if one.lacks else Outcome(one.severity.value) for one in found}
    return next((outcome for outcome in _GRAVEST_FIRST if outcome in said), Outcome.PASS)
