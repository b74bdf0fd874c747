"""What happens to a parcel in the warehouse after it was received, as 若依WMS writes it down.

It is moved from unpacking to inspection and on to storage; every third one is moved to dispatch and leaves again. Its
waybill is the remark of each order. At the end the stock of each storage area is counted.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.demo.parties import WAREHOUSES
from connector.demo.returns import Fault
from connector.demo.rows import TableRow, sku_id, snowflake, wall_clock, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connector.demo.returns import Return

_MOVES = (("unpacking", "inspection", 40), ("inspection", "storage", 90))
"""From, to, and how many minutes after the parcel was received."""
_LEAVES = ("storage", "dispatch", 600)
_LEAVES_EVERY = 3
_PER_RETURN = 64
"""Numbers of a return's rows, so that no id is given twice."""


def handling_rows(parcel: Return) -> Iterator[TableRow]:
    """The movements of one parcel, and its shipment where it leaves."""
    is_leaving = parcel.number % _LEAVES_EVERY == 0
    moves = [*_MOVES, *([_LEAVES] if is_leaving else [])]
    for step, (source, target, minutes) in enumerate(moves):
        yield from _movement(parcel, step, source, target, parcel.changed_at + timedelta(minutes=minutes))
    if is_leaving:
        yield from _shipment(parcel, len(moves), parcel.changed_at + timedelta(minutes=_LEAVES[2] + 30))


class Stock:
    """What lies in the storage areas; counted once at the end."""

    def __init__(self) -> None:
        self._left: dict[int, Counter[str]] = {warehouse.id: Counter() for warehouse in WAREHOUSES}
        self._last: datetime | None = None

    def add(self, parcels: Iterable[Return]) -> None:
        """Take note of what these parcels leave in storage."""
        for parcel in parcels:
            self._last = parcel.changed_at
            if parcel.number % _LEAVES_EVERY:
                self._left[parcel.warehouse.id].update(_pieces(parcel))

    def count_rows(self) -> Iterator[TableRow]:
        """A check order for each site that holds anything."""
        if self._last is None:
            return
        counted_at = self._last + timedelta(days=1)
        for number, warehouse in enumerate(WAREHOUSES, start=1):
            if not self._left[warehouse.id]:
                continue
            order_id, place = snowflake(counted_at, number), warehouse.areas["storage"]
            head = {"id": order_id, "order_no": f"PK{10_000_000 + number}", "order_status": 1, "total_quantity": "0.00"}
            yield "wms_check_order", head | {"warehouse_id": place} | written("ck", wall_clock(counted_at))
            for line, (sku, pieces) in enumerate(sorted(self._left[warehouse.id].items()), start=1):
                ids = {"id": snowflake(counted_at, number * 1000 + line), "order_id": order_id, "sku_id": sku_id(sku)}
                found = {"quantity": f"{pieces}.00", "check_quantity": f"{pieces}.00", "warehouse_id": place}
                yield "wms_check_order_detail", {**ids, **found, **written("ck", wall_clock(counted_at))}


def _movement(parcel: Return, step: int, source: str, target: str, at: datetime) -> Iterator[TableRow]:
    areas = parcel.warehouse.areas
    places: dict[str, object] = {"source_warehouse_id": areas[source], "target_warehouse_id": areas[target]}
    order_id, when = _id(parcel, at, step, 0), written("ck", wall_clock(at))
    head = {"id": order_id, "order_no": f"YK{10_000_000 + parcel.number * 4 + step}", "order_status": 1}
    yield "wms_movement_order", head | places | _totals(parcel) | when
    for line, (sku, pieces) in enumerate(_pieces(parcel).items(), start=1):
        row = {"id": _id(parcel, at, step, line), "order_id": order_id, "sku_id": sku_id(sku), **places}
        yield "wms_movement_order_detail", {**row, "quantity": f"{pieces}.00", **when}


def _shipment(parcel: Return, step: int, at: datetime) -> Iterator[TableRow]:
    place = {"warehouse_id": parcel.warehouse.areas["dispatch"]}
    order_id, when = _id(parcel, at, step, 0), written("ck", wall_clock(at))
    head = {"id": order_id, "order_no": f"CK{10_000_000 + parcel.number}", "opt_type": 2, "order_status": 1}
    yield "wms_shipment_order", head | place | _totals(parcel) | when
    for line, (sku, pieces) in enumerate(_pieces(parcel).items(), start=1):
        row = {"id": _id(parcel, at, step, line), "order_id": order_id, "sku_id": sku_id(sku)}
        yield "wms_shipment_order_detail", row | {"quantity": f"{pieces}.00"} | place | when


def _pieces(parcel: Return) -> dict[str, int]:
    lines = {line.number: line.goods.sku for line in parcel.order.lines}
    return {lines[number]: back for number, back in parcel.quantities.items()}


def _totals(parcel: Return) -> dict[str, str | None]:
    waybill = None if parcel.fault is Fault.MISSING_WAYBILL else parcel.waybill
    return {"total_quantity": f"{sum(parcel.quantities.values())}.00", "remark": waybill}


def _id(parcel: Return, at: datetime, step: int, line: int) -> int:
    return snowflake(at, parcel.number * _PER_RETURN + step * 8 + line)
