"""Fixtures for unit tests."""

from __future__ import annotations

import pytest

from connector.messages.records import LookupShape, RecordShape


@pytest.fixture(scope="session")
def returns_shape() -> RecordShape:
    """What the records file of the sample warehouse, mappings/ruoyi/returns.toml, offers."""
    columns = {
        "export_list": "order_no invt_no customs_code ebp_code ebp_name ebc_code ebc_name agent_code agent_name "
        "logistics_no trade_mode release_time",
        "export_line": "order_no item_no gnum gcode gname gmodel qty unit qty1 unit1 qty2 unit2",
        "return_transport": "waybill bill_no traf_mode traf_name voyage_no country port_code logistics_code "
        "logistics_name",
    }
    match = {
        "export_list": ("record.biz_order_no",),
        "export_line": ("record.biz_order_no", "line.sku_code"),
        "return_transport": ("record.waybill",),
    }
    return RecordShape(
        collection="returns",
        columns=frozenset({"id", "order_no", "biz_order_no", "waybill", "warehouse_id", "update_time"}),
        line_columns=frozenset({"order_id", "line_id", "sku_code", "quantity"}),
        lookups={name: LookupShape(columns=frozenset(columns[name].split()), match=match[name]) for name in columns},
    )
