"""Reading receipt messages: by namespace, strictly, and without losing what we do not know."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import UnreadableMessage
from connector.messages.namespaces import CEB
from connector.messages.receipts import Receipt
from connector.receipts.parse import read_receipts

GUID = "40B39874-45BD-47EA-AE8E-A67425305A47"
FIELDS_214 = {
    "guid": GUID,
    "ebcCode": "4401000001",
    "agentCode": "4401000002",
    "coElNo": "RK1",
    "preNo": "B20200102102400001",
    "invtNo": "22442026E000000001",
    "returnStatus": "800",
    "returnTime": "20260601080102345",
    "returnInfo": "放行",
}
FIELDS_216 = {
    "guid": GUID,
    "operatorCode": "4401000003",
    "logisticsCode": "4401980001",
    "logisticsNo": "YT1",
    "coElNo": "RK1",
    "returnStatus": "399",
    "returnTime": "20260601080102345",
    "returnInfo": "",
}
FIELDS_900 = {
    "guid": GUID,
    "returnStatus": "-1",
    "returnInfo": "报文不符合规范",
    "returnTime": "20260601080102345",
    "oriCopMsgId": "1f6a",
    "oriMessageType": "CEB213",
    "oriBizMessage": "<a/>",
}
RECORDS = {"CEB214": "RefundReturn", "CEB216": "InvtRefundDetailReturn", "CEB900": "MessageReturn"}


def message(kind: str, *records: dict[str, str], prefix: str = "ceb", space: str = "") -> bytes:
    """A receipt message; an empty prefix makes the namespace the default one."""
    mark = f"{prefix}:" if prefix else ""
    declared = f"xmlns:{prefix}" if prefix else "xmlns"

    def element(name: str, text: str) -> str:
        return f"<{mark}{name}>{text.replace('<', '&lt;')}</{mark}{name}>{space}"

    body = "".join(
        f"<{mark}{RECORDS[kind]}>{''.join(element(*pair) for pair in record.items())}</{mark}{RECORDS[kind]}>"
        for record in records
    )
    return f'<{mark}{kind}Message {declared}="{CEB}" guid="{GUID}" version="1.0">{body}</{mark}{kind}Message>'.encode()


def only(data: bytes) -> Receipt:
    (receipt,) = read_receipts(data).receipts
    return receipt


def test_refund_receipt_is_read_whole() -> None:
    receipt = only(message("CEB214", FIELDS_214))
    assert receipt == Receipt(
        type="CEB214",
        answers=("CEB213",),
        guid=GUID,
        business_key="4401000002/RK1",
        message_id=None,
        code="800",
        time=datetime(2026, 6, 1, 0, 1, 2, 345_000, tzinfo=UTC),
        info="放行",
        pre_no="B20200102102400001",
        digest=receipt.digest,
    )


def test_tally_receipt_is_read_whole_when_what_may_be_absent_is() -> None:
    receipt = only(message("CEB216", FIELDS_216))
    assert (receipt.type, receipt.answers, receipt.business_key) == ("CEB216", ("CEB215",), "4401000003/RK1")
    assert (receipt.code, receipt.info, receipt.pre_no, receipt.message_id) == ("399", "", "", None)


def test_format_check_names_the_message_it_refuses_and_no_document() -> None:
    receipt = only(message("CEB900", FIELDS_900))
    assert (receipt.type, receipt.answers, receipt.business_key) == ("CEB900", (), "")
    assert (receipt.message_id, receipt.code, receipt.info) == ("1f6a", "-1", "报文不符合规范")


def test_format_check_refuses_no_message_when_it_names_none() -> None:
    assert only(message("CEB900", FIELDS_900 | {"oriCopMsgId": ""})).message_id is None


def test_ids_are_ours_whatever_case_customs_writes_them_in() -> None:
    assert only(message("CEB900", FIELDS_900 | {"oriCopMsgId": "1F6A"})).message_id == "1f6a"
    assert only(message("CEB214", FIELDS_214 | {"guid": GUID.lower()})).guid == GUID.upper()


@pytest.mark.parametrize("prefix", ["", "ceb", "x", "CEB214"])
def test_receipt_is_known_by_its_namespace_whatever_its_prefix(prefix: str) -> None:
    receipt = only(message("CEB214", FIELDS_214, prefix=prefix))
    assert (receipt.business_key, receipt.code) == ("4401000002/RK1", "800")


def test_receipts_stand_in_the_order_of_the_message() -> None:
    records = [FIELDS_214 | {"coElNo": f"RK{number}"} for number in range(100)]
    assert [one.business_key for one in read_receipts(message("CEB214", *records)).receipts] == [
        f"4401000002/RK{number}" for number in range(100)
    ]


@pytest.mark.parametrize("code", ["777", "-621", "0800", "A1", ""])
def test_code_that_no_table_holds_is_kept_as_it_stands(code: str) -> None:
    assert only(message("CEB214", FIELDS_214 | {"returnStatus": code})).code == code


def test_digest_is_the_same_for_the_same_record_in_another_message_and_differs_for_any_other() -> None:
    alone = only(message("CEB214", FIELDS_214))
    second = read_receipts(message("CEB214", FIELDS_214 | {"coElNo": "RK2"}, FIELDS_214)).receipts[1]
    assert second.digest == alone.digest
    for name in FIELDS_214:
        text = {"guid": GUID.lower(), "returnTime": "20260601080102346"}.get(name, "9")
        assert only(message("CEB214", FIELDS_214 | {name: text})).digest != alone.digest


@pytest.mark.parametrize(
    "text",
    [
        "20261315103000123",  # month 13, which a lenient reader takes for January
        "20260230103000123",
        "20260601250000000",
        "20260601086100000",
        "2026-06-01T08:01Z",
        "0000000000000000x",
        "00000601080102345",
        "00010101000000000",  # before the first time that UTC has here
        "２０２６０６０１０８０１０２３４５",
        " 2026060108010234",
        "20260601080102+12",
        "20260601080102 12",
        "202606010801021_2",
    ],
)
def test_record_alone_is_left_out_when_its_return_time_is_no_time(text: str) -> None:
    parsed = read_receipts(message("CEB214", FIELDS_214, FIELDS_214 | {"returnTime": text}))
    assert [receipt.code for receipt in parsed.receipts] == [FIELDS_214["returnStatus"]]
    (problem,) = parsed.problems
    assert problem.startswith("record 2: returnTime")


@pytest.mark.parametrize("element", ["RefundReturn", "coElNo"])
def test_record_alone_is_left_out_when_it_has_no_canonical_form(element: str) -> None:
    """A relative namespace URI is no fault to the schema; the error of the library once stopped all receipts."""
    data = message("CEB214", FIELDS_214, FIELDS_214)
    start = data.rindex(f"<ceb:{element}>".encode()) + len(f"<ceb:{element}")
    parsed = read_receipts(data[:start] + b' xmlns:x="relative"' + data[start:])
    assert len(parsed.receipts) == 1
    assert parsed.problems == ("record 2: it has no canonical form, so it cannot be told from others",)


def test_record_is_the_same_and_soon_read_when_many_namespaces_are_declared_around_it() -> None:
    data = message("CEB214", *[FIELDS_214] * 100)
    more = "".join(f' xmlns:n{number}="urn:{number}"' for number in range(4_900)).encode()
    start = time.process_time()
    assert read_receipts(data.replace(b" guid=", more + b" guid=", 1)) == read_receipts(data)
    assert time.process_time() - start < 1


def test_message_is_refused_when_its_schema_refuses_it() -> None:
    for name in ("guid", "agentCode", "coElNo", "returnStatus", "returnTime", "returnInfo"):
        spoilt = {key: text for key, text in FIELDS_214.items() if key != name}
        with pytest.raises(UnreadableMessage, match="RefundReturn"):
            read_receipts(message("CEB214", spoilt))
    with pytest.raises(UnreadableMessage, match="appSenderId"):
        read_receipts(message("CEB214", {"guid": GUID, "appSenderId": "1"}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        b"<CEB214Message/>",
        f'<CEB213Message xmlns="{CEB}"/>'.encode(),
        message("CEB214", FIELDS_214).replace(CEB.encode(), b"urn:other"),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + message("CEB214", FIELDS_214),
    ],
    ids=["nothing", "text", "no namespace", "other message", "other namespace", "document type"],
)
def test_message_is_refused_when_it_is_no_receipt_message(data: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        read_receipts(data)


def test_published_sample_of_a_tally_receipt_is_read(reference: Path) -> None:
    receipts = read_receipts((reference / "official/samples202205/CEB216Message.xml").read_bytes()).receipts
    assert {one.business_key for one in receipts} >= {"A000080003/Cop20180507056"}
    assert {one.code for one in receipts} == {"2"}
    assert receipts[0].time == datetime(2020, 4, 1, 3, 2, 9, 412_000, tzinfo=UTC)
    assert receipts[0].digest == receipts[1].digest


def test_receipt_is_refused_when_its_envelope_says_that_it_is_another() -> None:
    data = message("CEB214", FIELDS_214)
    assert read_receipts(data, message_type="CEB214Message").receipts == read_receipts(data).receipts
    with pytest.raises(UnreadableMessage, match="its envelope says CEB216Message, and it is CEB214Message"):
        read_receipts(data, message_type="CEB216Message")
