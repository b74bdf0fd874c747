"""What a mapping leaves open, and columns that nobody uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.mapping.coverage import coverage, unused
from connector.mapping.engine import DocumentMapping
from connector.mapping.loader import load_mappings
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
