"""Warehouse operating data end to end: events, stock and bonded records of the sample warehouse, and corrections."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from connector.config import load
from connector.demo.enterprise import build
from connector.demo.office import free_port
from connector.messages.envelope import unseal
from connector.signing.certificates import read_certificates
from connector.signing.verifier import verify
from connector.simulator.soap import read_call
from tests.acceptance.conftest import Query, Read, Run

Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_operating_data")

_SHIPPED = ("ruoyi", "ruoyi-operations", "ruoyi-hchx")
_LATER = "2026-12-08 09:00:00.000"


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, connector: Run, read: Read, office: Office) -> Path:
    """A sample enterprise of 12 returns with all its operating data declared and answered."""
    folder = tmp_path_factory.mktemp("operations") / "demo"
    port = free_port()
    build(folder, returns=12, seed=3, port=port, mappings=_SHIPPED)
    registry = folder / "registry.toml"
    registry.write_text(registry.read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01"), "utf-8")
    connector(folder, "db", "upgrade")
    with office(folder):
        read(folder, "run", "--once", code=3)  # one of the returns is wrong on purpose
        read(folder, "run", "--once")
    return folder


def _documents(folder: Path, query: Query, where: str) -> list[Any]:
    columns = "business_key, part, corrects, content, customs_status, waybill"
    return query(folder / "connector.db", f"SELECT {columns} FROM document WHERE {where} ORDER BY app_time, guid")


def test_every_step_is_reported_once_and_finished(reported: Path, query: Query) -> None:
    counted = {
        "arriving": "SELECT count(*) FROM wms_receipt_order WHERE remark IS NOT NULL",
        "unpacking": "SELECT count(*) FROM wms_receipt_order_detail",
        "moving": "SELECT count(*) FROM wms_movement_order_detail",
        "shipping": "SELECT count(*) FROM wms_shipment_order_detail",
        "counting": "SELECT count(*) FROM wms_check_order_detail",
    }
    for part, statement in counted.items():
        ((expected,),) = query(reported / "warehouse.db", statement)
        found = _documents(reported, query, f"type = 'WOD101' AND part LIKE '{part}%'")
        assert len({one[0] for one in found}) == len(found) == expected > 0
        assert {one[4] for one in found} == {"finished"}
    ((orders,),) = query(
        reported / "warehouse.db",
        "SELECT (SELECT count(*) FROM wms_receipt_order) + (SELECT count(*) FROM wms_shipment_order)",
    )
    assert len(_documents(reported, query, "type = 'HCHX_STORE_TRANS' AND customs_status = 'finished'")) == orders
    ((counts,),) = query(reported / "warehouse.db", "SELECT count(*) FROM wms_check_order")
    for kind in ("WOD201", "HCHX_STORE_AMOUNT"):
        assert len(_documents(reported, query, f"type = '{kind}' AND customs_status = 'finished'")) == counts


def test_every_event_and_line_of_stock_lies_in_a_functional_area(reported: Path, query: Query) -> None:
    for _, part, _, content, *_ in _documents(reported, query, "type = 'WOD101'"):
        assert '"toArea"' in content or (part.startswith("shipping") and '"fromArea":"出库区"' in content)
    for one in _documents(reported, query, "type = 'WOD201'"):
        assert one[3].count('"area":"存储区"') == one[3].count('"gnum"') > 0


def test_envelope_of_a_bonded_record_carries_the_signature_and_the_message_none(reported: Path, query: Query) -> None:
    certificate = load(reported / "connector.toml").signing["main"].certificate_file
    assert certificate is not None
    trusted = {one.key_id for one in read_certificates(certificate)}
    rows = query(
        reported / "connector.db",
        "SELECT b.xml, b.body FROM message_bytes b JOIN message m ON m.id = b.message_id WHERE m.type LIKE 'HCHX%'",
    )
    assert rows
    for xml, body in rows:
        assert b"Signature" not in xml
        content = read_call(body, "").arguments["content"].encode()
        verified = verify(content, suites={"sm2-sm3"}, fingerprints=trusted)
        envelope = unseal(verified.content)
        assert envelope.data == xml
        assert envelope.message_type.startswith("HCHX_STORE_")
        assert etree.fromstring(xml).tag == "HCHX_DATA"


def test_message_of_a_bonded_record_is_replayed_byte_for_byte(reported: Path, query: Query, read: Read) -> None:
    for kind in ("HCHX_STORE_TRANS", "WOD101"):
        (key, *_), *_ = _documents(reported, query, f"type = '{kind}'")
        (replayed,) = read(reported, "documents", "replay", key)["messages"]
        assert replayed["is_identical"], replayed


def test_changed_row_becomes_an_event_that_corrects_the_one_before(
    reported: Path, query: Query, read: Read, office: Office
) -> None:
    ((line_id, quantity),) = query(
        reported / "warehouse.db", "SELECT id, quantity FROM wms_movement_order_detail ORDER BY id LIMIT 1"
    )
    part = f"moving/{line_id}"

    def change(value: str, at: str) -> list[Any]:
        with closing(sqlite3.connect(reported / "warehouse.db")) as connection, connection:
            connection.execute("UPDATE wms_movement_order_detail SET quantity = ? WHERE id = ?", (value, line_id))
            connection.execute(
                "UPDATE wms_movement_order SET update_time = ? WHERE id = "
                "(SELECT order_id FROM wms_movement_order_detail WHERE id = ?)",
                (at, line_id),
            )
        read(reported, "run", "--once")
        return _documents(reported, query, f"part = '{part}'")

    with office(reported):
        (first,) = _documents(reported, query, f"part = '{part}'")
        assert change(quantity, _LATER.replace(":00.000", ":01.000")) == [first]  # nothing that is reported changed
        second = next(one for one in change("77.00", _LATER.replace(":00.000", ":02.000")) if one[0] != first[0])
        found = change(quantity, _LATER.replace(":00.000", ":03.000"))
    (third,) = [one for one in found if one[0] not in {first[0], second[0]}]
    assert (first[2], second[2], third[2]) == ("", first[0], second[0])
    assert f'"correctsEventId":"{first[0]}"' in second[3]
    assert '"qty":"77"' in second[3]
    assert '"reason":"更正' in second[3]
    assert '"reason"' not in first[3]
