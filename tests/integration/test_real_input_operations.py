"""若依WMS as published, in MariaDB: receipts, moves, counts and dispatches to customs, and returns besides."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import NullPool, create_engine, text

from connector.config import shipped
from connector.demo.office import free_port, running_office
from connector.messages.namespaces import WOD, tag
from connector.outbox.queries import Filter, messages
from connector.simulator.archive import signed_message
from tests.integration.test_real_input_warehouse import (
    BAD,
    CODES_GIVEN,
    CONFIGURATION,
    GOOD,
    MULTI_STATEMENTS,
    SUZHOU,
    WE_READ,
    WUJIANG,
    Site,
    fill_archive,
    load_dump,
    reading_account,
    receive,
    write_office,
)

CHANGSHU = 1828364740028174337
"""Where the dump's own count was made."""
ONE_P, TWO_P = 1840282974629265410, 1840282974696374273
"""What the dump's own move, dispatch and count are of."""
WE_READ_TOO = (
    "wms_item",
    "wms_movement_order",
    "wms_movement_order_detail",
    "wms_shipment_order",
    "wms_shipment_order_detail",
    "wms_check_order",
    "wms_check_order_detail",
)
OPERATIONS = f"""
[codes.return_sites]
{SUZHOU} = "SZYQ01"
{WUJIANG} = "WJ01"
{CHANGSHU} = "CS01"
[codes.step_in_warehouse]
{WUJIANG} = "storing"
[codes.unit]
"台" = "001"
[sites.SZYQ01]
customs_code = "2325"
exports_9610_from = 2025-01-01
[sites.SZYQ01.areas.returns]
kind = "unpacking"
returns_only = true
locations = ["{SUZHOU}"]
[sites.WJ01]
customs_code = "2337"
exports_9610_from = 2025-01-01
[sites.WJ01.areas.returns]
kind = "storage"
returns_only = true
locations = ["{WUJIANG}"]
[sites.CS01]
customs_code = "2338"
[sites.CS01.areas.cold]
kind = "storage"
locations = ["{CHANGSHU}"]
"""


@pytest.fixture
def site(
    mariadb_url: str, reference: Path, development_pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    warehouse = create_engine(mariadb_url, poolclass=NullPool, connect_args={"client_flag": MULTI_STATEMENTS})
    load_dump(warehouse, reference / "warehouses/ruoyi-wms.mysql.sql")
    with warehouse.begin() as connection:
        for sku, code in {**CODES_GIVEN, ONE_P: "1P", TWO_P: "2P"}.items():
            connection.execute(text("UPDATE wms_item_sku SET sku_code = :c WHERE id = :i"), {"c": code, "i": sku})
        connection.execute(text("UPDATE wms_item SET unit = '台'"))
    receive(warehouse, *GOOD, *BAD)
    fill_archive(create_engine(f"sqlite:///{tmp_path / 'archive.db'}", poolclass=NullPool))
    for name in ("ruoyi", "ruoyi-operations"):
        shutil.copytree(shipped("mappings") / name, tmp_path / "mappings" / "ruoyi", dirs_exist_ok=True)
    with reading_account(warehouse, WE_READ + WE_READ_TOO) as (url, password):
        port = free_port()
        write_office(tmp_path, port, development_pki)
        configuration = CONFIGURATION.format(
            mappings=tmp_path / "mappings",
            pki=development_pki,
            port=port,
            warehouse=url.render_as_string(),
            archive="sqlite:///archive.db",
        ).replace(f'{WUJIANG} = "2337"\n', f'{WUJIANG} = "2337"\n{CHANGSHU} = "2338"\n')
        (tmp_path / "connector.toml").write_text(configuration + OPERATIONS, "utf-8")
        monkeypatch.setenv("CONNECTOR_SOURCES__WAREHOUSE__PASSWORD", password)
        with running_office(tmp_path / "registry.toml", port):
            built = Site(folder=tmp_path, warehouse=warehouse)
            assert built.connector("db", "upgrade").returncode == 0
            yield built


def test_published_warehouse_reports_what_it_does_and_its_returns(site: Site) -> None:
    before = site.checksums()
    found = site.run_until_answered(len(GOOD) + len(GOOD) + len(BAD) + 16 + 1)
    counted = Counter((kind, one.customs_code) for (kind, _), one in found.items())
    assert counted == {
        ("CEB213", "800"): len(GOOD),
        ("CEB215", "399"): len(GOOD) + len(BAD),
        ("WOD101", "399"): 16,
        ("WOD201", "399"): 1,
    }
    with site.records() as connection:
        sent = messages(connection, Filter(type="WOD101"))
        (stock,) = messages(connection, Filter(type="WOD201"))
    events = [
        {etree.QName(child).localname: child.text for child in event}
        for message in sent
        for event in etree.fromstring(signed_message(site.folder / "customs.db", message.id)).iter(
            tag(WOD, "OperationEvent")
        )
    ]
    assert Counter(event["step"] for event in events) == {
        "arriving": 6,
        "unpacking": 6,
        "storing": 1,
        "shipping": 1,
        "cycle_counting": 2,
    }
    (moved,) = [event for event in events if event["step"] == "storing"]
    assert (moved["itemNo"], moved["qty"], moved["unit"], moved["eventTime"]) == ("2P", "1", "001", "20241009154342")
    assert (moved["fromLocation"], moved["toLocation"]) == (str(SUZHOU), str(WUJIANG))
    assert (moved["toArea"], moved["siteCode"], moved["customsCode"]) == ("returns", "WJ01", "2337")
    lines = etree.fromstring(signed_message(site.folder / "customs.db", stock.id)).iter(tag(WOD, "StockSnapshotList"))
    assert [[child.text for child in line][:6] for line in lines] == [
        [number, code, "小米空调", str(CHANGSHU), "cold", "1"] for number, code in (("1", "2P"), ("2", "1P"))
    ]
    held = {(one.type, one.key.key) for one in site.held()}
    assert held == {(kind, one.order_no) for kind in ("CEB213", "WOD101") for one in BAD}
    assert site.checksums() == before
