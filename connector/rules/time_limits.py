"""How long after the export goods may return: R4 one year, and R9 six months without duties.

A period of months ends at the same civil time in Beijing on the same day of its last month, and where that month has no
such day, on its last (民法典 article 202): released on 29 February 2024 at 10:00, a year ends on 28 February 2025 at
10:00. "Within" (以内) takes the end in (article 1259): a parcel that came back in that very second is in time, one that
came back a second later is not. The civil code lets a period run on until midnight of its last day; to the second is
the stricter reading, in which nothing passes that customs could hold late.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime

from connector.messages.catalogue import BEIJING
from connector.rules.facts import RuleFacts
from connector.rules.rule import Basis, Flaw, Rule, Severity, unsupplied

_A_YEAR, _HALF_A_YEAR = 12, 6
"""Months."""


def months_after(moment: datetime, months: int) -> datetime:
    """The same civil time in Beijing some months later, or on the last day of that month where it is shorter; UTC.

    >>> months_after(datetime(2024, 2, 29, 2, tzinfo=UTC), 12)
    datetime.datetime(2025, 2, 28, 2, 0, tzinfo=datetime.timezone.utc)
    """
    start = moment.astimezone(BEIJING)
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    day = min(start.day, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day).astimezone(UTC)


def _is_back_within_a_year(facts: RuleFacts) -> Iterator[Flaw]:
    yield from unsupplied(facts, "released_at")
    if facts.original is None or "released_at" not in facts.given:
        return
    released, returned = facts.original.released_at, facts.returned_at
    if released is None:
        yield Flaw(
            text="no time of release is on record for the original export list; goods must be back within a year of "
            "it: complete the archive",
            field="invtNo",
        )
    elif returned < released:
        yield Flaw(
            text=f"the parcel came back at {_said(returned)}, before its export was released at {_said(released)}: "
            "check that it belongs to this export list",
            field="invtNo",
        )
    elif returned > months_after(released, _A_YEAR):
        yield Flaw(
            text=f"the parcel came back at {_said(returned)}; released at {_said(released)}, it could return until "
            f"{_said(months_after(released, _A_YEAR))}: it cannot be declared as a return; ask customs how to import "
            "it",
            field="invtNo",
        )


def _is_back_within_six_months(facts: RuleFacts) -> Iterator[Flaw]:
    yield from unsupplied(facts, "released_at")
    if facts.original is None or "released_at" not in facts.given:
        return
    released, returned = facts.original.released_at, facts.returned_at
    if released is None:
        yield Flaw(text="without a time of release nobody can tell whether the goods return free of duties")
    elif released <= returned and returned > months_after(released, _HALF_A_YEAR):
        yield Flaw(
            text=f"the parcel came back at {_said(returned)}, after {_said(months_after(released, _HALF_A_YEAR))}, six "
            "months after its export: expect import duties and taxes; the return itself may be declared",
        )


def _said(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S") + " Beijing time"


R4 = Rule(
    id="R4",
    title="Back within one year of the release of the export",
    source="2020 No. 44",
    citation="海关总署公告2020年第44号第四条 (GACC Announcement 2020 No. 44, article 4)",
    chinese="退货商品应自出口放行之日起1年内退运进境。",
    english="The goods are back within one year of the day on which customs released the export. Counted to the "
    "second in Beijing time: until the same time of day on the same date a year later, that second included; of 29 "
    "February, until 28 February.",
    breaks="the parcel came back later than that, or before its export was released, or no time of release is on "
    "record",
    remedy="Check that invtNo is the list of this parcel and that the archive's time of release is right. Goods that "
    "are truly late cannot be declared as a return; ask customs.",
    severity=Severity.BLOCK,
    applies_to=("CEB213",),
    basis=Basis.RETURN,
    valid_from=datetime(2020, 3, 27, tzinfo=BEIJING),
    look=_is_back_within_a_year,
)

R9 = Rule(
    id="R9",
    title="Free of duties when back within six months",
    source="MoF/GACC/STA 2026 No. 16",
    citation="财政部、海关总署、税务总局公告2026年第16号 (MoF, GACC and STA Announcement 2026 No. 16)",
    chinese="2026年1月1日至2027年12月31日申报出口的商品（食品除外），自出口之日起6个月内原状退运进境的，免征进口关税和"
    "进口环节增值税、消费税。",
    english="Goods exported from 2026-01-01 to 2027-12-31, food excepted, return free of import duties and taxes "
    "when they are back in their original state within six months of the export. Counted as in R4. Whether the state "
    "is the original one shows the inspection.",
    breaks="the parcel came back later than that, or no time of release is on record",
    remedy="Nothing keeps the return from being declared. Reckon with duties and taxes.",
    severity=Severity.INFORM,
    applies_to=("CEB213",),
    basis=Basis.EXPORT,
    valid_from=datetime(2026, 1, 1, tzinfo=BEIJING),
    valid_until=datetime(2028, 1, 1, tzinfo=BEIJING),
    look=_is_back_within_six_months,
)
