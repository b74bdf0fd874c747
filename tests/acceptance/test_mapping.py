"""`connector mapping` as whoever connects a warehouse types it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.acceptance.test_replay import mappings_of

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
