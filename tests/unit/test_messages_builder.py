"""Messages built from documents, against our schemas and the published ones."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from connector.errors import SignatureInvalid, UnreadableMessage
from connector.messages.builder import Extension, Transfer, build_message
from connector.messages.catalogue import REVISION_FIELDS, Field, FieldKind, message_type
from connector.messages.documents import AppType, Content, Document
from connector.messages.namespaces import CEB, WOD, XSI
from connector.messages.parser import Element, local_name, parse, texts, validate
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.verifier import verify

TRANSFER = Transfer(cop_code="4401000001", cop_name="广州跨境退货有限公司", dxp_id="DXPENT0000011351")
GUID = "B5242EE6-6C37-F55F-6E9A-694EE48E9667"
HCHX = {"MESSAGE_DATE": "2026-06-01T08:00:00", "SENDER_ID": "4401660B27", "MESSAGE_ID": "RK1"}
PUBLISHED = ("CEB213", "CEB215")
"""Types with a published schema to hold ours against."""
HEAD = {
    "CEB213": {"agentCode": "4401000001", "coElNo": "RK1"},
    "CEB215": {"operatorCode": "4401000001", "coElNo": "RK1"},
    "WOD101": {"eventId": "E1", "step": "storing"},
    "WOD201": {},
    "HCHX_STORE_TRANS": HCHX,
    "HCHX_STORE_AMOUNT": HCHX,
}


@cache
def published(reference: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(reference / "official" / "xsd202205" / "ceb-export.xsd"))


def shortest(field: Field) -> str:
    if field.name in {"IO_DATE", "STOCK_DATE"}:
        return "2026-06-01"
    return "1" if field.kind is not FieldKind.TEXT else "x" * (field.min_length or 0)


def document(name: str = "CEB213", *, head: dict[str, str] | None = None, lines: int = 1) -> Document:
    """A valid document: the shortest values of all required fields, and what the caller says."""
    shape = message_type(name)
    fields = {field.name: shortest(field) for field in shape.head_fields if field.required}
    fields |= HEAD[name] | (head or {})
    line = {field.name: shortest(field) for field in shape.line_fields if field.required}
    return Document(
        type=name,
        business_key=shape.business_key(fields),
        revision=1,
        app_type=AppType.NEW,
        app_time=datetime(2026, 4, 15, 16, 30, 5, tzinfo=UTC),
        content=Content(
            head={key: value for key, value in fields.items() if key not in REVISION_FIELDS},
            lines=(line,) * (lines if shape.line else 0),
        ),
    )


def build(*documents: Document) -> Element:
    return build_message(message_type(documents[0].type), documents, TRANSFER, GUID)


def test_data_of_our_own_is_valid_by_both_schemas_and_signed(reference: Path, signing_key: FileKey) -> None:
    one = document()
    extension = Extension(name="tlog-checkpoint", version="1", text="\nexample.com/log\n1\n\n— <&>\n")
    root = build_message(message_type(one.type), [one], TRANSFER, GUID, extension)
    signed = Signer(signing_key).sign(root).xml
    assert [local_name(child) for child in parse(signed)][-2:] == ["Signature", "ExtendMessage"]
    validate(parse(signed), message_type(one.type).schema)
    assert published(reference).validate(parse(signed)), published(reference).error_log
    verified = verify(signed, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})
    assert b"\nexample.com/log\n1\n\n\xe2\x80\x94 &lt;&amp;&gt;\n" in verified.content
    with pytest.raises(SignatureInvalid):
        verify(
            signed.replace(b"log\n1", b"log\n2"),
            suites={"rsa-sha1"},
            fingerprints={signing_key.certificate.key_id},
        )


def values(field: Field) -> st.SearchStrategy[str]:
    """Every value that a field may have."""
    if field.kind is FieldKind.INTEGER:
        return st.integers(0, 10 ** (field.total_digits or 0) - 1).map(str)
    if field.kind is FieldKind.DECIMAL:
        places = field.fraction_digits or 0
        most = 10 ** (field.total_digits or 0) - 1
        return st.integers(0, most).map(lambda number: f"{Decimal(number).scaleb(-places):f}")
    text = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    most = field.max_length if field.max_length is not None else 50
    return st.text(text | st.sampled_from("\t\n\r<&>'\"]"), min_size=max(field.min_length or 0, 1), max_size=most)


def contents(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, str]]:
    own = [field for field in fields if field.name not in REVISION_FIELDS]
    return st.fixed_dictionaries(
        {field.name: values(field) for field in own if field.required},
        optional={field.name: values(field) for field in own if not field.required},
    )


@st.composite
def any_document(draw: st.DrawFn, name: str) -> Document:
    shape = message_type(name)
    head = draw(contents(shape.head_fields))
    lines = draw(st.lists(contents(shape.line_fields), min_size=1, max_size=2)) if shape.line else []
    app_time = datetime(2026, 1, 1, tzinfo=UTC)
    content = Content(head=head, lines=tuple(lines))
    return Document(type=name, business_key="k", revision=1, app_type=AppType.NEW, app_time=app_time, content=content)


@pytest.mark.parametrize("name", PUBLISHED)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_message_is_valid_by_both_schemas_and_reads_back_exactly_when_values_keep_their_limits(
    reference: Path, name: str, data: st.DataObject
) -> None:
    documents = data.draw(st.lists(any_document(name), min_size=1, max_size=2))
    shape = message_type(name)
    root = parse(etree.tostring(build(*documents), encoding="UTF-8"))
    validate(root, shape.schema)
    assert published(reference).validate(root), published(reference).error_log
    records = root.findall(f"{{*}}{shape.record}")
    assert len(records) == len(documents)
    for record, source in zip(records, documents, strict=True):
        head = texts(record[0] if shape.head else record)
        assert {key: text for key, text in head.items() if key not in REVISION_FIELDS} == source.content.head
        assert head["guid"] == source.guid
        lines = [texts(line) for line in list(record)[1:]] if shape.line else []
        assert lines == list(source.content.lines)


@pytest.mark.parametrize("name", PUBLISHED)
def test_message_has_the_form_that_customs_takes(name: str) -> None:
    shape = message_type(name)
    root = build(document(name), document(name, head={"coElNo": "RK2"}))
    assert root.tag == f"{{{CEB}}}{name}Message"
    assert root.nsmap == {"ceb": CEB, "xsi": XSI}
    assert dict(root.items()) == {"guid": GUID, "version": "1.0"}
    assert [etree.QName(child).localname for child in root] == [shape.record, shape.record, "BaseTransfer"]
    assert texts(root[-1]) == {
        "copCode": "4401000001",
        "copName": "广州跨境退货有限公司",
        "dxpMode": "DXP",
        "dxpId": "DXPENT0000011351",
    }
    assert all(element.tail is None for element in root.iter())
    assert all(element.text is None for element in root.iter() if len(element))


@pytest.mark.parametrize("name", ["WOD101", "WOD201"])
def test_operating_data_has_the_form_of_messages_of_customs(name: str, signing_key: FileKey) -> None:
    shape = message_type(name)
    root = build(document(name))
    assert root.tag == f"{{{WOD}}}{name}Message"
    assert [local_name(child) for child in root] == [shape.record, "BaseTransfer"]
    assert [local_name(child) for child in root[0]][-1:] == ([shape.line] if shape.line else ["step"])
    signed = Signer(signing_key).sign(root).xml
    validate(parse(signed), shape.schema)
    verify(signed, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})


def test_step_of_an_event_is_one_of_the_vocabulary() -> None:
    with pytest.raises(UnreadableMessage, match="/step"):
        build(document("WOD101", head={"step": "teleporting"}))


@pytest.mark.parametrize("name", ["HCHX_STORE_TRANS", "HCHX_STORE_AMOUNT"])
def test_record_of_a_bonded_warehouse_is_bare(name: str) -> None:
    root = build(document(name, lines=2))
    line = message_type(name).line
    assert (root.tag, dict(root.items()), root.nsmap) == ("HCHX_DATA", {}, {})
    assert [child.tag for child in root] == ["TRANSMIT", line, line]


def test_app_time_is_beijing_time() -> None:
    assert texts(build(document())[0][0])["appTime"] == "20260416003005"


def test_revision_fields_are_those_of_the_document() -> None:
    second = replace(document(), revision=2, app_type=AppType.CHANGE)
    head = texts(build(second)[0][0])
    assert (head["guid"], head["appType"]) == (second.guid, "2")
    assert list(head)[:3] == ["guid", "appType", "appTime"]


def test_optional_fields_are_left_out_when_empty() -> None:
    assert "note" not in texts(build(document(head={"note": "", "preNo": ""}))[0][0])


def edges() -> list[tuple[str, Field]]:
    return [
        (name, field)
        for name in PUBLISHED
        for field in message_type(name).head_fields
        if field.kind is FieldKind.TEXT and field.name not in REVISION_FIELDS
    ]


@pytest.mark.parametrize(("name", "field"), edges(), ids=lambda part: getattr(part, "name", part))
def test_head_field_is_accepted_at_its_limit_and_refused_beyond_it(reference: Path, name: str, field: Field) -> None:
    most = field.max_length or 0
    root = build(document(name, head={field.name: "海" * most}))
    assert published(reference).validate(root), published(reference).error_log
    with pytest.raises(UnreadableMessage, match=rf"/{field.name} \(line 0\): The value has a length of '{most + 1}'"):
        build(document(name, head={field.name: "海" * (most + 1)}))
    if field.required:
        with pytest.raises(UnreadableMessage, match=rf"/{field.name} \(line 0\): The value has a length of '0'"):
            build(document(name, head={field.name: ""}))


@pytest.mark.parametrize("number", ["12345678901234.12345", "0.00001", "0", "00012345678901234.1234500"])
def test_quantity_is_accepted_when_its_digits_are_enough(number: str) -> None:
    plain = document()
    line = {**plain.content.lines[0], "qty": number}
    assert texts(build(replace(plain, content=replace(plain.content, lines=(line,))))[0][1])["qty"] == number


@pytest.mark.parametrize("number", ["123456789012345.12345", "0.000001", "1e3", "", "1,5", "NaN", "１"])
def test_quantity_is_refused_when_it_is_none_or_too_long(number: str) -> None:
    plain = document()
    line = {**plain.content.lines[0], "qty": number}
    with pytest.raises(UnreadableMessage, match="InvtRefundList/qty"):
        build(replace(plain, content=replace(plain.content, lines=(line,))))


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (document(head={"coElNo": "BAD", "nonsense": "x"}), "there is no field nonsense"),
        (document(head={"coElNo": "BAD"}, lines=0), "Missing child element"),
        (document(head={"coElNo": "BAD"}, lines=101), "This element is not expected"),
        (document(head={"coElNo": "BAD", "ebpName": "\x0b"}), "ebpName holds a character"),
        (document(head={"coElNo": "BAD", "ebpName": "\ud800"}), "ebpName holds a character"),
        (document(head={"coElNo": "BAD", "ebpName": "x" * 101}), "ebpName"),
        (document("CEB215", head={"coElNo": "BAD"}), "it is a CEB215"),
    ],
)
def test_builder_names_the_document_at_fault_and_no_other(bad: Document, cause: str) -> None:
    good = [document(head={"coElNo": f"RK{number}"}) for number in range(3)]
    with pytest.raises(UnreadableMessage, match=cause) as caught:
        build(*good, bad)
    assert caught.value.cause.startswith("CEB213 4401000001/BAD revision 1: ")
    assert "RK" not in caught.value.cause
    assert len(build(*good)) == 4


def test_builder_refuses_revision_fields_and_lines_that_content_may_not_have() -> None:
    plain = document("CEB215")
    with pytest.raises(UnreadableMessage, match="appType is set by the revision"):
        build(replace(plain, content=Content(head={**plain.content.head, "appType": "1"})))
    with pytest.raises(UnreadableMessage, match="has lines"):
        build(replace(plain, content=replace(plain.content, lines=({"gnum": "1"},))))


def test_builder_refuses_more_documents_than_a_message_holds_and_none() -> None:
    shape = message_type("CEB213")
    many = [document(head={"coElNo": f"RK{number}"}) for number in range(shape.batch_limit + 1)]
    assert len(build(*many[:-1])) == shape.batch_limit + 1
    with pytest.raises(UnreadableMessage, match="not expected"):
        build(*many)
    with pytest.raises(UnreadableMessage):
        build_message(shape, [], TRANSFER, GUID)


@pytest.mark.parametrize("wrong", [{"cop_code": ""}, {"cop_name": "x" * 101}, {"dxp_id": ""}, {"cop_name": "\x00"}])
def test_builder_refuses_a_transfer_that_the_schema_refuses(wrong: dict[str, str]) -> None:
    with pytest.raises(UnreadableMessage):
        build_message(message_type("CEB213"), [document()], replace(TRANSFER, **wrong), GUID)


@pytest.mark.parametrize("number", [213, 215, 216])
def test_official_sample_is_valid_by_our_schema(reference: Path, number: int) -> None:
    sample = (reference / "official" / "samples202205" / f"CEB{number}Message.xml").read_bytes()
    validate(parse(sample), f"ceb{number}")


def test_official_sample_of_214_is_refused_for_its_wrong_root(reference: Path) -> None:
    sample = (reference / "official" / "samples202205" / "CEB214Message.xml").read_bytes()
    with pytest.raises(UnreadableMessage, match="/CEB214 "):
        validate(parse(sample), "ceb214")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<ds:Reference URI="">', '<ds:Reference URI="#x">'),
        ("<ds:KeyName>", "<ds:KeyValue/><ds:KeyName>"),
        ("<ds:SignedInfo>", "<ds:Object/><ds:SignedInfo>"),
        ("</ds:Signature>", "</ds:Signature><ds:Signature/>"),
        ("<ceb:BaseTransfer>", "<ceb:BaseTransfer/><ceb:BaseTransfer>"),
    ],
)
def test_official_sample_is_refused_when_something_is_smuggled_in(reference: Path, old: str, new: str) -> None:
    sample = (reference / "official" / "samples202205" / "CEB215Message.xml").read_text("utf-8")
    assert old in sample
    with pytest.raises(UnreadableMessage):
        validate(parse(sample.replace(old, new).encode()), "ceb215")


def test_a_full_message_is_built_soon() -> None:
    many = [document(head={"coElNo": f"RK{number}"}) for number in range(100)]
    build(*many)
    start = time.process_time()
    build(*many)
    assert time.process_time() - start < 1
