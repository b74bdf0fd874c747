"""R10: the way of a return is on record from end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.rules.facts import RuleFacts
from connector.rules.rule import NO_HANDLING, Flaw, Rule, Severity

STAGES: Mapping[str, frozenset[str]] = {
    "arrival": frozenset({"arriving", "unloading", "receiving"}),
    "unpacking": frozenset({"unpacking"}),
    "inspection": frozenset({"inspecting"}),
    "storage": frozenset({"storing", "holding"}),
    "dispatch": frozenset({"shipping", "destroying"}),
}
"""What must be on record of a parcel, in its order -> the steps of WOD101 that show it, of which one is enough."""
_EVENT = "WOD101"


def _is_on_record(facts: RuleFacts) -> Iterator[Flaw]:
    steps = {step.step for step in facts.steps or ()}
    if facts.type == _EVENT:
        if facts.head.get("step") not in STAGES["dispatch"]:
            return  # the parcel is still on its way
        steps.add(facts.head["step"])
    if facts.steps is None:
        yield NO_HANDLING
        return
    there = [bool(steps & shows) for shows in STAGES.values()]
    missing = [stage for stage, is_there in zip(STAGES, there, strict=True) if not is_there]
    if missing:
        last = max((number for number, is_there in enumerate(there) if is_there), default=-1)
        passed = [stage for number, stage in enumerate(STAGES) if number < last and stage in missing]
        skipped = f"; the parcel went on without {' and '.join(passed)}" if passed else ""
        yield Flaw(
            text=f"not on record of this parcel: {', '.join(missing)}{skipped}; a return is monitored from its "
            "arrival to its dispatch: have what was done entered in the warehouse; what is yet to be done needs "
            "nothing"
        )


R10 = Rule(
    id="R10",
    title="Arrival, unpacking, inspection, storage and dispatch are on record",
    source="2020 No. 44",
    citation="海关总署公告2020年第44号第二条 (GACC Announcement 2020 No. 44, article 2)",
    chinese="企业应建立退货商品流程监控体系，每个包裹的到货、拆包、与原清单核对查验、入库、出库均有记录。",
    english="The enterprise monitors the whole way of a return, so that the goods are shown to be those that were "
    "exported: arrival, unpacking, inspection against the original list, storage and dispatch of each parcel are on "
    "record.",
    breaks="one of the five is not on record when the return is declared (CEB213) or when the parcel leaves (WOD101 "
    "shipping or destroying); the text tells those the parcel went on without",
    remedy="Have the step entered in the warehouse, and see that a mapping for WOD101 reports it. Steps that are yet "
    "to come need nothing.",
    severity=Severity.WARN,
    applies_to=("CEB213", _EVENT),
    look=_is_on_record,
)
