"""What a mapping leaves open, columns that nobody uses, and the page that an officer reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.mapping.coverage import coverage, unused
from connector.mapping.describe import describe
from connector.mapping.engine import DocumentMapping
from connector.mapping.files import ElementRule
from connector.mapping.loader import load_mappings
from connector.messages.catalogue import MESSAGE_TYPES
from connector.messages.names import CHINESE
from connector.messages.records import LookupShape, RecordShape

SHAPE = RecordShape(
    collection="tallies",
    columns=frozenset({"id", "number", "voyage", "spare"}),
    line_columns=frozenset({"parent", "gone"}),
    lookups={"list": LookupShape(columns=frozenset({"order", "invt", "other"}), match=("record.number",))},
)
TEXT = """
message = "CEB215"
version = 3
records = "tallies"
[head]
customsCode = { const = "5141" }
appStatus = { const = "2" }
operatorCode = { const = "4401000001" }
operatorName = { const = "n" }
ieFlag = { const = "I" }
trafMode = { const = "2" }
trafName = { field = "record.voyage", default = { field = "list.invt" } }
voyageNo = { field = "record.voyage" }
billNo = { const = "b" }
coElNo = { const = "RK1" }
logisticsNo = { const = "l" }
logisticsCode = { const = "4401000003" }
logisticsName = { const = "n" }
"""


@pytest.fixture
def mapping(tmp_path: Path) -> DocumentMapping:
    (tmp_path / "tally.toml").write_text(TEXT, "utf-8")
    (found,) = load_mappings(tmp_path, {"tallies": SHAPE}, {}, {})
    return found


def test_optional_elements_without_a_line_are_told_in_the_order_of_the_schema(mapping: DocumentMapping) -> None:
    found = coverage(mapping)
    assert (found.mapping, found.type, found.records, found.version) == ("tally", "CEB215", "tallies", 3)
    assert found.open == ["head.invtNo", "head.preNo", "head.location", "head.note"]
    assert found.elements - len(found.open) == len(mapping.head)


def test_columns_that_neither_a_mapping_nor_the_source_uses_are_told(mapping: DocumentMapping) -> None:
    needed = ["record.id", "line.parent", "list.order"]
    assert unused(SHAPE, [mapping], needed) == ["line.gone", "list.other", "record.spare"]
    assert "list.invt" in unused(SHAPE, [], needed)


def test_page_tells_of_every_element_what_it_is_made_of(mapping: DocumentMapping) -> None:
    page = describe(mapping)
    assert "# CEB215: tally, version 3" in page
    assert mapping.digest in page
    for row in (
        "| `guid` | 系统唯一序号 | C36 | 是 yes | set by the connector |",
        "| `appStatus` | 报送状态 | C1 | 是 yes | “2” |",
        "| `trafName` | 运输工具 | C..100 | 是 yes | record.voyage; if there is none: list.invt |",
        "| `note` | 备注 | C..250 |  | left out |",
    ):
        assert row in page
    assert "表体 lines" not in page  # a tally has none


def test_rule_is_told_with_its_conversions_in_their_order() -> None:
    rule = ElementRule.model_validate(
        {
            "field": "record.a",
            "text": {"control": "strip"},
            "codes": "unit",
            "decimal": {"places": 2, "rounding": "half_up"},
            "default": {"ratio": ["line.a", "line.b", "line.c"], "places": 5, "rounding": "exact"},
        }
    )
    told = "record.a, control strip, by code list unit, rounded half_up to 2 places"
    assert rule.described == f"{told}; if there is none: line.a × line.b ÷ line.c, at most 5 places"
    time = ElementRule.model_validate({"field": "record.t", "time": {"zone": "Asia/Shanghai", "format": "%Y"}})
    assert time.described == "record.t, as %Y in Asia/Shanghai"


def test_every_element_of_every_message_has_a_name_that_officers_know() -> None:
    fields = [field for kind in MESSAGE_TYPES.values() for field in (*kind.head_fields, *kind.line_fields)]
    assert {field.name for field in fields} == CHINESE.keys()
