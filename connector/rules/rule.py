"""`Rule`: what must hold, by which announcement and since when, and what follows where it does not.

A rule looks at facts and yields flaws; the rule itself says how grave they are and whether it is in force at all. That
depends on a date: of the declaration, of the return, or of the export, as the announcement has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from connector.rules.facts import LINE_FACTS, LIST_FACTS, RuleFacts


class Severity(StrEnum):
    """What follows from a finding."""

    BLOCK = "block"
    """The document is not sent."""
    WARN = "warn"
    """It is sent; somebody has to look into it."""
    INFORM = "inform"
    """It is sent; it is good to know."""


class Outcome(StrEnum):
    """What a rule says of one document."""

    PASS = "pass"  # noqa: S105 - no password
    """It holds."""
    BLOCK = "block"
    """It does not, and the document must not be sent."""
    WARN = "warn"
    """It does not, which somebody has to look into."""
    INFORM = "inform"
    """It does not, which is good to know."""
    NOT_JUDGED = "not_judged"
    """Mapping or configuration do not supply what it needs."""
    NOT_IN_FORCE = "not_in_force"
    """It was not, or is no longer, in force."""


class Basis(StrEnum):
    """The date that decides whether a rule is in force."""

    DECLARATION = "declaration"
    """When the document is declared."""
    RETURN = "return"
    """When the parcel came back."""
    EXPORT = "export"
    """When customs released the export; a rule is in force where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What a rule found."""

    text: str
    """For a clerk: what was found, what is demanded, what to do."""
    field: str = ""
    """``coElNo`` of the head, or ``lines[2].qty``, counted from 1; empty where it is about none."""
    lacks: str = ""
    """What mapping or configuration do not supply, so that the rule could not be judged; empty for a true flaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A flaw with the rule that found it."""

    rule: str
    severity: Severity
    text: str
    field: str = ""
    lacks: str = ""


NO_SITES = Flaw(
    text="connector.toml declares no site: add [sites.CODE] with customs_code, the dates of its 9610 export business "
    "and its areas, so that this can be checked before customs does",
    lacks="sites",
)
"""Where the configuration declares none."""
NO_HANDLING = Flaw(
    text="no mapping reports how parcels are handled: add mappings for WOD101, so that this can be checked",
    lacks="steps",
)
"""Where no mapping makes operation events."""

Look: TypeAlias = Callable[[RuleFacts], Iterator[Flaw]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of customs."""

    id: str
    """``R1`` to ``R10``."""
    title: str
    source: str
    """Where it is written, in short: the announcement, or the message of interface specification 202205."""
    citation: str
    """The same in full."""
    chinese: str
    """What must hold, in Chinese, in our words."""
    english: str
    """The same in English."""
    breaks: str
    """When the rule finds something."""
    remedy: str
    """How to put it right."""
    severity: Severity
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """Where it differs, by message type."""
    applies_to: tuple[str, ...]
    """Message types."""
    basis: Basis = Basis.DECLARATION
    valid_from: datetime | None = None
    """The first instant in force; None: ever."""
    valid_until: datetime | None = None
    """The first instant no longer in force; None: it stays."""
    look: Look

    def severity_for(self, message_type: str) -> Severity:
        """What a flaw of such a document costs."""
        return self.severities.get(message_type, self.severity)

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether it is in force at a moment of its own kind (`basis`)."""
        begun = self.valid_from is None or moment >= self.valid_from
        return begun and (self.valid_until is None or moment < self.valid_until)

    def is_in_force(self, facts: RuleFacts) -> bool:
        """Whether it is in force for a document."""
        moment = _moment(self.basis, facts)
        return moment is None or self.is_valid_at(moment)

    def check(self, facts: RuleFacts) -> Iterator[Finding]:
        """Hold a document against it, whether or not the rule is in force."""
        severity = self.severity_for(facts.type)
        for flaw in self.look(facts):
            yield Finding(
                rule=self.id,
                severity=Severity.WARN if flaw.lacks else severity,
                text=flaw.text,
                field=flaw.field,
                lacks=flaw.lacks,
            )


def unsupplied(facts: RuleFacts, *names: str) -> Iterator[Flaw]:
    """What the mapping of a document does not say about the original export list, of the facts named."""
    for name in names:
        if name not in facts.given:
            what = LIST_FACTS.get(name) or LINE_FACTS[name]
            table = "original" if name in LIST_FACTS else "original_lines"
            yield Flaw(
                text=f'the mapping of {facts.type} does not tell {what}: add a line {name} = {{ field = "…" }} to its '
                f"[{table}], so that this can be checked before customs does",
                lacks=name,
            )


def _moment(basis: Basis, facts: RuleFacts) -> datetime | None:
    if basis is Basis.RETURN:
        return facts.returned_at
    if basis is Basis.EXPORT:
        return facts.original.released_at if facts.original else None
    return facts.declared_at
