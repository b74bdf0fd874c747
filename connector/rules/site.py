"""Where goods come back to: R2 the site, R3 the customs area, R8 the functional areas of the site.

R3 in its three phases: before the first day of the pilot, goods return only in the customs area they were exported
from; then also across areas among the pilot offices, which we take to mean that both ends are pilots, the office of the
export and that of the return; since Announcement 2026 No. 24, everywhere. The day is that of the declaration, for it is
the declaration that goes to another office.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

from connector.messages.catalogue import BEIJING
from connector.rules.facts import RuleFacts, Site, Step
from connector.rules.rule import NO_HANDLING, NO_SITES, Basis, Flaw, Rule, Severity

_OPEN_DATA = "海关总署公告2026年第24号 (GACC Announcement 2026 No. 24)"
_AREAS_FROM = datetime(2026, 4, 1, tzinfo=BEIJING)
_EVENT = "WOD101"


def _returns_to_an_export_site(facts: RuleFacts) -> Iterator[Flaw]:
    if facts.sites is None:
        yield NO_SITES
        return
    found = _sites_of(facts, facts.sites)
    if not found:
        code = facts.head.get("loctNo")
        yield Flaw(
            text=f"connector.toml has no site{f' {code}' if code else ''} of customs office "
            f"{facts.head.get('customsCode') or '(empty)'}; goods return only to a supervised site that does 9610 "
            "export business: correct customsCode or loctNo in the mapping, or declare the site",
            field="loctNo" if code else "customsCode",
        )
    day = facts.returned_at.astimezone(BEIJING).date()
    for site in found:
        if not _exports_on(site, day):
            yield Flaw(
                text=f"site {site.code} did no 9610 export business on {day}, when the parcel came back "
                f"({_business(site)}); goods return only to sites that do: declare the return where it may be "
                f"received, or correct the dates of [sites.{site.code}], and where an office has several sites, name "
                "the right one in loctNo",
                field="customsCode",
            )


def _sites_of(facts: RuleFacts, sites: tuple[Site, ...]) -> list[Site]:
    """The sites a document can mean: of its office, by the code it names, else those the parcel was handled in."""
    code = facts.head.get("siteCode") or facts.head.get("loctNo") or ""
    found = [one for one in sites if one.customs_code == facts.head.get("customsCode") and code in {"", one.code}]
    handled = {step.site for step in facts.steps or ()}
    return [one for one in found if one.code in handled] or found


def _exports_on(site: Site, day: date) -> bool:
    begun = site.exports_9610_from is not None and site.exports_9610_from <= day
    return begun and (site.exports_9610_until is None or day <= site.exports_9610_until)


def _business(site: Site) -> str:
    if site.exports_9610_from is None:
        return "none is declared for it"
    until = f" until {site.exports_9610_until}" if site.exports_9610_until else ""
    return f"declared from {site.exports_9610_from}{until}"


def _may_cross_areas(facts: RuleFacts) -> Iterator[Flaw]:
    number, office = facts.head.get("invtNo", ""), facts.head.get("customsCode", "")
    if not number and facts.type != "CEB213":
        return  # a tally detail leaves out a list that nobody knows: the parcel has arrived all the same
    if not (_begins_with_area(number) and _begins_with_area(office)):
        yield Flaw(
            text=f"invtNo is {number or 'empty'} and customsCode {office or 'empty'}; both begin with the two digits "
            "of a customs area, else nobody can tell whether the goods return across areas: correct the one that is "
            "wrong",
            field="customsCode" if _begins_with_area(number) else "invtNo",
        )
        return
    offices, exported, returned = facts.offices, number[:2], office[:2]
    if not offices.allow(exported, returned, facts.declared_at):
        yield Flaw(
            text=f"the goods were exported in area {offices.named(exported)} and are declared as returned in area "
            f"{offices.named(returned)}; on {facts.declared_at.astimezone(BEIJING).date()} that is allowed only "
            f"where both take part in the pilot, and everywhere from {offices.everywhere_from} on: declare the "
            "return in the area of the export, or correct offices.toml",
            field="customsCode",
        )


def _begins_with_area(code: str) -> bool:
    return re.match(r"[0-9]{2}", code) is not None


def _is_handled_in_areas(facts: RuleFacts) -> Iterator[Flaw]:
    if facts.sites is None:
        yield NO_SITES
    if facts.steps is None and facts.type != _EVENT:
        yield NO_HANDLING
    if facts.sites is None:
        return
    sites = _sites_of(facts, facts.sites)
    if not sites and facts.type != _EVENT:
        return  # R2 says so
    steps = (Step.of_event(facts.head, told_at=facts.declared_at),) if facts.type == _EVENT else facts.steps or ()
    for step in steps:
        if step.time >= _AREAS_FROM and (fault := _fault_of_place(step, sites)):
            yield Flaw(
                text=f"{step.step} at {step.time.astimezone(BEIJING):%Y-%m-%d %H:%M:%S} Beijing time (event "
                f"{step.event_id or 'without number'}) happened {fault}; returns are handled only in functional "
                "areas of their own: correct the location in the warehouse, or declare the area in connector.toml",
            )


def _fault_of_place(step: Step, sites: list[Site]) -> str:
    """What is wrong with where a step happened, in words; empty for nothing."""
    of_step = [one for one in sites if step.site in {"", one.code}]
    if not of_step:
        return f"in site {step.site or '(none)'}, which is none that is declared for this customs office"
    areas = [site.areas[step.area] for site in of_step if step.area in site.areas]
    place = f"at {step.location}" if step.location else "at a place that is not named"
    if not areas:
        return f"{place}, in area {step.area}, which is not declared" if step.area else f"{place}, in no declared area"
    if not all(area.returns_only for area in areas):
        return f"{place}, in area {step.area}, which is not for returns only"
    return ""


R2 = Rule(
    id="R2",
    title="The return site is a supervised site that does 9610 export business",
    source="2026 No. 24",
    citation=_OPEN_DATA,
    chinese="退回商品仅允许退至开展跨境电商零售出口业务的海关监管作业场所（场地）。",
    english="Goods return only to a supervised site that does cross-border e-commerce retail export business (9610) "
    "on the day they come back.",
    breaks="no declared site belongs to the customs office of the return, or the site did no 9610 export business on "
    "the day the parcel came back",
    remedy="Declare the site in connector.toml, with the dates customs gave it, or declare the return at a site that "
    "may receive it.",
    severity=Severity.BLOCK,
    applies_to=("CEB213", "CEB215"),
    basis=Basis.RETURN,
    look=_returns_to_an_export_site,
)

R3 = Rule(
    id="R3",
    title="A return to another customs area only where and since that is allowed",
    source="2024 No. 167; 2026 No. 24",
    citation="海关总署公告2024年第167号 (GACC Announcement 2024 No. 167); " + _OPEN_DATA,
    chinese="2024年12月15日前不得跨关区退货；自该日起仅限试点直属海关之间；自2026年4月1日起全国海关均可跨关区退货。",
    english="Across customs areas means that the first two digits of invtNo differ from those of customsCode. Before "
    "2024-12-15 never; from then on among the pilot offices, that is where the area of the export and that of the "
    "return both take part; from 2026-04-01 on everywhere. The day is that of the declaration.",
    breaks="the two areas differ and one of them was no pilot on the day of the declaration, before 2026-04-01, or an "
    "area cannot be told from invtNo or customsCode",
    remedy="Declare the return in the area of the export. If an area's digits or its part in the pilot are wrong, "
    "correct offices.toml.",
    severity=Severity.BLOCK,
    applies_to=("CEB213", "CEB215"),
    look=_may_cross_areas,
)

R8 = Rule(
    id="R8",
    title="Every handling step inside a functional area that is for returns only",
    source="2026 No. 24",
    citation=_OPEN_DATA,
    chinese="企业应具备独立的作业功能区；退货商品的拆包、查验、仓储、暂存、出库等作业均应在专用功能区内进行。",
    english="The enterprise has functional areas of its own for returns (unpacking, inspection, storage, holding, "
    "dispatch). Every step since 2026-04-01 happened in a declared area of the site that is for returns only; a "
    "parcel arrives in one for unpacking.",
    breaks="a step that is on record happened outside every declared area of the site, or in one that is not "
    "returns_only",
    remedy="Move the parcel and correct the location where the warehouse has it wrong; declare the area with its "
    "locations under [sites.CODE.areas.NAME] where only that is missing.",
    severity=Severity.BLOCK,
    severities={_EVENT: Severity.WARN},
    applies_to=("CEB213", "CEB215", _EVENT),
    valid_from=_AREAS_FROM,
    look=_is_handled_in_areas,
)
