"""The ReceiptService as a client sees it, against a real HTTP server on loopback that answers from a list."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lxml import etree

from connector.config import CustomsSettings
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import Known, MessageId, NotKnown, Withdrawn
from connector.transport.customs import SoapCustoms
from connector.transport.interface import FetchedReceipt, ReceiptPage

NAMESPACE = "urn:customs-warehouse-connector:receipt-service:1"
DIGEST = "0123456789abcdef" * 4
ID = MessageId("0f0e0d0c-1111-4222-8333-444455556666")


class Office(ThreadingHTTPServer):
    """Answers every request with `status` and `body`, and keeps what it was asked."""

    status = 200
    body = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.asked: list[etree._Element] = []

    def respond(self, content: str, *, status: int = 200) -> None:
        self.status = status
        self.body = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            + content
            + "</s:Body></s:Envelope>"
        ).encode()


class Counter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Office

    def do_POST(self) -> None:
        envelope = etree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(envelope[0][0])
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def customs(office: Office) -> Iterator[SoapCustoms]:
    url = f"http://127.0.0.1:{office.server_port}/"
    settings = CustomsSettings(
        submit_url=f"{url}receive", receipts_url=f"{url}receipts", require_signed_receipts=False, deadline_seconds=5
    )
    client = SoapCustoms(settings, "DXPENT0000011351")
    yield client
    client.close()


def fetched(*items: tuple[int, str], more: str = "false") -> str:
    inner = "".join(f"<item><sequence>{number}</sequence><content>{text}</content></item>" for number, text in items)
    return f'<fetchReceiptsResponse xmlns="{NAMESPACE}">{inner}<more>{more}</more></fetchReceiptsResponse>'


def found(inner: str) -> str:
    return f'<queryMessageResponse xmlns="{NAMESPACE}">{inner}</queryMessageResponse>'


def asked(office: Office) -> tuple[str, dict[str, str | None]]:
    element = office.asked[-1]
    return str(element.tag), {str(child.tag): child.text for child in element}


def test_fetch_receipts_gives_the_page_in_order(office: Office, customs: SoapCustoms) -> None:
    office.respond(fetched((8, "&lt;a&gt;回&#13;😀&lt;/a&gt;"), (11, ""), more="true"))
    assert customs.fetch_receipts(7, 50) == ReceiptPage(
        receipts=(
            FetchedReceipt(sequence=8, envelope="<a>回\r😀</a>".encode()),
            FetchedReceipt(sequence=11, envelope=b""),
        ),
        more=True,
    )
    name = f"{{{NAMESPACE}}}"
    assert asked(office) == (
        f"{name}fetchReceipts",
        {f"{name}dxpId": "DXPENT0000011351", f"{name}afterSequence": "7", f"{name}maxCount": "50"},
    )


def test_fetch_receipts_gives_one_item_and_none_alike(office: Office, customs: SoapCustoms) -> None:
    office.respond(fetched((1, "x")))
    assert [receipt.sequence for receipt in customs.fetch_receipts(0, 1).receipts] == [1]
    office.respond(fetched(more="0"))
    assert customs.fetch_receipts(1, 1) == ReceiptPage(receipts=(), more=False)


@pytest.mark.parametrize("items", [((9, "x"), (8, "y")), ((8, "x"), (8, "y")), ((7, "x"),), ((-1, "x"),)])
def test_fetch_receipts_refuses_a_page_when_sequences_would_move_the_cursor_back(
    office: Office, customs: SoapCustoms, items: tuple[tuple[int, str], ...]
) -> None:
    office.respond(fetched(*items))
    with pytest.raises(CustomsUnreachable, match="out of order"):
        customs.fetch_receipts(7, 50)


def test_fetch_receipts_refuses_the_answer_to_another_question(office: Office, customs: SoapCustoms) -> None:
    office.respond(fetched().replace("fetchReceipts", "queryDocuments"))
    with pytest.raises(CustomsUnreachable, match="queryDocumentsResponse"):
        customs.fetch_receipts(0, 10)


def test_find_message_gives_digest_and_time_when_customs_knows_it(office: Office, customs: SoapCustoms) -> None:
    office.respond(
        found(
            f"<known>true</known><receivedAt>2026-04-15T10:30:00.250+08:00</receivedAt><dataDigest>{DIGEST}</dataDigest>"
            "<latestStatus>2</latestStatus><latestStatus>800</latestStatus>"
        )
    )
    received_at = datetime(2026, 4, 15, 2, 30, 0, 250_000, tzinfo=UTC)
    result = customs.find_message(ID)
    assert result == Known(digest=DIGEST, received_at=received_at)
    assert isinstance(result, Known)
    assert result.received_at is not None
    assert result.received_at.utcoffset() == received_at.utcoffset()
    name = f"{{{NAMESPACE}}}"
    assert asked(office) == (
        f"{name}queryMessage",
        {f"{name}dxpId": "DXPENT0000011351", f"{name}copMsgId": ID},
    )


def test_find_message_gives_no_time_when_customs_gives_none(office: Office, customs: SoapCustoms) -> None:
    office.respond(found(f"<known>1</known><dataDigest>{DIGEST}</dataDigest>"))
    assert customs.find_message(ID) == Known(digest=DIGEST, received_at=None)


def test_find_message_says_not_known_when_customs_does(office: Office, customs: SoapCustoms) -> None:
    office.respond(found("<known>false</known>"))
    assert customs.find_message(ID) == NotKnown()


def test_find_message_asks_nothing_when_the_message_is_no_longer_ours(office: Office, customs: SoapCustoms) -> None:
    seconds: list[float] = []

    def refuse(left: float) -> bool:
        seconds.append(left)
        return False

    found = customs.find_message(ID, refuse)
    assert isinstance(found, Withdrawn)
    assert "no longer ours" in found.info
    assert 0 < seconds[0] <= 30
    assert office.asked == []


FALSE = found("<known>false</known>")


@pytest.mark.parametrize(
    ("status", "content"),
    [
        pytest.param(200, found("<known>maybe</known>"), id="known is no boolean"),
        pytest.param(200, found("<known/>"), id="known is empty"),
        pytest.param(200, found(""), id="known is missing"),
        pytest.param(200, found("<known>true</known>"), id="known without a digest"),
        pytest.param(
            200, found(f"<known>false</known><dataDigest>{DIGEST}</dataDigest>"), id="not known with a digest"
        ),
        pytest.param(
            200, found(f"<known>true</known><dataDigest>{DIGEST.upper()}</dataDigest>"), id="digest of another form"
        ),
        pytest.param(200, found("<known>false</known><x/>"), id="an unknown element"),
        pytest.param(200, FALSE.replace("receipt-service:1", "receipt-service:2"), id="another version"),
        pytest.param(
            200,
            found(f"<known>true</known><receivedAt>2026-04-15T10:30:00</receivedAt><dataDigest>{DIGEST}</dataDigest>"),
            id="a time without its offset",
        ),
        pytest.param(200, fetched(), id="the answer to another question"),
        pytest.param(
            200, "<s:Fault><faultcode>s:Client</faultcode><faultstring>no</faultstring></s:Fault>", id="fault"
        ),
        pytest.param(
            500, "<s:Fault><faultcode>s:Server</faultcode><faultstring>no</faultstring></s:Fault>", id="fault 500"
        ),
        pytest.param(500, FALSE, id="a good answer under status 500"),
        pytest.param(202, FALSE, id="a good answer under status 202"),
        pytest.param(200, FALSE + FALSE, id="two answers"),
        pytest.param(200, "", id="empty Body"),
        pytest.param(200, "&x;", id="not well-formed"),
    ],
)
def test_find_message_never_says_not_known_when_the_answer_is_not_certain(
    office: Office, customs: SoapCustoms, status: int, content: str
) -> None:
    office.respond(content, status=status)
    with pytest.raises(CustomsUnreachable) as raised:
        customs.find_message(ID)
    assert raised.value.effect
    assert raised.value.remedy


@pytest.mark.parametrize(("status", "body"), [(200, b""), (202, b""), (502, b"<html/>"), (500, b"")])
def test_receipt_service_is_unreachable_when_it_gives_no_soap(
    office: Office, customs: SoapCustoms, status: int, body: bytes
) -> None:
    office.status, office.body = status, body
    with pytest.raises(CustomsUnreachable, match=f"HTTP status {status}"):
        customs.find_message(ID)
    with pytest.raises(CustomsUnreachable, match=f"HTTP status {status}"):
        customs.fetch_receipts(0, 10)


def test_receipt_service_is_unreachable_when_nobody_listens() -> None:
    url = "http://127.0.0.1:9/"
    customs = SoapCustoms(
        CustomsSettings(submit_url=url, receipts_url=url, require_signed_receipts=False), "DXPENT0000011351"
    )
    with pytest.raises(CustomsUnreachable, match="nothing was sent"):
        customs.find_message(ID)
    with pytest.raises(CustomsUnreachable, match="nothing was sent"):
        customs.fetch_receipts(0, 10)


def test_receipts_are_none_and_messages_unfindable_when_the_region_has_no_receipt_service() -> None:
    customs = SoapCustoms(CustomsSettings(submit_url="http://127.0.0.1:9/"), "DXPENT0000011351")
    assert customs.fetch_receipts(0, 10) == ReceiptPage(receipts=(), more=False)
    with pytest.raises(CustomsUnreachable, match="receipts_url is not set"):
        customs.find_message(ID)
