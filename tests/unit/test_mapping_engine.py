"""The shipped mappings applied to records of the sample warehouse: what they say, and why they refuse."""

from __future__ import annotations

import copy
import json
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.config import shipped
from connector.mapping.engine import DocumentMapping
from connector.mapping.loader import load_mappings
from connector.mapping.outcomes import Fault, FaultCode, Mapped, Unmappable
from connector.messages.builder import Transfer, build_message
from connector.messages.documents import AppType, Document
from connector.messages.records import RecordShape, SourceKey, SourceRecord, Value

Found = dict[str, dict[tuple[str, ...], list[dict[str, Any]]]]

VALUES = {
    "agent_code": "4401000001",
    "agent_name": "广州示例报关有限公司",
    "operator_code": "4401000009",
    "operator_name": "广州示例监管场所有限公司",
    "return_reason": "客户退货",
}
CODES = {"return_offices": {"1828364609002311682": "5141"}}
RECORD = SourceRecord(
    key=SourceKey(collection="returns", key="RK10098845"),
    changed_at=datetime(2026, 4, 2, tzinfo=UTC),
    row={
        "id": 1843920012030070785,
        "order_no": "RK10098845",
        "biz_order_no": "SO1",
        "waybill": "SF1",
        "warehouse_id": 1828364609002311682,
        "update_time": datetime(2026, 4, 2, tzinfo=UTC),
    },
    lines=tuple(
        {"order_id": 1843920012030070785, "line_id": number, "sku_code": f"A{number}", "quantity": Decimal("2.00")}
        for number in (1, 2)
    ),
)
GOODS = {"gname": "骑行面罩", "gmodel": "无牌，均码，塑料", "gcode": "3926909090", "unit": "011", "unit1": "035"}
LOOKUPS: Found = {
    "export_list": {
        ("SO1",): [
            {
                "invt_no": "22442026E000000123",
                "ebp_code": "1105910159",
                "ebp_name": "示例平台",
                "ebc_code": "4401000002",
                "ebc_name": "示例电商",
            }
        ]
    },
    "export_line": {
        ("SO1", "A1"): [{**GOODS, "gnum": 1, "qty": Decimal(3), "qty1": Decimal("0.1"), "qty2": None, "unit2": None}],
        ("SO1", "A2"): [{**GOODS, "gnum": 2, "qty": Decimal(3), "qty1": 1, "qty2": Decimal(6), "unit2": "007"}],
    },
    "return_transport": {
        ("SF1",): [
            {
                "bill_no": "78444192956",
                "traf_mode": "5",
                "traf_name": "飞机",
                "voyage_no": "CZ465",
                "country": "303",
                "port_code": "5141",
                "logistics_code": "1105910159",
                "logistics_name": "示例物流",
            }
        ]
    },
}


@pytest.fixture(scope="module")
def mappings(returns_shape: RecordShape) -> dict[str, DocumentMapping]:
    loaded = load_mappings(shipped("mappings") / "ruoyi", {"returns": returns_shape}, VALUES, CODES)
    return {mapping.name: mapping for mapping in loaded}


@pytest.fixture
def found() -> Found:
    return copy.deepcopy(LOOKUPS)


def mapped(mapping: DocumentMapping, record: SourceRecord, found: Found) -> Mapped:
    (outcome,) = mapping.apply(record, found)
    assert isinstance(outcome, Mapped), outcome
    return outcome


def faults(mapping: DocumentMapping, record: SourceRecord, found: Found) -> tuple[Fault, ...]:
    (outcome,) = mapping.apply(record, found)
    assert isinstance(outcome, Unmappable), outcome
    assert outcome.faults
    return outcome.faults


def with_row(**columns: Value) -> SourceRecord:
    return replace(RECORD, row={**RECORD.row, **columns})


def test_application_says_what_archive_and_warehouse_say(mappings: dict[str, DocumentMapping]) -> None:
    outcome = mapped(mappings["CEB213"], RECORD, LOOKUPS)
    assert outcome.type == "CEB213"
    assert outcome.business_key == "4401000001/RK10098845"
    assert outcome.waybill == "SF1"
    assert outcome.export_list == "22442026E000000123"
    head = outcome.content.head
    assert (head["customsCode"], head["appStatus"], head["ieFlag"], head["tradeMode"]) == ("5141", "2", "I", "9661")
    assert (head["billNo"], head["reason"], head["ebcCode"]) == ("78444192956", "客户退货", "4401000002")
    assert outcome.content.lines == (
        {**GOODS, "gnum": "1", "qty": "2", "qty1": "0.06666"},
        {**GOODS, "gnum": "2", "qty": "2", "qty1": "0.66666", "qty2": "4", "unit2": "007"},
    )


def test_tally_says_what_archive_and_warehouse_say(mappings: dict[str, DocumentMapping]) -> None:
    outcome = mapped(mappings["CEB215"], RECORD, LOOKUPS)
    assert outcome.business_key == "4401000009/RK10098845"
    assert outcome.content.lines == ()
    assert (outcome.waybill, outcome.export_list) == ("SF1", "22442026E000000123")


def test_mapping_names_the_lookups_it_needs_and_no_other(mappings: dict[str, DocumentMapping]) -> None:
    assert mappings["CEB213"].lookups == ("export_list", "return_transport", "export_line")
    assert mappings["CEB215"].lookups == ("export_list", "return_transport")


@pytest.mark.parametrize("name", ["CEB213", "CEB215"])
def test_content_is_valid_when_a_message_is_built_of_it(mappings: dict[str, DocumentMapping], name: str) -> None:
    outcome = mapped(mappings[name], RECORD, LOOKUPS)
    document = Document(
        type=name,
        business_key=outcome.business_key,
        revision=1,
        app_type=AppType.NEW,
        app_time=datetime(2026, 4, 2, tzinfo=UTC),
        content=outcome.content,
    )
    transfer = Transfer(cop_code="4401000001", cop_name="示例", dxp_id="DXPENT0000011351")
    guid = "B5242EE6-6C37-F55F-6E9A-694EE48E9667"
    assert len(build_message(mappings[name].message_type, [document], transfer, guid)) == 2


def test_content_is_the_same_when_another_database_gives_the_same_fact(mappings: dict[str, DocumentMapping]) -> None:
    quantities: tuple[Value, Value] = (2, "2.000")
    lines = tuple({**line, "quantity": quantity} for line, quantity in zip(RECORD.lines, quantities, strict=True))
    other = replace(with_row(warehouse_id="1828364609002311682"), lines=lines)
    first, second = (mapped(mappings["CEB213"], record, LOOKUPS) for record in (RECORD, other))
    assert first.content.digest() == second.content.digest()


def test_waybill_stands_for_the_bill_when_there_is_none(mappings: dict[str, DocumentMapping], found: Found) -> None:
    found["return_transport"]["SF1",][0]["bill_no"] = " "
    assert mapped(mappings["CEB213"], RECORD, found).content.head["billNo"] == "SF1"


def test_unknown_list_is_one_fault_of_the_application_and_none_of_the_tally(
    mappings: dict[str, DocumentMapping], found: Found
) -> None:
    del found["export_list"]["SO1",]
    (fault,) = faults(mappings["CEB213"], RECORD, found)
    assert fault.code is FaultCode.LOOKUP_MISSING
    assert fault.field == "ebpCode, ebpName, ebcCode, ebcName, invtNo"
    assert fault.text.startswith("export_list has no row for record.biz_order_no = 'SO1': add it, or correct")
    tally = mapped(mappings["CEB215"], RECORD, found)
    assert tally.export_list == ""
    assert "invtNo" not in tally.content.head


@pytest.mark.parametrize(
    ("column", "value", "code", "words"),
    [
        ("gname", "蓝牙\x0b耳机", FaultCode.CONTROL_CHARACTER, r"export_line.gname = '蓝牙\x0b耳机' holds a control"),
        ("unit", "999", FaultCode.CODE_UNKNOWN, "export_line.unit = '999' is not in the code list unit"),
        ("gcode", "39269090901", FaultCode.TOO_LONG, "has 11 characters, 10 are allowed"),
        ("qty", 0, FaultCode.OUT_OF_RANGE, "export_line.qty = '0' cannot be divided by"),
        ("qty1", "much", FaultCode.NOT_A_NUMBER, "export_line.qty1 = 'much' is not a number"),
        ("gnum", Decimal("1.5"), FaultCode.INEXACT, "export_line.gnum = '1.5' is not a whole number"),
        ("gmodel", None, FaultCode.REQUIRED_MISSING, "export_line.gmodel is empty: fill it in in the source system"),
    ],
)
def test_fault_of_one_line_names_line_and_value_and_leaves_the_tally_alone(
    mappings: dict[str, DocumentMapping], found: Found, column: str, value: object, code: FaultCode, words: str
) -> None:
    found["export_line"]["SO1", "A2"][0] |= {column: value, "qty2": None}
    (fault,) = faults(mappings["CEB213"], RECORD, found)
    assert fault.code is code
    assert fault.text.startswith("line 2: ")
    assert words in fault.text
    mapped(mappings["CEB215"], RECORD, found)


@pytest.mark.parametrize("waybill", [None, "", "  "])
@pytest.mark.parametrize("name", ["CEB213", "CEB215"])
def test_missing_waybill_is_one_fault_naming_all_that_needs_it(
    mappings: dict[str, DocumentMapping], name: str, waybill: str | None
) -> None:
    (fault,) = faults(mappings[name], with_row(waybill=waybill), LOOKUPS)
    assert fault.code is FaultCode.REQUIRED_MISSING
    assert fault.text.startswith("record.waybill is empty: fill it in in the source system (for ")
    assert {"logisticsNo", "logisticsCode", "billNo", "trafMode"} <= set(fault.field.split(", "))


def test_line_without_its_goods_is_one_fault_of_that_line(mappings: dict[str, DocumentMapping], found: Found) -> None:
    del found["export_line"]["SO1", "A2"]
    (fault,) = faults(mappings["CEB213"], RECORD, found)
    assert fault.code is FaultCode.LOOKUP_MISSING
    assert "line 2: export_line has no row for record.biz_order_no = 'SO1', line.sku_code = 'A2'" in fault.text
    assert "line.sku_code" in fault.text


@pytest.mark.parametrize("name", ["CEB213", "CEB215"])
def test_lookup_with_two_rows_is_a_fault_also_where_its_element_may_be_absent(
    mappings: dict[str, DocumentMapping], found: Found, name: str
) -> None:
    found["export_list"]["SO1",] *= 2
    (fault,) = faults(mappings[name], RECORD, found)
    assert fault.code is FaultCode.LOOKUP_AMBIGUOUS
    assert "export_list has 2 rows for record.biz_order_no = 'SO1': leave only the right one" in fault.text


def test_all_faults_of_a_record_are_told_together_with_what_is_known(
    mappings: dict[str, DocumentMapping], found: Found
) -> None:
    found["export_line"]["SO1", "A1"][0]["unit"] = "x"
    found["export_line"]["SO1", "A2"][0] |= {"unit": "x", "gname": None}
    (outcome,) = mappings["CEB213"].apply(with_row(warehouse_id=5), found)
    assert isinstance(outcome, Unmappable)
    assert [(fault.code, fault.field) for fault in outcome.faults] == [
        (FaultCode.CODE_UNKNOWN, "customsCode"),
        (FaultCode.CODE_UNKNOWN, "unit"),
        (FaultCode.REQUIRED_MISSING, "gname"),
        (FaultCode.CODE_UNKNOWN, "unit"),
    ]
    assert outcome.business_key == "4401000001/RK10098845"
    assert (outcome.waybill, outcome.export_list) == ("SF1", "22442026E000000123")


def test_business_key_is_unknown_when_one_of_its_fields_is(mappings: dict[str, DocumentMapping]) -> None:
    (outcome,) = mappings["CEB213"].apply(with_row(order_no=None), LOOKUPS)
    assert isinstance(outcome, Unmappable)
    assert outcome.business_key == ""
    assert [fault.field for fault in outcome.faults] == ["coElNo"]


@pytest.mark.parametrize(
    ("count", "code"), [(0, FaultCode.NO_LINES), (1, None), (100, None), (101, FaultCode.TOO_MANY_LINES)]
)
def test_number_of_lines_is_what_the_message_takes(
    mappings: dict[str, DocumentMapping], count: int, code: FaultCode | None
) -> None:
    record = replace(RECORD, lines=RECORD.lines[:1] * count)
    (outcome,) = mappings["CEB213"].apply(record, LOOKUPS)
    assert [fault.code for fault in getattr(outcome, "faults", ())] == ([code] if code else [])
    mapped(mappings["CEB215"], record, LOOKUPS)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.decimals(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
)


def columns_of(shape: RecordShape, name: str) -> frozenset[str]:
    return {"record": shape.columns, "line": shape.line_columns}.get(name) or shape.lookups[name].columns


@settings(max_examples=150, deadline=None)
@given(draw=st.data())
def test_record_never_raises_whatever_its_columns_hold(
    mappings: dict[str, DocumentMapping], returns_shape: RecordShape, draw: st.DataObject
) -> None:
    def spoil(name: str, row: dict[str, Any]) -> dict[str, Any]:
        one = st.sampled_from(sorted(columns_of(returns_shape, name)))
        return row | draw.draw(st.dictionaries(one, values, max_size=3))

    record = replace(
        RECORD,
        row=spoil("record", dict(RECORD.row)),
        lines=tuple(spoil("line", dict(line)) for line in RECORD.lines),
    )
    found = {
        name: {key: [spoil(name, row) for row in rows] for key, rows in answers.items()}
        for name, answers in LOOKUPS.items()
    }
    for mapping in mappings.values():
        (outcome,) = mapping.apply(record, found)
        known = outcome.business_key + outcome.waybill + outcome.export_list
        assert not {unicodedata.category(character) for character in known} & {"Cc", "Cs"}
        for fault in outcome.faults if isinstance(outcome, Unmappable) else ():
            assert fault.text.isprintable()


@pytest.fixture
def load(returns_shape: RecordShape) -> Callable[..., DocumentMapping]:
    def one(*, values: dict[str, str] = VALUES, codes: dict[str, dict[str, str]] = CODES) -> DocumentMapping:
        return load_mappings(shipped("mappings") / "ruoyi", {"returns": returns_shape}, values, codes)[0]

    return one


def test_digest_follows_the_constants_the_mapping_uses_and_no_other(load: Callable[..., DocumentMapping]) -> None:
    digest = load().digest
    assert load().digest == digest
    assert load(values={**VALUES, "unused": "x", "operator_code": "other"}).digest == digest
    assert load(values={**VALUES, "agent_code": "4401000003"}).digest != digest
    assert load(codes={"return_offices": {**CODES["return_offices"], "2": "5101"}}).digest != digest
    assert load(codes={**CODES, "unused": {}}).digest == digest


def test_code_lists_are_those_of_customs(reference: Path) -> None:
    published = json.loads((reference / "spec/codes.json").read_text("utf-8"))
    codes = tomllib.loads((shipped("mappings") / "ruoyi/codes.toml").read_text("utf-8"))["codes"]
    assert codes == {name: {code: code for code in published[name]} for name in ("unit", "transport_mode")}
