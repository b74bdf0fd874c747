"""What a return shares with the export it takes back: R1 the supervision mode, R6 the parties."""

from __future__ import annotations

from collections.abc import Iterator

from connector.rules.facts import RuleFacts
from connector.rules.rule import Flaw, Rule, Severity, unsupplied

RETAIL_EXPORT = "9610"
"""跨境电商零售出口."""
_RETURN_OF_RETAIL_EXPORT = "9661"


def _is_retail_export(facts: RuleFacts) -> Iterator[Flaw]:
    declared = facts.head.get("tradeMode")
    if declared and declared != _RETURN_OF_RETAIL_EXPORT:
        yield Flaw(
            text=f"tradeMode is {declared}; the return of a 9610 export is declared as {_RETURN_OF_RETAIL_EXPORT}: "
            "correct the mapping",
            field="tradeMode",
        )
    yield from unsupplied(facts, "trade_mode")
    if facts.original is None or "trade_mode" not in facts.given:
        return
    mode = facts.original.trade_mode
    if not mode:
        yield Flaw(
            text=f"no supervision mode is on record for export list {facts.head.get('invtNo', '')}; only exports under "
            f"{RETAIL_EXPORT} may return here: complete the archive, or correct the export list that is named",
            field="invtNo",
        )
    elif mode != RETAIL_EXPORT:
        yield Flaw(
            text=f"export list {facts.head.get('invtNo', '')} was declared under {mode}; only exports under "
            f"{RETAIL_EXPORT} may return here: hand the parcel to whoever handles returns of {mode}",
            field="invtNo",
        )


def _has_the_same_parties(facts: RuleFacts) -> Iterator[Flaw]:
    yield from unsupplied(facts, "ebp_code", "ebc_code")
    if facts.original is None:
        return
    for field, fact, name, known in (
        ("ebpCode", "ebp_code", "platform", facts.original.ebp_code),
        ("ebcCode", "ebc_code", "e-commerce enterprise", facts.original.ebc_code),
    ):
        declared = facts.head.get(field, "")
        if fact in facts.given and (not known or declared != known):
            yield Flaw(
                text=f"{field} is {declared or 'empty'}; the original export list has {known or 'none on record'}: the "
                f"{name} must be that of the original; correct the archive or the mapping",
                field=field,
            )


R1 = Rule(
    id="R1",
    title="The original export list is supervision mode 9610",
    source="2026 No. 24; spec 213",
    citation="海关总署公告2026年第24号 (GACC Announcement 2026 No. 24); interface specification 202205, CEB213 "
    "tradeMode",
    chinese="跨关区退货仅适用于跨境电商零售出口（9610）；退货申请单的退货监管方式填9661。",
    english="Only goods exported under supervision mode 9610 (cross-border e-commerce retail) may return this way; "
    "where the return application names a supervision mode, it is 9661.",
    breaks="the archive has another supervision mode than 9610 for the export list named, or none, or tradeMode is "
    "neither absent nor 9661",
    remedy="Check invtNo against the parcel. If the export was not 9610, it does not return through this site; if the "
    "archive is wrong or incomplete, correct it there.",
    severity=Severity.BLOCK,
    applies_to=("CEB213",),
    look=_is_retail_export,
)

R6 = Rule(
    id="R6",
    title="Platform and e-commerce enterprise are the original's",
    source="spec 213",
    citation="Interface specification 202205, CEB213 ebpCode and ebcCode (电商平台、电商企业与原清单一致)",
    chinese="退货申请单的电商平台和电商企业应与原出口清单一致。",
    english="The return names the same e-commerce platform and the same e-commerce enterprise as the original export "
    "list.",
    breaks="ebpCode or ebcCode differs from the archive's, or the archive has none for this list",
    remedy="Take both codes from the original export list, not from the order or from constants of the mapping.",
    severity=Severity.BLOCK,
    applies_to=("CEB213",),
    look=_has_the_same_parties,
)
