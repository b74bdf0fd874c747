"""A return as the rows that the warehouse, the archive and the simulated customs office hold about it."""

from __future__ import annotations

import uuid
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from connector.demo.goods import GOODS
from connector.demo.parties import AGENT, AREA_NAMES, ENTERPRISE, ROUTES, WAREHOUSES
from connector.demo.returns import BEIJING, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from connector.demo.returns import ExportLine, Order, Return

TableRow: TypeAlias = tuple[str, dict[str, Any]]
"""Table name, and the row by column."""

_FIVE_PLACES = Decimal("0.00001")
_SNOWFLAKE_EPOCH = 1_288_834_974_657
_FIRST_ITEM = 1_928_402_622_516_334_594
_EXPORT_CARRIER = ROUTES[0].carrier
_STOCK_TAKEN = "2026-01-04 09:30:00.000"


def master_rows() -> Iterator[TableRow]:
    """Warehouses, items and SKUs."""
    for order_num, warehouse in enumerate(WAREHOUSES, start=1):
        row = {"id": warehouse.id, "warehouse_code": f"TH{order_num:02d}", "warehouse_name": warehouse.name}
        yield "wms_warehouse", row | {"order_num": order_num} | written("admin", _STOCK_TAKEN)
    for warehouse in WAREHOUSES:
        for kind, number in list(warehouse.areas.items())[1:]:
            row = {"id": number, "warehouse_code": kind, "warehouse_name": f"{warehouse.name}{AREA_NAMES[kind]}"}
            yield "wms_warehouse", row | written("admin", _STOCK_TAKEN)
    for index, goods in enumerate(GOODS):
        item = {"id": _FIRST_ITEM + index, "item_code": goods.sku, "item_name": goods.name, "unit": goods.unit}
        yield "wms_item", item | written("admin", _STOCK_TAKEN)
        sku = {
            "id": sku_id(goods.sku),
            "sku_name": goods.model,
            "item_id": _FIRST_ITEM + index,
            "barcode": _barcode(goods.sku),
            "sku_code": goods.sku,
            "gross_weight": f"{goods.weight:.3f}",
            "selling_price": f"{goods.price:.2f}",
        }
        yield "wms_item_sku", sku | written("admin", _STOCK_TAKEN)


def warehouse_rows(parcel: Return) -> Iterator[TableRow]:
    """The receipt order as 若依WMS writes it: received, a return, one detail for each line."""
    changed = wall_clock(parcel.changed_at)
    order_id = snowflake(parcel.changed_at, parcel.number)
    lines = {line.number: line for line in parcel.order.lines}
    amounts = {number: lines[number].goods.price * back for number, back in parcel.quantities.items()}
    head = {
        "id": order_id,
        "order_no": parcel.order_no,
        "opt_type": 3,
        "biz_order_no": parcel.order.order_no,
        "total_quantity": f"{sum(parcel.quantities.values())}.00",
        "total_amount": f"{sum(amounts.values()):.2f}",
        "order_status": 1,
        "warehouse_id": parcel.warehouse.id,
        "remark": None if parcel.fault is Fault.MISSING_WAYBILL else parcel.waybill,
    }
    yield "wms_receipt_order", head | written("ck", changed)
    for number, back in parcel.quantities.items():
        detail = {
            "id": snowflake(parcel.changed_at, parcel.number * 8 + number),
            "order_id": order_id,
            "sku_id": sku_id(lines[number].goods.sku),
            "quantity": f"{back}.00",
            "amount": f"{amounts[number]:.2f}",
            "warehouse_id": parcel.warehouse.id,
        }
        yield "wms_receipt_order_detail", detail | written("ck", changed)


def archive_rows(parcel: Return) -> Iterator[TableRow]:
    """The export list, the first time its order comes back, and how the parcel travelled."""
    order, route = parcel.order, parcel.route
    if parcel.parcel == 1 and parcel.fault is not Fault.LIST_UNKNOWN_TO_US:
        yield "export_list", _export_list(order)
        for line in order.lines:
            row = _export_line(order, line)
            if line.number == parcel.spoilt_line:
                row |= _spoilt(parcel.fault, line)
            yield "export_list_line", row
    day = parcel.changed_at.timetuple().tm_yday
    transport = {
        "waybill": parcel.waybill,
        "bill_no": f"{784 if route.mode == '5' else 319}-{day:03d}{int(route.country):03d}{int(parcel.port):04d}",
        "traf_mode": route.mode,
        "traf_name": route.vessel,
        "voyage_no": f"{route.vessel[:2]}{day:03d}",
        "country": route.country,
        "port_code": parcel.port,
        "logistics_code": route.carrier.code,
        "logistics_name": route.carrier.name,
    }
    yield "return_transport", transport


def customs_list(parcel: Return) -> dict[str, Any] | None:
    """The export list as customs holds it; None where it does not, or was given it with an earlier parcel."""
    if parcel.parcel > 1 or parcel.fault is Fault.LIST_UNKNOWN_TO_CUSTOMS:
        return None
    fields = ("gnum", "gcode", "gname", "gmodel", "unit", "qty", "unit1", "qty1", "unit2", "qty2")
    lines = [_export_line(parcel.order, line) for line in parcel.order.lines]
    return {
        "invt_no": parcel.order.invt_no,
        "trade_mode": "9610",
        "ebp_code": parcel.order.platform.code,
        "ebc_code": ENTERPRISE.code,
        "lines": [{name: line[name] for name in fields if line[name] is not None} for line in lines],
    }


def _export_list(order: Order) -> dict[str, Any]:
    released = order.released_at
    weight = sum((line.goods.weight * line.quantity for line in order.lines), Decimal())
    return {
        "id": order.number,
        "guid": str(uuid.uuid5(uuid.NAMESPACE_OID, order.invt_no)).upper(),
        "app_type": "1",
        "app_time": f"{released:%Y%m%d%H%M%S}",
        "app_status": "2",
        "customs_code": order.office,
        "ebp_code": order.platform.code,
        "ebp_name": order.platform.name,
        "order_no": order.order_no,
        "logistics_code": _EXPORT_CARRIER.code,
        "logistics_name": _EXPORT_CARRIER.name,
        "logistics_no": f"YH{240_000_000 + order.number}CN",
        "cop_no": f"QD{order.number:012d}",
        "pre_no": f"B{released:%Y%m%d}{order.number:09d}",
        "invt_no": order.invt_no,
        "ie_flag": "E",
        "port_code": order.office,
        "ie_date": f"{released:%Y%m%d}",
        "statistics_flag": "A",
        "agent_code": AGENT.code,
        "agent_name": AGENT.name,
        "ebc_code": ENTERPRISE.code,
        "ebc_name": ENTERPRISE.name,
        "owner_code": ENTERPRISE.code,
        "owner_name": ENTERPRISE.name,
        "trade_mode": "9610",
        "traf_mode": "5",
        "traf_name": "CZ",
        "voyage_no": f"CZ{released.timetuple().tm_yday:03d}",
        "bill_no": f"784-{released:%m%d}{order.office}",
        "country": order.country,
        "pod": order.country,
        "freight": "0.00000",
        "f_currency": "142",
        "f_flag": "3",
        "insured_fee": "0.00000",
        "i_currency": "142",
        "i_flag": "3",
        "wrap_type": "2",
        "pack_no": 1,
        "gross_weight": _five_places(weight),
        "net_weight": _five_places(weight * Decimal("0.9")),
        "release_time": wall_clock(released),
    }


def _export_line(order: Order, line: ExportLine) -> dict[str, Any]:
    goods, quantity = line.goods, line.quantity
    return {
        "list_id": order.number,
        "gnum": line.number,
        "item_no": goods.sku,
        "item_name": goods.name,
        "gcode": goods.gcode,
        "gname": goods.name,
        "gmodel": goods.model,
        "bar_code": _barcode(goods.sku),
        "country": order.country,
        "currency": "142",
        "qty": _five_places(Decimal(quantity)),
        "qty1": _five_places(goods.each1 * quantity),
        "qty2": None if goods.each2 is None else _five_places(goods.each2 * quantity),
        "unit": goods.unit,
        "unit1": goods.unit1,
        "unit2": goods.unit2,
        "price": _five_places(goods.price),
        "total_price": _five_places(goods.price * quantity),
    }


def _spoilt(fault: Fault | None, line: ExportLine) -> dict[str, str]:
    match fault:
        case Fault.CONTROL_CHARACTER:
            return {"gname": f"{line.goods.name[:2]}\x0b{line.goods.name[2:]}"}
        case Fault.UNKNOWN_UNIT:
            return {"unit": "999"}
        case _:
            return {}


def written(who: str, when: str) -> dict[str, str]:
    """By whom and when a row was made, and changed last."""
    return {"create_by": who, "create_time": when, "update_by": who, "update_time": when}


def wall_clock(moment: datetime) -> str:
    """A time as 若依WMS writes it: Beijing, milliseconds."""
    return moment.astimezone(BEIJING).replace(tzinfo=None).isoformat(" ", "milliseconds")


def _five_places(number: Decimal) -> str:
    return str(number.quantize(_FIVE_PLACES, ROUND_DOWN))


def snowflake(moment: datetime, sequence: int) -> int:
    """An id as the application makes them, far above 2**53: milliseconds, then 22 bits that tell apart."""
    return (int(moment.timestamp() * 1000) - _SNOWFLAKE_EPOCH << 22) + sequence % (1 << 22)


def sku_id(sku: str) -> int:
    """The id of an SKU in the warehouse."""
    return _SKU_IDS[sku]


def _barcode(sku: str) -> str:
    return f"69{_SKU_IDS[sku] % 10**11:011d}"


_SKU_IDS = {goods.sku: _FIRST_ITEM + 1_000_003 * (index + 1) for index, goods in enumerate(GOODS)}
