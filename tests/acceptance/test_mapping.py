"""`connector mapping` as whoever connects a warehouse types it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.acceptance.test_replay import mappings_of

Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_reading")


def test_check_tells_what_is_left_open_and_unused(played: Path, connector: Run, read: Read) -> None:
    found = read(played, "mapping", "check")
    by_type = {one["type"]: one for one in found["mappings"]}
    assert by_type.keys() == {"CEB213", "CEB215"}
    assert "head.note" in by_type["CEB213"]["open"]
    assert "export_list.agent_code" in found["unused_columns"]["returns"]
    assert "record.order_no" not in found["unused_columns"]["returns"]
    said = connector(played, "mapping", "check").stdout
    assert "left open: head.loctNo, head.preNo" in said
    assert "used by no mapping" in said


def test_check_tells_every_fault_at_once(played: Path, connector: Run, edit: Edit, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(mappings_of(played), folder)
    edit(folder / "CEB213.toml", 'coElNo        = { field = "record.order_no" }', "")
    edit(folder / "CEB215.toml", "version = 1", 'version = "one"')
    said = connector(played, "mapping", "check", "--mappings", str(folder), code=4).stderr
    assert "coElNo" in said
    assert "CEB215.toml:" in said


def test_preview_shows_the_xml_and_changes_nothing(played: Path, connector: Run, query: Query) -> None:
    before = query(played / "connector.db", "SELECT count(*) FROM audit_entry")
    said = connector(played, "mapping", "preview", "RK10000001", "--type", "CEB213").stdout
    assert "<ceb:coElNo>RK10000001</ceb:coElNo>" in said
    assert "CEB215" not in said
    assert "<ceb:CEB215Message" in connector(played, "mapping", "preview", "returns/RK10000001").stdout
    assert "no source has a record nobody" in connector(played, "mapping", "preview", "nobody", code=2).stderr
    assert query(played / "connector.db", "SELECT count(*) FROM audit_entry") == before


def test_preview_tells_what_differs_from_what_was_made(sample: Path, connector: Run, read: Read, query: Query) -> None:
    asked = ("mapping", "preview", "RK10000001", "--diff")
    assert connector(sample, *asked).stdout.count("the same as revision 1") == 2
    query(sample / "archive.db", "UPDATE return_transport SET traf_name = 'WESTERN STAR'")
    assert connector(sample, *asked, code=3).stdout.count(" -> WESTERN STAR") == 2
    found = {one["type"]: one for one in read(sample, *asked, code=3)["previews"]}
    assert [one["field"] for one in found["CEB213"]["differences"]] == ["trafName"]
    query(sample / "connector.db", "UPDATE document SET content = ''")
    assert "whose content was archived" in connector(sample, *asked, code=3).stdout


def test_preview_tells_why_a_record_cannot_be_declared(played: Path, connector: Run, read: Read) -> None:
    (held, *_) = read(played, "quarantine", "list", "--type", "CEB213")["quarantine"]
    said = connector(played, "mapping", "preview", held["key"], "--type", "CEB213", code=3).stdout
    assert "cannot go out: " in said
    assert held["faults"][0]["text"] in said


def test_docs_are_a_table_for_each_mapping(played: Path, connector: Run, tmp_path: Path) -> None:
    file = tmp_path / "mappings.md"
    connector(played, "mapping", "docs", "--out", str(file))
    text = file.read_text("utf-8")
    assert "# CEB213: " in text
    assert "# CEB215: " in text
    assert "| `customsCode` | 申报地海关 | C4 | 是 yes | record.warehouse_id, by code list return_offices |" in text
    assert "CEB215" not in connector(played, "mapping", "docs", "--type", "CEB213").stdout


def test_preview_holds_mappings_against_others_over_the_records_stored_last(
    sample: Path, connector: Run, read: Read, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(sample / "mappings", tmp_path / "old"))
    same = read(sample, "mapping", "preview", "--against", str(old), "--last", "20")
    assert (same["records"], same["documents"], same["changed"]) == (20, 40, [])
    mapping = sample / "mappings" / "CEB215.toml"
    text = mapping.read_text("utf-8").replace('ieFlag        = { const = "I" }', 'ieFlag        = { const = "E" }')
    mapping.write_text(text.replace("version = 1", "version = 2"), "utf-8")
    found = read(sample, "mapping", "preview", "--against", str(old), "--last", "20", code=3)
    assert len(found["changed"]) >= 19
    assert {one["type"] for one in found["changed"]} == {"CEB215"}
    assert found["changed"][0]["differences"] == [{"field": "ieFlag", "then": "I", "now": "E"}]
    said = connector(sample, "mapping", "preview", "--against", str(old), "--last", "20", "--type", "CEB215", code=3)
    assert "  ieFlag: I -> E" in said.stdout
    connector(sample, "mapping", "preview", "--against", str(old), "--type", "CEB213")
    assert "a KEY is missing" in connector(sample, "mapping", "preview", code=2).stderr


def test_documents_made_with_a_version_are_listed_after_a_mapping_was_corrected(
    sample: Path, connector: Run, read: Read, query: Query, office: Office
) -> None:
    mapping = sample / "mappings" / "CEB215.toml"
    mapping.write_text(mapping.read_text("utf-8").replace("version = 1", "version = 2"), "utf-8")
    query(
        sample / "warehouse.db",
        "UPDATE wms_receipt_order SET remark = (SELECT remark FROM wms_receipt_order WHERE order_no = 'RK10000001'), "
        "update_time = '2026-12-08 09:00:00.000' WHERE remark IS NULL",
    )
    with office(sample):
        read(sample, "run", "--once")
    used = {(one["mapping"], one["type"]): one for one in read(sample, "mapping", "used")["mappings"]}
    assert used["CEB215 1", "CEB215"]["documents"] == 59
    assert used["CEB215 2", "CEB215"]["documents"] == 1
    old = read(sample, "documents", "list", "--mapping", "CEB215 1")["documents"]
    assert {one["mapping"] for one in old} == {"CEB215 1"}
    assert len(old) == 59
    assert "60 documents in 2 messages" in connector(sample, "documents", "list", "--mapping", "CEB215").stdout
    assert read(sample, "documents", "list", "--mapping", "CEB2")["documents"] == []


def test_golden_cases_beside_the_mappings_come_out_as_expected_and_a_changed_mapping_fails_them(
    sample: Path, connector: Run, read: Read
) -> None:
    mappings = sample / "mappings"
    shutil.copytree(Path(__file__).with_name("cases"), mappings / "cases")
    found = read(sample, "mapping", "test")["cases"]
    assert [one["name"] for one in found] == [
        "control-character",
        "missing-waybill",
        "sound",
        "unknown-list",
        "unknown-unit",
    ]
    assert not any(one["failures"] for one in found)
    text = (mappings / "CEB213.toml").read_text("utf-8")
    (mappings / "CEB213.toml").write_text(text.replace('rounding = "down"', 'rounding = "half_up"'), "utf-8")
    (mappings / "CEB215.toml").unlink()
    failed = {one["name"]: one["failures"] for one in read(sample, "mapping", "test", code=3)["cases"]}
    assert failed["sound"] == ["CEB215: is expected and not made"]
    said = connector(sample, "mapping", "test", code=3)
    assert "missing-waybill: CEB215: is expected and not made" in said.stdout
    assert "0 of 5 cases come out as expected" in said.stderr


def test_preview_keeps_a_golden_case_of_the_record_as_it_stands(sample: Path, connector: Run, read: Read) -> None:
    said = connector(sample, "mapping", "preview", "RK10000003", "--case", "third").stdout
    assert str(sample / "mappings" / "cases" / "third.json") in said
    assert read(sample, "mapping", "test")["cases"] == [{"name": "third", "failures": []}]
    assert "choose another" in connector(sample, "mapping", "preview", "RK10000003", "--case", "third", code=2).stderr
    (sample / "mappings" / "cases" / "third.json").write_text("{}", "utf-8")
    assert "is no golden case" in connector(sample, "mapping", "test", code=4).stderr


@pytest.mark.parametrize(("message", "table"), [("CEB215", "wms_receipt_order"), ("WOD101", "wms_movement_order")])
def test_init_drafts_files_of_which_check_names_exactly_what_is_left(
    played: Path, connector: Run, tmp_path: Path, message: str, table: str
) -> None:
    draft = tmp_path / "draft"
    init = ("mapping", "init", "--source", "warehouse", "--table", table, "--message", message, "--out", str(draft))
    connector(played, *init)
    assert "exists" in connector(played, *init, code=2).stderr
    records, mapping = (
        (draft / f"{table}.toml").read_text("utf-8"),
        (draft / f"{message}-{table}.toml").read_text("utf-8"),
    )
    assert 'key = ["order_no"]' in records
    assert 'changed = "update_time"' in records
    assert 'unique = "id"' in records
    shutil.copy(mappings_of(played) / "codes.toml", draft)
    left = {line.partition(" = ")[0].removeprefix("# TODO ") for line in mapping.splitlines() if ", required" in line}
    said = connector(played, "mapping", "check", "--mappings", str(draft), code=4).stderr
    assert left
    assert {line.partition("head.")[2].partition(" ")[0] for line in said.splitlines() if "head." in line} == left
    filled = re.sub(
        r'^# TODO (\w+) = \{ field = "record.…" \}', r'\1 = { field = "record.order_no" }', mapping, flags=re.MULTILINE
    )
    (draft / f"{message}-{table}.toml").write_text(filled.replace("step = { field", "# step = { field"), "utf-8")
    code = 0 if message == "CEB215" else 4  # a step is one of a vocabulary
    connector(played, "mapping", "check", "--mappings", str(draft), code=code)
    assert (
        "has no table nothing; "
        not in connector(played, *init[:5], "nothing", *init[6:8], "--out", str(tmp_path / "x"), code=2).stdout
    )
