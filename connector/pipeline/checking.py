"""Rules: what is about to go out is held against the rules of customs first, by facts that are read here.

A `Bench` lasts for one way through the records that wait. Documents that are not committed yet, because their message
is not full, count as if they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connector.mapping.outcomes import Mapped
from connector.messages.amounts import Amounts
from connector.messages.catalogue import message_type
from connector.messages.documents import AppType, Document
from connector.outbox import documents, quantities
from connector.rules.book import Judgement, judge
from connector.rules.facts import Original, OriginalLine, RuleFacts, Site, Step
from connector.rules.goods import R5
from connector.rules.offices import Offices
from connector.rules.rule import Outcome

EVENT = "WOD101"
"""The type whose documents tell what was done with a parcel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBook:
    """What the rules know of us, whatever the document."""

    offices: Offices
    sites: tuple[Site, ...] | None = None
    """Our supervised sites; None where the configuration names none."""
    has_events: bool = False
    """Whether a mapping reports what is done with parcels."""


_NOT_ASKED = Judgement(findings=(), outcomes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A document that is about to go out."""

    document: Document
    mapped: Mapped
    facts: frozenset[str]
    """What its mapping tells of the original at all."""
    returned_at: datetime
    is_released: bool = False
    """Whether an operator lets it out whatever the rules say."""


class Bench:
    """Judges the candidates of one way through the records."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._taken: dict[str, dict[str, Mapping[int, Amounts]]] = defaultdict(dict)
        """By export list and business key, of documents that went by here."""
        self._steps: dict[str, list[Step]] = defaultdict(list)
        """By waybill, likewise."""

    def judge(self, connection: Connection, candidates: Sequence[Candidate]) -> list[Judgement]:
        """What the rules say of documents of one type, in their order; those that go out count for the next."""
        if not candidates:
            return []
        kind = message_type(candidates[0].document.type)
        lists = [one.mapped.export_list for one in candidates if kind.takes and one.mapped.export_list]
        taken = quantities.taken(connection, kind.name, lists)
        steps = self._steps_of(connection, {one.mapped.waybill for one in candidates if one.mapped.waybill})
        judgements: list[Judgement] = []
        for one in candidates:
            if one.document.app_type is AppType.DELETE:
                judgements.append(_NOT_ASKED)  # it takes back what was declared, perhaps because a rule forbids it
                continue
            judgement = judge(self._facts(one, taken.get(one.mapped.export_list, {}), steps))
            judgements.append(judgement)
            if one.is_released or not judgement.blocks:
                self._note(one)
        return judgements

    def _note(self, candidate: Candidate) -> None:
        """Have a document that goes out count for those that follow."""
        document, mapped = candidate.document, candidate.mapped
        if message_type(document.type).takes and document.app_type is not AppType.DELETE:
            self._taken[mapped.export_list][document.business_key] = _amounts(document)
        if document.type == EVENT and mapped.waybill:
            self._steps[mapped.waybill].append(Step.of_event(document.content.head, told_at=document.app_time))

    def _facts(
        self, one: Candidate, taken: Mapping[str, Mapping[int, Amounts]], steps: Mapping[str, Sequence[Step]]
    ) -> RuleFacts:
        document, mapped = one.document, one.mapped
        of_others = {**taken, **self._taken[mapped.export_list]} if mapped.export_list else dict(taken)
        of_others.pop(document.business_key, None)
        total: dict[int, Amounts] = defaultdict(Amounts)
        for lines in of_others.values():
            for gnum, amounts in lines.items():
                total[gnum] += amounts
        known = [*steps.get(mapped.waybill, ()), *self._steps.get(mapped.waybill, ())] if mapped.waybill else []
        return RuleFacts(
            type=document.type,
            head=document.content.head,
            lines=document.content.lines,
            declared_at=document.app_time,
            returned_at=one.returned_at,
            original=_original(one) if one.facts else None,
            taken=total,
            steps=tuple(sorted(known, key=lambda step: step.time)) if self._book.has_events else None,
            sites=self._book.sites,
            offices=self._book.offices,
        )

    def _steps_of(self, connection: Connection, waybills: set[str]) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = defaultdict(list)
        if self._book.has_events:
            for waybill, told in documents.standing_events(connection, EVENT, sorted(waybills)):
                found[waybill].append(Step.of_event(told.content.head, told_at=told.app_time))
        return found


def is_exceeded(connection: Connection, judged: Sequence[tuple[Candidate, Judgement]]) -> bool:
    """Whether returns, all of them stored by now, take more of a line than was exported although R5 let them pass.

    For the moment of the commit: what others committed since the rules were asked must not take the same goods twice.
    What R5 forbids and goes out all the same is no reason: the rules would say the same of the others once more.
    """
    by_type: dict[str, list[Candidate]] = defaultdict(list)
    aside: set[str] = set()
    for one, judgement in judged:
        if judgement.outcomes.get(R5.id) is Outcome.BLOCK:
            aside.add(one.document.business_key)
        elif R5.id in judgement.outcomes and one.mapped.export_list:
            by_type[one.document.type].append(one)
    for name, some in by_type.items():
        taken = quantities.taken(connection, name, [one.mapped.export_list for one in some])
        for one in some:
            total: dict[int, Amounts] = defaultdict(Amounts)
            for key, lines in taken.get(one.mapped.export_list, {}).items():
                for gnum, amounts in lines.items() if key not in aside else ():
                    total[gnum] += amounts
            originals = _original(one).lines
            if any(_exceeds(total[gnum], originals[gnum]) for gnum in _amounts(one.document) if gnum in originals):
                return True
    return False


def _exceeds(total: Amounts, original: OriginalLine) -> bool:
    return any(
        exported is not None and returned > exported
        for returned, exported in (
            (total.qty, original.qty),
            (total.qty1, original.qty1),
            (total.qty2, original.qty2),
        )
    )


def _amounts(document: Document) -> dict[int, Amounts]:
    found: dict[int, Amounts] = defaultdict(Amounts)
    for line in document.content.lines:
        found[int(line["gnum"])] += Amounts.of(line)
    return found


def _original(one: Candidate) -> Original:
    """What the mapping tells; its values have the types of the facts they are named after."""
    told, lines = one.mapped.original, one.document.content.lines
    numbered = zip((line.get("gnum", "") for line in lines), told.lines, strict=False)
    return Original(
        **dict(told.head),  # type: ignore[arg-type]
        lines={int(gnum): OriginalLine(**dict(row)) for gnum, row in numbered if gnum and row},  # type: ignore[arg-type]
        given=one.facts,
    )
