"""The shapes read from our schemas against the published field tables and the published schema."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from connector.errors import UnreadableMessage, UsageError
from connector.messages.catalogue import (
    MESSAGE_TYPES,
    RECEIPT_TYPES,
    Field,
    FieldKind,
    Frame,
    fields_of,
    message_type,
    message_type_on_the_wire,
    receipt_type,
)
from connector.messages.parser import SCHEMAS, Element

OUTGOING = [("ceb213", "InvtRefundHead"), ("ceb213", "InvtRefundList"), ("ceb215", "InvtRefundDetail")]
INCOMING = [("ceb214", "RefundReturn"), ("ceb216", "InvtRefundDetailReturn"), ("ceb900", "MessageReturn")]
LINES = "StockSnapshotList"
SHARED = [("common", "BaseTransfer"), ("common", "BaseSubscribe")]


def table(reference: Path, element: str) -> list[Field]:
    """The rows of one field table, read from the specification."""
    text = (reference / "spec" / "field-tables.md").read_text("utf-8")
    section = text.split(f"`{element}` (", 1)[1].split("\n\n", 2)[1]
    rows = re.findall(r"^\| \d+ \| `(\w+)` \| (\S+) \| (\S+) \|", section, re.MULTILINE)
    assert rows, f"no table for {element}"
    return [field(name, form, occurs) for name, form, occurs in rows]


def field(name: str, form: str, occurs: str) -> Field:
    """``C4``, ``C..18``, ``C1..10``, ``C..``, ``N4``, ``N19,5`` as the specification explains them."""
    required = {"1..1": True, "0..1": False}[occurs]
    if number := re.fullmatch(r"N(\d+)(?:,(\d+))?", form):
        total, fraction = number.groups()
        return Field(
            name=name,
            kind=FieldKind.DECIMAL if fraction else FieldKind.INTEGER,
            required=required,
            min_length=None,
            max_length=None,
            total_digits=int(total),
            fraction_digits=int(fraction) if fraction else None,
        )
    shape = re.fullmatch(r"C(\d+)?(\.\.)?(\d+)?", form)
    assert shape, form
    least, variable, most = shape.groups()
    if not variable:
        most = least
    return Field(
        name=name,
        kind=FieldKind.TEXT,
        required=required,
        min_length=int(least) if least else None,
        max_length=int(most) if most else None,
        total_digits=None,
        fraction_digits=None,
    )


def not_empty(wanted: Field) -> Field:
    """What we demand of ourselves: a required text of a message of ours is not empty."""
    if wanted.kind is not FieldKind.TEXT or not wanted.required or wanted.min_length:
        return wanted
    return Field(
        name=wanted.name,
        kind=wanted.kind,
        required=True,
        min_length=1,
        max_length=wanted.max_length,
        total_digits=None,
        fraction_digits=None,
    )


@pytest.mark.parametrize(("schema", "element"), OUTGOING)
def test_fields_of_ours_equal_the_field_table_and_refuse_empty_required_texts(
    reference: Path, schema: str, element: str
) -> None:
    assert list(fields_of(schema, element)) == [not_empty(wanted) for wanted in table(reference, element)]


@pytest.mark.parametrize(("schema", "element"), INCOMING)
def test_fields_of_receipts_equal_the_field_table(reference: Path, schema: str, element: str) -> None:
    assert list(fields_of(schema, element)) == table(reference, element)


@pytest.mark.parametrize(("schema", "element"), SHARED)
def test_fields_of_shared_nodes_equal_the_field_table(reference: Path, schema: str, element: str) -> None:
    assert [found.name for found in fields_of(schema, element)] == [row.name for row in table(reference, element)]
    for found, row in zip(fields_of(schema, element), table(reference, element), strict=True):
        if found.name != "dxpMode":  # an enumeration of one value
            assert found == not_empty(row)


@pytest.mark.parametrize(("schema", "element"), [*OUTGOING, *INCOMING])
def test_fields_equal_the_published_schema_in_order_length_and_occurrence(
    reference: Path, schema: str, element: str
) -> None:
    published = etree.parse(reference / "official" / "xsd202205" / "ceb-export.xsd")
    found = published.find(f"{{*}}element[@name='{element}']")
    if found is None:
        assert element == "MessageReturn", "only CEB900 is missing from the published schema"
        return
    theirs = [
        (child.get("name"), child.get("minOccurs", "1"), *(facet(child, "maxLength", "length", "totalDigits")))
        for child in found.iterfind("{*}complexType/{*}sequence/{*}element")
    ]
    ours = [
        (one.name, "1" if one.required else "0", one.max_length or one.total_digits)
        for one in fields_of(schema, element)
    ]
    assert ours == theirs


def facet(element: Element, *names: str) -> list[int]:
    return [int(found.get("value", "")) for name in names for found in element.iter("{*}" + name)]


@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_message_type_names_only_fields_and_limits_of_its_schema(name: str) -> None:
    shape = message_type(name)
    assert shape.name == name
    assert message_type_on_the_wire(shape.wire_name) is shape
    names = {one.name for one in (*shape.head_fields, *shape.line_fields)}
    named = {*shape.key_fields, shape.declarant_field, shape.waybill_field, shape.export_list_field, shape.site_field}
    named |= shape.own_fields if name.startswith("CEB") else shape.own_fields - {"appType", "appTime"}
    named |= {"guid"} if shape.frame is Frame.SIGNED else set()
    named -= {"guid"} if shape.frame is Frame.BARE else set()
    assert names >= (named | shape.areas.keys() | set(shape.areas.values())) - {""}
    source = etree.parse(SCHEMAS / f"{shape.schema}.xsd")
    if shape.record:
        (records,) = source.iterfind(f".//{{*}}element[@name='{shape.record}']")
        assert records.get("maxOccurs", "1") == str(shape.batch_limit)
    if shape.line:
        (lines,) = source.iterfind(f".//{{*}}element[@name='{shape.line}']")
        assert lines.get("maxOccurs") == str(shape.line_limit)
    else:
        assert shape.line_limit == 0
        assert shape.line_fields == ()
    assert shape.name in RECEIPT_TYPES[shape.receipt].answers


@pytest.mark.parametrize("name", RECEIPT_TYPES)
def test_receipt_type_names_only_fields_of_its_schema(name: str) -> None:
    shape = RECEIPT_TYPES[name]
    assert shape.name == name
    assert receipt_type(shape.root) is shape
    fields = {one.name for one in fields_of(shape.schema, shape.record)}
    assert fields >= {*shape.key_fields, shape.status_field, shape.time_field} | ({shape.info_field} - {""})


def test_no_code_of_a_receipt_means_two_things() -> None:
    meanings = {(code, status) for kind in RECEIPT_TYPES.values() for code, status in kind.statuses.items()}
    assert len(meanings) == len({code for code, _ in meanings})


def test_fields_of_operation_events_equal_the_specification(reference: Path) -> None:
    section = (reference / "spec" / "operating-data.md").read_text("utf-8").split("## B.", 1)[0]
    rows = re.findall(r"^\| ([\w /]+) \| (C\S+|N\S+)(?: / (\w\S*))? \| (\S+) \|", section, re.MULTILINE)
    expected = [
        not_empty(field(name, second if number and second else form, occurs))
        for names, form, second, occurs in rows
        for number, name in enumerate(names.split(" / "))
    ]
    found = {one.name: one for one in fields_of("wod101", "OperationEvent")}
    assert [*found] == [one.name for one in expected]
    for one in expected:
        if one.name != "step":  # an enumeration
            assert found[one.name] == one


def test_fields_of_stock_snapshots_equal_the_specification() -> None:
    forms = {one.name: (one.min_length, one.max_length or one.total_digits) for one in fields_of("wod201", LINES)}
    assert forms == {
        "gnum": (None, 5),
        "itemNo": (1, 30),
        "gname": (1, 250),
        "location": (1, 60),
        "area": (1, 30),
        "qty": (None, 19),
        "unit": (3, 3),
        "invtNo": (None, 20),
        "ownerCode": (None, 18),
    }


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("TRANSMIT", "header {", "}"), ("STORE_TRANS", "in/out record:", ";"), ("STORE_AMOUNT", "closing stock:", ".")],
)
def test_fields_of_bonded_warehouse_records_equal_the_specification(
    reference: Path, name: str, before: str, after: str
) -> None:
    text = (reference / "spec" / "operating-data.md").read_text("utf-8").split("## B.", 1)[1]
    listed = text.split(f"`{name}` {before}", 1)[1].replace("e.g.", "").split(after, 1)[0]
    names = [re.match(r"\s*([A-Z_]+)", part) for part in re.sub(r"\([^)]*\)", "", listed).split(",")]
    assert [one.name for one in fields_of("hchx", name)] == [found.group(1) for found in names if found]


def test_business_key_of_a_document_and_of_its_receipt_are_the_same() -> None:
    head = {"agentCode": "4401000001", "coElNo": "RK1", "operatorCode": "4401000002"}
    assert message_type("CEB213").business_key(head) == receipt_type("CEB214Message").business_key(head)
    assert message_type("CEB213").business_key(head) == "4401000001/RK1"
    assert message_type("CEB215").business_key(head) == receipt_type("CEB216Message").business_key(head)
    assert message_type("CEB215").business_key(head) == "4401000002/RK1"
    assert receipt_type("CEB900Message").business_key({"guid": "X"}) == ""


def test_types_are_not_found_by_the_root_of_the_other_direction() -> None:
    with pytest.raises(UnreadableMessage, match="CEB214Message"):
        message_type_on_the_wire("CEB214Message")
    with pytest.raises(UnreadableMessage, match="CEB213Message"):
        receipt_type("CEB213Message")


def test_message_type_names_the_known_ones_when_there_is_none_of_the_name() -> None:
    with pytest.raises(UsageError) as caught:
        message_type("CEB311")
    assert "CEB213" in caught.value.remedy


def test_schemas_refer_to_nothing_outside_the_package() -> None:
    for path in SCHEMAS.glob("*.xsd"):
        for reference in etree.parse(path).iterfind(".//*[@schemaLocation]"):
            assert (SCHEMAS / reference.get("schemaLocation", "")).is_file()
            assert "/" not in reference.get("schemaLocation", "")
