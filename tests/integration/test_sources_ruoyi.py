"""The published database of 若依WMS, loaded unchanged, and the sample, both read through the shipped records file."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from connector.config import SourceSettings, load, shipped
from connector.demo.enterprise import build
from connector.messages.records import SourceRecord
from connector.sources.database import SourceDatabase
from connector.sources.records_file import load_records
from connector.sources.sql import SqlSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MULTI_STATEMENTS = 1 << 16
"""The client's flag for several statements at once, CLIENT_MULTI_STATEMENTS of the protocol."""
RETURN = 1843920012030070999
RECEIVE = """
INSERT INTO wms_receipt_order (id, order_no, opt_type, merchant_id, biz_order_no, total_quantity, total_amount,
  order_status, warehouse_id, remark, create_by, create_time, update_by, update_time)
VALUES (:id, :no, :kind, NULL, 'PO-2026-0001', 3.00, 9000.00, :status, 1828364609002311682, 'YT2026000001CN',
  'ck', '2026-06-18 09:30:11.204', 'ck', '2026-06-18 09:30:11.204')
"""
RECEIVE_LINE = """
INSERT INTO wms_receipt_order_detail (id, order_id, sku_id, quantity, amount, warehouse_id, create_by, create_time,
  update_by, update_time)
VALUES (:id, :order, :sku, 1.50, 2000.00, 1828364609002311682, 'ck', '2026-06-18 09:30:11.210', 'ck',
  '2026-06-18 09:30:11.210')
"""


@pytest.fixture
def ruoyi_url(mariadb_url: str, reference: Path) -> str:
    """若依WMS as published, with one return in the state that counts and three receipts that are none."""
    dump = (reference / "warehouses/ruoyi-wms.mysql.sql").read_text("utf-8")
    engine = create_engine(mariadb_url, poolclass=NullPool, connect_args={"client_flag": MULTI_STATEMENTS})
    with engine.begin() as connection:
        raw: Any = connection.connection.cursor()
        raw.execute(dump)
        while raw.nextset():
            pass
        for number, kind, status in ((0, 3, 1), (1, 3, 0), (2, 3, -1), (3, 2, 1)):
            row = {"id": RETURN + number, "no": f"RK1009990{number}", "kind": kind, "status": status}
            connection.execute(text(RECEIVE), row)
        for line, sku in ((1, 1828402624005312514), (2, 1828402624005312515)):
            connection.execute(text(RECEIVE_LINE), {"id": RETURN + 10 + line, "order": RETURN, "sku": sku})
    return mariadb_url


@pytest.fixture
def opened() -> Iterator[list[SourceDatabase]]:
    """Databases to close at the end."""
    databases: list[SourceDatabase] = []
    yield databases
    for database in databases:
        database.close()


def test_returns_of_the_published_warehouse_are_read_as_the_application_wrote_them(
    ruoyi_url: str, opened: list[SourceDatabase]
) -> None:
    settings = SourceSettings(url=ruoyi_url, timezone="Asia/Shanghai")
    databases = {name: SourceDatabase(name, settings) for name in ("warehouse", "archive")}
    opened += databases.values()
    source = SqlSource(load_records(shipped("mappings") / "ruoyi", databases)["returns"], databases)
    page = source.page(None)
    (record,) = page.records
    assert not page.unreadable
    assert record.row == {
        "id": RETURN,
        "order_no": "RK10099900",
        "biz_order_no": "PO-2026-0001",
        "waybill": "YT2026000001CN",
        "warehouse_id": 1828364609002311682,
        "update_time": datetime(2026, 6, 18, 1, 30, 11, 204000, tzinfo=UTC),
    }
    assert [(line["line_id"], line["sku_code"], line["quantity"]) for line in record.lines] == [
        (RETURN + 11, "00001", Decimal("1.50")),
        (RETURN + 12, "000002", Decimal("1.50")),
    ]
    assert source.current(record.key) == record


def test_sample_is_read_whole_with_its_lookups(tmp_path: Path, opened: list[SourceDatabase]) -> None:
    sample = build(tmp_path / "sample", returns=1200, seed=5, port=8610)
    settings = load(sample.config)
    databases = {name: SourceDatabase(name, one) for name, one in settings.sources.items()}
    opened += databases.values()
    source = SqlSource(load_records(settings.mappings, databases)["returns"], databases)
    records: list[SourceRecord] = []
    cursor, more = None, True
    while more:
        page = source.page(cursor)
        cursor, more = page.cursor, page.more
        records += page.records
        assert not page.unreadable
    assert [record.key.key for record in records] == [f"RK{10_000_001 + number}" for number in range(1200)]
    found = source.look_up(["export_list", "export_line", "return_transport"], records)
    unknown = {record.key.key for record in records if (record.row["biz_order_no"],) not in found["export_list"]}
    assert unknown == set(sample.faults["list_unknown_to_us"])
    for record in records:
        if record.key.key in unknown:
            continue
        for line in record.lines:
            (row,) = found["export_line"][str(record.row["biz_order_no"]), str(line["sku_code"])]
            assert isinstance(row["qty"], Decimal)
    silent = {record.key.key for record in records if (str(record.row["waybill"]),) not in found["return_transport"]}
    assert silent == set(sample.faults["missing_waybill"])
