"""`RuleFacts`: all that the rules may know of one document that is about to be declared.

The pipeline reads it; nothing here asks anything of a database. The facts that a mapping supplies about the original
export list have the names of the fields of `Original` and `OriginalLine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from connector.messages.amounts import Amounts
from connector.messages.catalogue import BEIJING
from connector.rules.offices import Offices

LIST_FACTS: Mapping[str, str] = {
    "trade_mode": "the supervision mode (监管方式) of the original export list",
    "ebp_code": "the platform (电商平台代码) of the original export list",
    "ebc_code": "the e-commerce enterprise (电商企业代码) of the original export list",
    "released_at": "when customs released the export (放行时间)",
}
"""What a mapping may say about an original export list: field of `Original` -> in words."""

LINE_FACTS: Mapping[str, str] = {
    "gcode": "the HS code (商品编码) of the original lines",
    "gname": "the goods name (商品名称) of the original lines",
    "gmodel": "the model (规格型号) of the original lines",
    "unit": "the declared unit (申报计量单位) of the original lines",
    "unit1": "the statutory unit (法定计量单位) of the original lines",
    "unit2": "the second unit (第二计量单位) of the original lines",
    "qty": "the declared quantity (申报数量) of the original lines",
    "qty1": "the statutory quantity (法定数量) of the original lines",
    "qty2": "the second quantity (第二数量) of the original lines",
}
"""The same of its lines: field of `OriginalLine` -> in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalLine:
    """One line of an original export list; None where nothing is on record."""

    gcode: str | None = None
    gname: str | None = None
    gmodel: str | None = None
    unit: str | None = None
    unit1: str | None = None
    unit2: str | None = None
    qty: Decimal | None = None
    qty1: Decimal | None = None
    qty2: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The original export list as far as the enterprise knows it; None where nothing is on record.

    A list that the enterprise does not know is all None, with what the mapping supplies in ``given``.
    """

    trade_mode: str | None = None
    ebp_code: str | None = None
    ebc_code: str | None = None
    released_at: datetime | None = None
    """UTC."""
    lines: Mapping[int, OriginalLine] = field(default_factory=dict)
    """By gnum."""
    given: frozenset[str] = frozenset()
    """The facts that the mapping supplies at all: keys of `LIST_FACTS` and `LINE_FACTS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the handling of a parcel, as it is on record."""

    step: str
    """A step of WOD101, e.g. ``unpacking``."""
    time: datetime
    """UTC."""
    area: str
    """Name of the functional area it happened in; empty where the location lies in none."""
    event_id: str
    location: str
    """As the warehouse calls it."""
    site: str = ""
    """Code of the supervised site, empty where the record does not say."""

    @classmethod
    def of_event(cls, head: Mapping[str, str], *, told_at: datetime) -> Step:
        """The step that an operation event (WOD101) tells of.

        It happened where the goods came to, else where they were; goods are shipped where they were. told_at: stands in
        for an eventTime that is no time.
        """
        ends = ("from", "to") if head["step"] == "shipping" else ("to", "from")
        end = next((one for one in ends if head.get(f"{one}Area") or head.get(f"{one}Location")), ends[0])
        return cls(
            step=head["step"],
            time=_beijing_time(head.get("eventTime", "")) or told_at,
            area=head.get(f"{end}Area", ""),
            event_id=head.get("eventId", ""),
            location=head.get(f"{end}Location", ""),
            site=head.get("siteCode", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A functional area (功能区) of a supervised site."""

    name: str
    kind: Literal["unpacking", "inspection", "storage", "holding", "dispatch"]
    """What it is for; parcels arrive and are received in one for unpacking."""
    returns_only: bool
    """Whether nothing but returns is ever in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A supervised site (海关监管作业场所) as the configuration declares it."""

    code: str
    customs_code: str
    """The customs office it belongs to, four digits."""
    exports_9610_from: date | None
    """The day in Beijing from which on it does 9610 export business; None: it does none."""
    exports_9610_until: date | None
    """The last such day; None: it goes on."""
    areas: Mapping[str, Area]
    """By name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFacts:
    """What a document would say, and what is known of the parcel and of the export that it returns.

    A deletion (appType 3) takes back what was declared: it is not held against any rule.
    """

    type: str
    """Message type, e.g. ``CEB213``."""
    head: Mapping[str, str]
    """Lexical XML values by element name, absent elements left out."""
    lines: tuple[Mapping[str, str], ...]
    declared_at: datetime
    """When it is declared, UTC."""
    returned_at: datetime
    """When the parcel came back, by the source's own time, UTC."""
    original: Original | None
    """None where the mapping says nothing about the original export list."""
    taken: Mapping[int, Amounts]
    """What all other documents have taken of the lines of the same export list, by gnum."""
    steps: tuple[Step, ...] | None
    """The handling of the parcel in order of time; None where no mapping reports handling (WOD101) at all."""
    sites: tuple[Site, ...] | None
    """None where the configuration declares none."""
    offices: Offices

    @property
    def given(self) -> frozenset[str]:
        """The facts about the original that the mapping supplies."""
        return self.original.given if self.original else frozenset()


def _beijing_time(text: str) -> datetime | None:
    """A time as messages write it, in UTC; None for a text that is none."""
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None
