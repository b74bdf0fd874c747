"""A seeded stream of plausible returns: the same seed gives the same stream, one return at a time.

Exports were released from February to May 2026, the parcels came back from June to September, so whatever happens in
the sample today is later than all of it. Now and then two returns share one change time, and a second parcel brings
back what was left of an order. About one return in ten is wrong on purpose, in one of the ways of `Fault`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connector.demo.goods import GOODS, Goods
from connector.demo.parties import EXPORT_OFFICES, PLATFORMS, ROUTES, WAREHOUSES, Party, Route, Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BEIJING = ZoneInfo("Asia/Shanghai")
_EXPORTS = datetime(2026, 2, 1, 8, tzinfo=BEIJING), datetime(2026, 5, 31, 20, tzinfo=BEIJING)
_RETURNS = datetime(2026, 6, 1, 8, tzinfo=BEIJING), datetime(2026, 9, 30, 20, tzinfo=BEIJING)


class Fault(StrEnum):
    """What is wrong on purpose, and what should become of the return application (CEB213)."""

    QUANTITY_ABOVE_ORIGINAL = "quantity_above_original"
    """More comes back than was exported: quarantined by rule R5."""
    LIST_UNKNOWN_TO_CUSTOMS = "list_unknown_to_customs"
    """The export list is in our archive only: rejected by customs."""
    LIST_UNKNOWN_TO_US = "list_unknown_to_us"
    """The export list is not in our archive: quarantined."""
    CONTROL_CHARACTER = "control_character"
    """The archived name of the goods holds a vertical tab: quarantined."""
    UNKNOWN_UNIT = "unknown_unit"
    """The archived unit 999 does not exist: quarantined."""
    MISSING_WAYBILL = "missing_waybill"
    """Nobody entered the waybill: quarantined, and so is the tally detail (CEB215)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportLine:
    """One line of an original export list."""

    number: int
    goods: Goods
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that was exported, with its export list."""

    number: int
    """From 1; the numbers of order and list follow from it."""
    platform: Party
    office: str
    released_at: datetime
    country: str
    lines: tuple[ExportLine, ...]

    @property
    def order_no(self) -> str:
        """The platform's order number (orderNo)."""
        return f"{self.released_at:%y%m%d}{self.platform.code[-2:]}{self.number:08d}"

    @property
    def invt_no(self) -> str:
        """The number of the export list: office, year, E, nine digits."""
        return f"{self.office}{self.released_at:%Y}E{self.number:09d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """One parcel that came back."""

    number: int
    """From 1."""
    order: Order
    parcel: int
    """1, or 2 where an earlier parcel brought back the first part of the order."""
    warehouse: Warehouse
    route: Route
    port: str
    changed_at: datetime
    quantities: Mapping[int, int]
    """Line number of the export list -> units that came back."""
    fault: Fault | None

    @property
    def order_no(self) -> str:
        """The warehouse's number of the receipt (入库单号)."""
        return f"RK{10_000_000 + self.number}"

    @property
    def spoilt_line(self) -> int:
        """The number of the line a fault of the goods is planted in: the first that came back."""
        return min(self.quantities)

    @property
    def waybill(self) -> str:
        """The waybill the parcel came back with."""
        return f"YH{260_000_000 + self.number}CN"


def generate(returns: int, seed: int) -> Iterator[Return]:
    """That many returns in the order in which they changed."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible sample, nothing secret
    faults = _planted(returns, chance)
    step = (_RETURNS[1] - _RETURNS[0]) / max(returns, 1)
    changed_at = _RETURNS[0]
    previous: Return | None = None
    for number in range(1, returns + 1):
        if chance.random() > 0.1:  # noqa: PLR2004 - one in ten keeps the time of the one before
            changed_at = _milliseconds(_RETURNS[0] + step * (number - chance.random()))
        fault = faults.get(number)
        rest = _rest(previous) if previous and not fault and chance.random() < 0.3 else {}  # noqa: PLR2004 - seldom
        order = previous.order if previous and rest else _order(number, chance)
        route = chance.choice([route for route in ROUTES if route.country == order.country])
        previous = Return(
            number=number,
            order=order,
            parcel=2 if rest else 1,
            warehouse=chance.choice(WAREHOUSES),
            route=route,
            port=chance.choice(route.ports),
            changed_at=changed_at,
            quantities=rest or _quantities(order, fault, chance),
            fault=fault,
        )
        yield previous


def _planted(returns: int, chance: random.Random) -> dict[int, Fault]:
    count = round(returns / 10)
    kinds = list(Fault)
    chance.shuffle(kinds)
    numbers = sorted(chance.sample(range(1, returns + 1), count))
    return {number: kinds[index % len(kinds)] for index, number in enumerate(numbers)}


def _order(number: int, chance: random.Random) -> Order:
    first, last = _EXPORTS
    chosen = chance.sample(GOODS, chance.choice((1, 1, 2, 2, 3, 4)))
    return Order(
        number=number,
        platform=chance.choice(PLATFORMS),
        office=chance.choice(EXPORT_OFFICES),
        released_at=_milliseconds(first + (last - first) * chance.random()),
        country=chance.choice(ROUTES).country,
        lines=tuple(
            ExportLine(number=line, goods=goods, quantity=chance.choice((1, 1, 2, 3, 5, 10)))
            for line, goods in enumerate(chosen, start=1)
        ),
    )


def _quantities(order: Order, fault: Fault | None, chance: random.Random) -> dict[int, int]:
    lines = sorted(chance.sample(order.lines, chance.randint(1, len(order.lines))), key=lambda line: line.number)
    back = {line.number: chance.randint(1, line.quantity) for line in lines}
    if fault is Fault.QUANTITY_ABOVE_ORIGINAL:
        back[lines[0].number] = lines[0].quantity + 1
    return back


def _rest(earlier: Return) -> dict[int, int]:
    """What the order still has out after its one faultless return; nothing where that was its second."""
    if earlier.fault or earlier.parcel > 1:
        return {}
    left = {line.number: line.quantity - earlier.quantities.get(line.number, 0) for line in earlier.order.lines}
    return {number: quantity for number, quantity in left.items() if quantity}


def _milliseconds(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000)
