"""若依WMS as published, in MariaDB, to customs and back with the mapping files we ship, by the commands a user types.

The published dump is loaded unchanged. What is added to it is what its users do: they give SKUs a code and receive
returned parcels. The archive of export lists stands beside it in MariaDB, or in SQLite.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from connector.audit.queries import EntryFilter, entries
from connector.bootstrap import open_database
from connector.config import load, shipped
from connector.demo.office import free_port, running_office
from connector.messages.namespaces import CEB, tag
from connector.outbox.queries import DocumentView, Filter, documents, messages
from connector.simulator.archive import signed_message
from connector.sources.quarantine import Waiting, waiting_entries

MULTI_STATEMENTS = 1 << 16
"""The client's flag for several statements at once, CLIENT_MULTI_STATEMENTS of the protocol."""
DXP_ID = "DXPENT0000011351"
AGENT, OPERATOR, SHOP = "3205980A31", "3205660B27", "32059A0K2R"
SUZHOU, WUJIANG = 1828364609002311682, 1840317750635581441
BLACK, WHITE, MACBOOK = 1828402624005312514, 1828402624005312515, 1828406451399987201
PRINTER, HAIRTAIL, FRIDGE, DUMBBELL = 1828407871469686786, 1829398193024724993, 1828408321522700289, 1828408796968030210
CODES_GIVEN = {PRINTER: "ep-l6468", HAIRTAIL: "HX/DY-大", DUMBBELL: ""}
"""These have none in the dump. A form that was sent in leaves an empty text behind; the fridge keeps its NULL."""
FIRST_ID = 1843920012030070999

# What customs and the archive hold about the goods; 3 of each were exported.
GOODS: dict[int, dict[str, str]] = {
    BLACK: {"item_no": "00001", "gcode": "8517130000", "gname": "华为 nova flip 黑", "unit": "001", "unit1": "001"},
    WHITE: {"item_no": "000002", "gcode": "8517130000", "gname": "华为 nova flip 白", "unit": "001", "unit1": "001"},
    MACBOOK: {"item_no": "mac0001", "gcode": "8471301000", "gname": "便携式电脑", "unit": "001", "unit1": "001"}
    | {"qty2": "4.85", "unit2": "035"},
    PRINTER: {"item_no": "ep-l6468", "gcode": "8443311000", "gname": "爱普生打印机", "unit": "001", "unit1": "001"},
    HAIRTAIL: {"item_no": "HX/DY-大", "gcode": "0303899000", "gname": "冻带鱼", "unit": "035", "unit1": "035"},
    FRIDGE: {"item_no": "MR436", "gcode": "8418102000", "gname": "十字四门冰箱", "unit": "001", "unit1": "001"},
    DUMBBELL: {"item_no": "YL10", "gcode": "9506911900", "gname": "杠铃 10kg", "unit": "006", "unit1": "006"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One receipt as the application writes it: its time in Beijing, its lines as (SKU id, quantity)."""

    number: int
    at: str
    lines: tuple[tuple[int, str], ...]
    warehouse: int = SUZHOU
    kind: int = 3
    status: int = 1

    @property
    def order_no(self) -> str:
        return f"RK1009{self.number:04}"

    @property
    def waybill(self) -> str:
        return f"YT2026{self.number:06}CN"

    @property
    def sold_as(self) -> str:
        return f"PO-2026-{self.number:04}"


TWO_LINES = Parcel(number=1, at="2026-06-18 00:30:11.204", lines=((BLACK, "1.00"), (WHITE, "2.00")))
SAME_MILLISECOND = Parcel(number=2, at="2026-06-18 00:30:11.204", lines=((MACBOOK, "1.00"),))
"""Its id is one more than that of the parcel before: as binary floats both would be the same."""
FRACTION = Parcel(number=3, at="2026-06-18 00:30:11.205", lines=((HAIRTAIL, "1.50"),), warehouse=WUJIANG)
CODE_GIVEN = Parcel(number=4, at="2026-06-18 23:59:59.999", lines=((PRINTER, "3.00"),))
NO_CODE = Parcel(number=5, at="2026-06-19 08:00:00.000", lines=((FRIDGE, "1.00"),))
EMPTY_CODE = Parcel(number=6, at="2026-06-19 08:00:00.001", lines=((BLACK, "1.00"), (DUMBBELL, "1.00")))
LATE = Parcel(number=10, at=EMPTY_CODE.at, lines=((WHITE, "1.00"),))
"""Written in the very millisecond at which the collector had stopped, with a later number of the generator."""
GOOD, BAD = (TWO_LINES, SAME_MILLISECOND, FRACTION, CODE_GIVEN), (NO_CODE, EMPTY_CODE)
NOT_FOR_CUSTOMS = (
    Parcel(number=7, at="2026-06-19 08:00:00.000", lines=((BLACK, "1.00"),), status=0),
    Parcel(number=8, at="2026-06-19 08:00:00.000", lines=((BLACK, "1.00"),), status=-1),
    Parcel(number=9, at="2026-06-19 08:00:00.000", lines=((BLACK, "1.00"),), kind=2),
)
"""Not received yet, void, and bought instead of returned."""

EXPECTED_LINES = {
    "RK10090001": [("1", "1", "1", None), ("2", "2", "2", None)],
    "RK10090002": [("1", "1", "1", "1.61666")],
    "RK10090003": [("1", "1.5", "1.5", None)],
    "RK10090004": [("1", "3", "3", None)],
}
"""Receipt number -> (gnum, qty, qty1, qty2) of its lines. One of three with 4.85 kg has 1.61666…, cut off."""

RECEIVE = """
INSERT INTO wms_receipt_order (id, order_no, opt_type, merchant_id, biz_order_no, total_quantity, total_amount,
  order_status, warehouse_id, remark, create_by, create_time, update_by, update_time)
VALUES (:id, :order_no, :kind, NULL, :sold_as, :total, NULL, :status, :warehouse, :waybill, 'ck', :at, 'ck', :at)
"""
RECEIVE_LINE = """
INSERT INTO wms_receipt_order_detail (id, order_id, sku_id, quantity, amount, warehouse_id, remark, create_by,
  create_time, update_by, update_time)
VALUES (:id, :order_id, :sku, :quantity, NULL, :warehouse, NULL, 'ck', :at, 'ck', :at)
"""
ARCHIVE = """
CREATE TABLE export_list (id BIGINT PRIMARY KEY, order_no {text}, invt_no {text}, customs_code {text},
  ebp_code {text}, ebp_name {text}, ebc_code {text}, ebc_name {text}, agent_code {text}, agent_name {text},
  logistics_no {text}, trade_mode {text}, release_time {time});
CREATE TABLE export_list_line (list_id BIGINT, gnum INTEGER, item_no {text}, gcode {text}, gname {text},
  gmodel {text}, qty {amount}, unit {text}, qty1 {amount}, unit1 {text}, qty2 {amount}, unit2 {text},
  PRIMARY KEY (list_id, gnum));
CREATE TABLE return_transport (waybill {text} PRIMARY KEY, bill_no {text}, traf_mode {text}, traf_name {text},
  voyage_no {text}, country {text}, port_code {text}, logistics_code {text}, logistics_name {text})
"""
COLUMN_TYPES = {
    "mysql": {"text": "VARCHAR(255)", "amount": "DECIMAL(19,5)", "time": "DATETIME(3)"},
    # SQLite has no decimals; text stays exact.
    "sqlite": {"text": "TEXT", "amount": "TEXT", "time": "TEXT"},
}
WE_READ = ("wms_receipt_order", "wms_receipt_order_detail", "wms_item_sku")
WE_READ_OF_ARCHIVE = ("export_list", "export_list_line", "return_transport")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An enterprise with its databases, and the customs office it talks to."""

    folder: Path
    warehouse: Engine

    def connector(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the connector with this configuration."""
        command = [sys.executable, "-m", "connector", "--config", str(self.folder / "connector.toml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    @contextmanager
    def records(self) -> Iterator[Connection]:
        """The connector's own records."""
        database = open_database(load(self.folder / "connector.toml"))
        try:
            with database.read() as connection:
                yield connection
        finally:
            database.close()

    def run_until_answered(self, wanted: int) -> dict[tuple[str, str], DocumentView]:
        """Run full cycles until so many documents have their final answer; all documents by type and key."""
        end = time.monotonic() + 40
        while time.monotonic() < end:
            done = self.connector("run", "--once")
            assert done.returncode in {0, 3}, done.stderr
            with self.records() as connection:
                found = documents(connection, Filter())
            if sum(one.customs_status in {"released", "finished", "rejected", "failed"} for one in found) >= wanted:
                break
        return {(one.type, one.business_key): one for one in found}

    def held(self) -> list[Waiting]:
        with self.records() as connection:
            return waiting_entries(connection)

    def at_customs(self, kind: str, record: str) -> dict[str, Any]:
        """Receipt number -> the record, in the very bytes that customs received and verified."""
        with self.records() as connection:
            sent = messages(connection, Filter(type=kind))
        roots = [etree.fromstring(signed_message(self.folder / "customs.db", message.id)) for message in sent]
        return {
            str(element.findtext(f".//{tag(CEB, 'coElNo')}")): element
            for root in roots
            for element in root.iter(tag(CEB, record))
        }

    def checksums(self) -> dict[str, int]:
        """A checksum over all rows of each table of the warehouse."""
        with self.warehouse.connect() as connection:
            tables = connection.execute(text("SHOW TABLES")).scalars().all()
            return {row[0]: row[1] for row in connection.execute(text(f"CHECKSUM TABLE {', '.join(tables)}"))}


@pytest.fixture
def archive() -> str:
    """Where the archive is; parametrize a test with mysql to have it in MariaDB."""
    return "sqlite"


@pytest.fixture
def site(
    archive: str,
    mariadb_url: str,
    reference: Path,
    development_pki: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    warehouse = create_engine(mariadb_url, poolclass=NullPool, connect_args={"client_flag": MULTI_STATEMENTS})
    load_dump(warehouse, reference / "warehouses/ruoyi-wms.mysql.sql")
    with warehouse.begin() as connection:
        for sku, code in CODES_GIVEN.items():
            connection.execute(text("UPDATE wms_item_sku SET sku_code = :c WHERE id = :i"), {"c": code, "i": sku})
    receive(warehouse, *GOOD, *BAD, *NOT_FOR_CUSTOMS)
    sqlite = create_engine(f"sqlite:///{tmp_path / 'archive.db'}", poolclass=NullPool)
    fill_archive(warehouse if archive == "mysql" else sqlite)
    with reading_account(warehouse, WE_READ + (WE_READ_OF_ARCHIVE if archive == "mysql" else ())) as (url, password):
        port = free_port()
        write_office(tmp_path, port, development_pki)
        address = url.render_as_string()
        urls = {"warehouse": address, "archive": address if archive == "mysql" else "sqlite:///archive.db"}
        configuration = CONFIGURATION.format(mappings=shipped("mappings"), pki=development_pki, port=port, **urls)
        (tmp_path / "connector.toml").write_text(configuration, "utf-8")
        monkeypatch.setenv("CONNECTOR_SOURCES__WAREHOUSE__PASSWORD", password)
        if archive == "mysql":
            monkeypatch.setenv("CONNECTOR_SOURCES__ARCHIVE__PASSWORD", password)
        with running_office(tmp_path / "registry.toml", port):
            built = Site(folder=tmp_path, warehouse=warehouse)
            assert built.connector("db", "upgrade").returncode == 0
            yield built


CONFIGURATION = f"""
mappings = "{{mappings}}/ruoyi"
[database]
url = "sqlite:///connector.db"
[sources.warehouse]
url = "{{warehouse}}"
timezone = "Asia/Shanghai"
[sources.archive]
url = "{{archive}}"
timezone = "Asia/Shanghai"
[enterprise]
dxp_id = "{DXP_ID}"
cop_code = "{SHOP}"
cop_name = "苏州云帆跨境电子商务有限公司"
[values]
agent_code = "{AGENT}"
agent_name = "苏州园区报关有限公司"
operator_code = "{OPERATOR}"
operator_name = "苏州园区跨境退货监管作业场所"
return_reason = "消费者退货"
[codes.return_offices]
{SUZHOU} = "2325"
{WUJIANG} = "2337"
[signing.main]
suite = "rsa-sha1"
key_file = "{{pki}}/enterprise.key.pem"
certificate_file = "{{pki}}/enterprise.crt.pem"
[customs]
submit_url = "http://127.0.0.1:{{port}}/ReceiveCebDeclare"
receipts_url = "http://127.0.0.1:{{port}}/ReceiptService"
require_signed_receipts = false
"""


def load_dump(engine: Engine, dump: Path) -> None:
    with engine.begin() as connection:
        raw: Any = connection.connection.cursor()
        raw.execute(dump.read_text("utf-8"))
        while raw.nextset():
            pass


def receive(engine: Engine, *parcels: Parcel) -> None:
    with engine.begin() as connection:
        for one in parcels:
            own = {"id": FIRST_ID + one.number, "order_no": one.order_no, "sold_as": one.sold_as, "at": one.at}
            state = {"kind": one.kind, "status": one.status, "warehouse": one.warehouse, "waybill": one.waybill}
            total = sum(Decimal(quantity) for _, quantity in one.lines)
            connection.execute(text(RECEIVE), own | state | {"total": total})
            for position, (sku, quantity) in enumerate(one.lines):
                line = {"id": FIRST_ID + 1000 + 10 * one.number + position, "sku": sku, "quantity": quantity}
                head = {"order_id": own["id"], "warehouse": one.warehouse, "at": one.at}
                connection.execute(text(RECEIVE_LINE), line | head)


@contextmanager
def reading_account(server: Engine, tables: tuple[str, ...]) -> Iterator[tuple[URL, str]]:
    """Address and password of a MariaDB account that may SELECT from these tables and nothing else."""
    name, password = f"reader_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    with server.begin() as connection:
        connection.execute(text(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{password}'"))
        for table in tables:
            connection.execute(text(f"GRANT SELECT ON {table} TO {name}@'127.0.0.1'"))
    try:
        yield server.url.set(username=name), password
    finally:
        with server.begin() as connection:
            connection.execute(text(f"DROP USER {name}@'127.0.0.1'"))


def export_list(parcel: Parcel) -> dict[str, Any]:
    """The export list of the order that a parcel came back from, as customs holds it."""
    exported = {"gmodel": "无品牌|无型号", "qty": "3", "qty1": "3"}
    return {
        "invt_no": f"22442026E{parcel.number:09}",
        "trade_mode": "9610",
        "ebp_code": "33019608Q5",
        "ebc_code": SHOP,
        "lines": [{"gnum": number} | exported | GOODS[sku] for number, (sku, _) in enumerate(parcel.lines, start=1)],
    }


def fill_archive(engine: Engine) -> None:
    names = {"ebp_name": "丝路优品跨境平台", "ebc_name": "苏州云帆跨境电子商务有限公司"}
    way = {"traf_mode": "5", "traf_name": "CZ", "voyage_no": "CZ300", "country": "502", "port_code": "2325"}
    carrier = {"logistics_code": "3205981C66", "logistics_name": "苏州云运国际物流有限公司"}
    with engine.begin() as connection:
        for statement in ARCHIVE.format(**COLUMN_TYPES[engine.dialect.name]).split(";"):
            connection.execute(text(statement))
        for parcel in (*GOOD, *BAD, LATE):
            head = export_list(parcel)
            lines = head.pop("lines")
            own = {"id": parcel.number, "order_no": parcel.sold_as, "release_time": "2026-05-01 08:00:00.000"}
            insert(connection, "export_list", head | names | own)
            for line in lines:
                insert(connection, "export_list_line", line | {"list_id": parcel.number})
            travelled = {"waybill": parcel.waybill, "bill_no": f"784-{parcel.number:08}"}
            insert(connection, "return_transport", travelled | way | carrier)


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f":{column}" for column in row)
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"), row)


def write_office(folder: Path, port: int, pki: Path) -> None:
    """A customs office that knows our key and the export lists, those of the bad returns too."""
    der = ssl.PEM_cert_to_DER_cert((pki / "enterprise.crt.pem").read_text("ascii"))
    lists = [json.dumps(export_list(parcel), ensure_ascii=False) for parcel in (*GOOD, *BAD, LATE)]
    (folder / "export-lists.jsonl").write_text("\n".join(lists), "utf-8")
    (folder / "registry.toml").write_text(
        f'listen = "127.0.0.1:{port}"\ndatabase = "customs.db"\nexport_lists = "export-lists.jsonl"\n'
        f'[delays]\nstage_seconds = 0\n[[senders]]\ndxp_id = "{DXP_ID}"\n'
        f'certificate_sha256 = "{hashlib.sha256(der).hexdigest()}"\n'
        f'enterprise_codes = ["{AGENT}", "{OPERATOR}"]\n'
    )


def texts(element: Any, *names: str) -> tuple[str | None, ...]:
    """The first element of each name."""
    return tuple(element.findtext(f".//{tag(CEB, name)}") for name in names)


def in_utc(written: str) -> str:
    """A time of the warehouse as our audit log writes it."""
    moment = datetime.fromisoformat(f"{written}+08:00").astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


@pytest.mark.parametrize("archive", ["mysql", "sqlite"])
def test_published_warehouse_reaches_customs_with_the_shipped_mappings(site: Site) -> None:
    before, begun = site.checksums(), datetime.now(UTC)
    found = site.run_until_answered(2 * len(GOOD) + len(BAD))
    expected = {("CEB213", f"{AGENT}/{one.order_no}"): "800" for one in GOOD}
    expected |= {("CEB215", f"{OPERATOR}/{one.order_no}"): "399" for one in (*GOOD, *BAD)}
    assert {key: one.customs_code for key, one in found.items()} == expected
    refunds = site.at_customs("CEB213", "InvtRefund")
    assert {
        order_no: [texts(line, "gnum", "qty", "qty1", "qty2") for line in record.iter(tag(CEB, "InvtRefundList"))]
        for order_no, record in refunds.items()
    } == EXPECTED_LINES
    for parcel in GOOD:
        record, number = refunds[parcel.order_no], parcel.number
        office = "2337" if parcel.warehouse == WUJIANG else "2325"
        assert texts(record, "customsCode", "logisticsNo", "invtNo") == (
            office,
            parcel.waybill,
            f"22442026E{number:09}",
        )
        assert texts(record, "gname", "billNo") == (GOODS[parcel.lines[0][0]]["gname"], f"784-{number:08}")
        app_time = datetime.strptime(f"{texts(record, 'appTime')[0]}+0800", "%Y%m%d%H%M%S%z")
        assert begun - timedelta(seconds=1) <= app_time <= datetime.now(UTC)
    tallies = site.at_customs("CEB215", "InvtRefundDetail")
    assert {key: texts(one, "logisticsNo") for key, one in tallies.items()} == {
        parcel.order_no: (parcel.waybill,) for parcel in (*GOOD, *BAD)
    }
    assert site.checksums() == before


def test_return_without_sku_code_waits_with_its_reason_until_its_users_give_one(site: Site) -> None:
    site.connector("run", "--once")
    held = {one.key.key: one for one in site.held()}
    assert [(one.key.key, one.type) for one in site.held()] == [(one.order_no, "CEB213") for one in BAD]
    assert "sku_code" in held[NO_CODE.order_no].faults[0]["text"]
    with site.warehouse.begin() as connection:
        code, order = {"c": GOODS[FRIDGE]["item_no"], "i": FRIDGE}, {"n": NO_CODE.order_no}
        connection.execute(text("UPDATE wms_item_sku SET sku_code = :c WHERE id = :i"), code)
        touch = "UPDATE wms_receipt_order SET update_time = '2026-06-20 09:00:00.000' WHERE order_no = :n"
        connection.execute(text(touch), order)
    receive(site.warehouse, LATE)
    found = site.run_until_answered(2 * len(GOOD) + len(BAD) + 3)
    assert found["CEB213", f"{AGENT}/{NO_CODE.order_no}"].customs_code == "800"
    assert found["CEB213", f"{AGENT}/{LATE.order_no}"].customs_code == "800"
    assert {one.key.key for one in site.held()} == {EMPTY_CODE.order_no}
    with site.records() as connection:
        collected = entries(connection, EntryFilter(event="collected"))
    assert [(one.source_key, one.detail["changed_at"]) for one in collected] == [
        *((f"returns/{parcel.order_no}", in_utc(parcel.at)) for parcel in (*GOOD, *BAD, LATE)),
        (f"returns/{NO_CODE.order_no}", in_utc("2026-06-20 09:00:00.000")),
    ]


def test_account_of_these_tests_may_only_read(mariadb_url: str) -> None:
    server = create_engine(mariadb_url, poolclass=NullPool)
    with server.begin() as connection:
        connection.execute(text("CREATE TABLE t (a INT)"))
    with reading_account(server, ("t",)) as (url, password):
        engine = create_engine(url.set(password=password), poolclass=NullPool)
        with engine.connect() as connection, pytest.raises(DBAPIError, match="denied"):
            connection.execute(text("INSERT INTO t VALUES (1)"))
