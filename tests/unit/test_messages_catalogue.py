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
    REVISION_FIELDS,
    Field,
    FieldKind,
    fields_of,
    message_type,
    message_type_of_root,
    receipt_type,
)
from connector.messages.parser import SCHEMAS, Element

OUTGOING = [("ceb213", "InvtRefundHead"), ("ceb213", "InvtRefundList"), ("ceb215", "InvtRefundDetail")]
INCOMING = [("ceb214", "RefundReturn"), ("ceb216", "InvtRefundDetailReturn"), ("ceb900", "MessageReturn")]
SHARED = [("ceb-common", "BaseTransfer"), ("ceb-common", "BaseSubscribe")]


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
    assert message_type_of_root(shape.root) is shape
    names = {one.name for one in shape.head_fields}
    assert names.issuperset(
        [*shape.key_fields, shape.declarant_field, shape.waybill_field, shape.export_list_field, *REVISION_FIELDS]
    )
    source = etree.parse(SCHEMAS / f"{shape.schema}.xsd")
    (records,) = source.iterfind(f".//{{*}}element[@name='{shape.record}']")
    assert records.get("maxOccurs") == str(shape.batch_limit)
    if shape.line:
        (lines,) = source.iterfind(f".//{{*}}element[@name='{shape.line}']")
        assert lines.get("maxOccurs") == str(shape.line_limit)
    else:
        assert shape.line_limit == 0
        assert shape.line_fields == ()
    assert RECEIPT_TYPES[shape.receipt].answers == shape.name


@pytest.mark.parametrize("name", RECEIPT_TYPES)
def test_receipt_type_names_only_fields_of_its_schema(name: str) -> None:
    shape = RECEIPT_TYPES[name]
    assert shape.name == name
    assert receipt_type(shape.root) is shape
    assert {one.name for one in fields_of(shape.schema, shape.record)}.issuperset(shape.key_fields)


def test_business_key_of_a_document_and_of_its_receipt_are_the_same() -> None:
    head = {"agentCode": "4401000001", "coElNo": "RK1", "operatorCode": "4401000002"}
    assert message_type("CEB213").business_key(head) == receipt_type("CEB214Message").business_key(head)
    assert message_type("CEB213").business_key(head) == "4401000001/RK1"
    assert message_type("CEB215").business_key(head) == receipt_type("CEB216Message").business_key(head)
    assert message_type("CEB215").business_key(head) == "4401000002/RK1"
    assert receipt_type("CEB900Message").business_key({"guid": "X"}) == ""


def test_types_are_not_found_by_the_root_of_the_other_direction() -> None:
    with pytest.raises(UnreadableMessage, match="CEB214Message"):
        message_type_of_root("CEB214Message")
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
