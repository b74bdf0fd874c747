"""A small customs office at a real socket that behaves as a test tells it to, and a connector wired to it.

It knows two kinds of submissions: those of the pipeline, and the plain bodies that the fixture ``keep`` queues.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from xml.sax.saxutils import escape

from lxml import etree

from connector.config import CustomsSettings, shipped
from connector.messages.builder import Transfer
from connector.messages.envelope import Envelope, seal, unseal
from connector.messages.namespaces import CEB
from connector.outbox.breaker import BreakerPolicy
from connector.outbox.queries import DocumentView
from connector.outbox.retry import RetryPolicy
from connector.pipeline.checking import RuleBook
from connector.pipeline.wiring import Connector
from connector.rules.offices import load_offices
from connector.signing.envelopes import EnvelopeOpener
from connector.signing.keyfiles import FileKey
from connector.signing.keyring import KeyRing, RingKey
from connector.storage.database import Database
from connector.transport.customs import SoapCustoms

DXP_ID = "DXPENT0000011351"
LEASE = timedelta(seconds=60)
SETTLE = timedelta(seconds=120)
_SERVICE = "urn:customs-warehouse-connector:receipt-service:1"
_MO = "<mo><body><list><jkfResult><chkMark>{}</chkMark></jkfResult></list></body></mo>"
_PLAIN = b"body of "


@dataclass(slots=True)
class Clock:
    """The time that the connector is told; a test moves it on."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self, _connection: object = None) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


class Office(ThreadingHTTPServer):
    """Holds what it takes in, answers what it is told to, and gives out the receipts it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.connections = 0
        """Accepted so far."""
        self.manner = "take"
        """To a submission: take, refuse, cut (takes in and hangs up), lose (hangs up), busy (HTTP 503)."""
        self.receipts_manner = "give"
        """To a question or a fetch: give, lose or busy."""
        self.retry_after = ""
        """The header of a busy answer."""
        self.page = b"<html>busy</html>"
        """What it says beside."""
        self.seconds = 0.0
        """How long it takes over a submission."""
        self.bodies: list[bytes] = []
        """Every submission that arrived, as it arrived."""
        self.times: list[tuple[float, float]] = []
        """When each submission was begun and answered."""
        self.held: dict[str, str] = {}
        """Message id -> digest."""
        self.asked: list[str] = []
        self.fetched = 0
        self.while_submitting: Callable[[], object] = lambda: None
        """What happens elsewhere while it takes a submission."""
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens elsewhere while it looks for receipts."""
        self.receipts: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, object]:
        taken: tuple[socket.socket, object] = super().get_request()
        self.connections += 1
        return taken

    def submit(self, body: bytes) -> str | None:
        begun = time.monotonic()
        self.bodies.append(body)
        if self.manner in {"take", "cut"}:
            self.held |= [_named(body)]
        self.while_submitting()
        time.sleep(self.seconds)
        self.times.append((begun, time.monotonic()))
        if self.manner in {"cut", "lose"}:
            return None
        answer = escape(_MO.format("1" if self.manner == "take" else "2"))
        return f'<n:receiveResponse xmlns:n="http://ws.newyork.zjport.gov.cn/"><return>{answer}</return></n:receiveResponse>'

    def find(self, message_id: str) -> str:
        self.asked.append(message_id)
        digest = self.held.get(message_id)
        known = f"<known>true</known><dataDigest>{digest}</dataDigest>" if digest else "<known>false</known>"
        return f'<queryMessageResponse xmlns="{_SERVICE}">{known}</queryMessageResponse>'

    def fetch(self, after: int) -> str:
        self.fetched += 1
        self.meanwhile()
        items = "".join(
            f"<item><sequence>{number}</sequence><content>{escape(text)}</content></item>"
            for number, text in enumerate(self.receipts, start=1)
            if number > after
        )
        return f'<fetchReceiptsResponse xmlns="{_SERVICE}">{items}<more>false</more></fetchReceiptsResponse>'

    def give(self, message: str) -> None:
        """Give out a receipt message."""
        envelope = Envelope(
            message_id=str(len(self.receipts)),
            sender="DXPEDCCEB0000003",
            receiver=DXP_ID,
            created=datetime.now(UTC),
            message_type=message[1:].split(maxsplit=1)[0].strip("/>"),
            data=message.encode(),
        )
        self.receipts.append(seal(envelope).decode())


class _Counter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Office

    def do_POST(self) -> None:
        office = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        manner = office.manner if self.path == "/submit" else office.receipts_manner
        if manner == "busy":
            office.submit(body) if self.path == "/submit" else None
            self._say(503, office.page, {"Retry-After": office.retry_after} if office.retry_after else {})
            return
        answer = office.submit(body) if self.path == "/submit" else self._answer(body, manner)
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        soap = "http://schemas.xmlsoap.org/soap/envelope/"
        self._say(200, f'<s:Envelope xmlns:s="{soap}"><s:Body>{answer}</s:Body></s:Envelope>'.encode(), {})

    def _answer(self, body: bytes, manner: str) -> str | None:
        if manner == "lose":
            return None
        request = etree.fromstring(body)[-1][0]
        texts = {etree.QName(child).localname: child.text or "" for child in request}
        if etree.QName(request).localname == "queryMessage":
            return self.server.find(texts["copMsgId"])
        return self.server.fetch(int(texts["afterSequence"]))

    def _say(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


@contextmanager
def working_office() -> Iterator[Office]:
    """An office that works as long as the block lasts."""
    with Office() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connect(
    url: str,
    database: Database,
    key: FileKey,
    clock: Clock,
    has_receipt_service: bool = True,  # noqa: FBT001, FBT002 - a kind of region
) -> Connector:
    """A connector without collections that sends to an office at this address."""
    receipts_url = f"{url}/receipts" if has_receipt_service else None
    settings = CustomsSettings(submit_url=f"{url}/submit", receipts_url=receipts_url, require_signed_receipts=False)
    return Connector(
        database=database,
        collections=(),
        rules=RuleBook(offices=load_offices(shipped("config") / "offices.toml")),
        keys=KeyRing([RingKey(name="main", key=key, active_from=None)]),
        customs=SoapCustoms(settings, DXP_ID),
        submit_endpoint=settings.submit_url,
        endpoint=settings.receipts_url or settings.submit_url,
        answers_questions=has_receipt_service,
        open_envelope=EnvelopeOpener(trusted=(), is_required=False),
        transfer=Transfer(cop_code="4401000001", cop_name="广州云帆", dxp_id=DXP_ID),
        receiver="DXPEDCCEB0000003",
        policy=RetryPolicy(
            first=timedelta(seconds=5),
            most=timedelta(hours=1),
            tries=20,
            settle=SETTLE,
            give_up=timedelta(days=7),
        ),
        breaker_policy=BreakerPolicy(),
        holder=str(uuid.uuid4()),
        lease=LEASE,
        collection_lease=timedelta(minutes=5),
        clock=clock,
        elapsed=time.monotonic,
        random=Random(1),
        is_stopping=lambda: False,
    )


def receipt(document: DocumentView, code: str, time: datetime, info: str = "") -> str:
    """A receipt message about one document, as customs writes it."""
    root, record, code_field = {
        "CEB213": ("CEB214Message", "RefundReturn", "agentCode"),
        "CEB215": ("CEB216Message", "InvtRefundDetailReturn", "operatorCode"),
    }[document.type]
    code_value, _, number = document.business_key.partition("/")
    between = "" if document.type == "CEB213" else "<logisticsCode>1</logisticsCode><logisticsNo>1</logisticsNo>"
    invt_no = "<invtNo>1</invtNo>" if document.type == "CEB213" else ""
    return (
        f'<{root} xmlns="{CEB}" guid="{document.guid}" version="1.0"><{record}><guid>{document.guid}</guid>'
        f"<{code_field}>{code_value}</{code_field}>{between}<coElNo>{number}</coElNo>{invt_no}"
        f"<returnStatus>{code}</returnStatus><returnTime>{_beijing(time)}</returnTime><returnInfo>{info}</returnInfo>"
        f"</{record}></{root}>"
    )


def format_check(message_id: str, time: datetime, info: str = "报文不符合规范") -> str:
    """A CEB900 about one message."""
    guid = "0" * 36
    return (
        f'<CEB900Message xmlns="{CEB}" guid="{guid}" version="1.0"><MessageReturn><guid>{guid}</guid>'
        f"<returnStatus>-1</returnStatus><returnInfo>{info}</returnInfo><returnTime>{_beijing(time)}</returnTime>"
        f"<oriCopMsgId>{message_id}</oriCopMsgId><oriMessageType>CEB213</oriMessageType><oriBizMessage/>"
        "</MessageReturn></CEB900Message>"
    )


def _beijing(time: datetime) -> str:
    return (time + timedelta(hours=8)).strftime("%Y%m%d%H%M%S") + "000"


def _named(body: bytes) -> tuple[str, str]:
    """Message id and digest of a submission."""
    if body.startswith(_PLAIN):
        message_id = body.removeprefix(_PLAIN).decode()
        return message_id, hashlib.sha256(f"<{message_id}/>".encode()).hexdigest()
    content = next(iter(etree.fromstring(body)[-1][0]))
    envelope = unseal((content.text or "").encode())
    return envelope.message_id, hashlib.sha256(envelope.data).hexdigest()
