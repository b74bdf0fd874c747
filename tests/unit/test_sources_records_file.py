from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connector.config import load, shipped
from connector.errors import MappingError
from connector.sources.records_file import load_records

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
records = "returns"
database = "warehouse"
query = "SELECT o.id, o.order_no, o.changed FROM orders o"
key = ["order_no"]
changed = "changed"
unique = "id"

[columns]
id = "integer"
order_no = "text"
changed = "time"

[lines]
query = "SELECT d.order_id, d.sku FROM details d WHERE d.order_id IN :keys"
parent = "order_id"
columns = { order_id = "integer", sku = "text" }

[lookups.article]
database = "warehouse"
query = "SELECT a.sku, a.name FROM articles a WHERE a.sku IN :keys"
match = { sku = "line.sku" }
columns = { sku = "text", name = "text" }
"""


def faults(folder: Path, text: str) -> list[str]:
    (folder / "returns.toml").write_text(text, "utf-8")
    with pytest.raises(MappingError) as caught:
        load_records(folder, ["warehouse"])
    assert caught.value.remedy
    return caught.value.cause.splitlines()


def test_records_file_is_read_when_it_is_right(tmp_path: Path) -> None:
    (tmp_path / "returns.toml").write_text(GOOD, "utf-8")
    (tmp_path / "CEB213.toml").write_text('message = "CEB213"\nnonsense = 1', "utf-8")
    (tmp_path / "units.toml").write_text('[units]\n"011" = "件"', "utf-8")
    shape = load_records(tmp_path, ["warehouse"])["returns"].shape
    assert shape.columns == {"id", "order_no", "changed"}
    assert shape.line_columns == {"order_id", "sku"}
    assert shape.lookups["article"].match == ("line.sku",)
    assert shape.lookups["article"].per_line


def test_shipped_records_file_is_right_with_the_shipped_configuration() -> None:
    settings = load(shipped("config") / "connector.toml")
    records = load_records(shipped("mappings") / "ruoyi", settings.sources)
    assert set(records) == {"returns"}
    assert records["returns"].lookups["export_line"].match == {
        "order_no": "record.biz_order_no",
        "item_no": "line.sku_code",
    }


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ('changed = "changed"', 'changed = "change"', 5, "not declare as a time"),
        ('changed = "changed"', 'changed = "order_no"', 5, "not declare as a time"),
        ('unique = "id"', 'unique = "changed"', 6, "text or integer"),
        ('key = ["order_no"]', 'key = ["number"]', 4, "text or integer"),
        ('key = ["order_no"]', "key = []", 4, "at least 1"),
        ('order_no = "text"', 'order_no = "string"', 10, "'text', 'integer'"),
        ('parent = "order_id"', 'parent = "id"', 15, "'id'"),
        ('{ order_id = "integer", sku', '{ order_id = "text", sku', 13, "parent as text"),
        ('match = { sku = "line.sku" }', 'match = { sku = "line.code" }', 21, "line.code (lookup article)"),
        ('match = { sku = "line.sku" }', 'match = { sku = "row.sku" }', 21, "pattern"),
        ('match = { sku = "line.sku" }', 'match = { code = "line.sku" }', 21, "'code'"),
        ("FROM orders o", "FROM orders o WHERE o.id > :last", 3, "takes no parameters; it has :last"),
        ("FROM orders o", "FROM orders o;", 3, "semicolon"),
        ("a.sku IN :keys", "a.sku IN :codes", 20, "needs `IN :keys`"),
        ("d.order_id IN :keys", "d.order_id > 0", 14, "it has none"),
        (
            'database = "warehouse"\nquery = "SELECT o',
            'database = "wms"\nquery = "SELECT o',
            2,
            "'wms'; the configuration has warehouse",
        ),
        ('unique = "id"', 'unique = "id"\npagesize = 9', 7, "not a known key"),
        ('unique = "id"', "", 0, "unique is missing"),
    ],
)
def test_fault_is_named_with_its_line_when_a_records_file_is_wrong(
    tmp_path: Path, right: str, wrong: str, line: int, said: str
) -> None:
    assert right in GOOD
    found = faults(tmp_path, GOOD.replace(right, wrong, 1))
    assert any(said in fault for fault in found), found
    place = f"{tmp_path / 'returns.toml'}:{line}:" if line else f"{tmp_path / 'returns.toml'}"
    assert any(fault.startswith(place) for fault in found), found


def test_all_faults_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("records = ", "utf-8")
    (tmp_path / "again.toml").write_text(GOOD, "utf-8")
    found = faults(tmp_path, GOOD.replace("IN :keys", "", 1).replace('["order_no"]', '["nr"]').replace("= 500", "= 0"))
    assert [fault.partition(":")[0].rpartition("/")[2] for fault in found] == [
        "broken.toml",
        "returns.toml",
        "returns.toml",
    ]


def test_collection_is_refused_when_two_files_declare_it(tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text(GOOD, "utf-8")
    assert "another file" in faults(tmp_path, GOOD)[0]


def test_folder_is_refused_when_it_holds_no_records_file(tmp_path: Path) -> None:
    assert "no records file" in faults(tmp_path, 'message = "CEB213"')[0]
