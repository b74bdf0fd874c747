"""Which documents a record becomes: one, one for each line, several, by the version of its time; areas and facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.errors import MappingError
from connector.mapping.engine import DocumentMapping
from connector.mapping.loader import load_mappings
from connector.mapping.outcomes import FaultCode, Mapped, Unmappable
from connector.messages.records import LookupShape, RecordShape, SourceKey, SourceRecord
from connector.messages.sites import Areas

SHAPE = RecordShape(
    collection="moves",
    columns=frozenset({"no", "at", "kind", "place"}),
    line_columns=frozenset({"id", "item", "qty", "kind"}),
    lookups={"list": LookupShape(columns=frozenset({"no", "mode", "released"}), match=("record.no",))},
)
CUT_OVER = datetime(2026, 3, 31, 16, tzinfo=UTC)
"""The first instant of 2026-04-01 in Beijing."""
RECORD = SourceRecord(
    key=SourceKey(collection="moves", key="YK1"),
    changed_at=CUT_OVER,
    row={"no": "YK1", "at": CUT_OVER, "kind": "a", "place": "A-01-7"},
    lines=({"id": 7, "item": "X", "qty": Decimal(2), "kind": "a"}, {"id": 8, "item": "Y", "qty": None, "kind": "b"}),
)
AREAS = Areas({"GZ01": {"A-*": "存储区"}})
EVENT = """\
message = "WOD101"
version = 1
records = "moves"
{more}

[head]
eventTime = {{ field = "record.at", time = {{ zone = "Asia/Shanghai", format = "%Y%m%d%H%M%S" }} }}
customsCode = {{ const = "5141" }}
siteCode = {{ const = "{site}" }}
operatorCode = {{ const = "4401660B27" }}
step = {{ const = "storing" }}
toLocation = {{ field = "record.place" }}
{lines}
"""

Load = Callable[..., tuple[DocumentMapping, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def read(**files: str) -> tuple[DocumentMapping, ...]:
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text, "utf-8")
        return load_mappings(tmp_path, {"moves": SHAPE}, {}, {}, AREAS)

    return read


def event(more: str = "", lines: str = 'itemNo = { field = "record.no" }', site: str = "GZ01") -> str:
    return EVENT.format(more=more, lines=lines, site=site)


def said(mapping: DocumentMapping, record: SourceRecord = RECORD, **lookups: Any) -> list[dict[str, str]]:
    outcomes = mapping.apply(record, lookups)
    assert all(isinstance(one, Mapped) for one in outcomes), outcomes
    return [dict(one.content.head) for one in outcomes if isinstance(one, Mapped)]


def faults(mapping: DocumentMapping, record: SourceRecord = RECORD) -> list[FaultCode]:
    (outcome,) = mapping.apply(record, {})
    assert isinstance(outcome, Unmappable)
    return [fault.code for fault in outcome.faults]


def test_event_has_the_area_of_its_location(load: Load) -> None:
    (mapping,) = load(a=event())
    assert said(mapping)[0]["toArea"] == "存储区"
    elsewhere = replace(RECORD, row={**RECORD.row, "place": "Z"})
    assert "toArea" not in said(mapping, elsewhere)[0]


def test_event_needs_a_parcel_or_an_item_and_a_unit_for_a_quantity(load: Load) -> None:
    (nothing,) = load(a=event(lines=""))
    assert faults(nothing) == [FaultCode.REQUIRED_MISSING]
    (mapping,) = load(a=event(lines='itemNo = { field = "record.no" }\nqty = { const = "1" }'))
    assert faults(mapping) == [FaultCode.REQUIRED_MISSING]


def test_each_line_becomes_a_document_told_apart_by_its_column(load: Load) -> None:
    (mapping,) = load(a=event('document = "m"\neach = "line.id"', 'itemNo = { field = "line.item" }'))
    outcomes = mapping.apply(RECORD, {})
    assert [one.part for one in outcomes] == ["m/7", "m/8"]
    assert [one["itemNo"] for one in said(mapping)] == ["X", "Y"]
    assert faults(mapping, replace(RECORD, lines=())) == [FaultCode.NO_LINES]


def test_record_waits_when_its_lines_cannot_be_told_apart(load: Load) -> None:
    (mapping,) = load(a=event('each = "line.item"', 'itemNo = { field = "line.item" }'))
    first, second = RECORD.lines
    assert faults(mapping, replace(RECORD, lines=(first, {**second, "item": "X"}))) == [FaultCode.SAME_LINE]
    assert faults(mapping, replace(RECORD, lines=(first, {**second, "item": None}))) == [FaultCode.REQUIRED_MISSING]
    (some,) = load(
        a=event('each = "line.item"\nwhen = { field = "line.kind", is = ["a"] }', 'itemNo = { field = "line.item" }')
    )
    assert len(said(some, replace(RECORD, lines=(first, {**second, "item": "X"})))) == 1


def test_line_is_out_of_reach_of_the_head_unless_a_document_is_made_of_each(load: Load) -> None:
    with pytest.raises(MappingError, match="the head has no line"):
        load(a=event(lines='itemNo = { field = "line.item" }'))


def test_several_documents_of_one_record_are_told_apart(load: Load) -> None:
    with pytest.raises(MappingError, match="tell them apart by document"):
        load(a=event(), b=event())
    first, second = load(a=event('document = "a"'), b=event('document = "b"'))
    assert [first.apply(RECORD, {})[0].part, second.apply(RECORD, {})[0].part] == ["a", "b"]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ('{ field = "record.kind", is = ["a", "c"] }', 1),
        ('{ field = "record.kind", is = ["b"] }', 0),
        ('{ field = "record.kind", is_not = ["b"] }', 1),
        ('{ field = "record.kind", is_not = ["a"] }', 0),
    ],
)
def test_document_is_made_only_of_records_that_are_meant(when: str, expected: int, load: Load) -> None:
    (mapping,) = load(a=event(f"when = {when}"))
    assert len(mapping.apply(RECORD, {})) == expected


def test_document_is_made_only_of_lines_that_are_meant(load: Load) -> None:
    more = 'each = "line.id"\nwhen = { field = "line.kind", is = ["b"] }'
    (mapping,) = load(a=event(more, 'itemNo = { field = "line.item" }'))
    assert [one["itemNo"] for one in said(mapping)] == ["Y"]


def versions(load: Load, dated: str = "") -> tuple[DocumentMapping, ...]:
    old = event(dated).replace('const = "storing"', 'const = "holding"')
    new = event(f"valid_from = 2026-04-01T00:00:00+08:00\n{dated}").replace("version = 1", "version = 2")
    return load(old=old, new=new)


@pytest.mark.parametrize(
    ("moment", "step"),
    [(CUT_OVER - timedelta(microseconds=1), "holding"), (CUT_OVER, "storing"), (CUT_OVER + timedelta(1), "storing")],
)
@pytest.mark.parametrize("dated", ["", 'dated = "record.at"'], ids=["by change", "by a column"])
def test_version_is_chosen_by_the_time_of_the_record(moment: datetime, step: str, dated: str, load: Load) -> None:
    record = replace(RECORD, changed_at=moment, row={**RECORD.row, "at": moment})
    steps = [one["step"] for mapping in versions(load, dated) for one in said(mapping, record)]
    assert steps == [step]


def test_day_without_a_time_is_a_day_in_beijing(load: Load) -> None:
    for mapping in versions(load, 'dated = "record.at"'):
        is_new = mapping.version == 2
        for day, is_after in ((date(2026, 3, 31), False), (date(2026, 4, 1), True)):
            record = replace(RECORD, row={**RECORD.row, "at": day})
            assert len(mapping.apply(record, {})) == (is_after == is_new), day


def test_record_before_the_first_version_or_without_its_time_is_held_once(load: Load) -> None:
    begins = 'valid_from = {}\ndated = "record.at"'
    first = event(begins.format("2026-04-01T00:00:00+08:00"))
    second = event(begins.format("2026-05-01T00:00:00+08:00")).replace("version = 1", "version = 2")
    mappings = load(first=first, second=second)
    early = replace(RECORD, row={**RECORD.row, "at": CUT_OVER - timedelta(seconds=1)})
    found = [outcome for mapping in mappings for outcome in mapping.apply(early, {})]
    assert [one.faults[0].code for one in found if isinstance(one, Unmappable)] == [FaultCode.NOT_IN_EFFECT]
    timeless = replace(RECORD, row={**RECORD.row, "at": None})
    found = [outcome for mapping in mappings for outcome in mapping.apply(timeless, {})]
    assert [one.faults[0].code for one in found if isinstance(one, Unmappable)] == [FaultCode.REQUIRED_MISSING]


def test_versions_need_numbers_and_beginnings_of_their_own(load: Load) -> None:
    with pytest.raises(MappingError, match="version is that of another file"):
        load(a=event(), b=event("valid_from = 2026-04-01T00:00:00+08:00"))
    with pytest.raises(MappingError, match="should have timezone info"):
        load(a=event("valid_from = 2026-04-01T00:00:00"), b=event('document = "other"'))


RETURN = """\
message = "WOD201"
version = 1
records = "moves"

[head]
snapshotId = { field = "record.no" }
snapshotTime = { const = "20260401000000" }
customsCode = { const = "5141" }
siteCode = { const = "GZ01" }
operatorCode = { const = "4401660B27" }

[lines]
gnum = { const = "1" }
itemNo = { field = "line.item" }
gname = { field = "line.item" }
location = { field = "record.place" }
qty = { field = "line.qty", default = { const = "0" } }
unit = { const = "007" }

[original]
trade_mode = { field = "list.mode" }
released_at = { field = "list.released" }

[original_lines]
qty = { field = "line.qty" }
gname = { field = "line.item" }
"""


def test_line_of_stock_in_no_area_is_a_fault(load: Load) -> None:
    (mapping,) = load(a=RETURN)
    (outcome,) = mapping.apply(RECORD, {})
    assert isinstance(outcome, Mapped)
    assert [line["area"] for line in outcome.content.lines] == ["存储区", "存储区"]
    assert faults(mapping, replace(RECORD, row={**RECORD.row, "place": "Z"})) == [FaultCode.NO_AREA] * 2


def test_facts_for_the_rules_keep_their_types_and_are_not_declared(load: Load) -> None:
    (mapping,) = load(a=RETURN)
    row: dict[str, Any] = {"no": "YK1", "mode": "9610", "released": CUT_OVER}
    (outcome,) = mapping.apply(RECORD, {"list": {("YK1",): [row]}})
    assert isinstance(outcome, Mapped)
    assert outcome.original.head == {"trade_mode": "9610", "released_at": CUT_OVER}
    assert outcome.original.lines == ({"qty": Decimal(2), "gname": "X"}, {"gname": "Y"})
    assert mapping.facts == {"trade_mode", "released_at", "qty", "gname"}
    (unknown,) = mapping.apply(RECORD, {})
    assert isinstance(unknown, Mapped)
    assert unknown.original.head == {}
    assert unknown.content == outcome.content


def test_facts_that_are_none_and_values_that_do_not_fit_are_faults(load: Load) -> None:
    with pytest.raises(MappingError, match="colour is no fact; choose one of trade_mode"):
        load(a=RETURN.replace("trade_mode =", "colour ="))
    (mapping,) = load(a=RETURN.replace('qty = { field = "line.qty" }\ngname', 'qty = { field = "line.item" }\ngname'))
    assert FaultCode.NOT_A_NUMBER in faults(mapping)
