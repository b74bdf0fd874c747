from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.config import load
from connector.demo.enterprise import Enterprise, build
from connector.demo.goods import GOODS
from connector.demo.returns import Fault, generate
from connector.errors import UsageError
from connector.sources.records_file import load_records


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Enterprise:
    return build(tmp_path_factory.mktemp("sample"), returns=60, seed=1, port=8610)


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def dump(folder: Path) -> str:
    text = (folder / "export-lists.jsonl").read_text("utf-8")
    for name in ("warehouse.db", "archive.db"):
        with closing(sqlite3.connect(folder / name)) as connection:
            text += "\n".join(connection.iterdump())
    return text


def test_sample_has_each_fault_once_when_it_has_60_returns(sample: Enterprise) -> None:
    assert {kind: len(numbers) for kind, numbers in sample.faults.items()} == dict.fromkeys(Fault, 1)
    (total,) = rows(sample.directory / "warehouse.db", "SELECT count(DISTINCT order_no) FROM wms_receipt_order")
    assert total == (60,)


@pytest.mark.parametrize("returns", [0, 1, 9, 200, 1234])
def test_faults_are_one_in_ten_and_even_however_many_returns(returns: int) -> None:
    planted = [parcel.fault for parcel in generate(returns, 7) if parcel.fault]
    assert len(planted) == round(returns / 10)
    counts = [planted.count(kind) for kind in Fault]
    assert max(counts) - min(counts) <= 1


def test_sample_is_the_same_when_the_seed_is_and_another_when_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        build(tmp_path / name, returns=40, seed=seed, port=8610)
    assert dump(tmp_path / "a") == dump(tmp_path / "b")
    assert dump(tmp_path / "a") != dump(tmp_path / "c")


def test_configuration_and_mappings_can_be_used_as_they_are(sample: Enterprise) -> None:
    settings = load(sample.config)
    assert settings.customs.submit_url == "http://127.0.0.1:8610/ReceiveCebDeclare"
    key_file = settings.signing["main"].key_file
    assert key_file is not None
    assert key_file.is_file()
    assert set(load_records(settings.mappings, settings.sources)) == {"returns"}
    sites = rows(sample.directory / "warehouse.db", "SELECT DISTINCT warehouse_id FROM wms_receipt_order")
    assert {str(number) for (number,) in sites} <= set(settings.codes["return_offices"])
    registry = tomllib.loads(sample.registry.read_text("utf-8"))
    (sender,) = registry["senders"]
    assert sender["dxp_id"] == settings.enterprise.dxp_id
    assert {settings.values["agent_code"], settings.values["operator_code"]} <= set(sender["enterprise_codes"])
    assert re.fullmatch("[0-9a-f]{64}", sender["certificate_sha256"])


def test_returns_are_in_order_with_ties_and_ids_beyond_floats(sample: Enterprise) -> None:
    orders = rows(sample.directory / "warehouse.db", "SELECT update_time, id FROM wms_receipt_order ORDER BY rowid")
    assert orders == sorted(orders)
    times = [time for time, _ in orders]
    assert "2026-06-01" <= times[0] <= times[-1] < "2026-10-01"
    assert len(set(times)) < len(times)
    assert min(number for _, number in orders) > 2**53


def test_goods_fit_the_formats_of_customs() -> None:
    assert len({goods.sku for goods in GOODS}) == len(GOODS)
    for goods in GOODS:
        assert re.fullmatch(r"\d{10}", goods.gcode)
        assert re.fullmatch(r"\d{3}", goods.unit)
        assert re.fullmatch(r"\d{3}", goods.unit1)
        assert (goods.unit2 is None) == (goods.each2 is None)
        assert len(goods.sku) <= 20
        assert len(goods.model) <= 250


def test_every_parcel_is_of_its_order_and_no_more_than_was_sent_but_for_the_planted(sample: Enterprise) -> None:
    folder = sample.directory
    back = rows(
        folder / "warehouse.db",
        "SELECT o.order_no, o.biz_order_no, s.sku_code, d.quantity FROM wms_receipt_order o"
        " JOIN wms_receipt_order_detail d ON d.order_id = o.id JOIN wms_item_sku s ON s.id = d.sku_id",
    )
    sent = {
        (order, item): Decimal(quantity)
        for order, item, quantity in rows(
            folder / "archive.db",
            "SELECT l.order_no, i.item_no, i.qty FROM export_list l JOIN export_list_line i ON i.list_id = l.id",
        )
    }
    lost = {order for number, order, _, _ in back if number in sample.faults[Fault.LIST_UNKNOWN_TO_US]}
    above = set()
    totals: dict[tuple[str, str], Decimal] = {}
    for number, order, sku, quantity in back:
        if order in lost:
            assert (order, sku) not in sent
            continue
        totals[order, sku] = totals.get((order, sku), Decimal()) + Decimal(quantity)
        if totals[order, sku] > sent[order, sku]:
            above.add(number)
    assert above == set(sample.faults[Fault.QUANTITY_ABOVE_ORIGINAL])


def test_planted_faults_are_where_they_should_be(sample: Enterprise) -> None:
    folder = sample.directory
    head = {
        number: (order, waybill)
        for number, order, waybill in rows(
            folder / "warehouse.db", "SELECT order_no, biz_order_no, remark FROM wms_receipt_order"
        )
    }
    lists = {order: list_id for list_id, order in rows(folder / "archive.db", "SELECT id, order_no FROM export_list")}
    known = {json.loads(line)["invt_no"] for line in (folder / "export-lists.jsonl").read_text("utf-8").splitlines()}
    invt = dict(rows(folder / "archive.db", "SELECT order_no, invt_no FROM export_list"))
    faults = {kind: numbers[0] for kind, numbers in sample.faults.items()}

    assert [number for number, (_, waybill) in head.items() if waybill is None] == [faults["missing_waybill"]]
    assert {order for order, _ in head.values()} - set(lists) == {head[faults["list_unknown_to_us"]][0]}
    assert set(invt.values()) - known == {invt[head[faults["list_unknown_to_customs"]][0]]}
    spoilt = rows(folder / "archive.db", "SELECT list_id FROM export_list_line WHERE unit = '999'")
    assert spoilt == [(lists[head[faults["unknown_unit"]][0]],)]
    spoilt = rows(folder / "archive.db", "SELECT list_id FROM export_list_line WHERE instr(gname, char(11))")
    assert spoilt == [(lists[head[faults["control_character"]][0]],)]
    for number in known:
        assert re.fullmatch(r"\d{4}2026E\d{9}", number)


def test_sample_has_cross_area_and_same_area_returns(sample: Enterprise) -> None:
    settings = load(sample.config)
    offices = settings.codes["return_offices"]
    sites = dict(rows(sample.directory / "warehouse.db", "SELECT biz_order_no, warehouse_id FROM wms_receipt_order"))
    lists = rows(sample.directory / "archive.db", "SELECT order_no, customs_code FROM export_list")
    same = [offices[str(sites[order])][:2] == office[:2] for order, office in lists]
    assert 5 < sum(same) < 55


def test_build_refuses_when_the_folder_holds_anything(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious", "utf-8")
    with pytest.raises(UsageError, match="not empty"):
        build(tmp_path, returns=1, seed=1, port=8610)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
