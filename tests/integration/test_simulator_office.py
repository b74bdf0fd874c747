"""The office with a clock of our own, on a real database: identity, staging and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from connector.messages.catalogue import receipt_type
from connector.messages.documents import AppType, Document
from connector.messages.envelope import unseal
from connector.messages.parser import parse, texts, validate
from connector.simulator.archive import signed_message
from connector.simulator.enquiries import DocumentQuery, LedgerEntry
from connector.simulator.ledger import Ledger, read_ledger
from connector.simulator.office import Office
from connector.simulator.registry import load
from connector.simulator.soap import RECEIVE, SOAP

DXP_ID = "DXPENT0000011351"
CEB = "http://www.chinaport.gov.cn/ceb"


class Desk:
    """An office and a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
        self.open()

    def open(self) -> None:
        self.office = Office(load(self.folder / "registry.toml"), lambda: self.now)

    def reopen(self) -> None:
        self.office.close()
        self.open()

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def submit(self, content: str) -> tuple[str, str]:
        """ChkMark and resultInfo."""
        envelope = etree.Element(f"{{{SOAP}}}Envelope")
        receive = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{RECEIVE}}}receive")
        etree.SubElement(receive, "content").text = content
        answer = etree.fromstring(self.office.receive(etree.tostring(envelope), content))
        return answer.findtext(".//chkMark") or "", answer.findtext(".//resultInfo") or ""

    def receipts(self, after: int = 0) -> list[dict[str, str]]:
        """Every return record there is, each checked against its schema, in order."""
        records = []
        for issued in self.office.fetch_receipts(DXP_ID, after=after, at_most=1000)[0]:
            envelope = unseal(issued.content.encode())
            assert (envelope.sender, envelope.receiver) == ("DXPEDCCEB0000003", DXP_ID)
            root = parse(envelope.data)
            validate(root, receipt_type(envelope.message_type).schema)
            records += [texts(record) for record in root]
        return records

    def codes(self, business_number: str = "RK1") -> list[str]:
        return [one["returnStatus"] for one in self.receipts() if one.get("coElNo") == business_number]

    def ledger(self) -> Ledger:
        return read_ledger(self.folder / "customs.db", self.now)

    def entry(self, business_key: str = "4401000001/RK1") -> LedgerEntry:
        return next(one for one in self.ledger().documents if one.business_key == business_key)


@pytest.fixture
def desk(office_files: Path) -> Iterator[Desk]:
    desk = Desk(office_files)
    yield desk
    desk.office.close()


Make = Callable[..., Document]
Seal = Callable[..., str]


def test_receipts_come_in_stages_when_documents_are_accepted_or_rejected(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    good, excess = refund("RK1"), refund("RK2", list_number=2, quantity="4")
    assert desk.submit(sealed([good, excess])) == ("1", "处理成功")

    told: list[list[tuple[str, str]]] = []
    for _ in range(4):
        told.append([(one["coElNo"], one["returnStatus"]) for one in desk.receipts(after=len(told))])
        desk.wait(2)

    assert told == [
        [("RK1", "2"), ("RK2", "2")],
        [("RK1", "3"), ("RK2", "3")],
        [("RK1", "120"), ("RK2", "100")],
        [("RK1", "800")],
    ]
    assert desk.receipts()[0] == {
        "guid": good.guid,
        "ebpCode": "4401ABCDEF",
        "ebcCode": "4401000001",
        "agentCode": "4401000001",
        "coElNo": "RK1",
        "preNo": "B20260415000000001",
        "invtNo": "22442026E000000001",
        "returnStatus": "2",
        "returnTime": "20260415103000000",
        "returnInfo": f"新增申报成功[{good.guid}]",
    }


def test_return_times_grow_when_there_is_no_delay(office_files: Path, refund: Make, sealed: Seal) -> None:
    registry = office_files / "registry.toml"
    registry.write_text(registry.read_text().replace("stage_seconds = 2", "stage_seconds = 0"))
    desk = Desk(office_files)
    desk.submit(sealed([refund()]))
    desk.wait(1)

    times = [one["returnTime"] for one in desk.receipts()]

    assert times == ["20260415103000000", "20260415103000001", "20260415103000002", "20260415103000003"]
    desk.office.close()


def test_tally_details_are_finished(desk: Desk, tally: Make, sealed: Seal) -> None:
    desk.submit(sealed([tally("RK1"), tally("RK2", operatorCode="4401999999")]))
    desk.wait(10)

    assert desk.codes("RK1") == ["2", "399"]
    assert desk.codes("RK2") == ["-625013"]
    assert desk.receipts()[0]["preNo"] == "O20260415000000001"


def test_receipts_go_on_where_they_were_when_the_office_starts_again(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund()]))
    first = desk.receipts()
    desk.reopen()
    desk.wait(10)

    assert desk.receipts()[:1] == first
    assert desk.codes() == ["2", "3", "120", "800"]


def test_sequence_is_given_when_a_receipt_is_due_so_that_none_is_missed(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund("RK1")]))
    desk.wait(3)
    assert len(desk.receipts()) == 2
    desk.submit(sealed([refund("RK2", list_number=2)]))
    assert [one["coElNo"] for one in desk.receipts(after=2)] == ["RK2"]
    desk.wait(10)

    told = [(one["coElNo"], one["returnStatus"]) for one in desk.receipts(after=3)]

    assert told == [("RK1", "120"), ("RK2", "3"), ("RK1", "800"), ("RK2", "120"), ("RK2", "800")]


def test_receipts_are_paged_and_fetched_again_the_same(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund()]))
    desk.wait(10)

    first, more = desk.office.fetch_receipts(DXP_ID, after=0, at_most=3)
    last, no_more = desk.office.fetch_receipts(DXP_ID, after=3, at_most=3)

    assert ([one.sequence for one in first], more) == ([1, 2, 3], True)
    assert ([one.sequence for one in last], no_more) == ([4], False)
    assert desk.office.fetch_receipts(DXP_ID, after=0, at_most=3)[0] == first
    assert desk.office.fetch_receipts("DXPENT0000099999", after=0, at_most=3) == ([], False)


def test_repeat_gets_the_first_answer_and_nothing_new_when_its_bytes_are_the_same(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    content = sealed([refund()])
    desk.submit(content)
    first = desk.ledger().messages[0].answer
    desk.wait(60)

    assert desk.office.receive(b"", content) == first
    assert desk.codes() == ["2", "3", "120", "800"]
    assert (desk.entry().times_received, desk.entry().times_accepted) == (2, 1)
    assert desk.ledger().messages[0].times_received == 2


def test_message_is_refused_when_its_id_belongs_to_another(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund("RK1")], message_id="M-1"))

    mark, info = desk.submit(sealed([refund("RK1"), refund("RK2", list_number=2)], message_id="M-1"))

    assert (mark, "M-1" in info) == ("2", True)
    assert [one.business_key for one in desk.ledger().documents] == ["4401000001/RK1"]
    assert (desk.entry().times_received, desk.entry().times_accepted) == (2, 1)


def test_document_is_a_duplicate_when_its_key_comes_in_another_message(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund()]))
    desk.wait(10)
    held = desk.entry()
    assert desk.submit(sealed([refund(reason="改了")])) == ("1", "处理成功")

    assert desk.receipts()[-1]["returnStatus"] == "-625033"
    assert desk.receipts()[-1]["returnInfo"] == "退货申请单[4401000001/RK1]已经申报过，请勿重复申报"
    now = desk.entry()
    assert (now.digest, now.status, now.times_received, now.times_accepted) == (held.digest, "800", 2, 1)


def test_document_is_a_duplicate_when_its_key_comes_twice_in_one_message(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    desk.submit(sealed([refund(quantity="1"), refund(quantity="1")]))

    assert desk.codes() == ["2", "-625033"]
    assert (desk.entry().times_received, desk.entry().times_accepted) == (1, 1)


def test_document_may_be_declared_again_when_its_rejection_has_been_said(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    desk.submit(sealed([refund(quantity="4")]))
    desk.wait(4)
    desk.submit(sealed([refund(quantity="3")]))
    assert desk.codes()[-1] == "-625033"
    desk.wait(1)
    assert (desk.entry().status, desk.entry().times_accepted) == ("100", 0)
    desk.submit(sealed([refund(quantity="3")]))
    desk.wait(10)

    assert desk.codes()[-4:] == ["2", "3", "120", "800"]
    assert (desk.entry().status, desk.entry().times_received, desk.entry().times_accepted) == ("800", 3, 1)
    times = [one["returnTime"] for one in desk.receipts() if one["returnStatus"] != "-625033"]
    assert times == sorted(set(times))


def test_quantities_add_up_over_documents_and_messages(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund("RK1", quantity="2"), refund("RK2", quantity="2")]))
    desk.submit(sealed([refund("RK3", quantity="1")]))
    desk.submit(sealed([refund("RK4", quantity="1")]))
    desk.wait(10)

    final = {number: desk.codes(number)[-1] for number in ("RK1", "RK2", "RK3", "RK4")}

    assert final == {"RK1": "800", "RK2": "100", "RK3": "800", "RK4": "100"}


def test_change_takes_the_place_of_an_accepted_document(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund(app_type=AppType.CHANGE)]))
    assert desk.receipts()[-1]["returnStatus"] == "-625022"
    desk.wait(1)
    desk.submit(sealed([refund(quantity="3")]))
    desk.wait(10)
    desk.submit(sealed([refund(quantity="2", app_type=AppType.CHANGE)]))
    desk.submit(sealed([refund("RK2", quantity="1")]))
    desk.wait(10)

    assert (desk.entry().status, desk.entry().times_accepted) == ("800", 1)
    assert desk.codes("RK2")[-1] == "800"


def test_goods_are_free_again_when_a_document_is_deleted(desk: Desk, refund: Make, sealed: Seal) -> None:
    desk.submit(sealed([refund(quantity="3")]))
    desk.wait(10)
    desk.submit(sealed([refund(quantity="3", app_type=AppType.DELETE)]))
    desk.submit(sealed([refund("RK2", quantity="3")]))
    desk.wait(10)

    assert desk.codes("RK2")[-1] == "800"


def test_document_fails_when_the_sender_may_not_declare_for_the_enterprise(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    desk.submit(sealed([refund(agentCode="4401999999")]))

    assert desk.codes() == ["-625013"]
    assert "不一致" in desk.receipts()[0]["returnInfo"]
    assert desk.entry("4401999999/RK1").times_accepted == 0


def test_message_is_answered_by_ceb900_when_only_its_schema_refuses_it(desk: Desk, refund: Make, sealed: Seal) -> None:
    def without_reason(root: etree._Element) -> None:
        reason = next(root.iter(f"{{{CEB}}}reason"))
        parent = reason.getparent()
        assert parent is not None
        parent.remove(reason)

    content = sealed([refund()], message_id="M-900", before_signing=without_reason)
    assert desk.submit(content) == ("1", "处理成功")
    assert desk.submit(content) == ("1", "处理成功")
    desk.wait(10)

    (record,) = desk.receipts()
    assert int(record["returnStatus"]) < 0
    assert (record["oriCopMsgId"], record["oriMessageType"]) == ("M-900", "CEB213Message")
    assert "reason" in record["returnInfo"] or "country" in record["returnInfo"]
    assert record["oriBizMessage"].encode() == signed_message(desk.folder / "customs.db", "M-900")
    assert desk.ledger().documents == ()


def test_message_is_refused_at_the_door_when_anything_but_its_schema_is_wrong(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    documents = [refund()]
    refused = {
        "signature": sealed(documents, after_signing=lambda xml: xml.replace("不合适".encode(), "不喜欢".encode())),
        "未登记": sealed(documents, sender="DXPENT0000099999"),
        "dxpId": sealed(documents, transfer_dxp_id="DXPENT0000099999"),
        "MsgType": sealed(documents).replace("CEB213Message", "CEB215Message"),
        "CEB999": sealed(documents).replace("CEB213Message", "CEB999Message"),
        "2001": sealed(documents).replace("DXPEDCCEB0000003", "DXPEDCCEB0000009"),
        "DxpMsg": sealed(documents).replace("CreatTime", "CreateTime"),
        "not well-formed": "no XML at all",
    }

    answers = {word: desk.submit(content) for word, content in refused.items()}

    assert {mark for mark, _ in answers.values()} == {"2"}
    assert "1001" in answers.pop("signature")[1]
    for word, (_, info) in answers.items():
        assert word in info
    assert desk.ledger() == Ledger(documents=(), messages=())


def test_message_is_refused_when_another_certificate_signed_it(desk: Desk, refund: Make, sealed: Seal) -> None:
    registry = desk.folder / "registry.toml"
    text = registry.read_text()
    fingerprint = text.partition('certificate_sha256 = "')[2][:64]
    registry.write_text(text.replace(fingerprint, "0" * 64))
    content = sealed([refund()])
    desk.reopen()
    assert desk.submit(content)[0] == "2"

    registry.write_text(text)
    desk.reopen()

    assert desk.submit(content) == ("1", "处理成功"), "what was refused at the door does not own its id"


def test_queries_tell_what_the_office_holds(desk: Desk, refund: Make, sealed: Seal) -> None:
    content = sealed([refund("RK1"), refund("RK2", list_number=2, quantity="9")], message_id="M-1")
    received_at = desk.now
    desk.submit(content)
    desk.wait(5)

    held = desk.office.find_message(DXP_ID, "M-1")
    assert held is not None
    assert held.statuses == ("120", "100")
    assert held.digest == hashlib.sha256(unseal(content.encode()).data).hexdigest()
    assert desk.office.find_message(DXP_ID, "M-2") is None
    assert desk.office.find_message("DXPENT0000099999", "M-1") is None

    def documents(after_key: str = "", **period: int) -> tuple[list[str], bool]:
        query = DocumentQuery(
            dxp_id=DXP_ID,
            document_type="CEB213",
            received_from=period.get("start"),
            received_to=period.get("end"),
            after_key=after_key,
            at_most=1,
        )
        found, more = desk.office.find_documents(query)
        return [one.business_key for one in found], more

    start = int(received_at.timestamp() * 1000)
    assert documents() == (["4401000001/RK1"], True)
    assert documents("4401000001/RK1", start=start, end=start + 1) == (["4401000001/RK2"], False)
    assert documents(end=start) == documents(start=start + 1) == ([], False)


def test_ledger_digest_is_of_the_record_in_exclusive_canonical_form(desk: Desk, refund: Make, sealed: Seal) -> None:
    content = sealed([refund()], message_id="M-1")
    desk.submit(content)

    signed = signed_message(desk.folder / "customs.db", "M-1")
    assert signed == unseal(content.encode()).data
    form = etree.tostring(parse(signed)[0], method="c14n", exclusive=True)
    assert desk.entry().digest == hashlib.sha256(form).hexdigest()


def test_export_lists_are_read_again_when_their_file_changed(desk: Desk, refund: Make, sealed: Seal) -> None:
    lists = desk.folder / "export-lists.jsonl"
    lists.write_text(lists.read_text().replace("22442026E000000001", "22442026E000009999"))
    desk.reopen()
    desk.submit(sealed([refund("RK1", list_number=1), refund("RK2", list_number=9999)]))
    desk.wait(10)

    assert (desk.codes("RK1")[-1], desk.codes("RK2")[-1]) == ("100", "800")
