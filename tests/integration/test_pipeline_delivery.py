"""deliver and take_receipts against a customs office that misbehaves: a real HTTP server, and the sample enterprise."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from lxml import etree
from sqlalchemy import select

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed, Moment
from connector.demo.office import free_port, running_office
from connector.messages.envelope import Envelope, seal, unseal
from connector.messages.namespaces import CEB
from connector.outbox import queries, queue
from connector.outbox.queries import DocumentView, Filter
from connector.pipeline.cycle import Cycle, collect_and_prepare, run_once
from connector.pipeline.deliver import deliver, recover
from connector.pipeline.leasing import end_all
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.signing.envelopes import EnvelopeOpener
from connector.sources import quarantine
from connector.storage.outbox import ATTEMPTS, MESSAGE_BYTES, MESSAGES
from connector.storage.receipts import RECEIPT_ENVELOPES

Wire = Callable[..., Connector]

SERVICE = "urn:customs-warehouse-connector:receipt-service:1"
MO = "<mo><body><list><jkfResult><chkMark>{}</chkMark></jkfResult></list></body></mo>"
SETTLE = timedelta(seconds=5)


class Office(ThreadingHTTPServer):
    """Holds what it takes in, answers what it is told to, and gives out the receipts it is given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.bodies: list[bytes] = []
        """Every submission that arrived, as it arrived."""
        self.held: dict[str, str] = {}
        """Message id -> digest."""
        self.manner = "take"
        """take, refuse, cut (takes in and closes without an answer), lose (closes without taking in)."""
        self.receipts: list[str] = []
        self.asked: list[str] = []

    def submit(self, body: bytes, content: str) -> str | None:
        self.bodies.append(body)
        envelope = unseal(content.encode())
        if self.manner in {"take", "cut"}:
            self.held[envelope.message_id] = hashlib.sha256(envelope.data).hexdigest()
        if self.manner in {"cut", "lose"}:
            return None
        mark = "1" if self.manner == "take" else "2"
        answer = escape(MO.format(mark))
        return f'<n:receiveResponse xmlns:n="http://ws.newyork.zjport.gov.cn/"><return>{answer}</return></n:receiveResponse>'

    def find(self, message_id: str) -> str:
        self.asked.append(message_id)
        digest = self.held.get(message_id)
        known = "<known>false</known>"
        if digest is not None:
            received = "<receivedAt>2026-06-01T00:00:00Z</receivedAt>"
            known = f"<known>true</known>{received}<dataDigest>{digest}</dataDigest>"
        return f'<queryMessageResponse xmlns="{SERVICE}">{known}</queryMessageResponse>'

    def fetch(self, after: int) -> str:
        items = "".join(
            f"<item><sequence>{number}</sequence><content>{escape(text)}</content></item>"
            for number, text in enumerate(self.receipts, start=1)
            if number > after
        )
        return f'<fetchReceiptsResponse xmlns="{SERVICE}">{items}<more>false</more></fetchReceiptsResponse>'


class _Counter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Office

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = etree.fromstring(body)[-1][0]
        texts = {etree.QName(child).localname: child.text or "" for child in request}
        match etree.QName(request).localname:
            case "queryMessage":
                answer: str | None = self.server.find(texts["copMsgId"])
            case "fetchReceipts":
                answer = self.server.fetch(int(texts["afterSequence"]))
            case _:
                answer = self.server.submit(body, next(iter(texts.values())))
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        soap = "http://schemas.xmlsoap.org/soap/envelope/"
        data = f'<s:Envelope xmlns:s="{soap}"><s:Body>{answer}</s:Body></s:Envelope>'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


@dataclass(slots=True)
class Clock:
    """The time that the connector is told; a test moves it on."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self, _connection: object = None) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connector(enterprise: Wire, office: Office, clock: Clock) -> Connector:
    """A connector of 20 returns, none of them sent."""
    unsigned = EnvelopeOpener(trusted=(), is_required=False)
    return replace(enterprise(20, office.server_port), clock=clock, open_envelope=unsigned)


def states(connector: Connector) -> dict[str, int]:
    with connector.database.read() as connection:
        return dict(queries.count_messages(connection))


def documents(
    connector: Connector,
    *,
    type: str | None = None,  # noqa: A002 - as in Filter
    business_key: str | None = None,
) -> list[DocumentView]:
    with connector.database.read() as connection:
        return queries.documents(connection, Filter(type=type, business_key=business_key))


def reasons(connector: Connector) -> dict[tuple[str, str], str]:
    with connector.database.read() as connection:
        return {(one.key.key, one.type): one.reason for one in quarantine.waiting_entries(connection)}


def outcomes(connector: Connector) -> list[tuple[str, str]]:
    with connector.database.read() as connection:
        rows = connection.execute(select(ATTEMPTS.c.kind, ATTEMPTS.c.outcome).order_by(ATTEMPTS.c.id))
        return [(row.kind, row.outcome) for row in rows]


def test_messages_are_sent_once_and_delivered_when_customs_takes_them_in(connector: Connector, office: Office) -> None:
    cycle = run_once(connector)
    assert states(connector) == {"delivered": 2}
    assert len(office.bodies) == len(office.held) == 2
    assert cycle.failures == []
    with connector.database.read() as connection:
        for row in connection.execute(
            select(MESSAGES.c.id, MESSAGES.c.digest, MESSAGE_BYTES.c.body).join(MESSAGE_BYTES)
        ):
            assert office.held[row.id] == row.digest
            assert bytes(row.body) in office.bodies
    for _ in range(2):
        assert run_once(connector) == Cycle()
    assert len(office.bodies) == 2


def test_messages_wait_when_customs_cannot_be_reached(enterprise: Wire, clock: Clock) -> None:
    connector = replace(enterprise(20, free_port()), clock=clock)
    cycle = run_once(connector)
    assert cycle.exit_code == 6
    assert states(connector) == {"pending": 2}
    assert outcomes(connector) == [("send", "not_sent")] * 2
    clock.pass_by(timedelta(minutes=1))
    assert run_once(connector).exit_code == 6
    assert states(connector) == {"pending": 2}


def test_messages_that_waited_go_out_when_customs_is_back(enterprise: Wire, office: Office, clock: Clock) -> None:
    away = replace(enterprise(20, free_port()), clock=clock)
    run_once(away)
    back = replace(away, customs=enterprise(20, office.server_port, "elsewhere").customs)
    clock.pass_by(timedelta(minutes=1))
    assert run_once(back).failures == []
    assert states(back) == {"delivered": 2}
    assert len(office.bodies) == 2


def test_messages_are_refused_and_told_when_customs_refuses_them(connector: Connector, office: Office) -> None:
    office.manner = "refuse"
    assert run_once(connector).exit_code == 3
    assert states(connector) == {"refused": 2}
    deliver(connector)
    assert len(office.bodies) == 2


@pytest.mark.parametrize("manner", ["cut", "lose"])
def test_message_is_in_doubt_and_not_asked_about_before_it_settled_when_its_answer_is_lost(
    connector: Connector, office: Office, clock: Clock, manner: str
) -> None:
    office.manner = manner
    collect_and_prepare(connector)
    deliver(connector)
    assert states(connector) == {"in_doubt": 2}
    for wait in (timedelta(), SETTLE - timedelta(milliseconds=1)):
        clock.pass_by(wait)
        deliver(connector)
    assert (office.asked, len(office.bodies)) == ([], 2)
    clock.pass_by(timedelta(milliseconds=1))
    office.manner = "take"
    deliver(connector)
    assert len(office.asked) == 2
    assert states(connector) == {"delivered": 2}


def test_message_is_not_sent_again_when_customs_holds_our_bytes(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.manner = "cut"
    run_once(connector)
    clock.pass_by(SETTLE)
    deliver(connector)
    assert states(connector) == {"delivered": 2}
    assert len(office.bodies) == 2
    assert sorted(outcomes(connector)) == [("query", "known")] * 2 + [("send", "in_doubt")] * 2


def test_very_same_bytes_go_again_when_customs_does_not_know_the_message(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.manner = "lose"
    run_once(connector)
    clock.pass_by(SETTLE)
    office.manner = "take"
    deliver(connector)
    assert sorted(office.bodies[:2]) == sorted(office.bodies[2:])
    assert len(office.bodies) == 4
    assert states(connector) == {"delivered": 2}


def test_message_is_in_conflict_and_never_sent_again_when_customs_holds_other_bytes(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.manner = "lose"
    run_once(connector)
    with connector.database.read() as connection:
        office.held = {message.id: "f" * 64 for message in queries.messages(connection, Filter())}
    clock.pass_by(SETTLE)
    assert deliver(connector).stopped == 2
    assert states(connector) == {"conflict": 2}
    clock.pass_by(timedelta(days=1))
    deliver(connector)
    assert len(office.bodies) == 2


def test_message_is_in_doubt_when_its_sender_is_gone(connector: Connector, office: Office, clock: Clock) -> None:
    collect_and_prepare(connector)
    with connector.database.write(Deed.PREPARE) as transaction:
        claim = queue.claim(transaction, "send", now=clock(), lease=timedelta(seconds=-1))
    assert claim is not None
    assert recover(connector).recovered == 1
    assert recover(connector).recovered == 0
    deliver(connector)
    assert states(connector) == {"delivered": 1, "in_doubt": 1}
    assert (len(office.bodies), office.asked) == (1, [])
    clock.pass_by(SETTLE)
    deliver(connector)
    assert office.asked == [claim.message_id]
    assert states(connector) == {"delivered": 2}
    with connector.database.read() as connection:
        story = entries(connection, EntryFilter(message_id=claim.message_id, event="delivery_changed"))
    assert [entry.detail["delivery_state"] for entry in story] == ["in_doubt"]
    assert ("send", "abandoned") in outcomes(connector)


class Killed(BaseException):
    """The end of a process, as near as one can come to it inside another."""


def test_no_message_is_lost_or_doubled_whenever_its_sender_ends(enterprise: Wire, office: Office, clock: Clock) -> None:
    left = 10**6

    def kill(_deed: Deed, _moment: Moment) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Killed

    def wire(name: str) -> Connector:
        connector = replace(enterprise(20, office.server_port, name, kill), clock=clock)
        collect_and_prepare(connector)
        return connector

    first = wire("whole")
    left = 10**6
    deliver(first)
    places = 10**6 - left
    assert places >= 12
    for place in range(1, places + 1):
        office.bodies.clear()
        connector = wire(f"killed at {place}")
        left = place
        with pytest.raises(Killed):
            deliver(connector)
        end_all(connector)
        for _ in range(3):
            deliver(connector)
            clock.pass_by(SETTLE)
        assert states(connector) == {"delivered": 2}, place
        assert len(office.bodies) == len(set(office.bodies)) == 2, place


def receipt(document: DocumentView, code: str, time: datetime, info: str = "") -> str:
    """A receipt message about one document, as customs writes it."""
    root, record, code_field = {
        "CEB213": ("CEB214Message", "RefundReturn", "agentCode"),
        "CEB215": ("CEB216Message", "InvtRefundDetailReturn", "operatorCode"),
    }[document.type]
    code_value, _, number = document.business_key.partition("/")
    beijing = (time + timedelta(hours=8)).strftime("%Y%m%d%H%M%S") + "000"
    between = "" if document.type == "CEB213" else "<logisticsCode>1</logisticsCode><logisticsNo>1</logisticsNo>"
    invt_no = "<invtNo>1</invtNo>" if document.type == "CEB213" else ""
    return (
        f'<{root} xmlns="{CEB}" guid="{document.guid}" version="1.0"><{record}><guid>{document.guid}</guid>'
        f"<{code_field}>{code_value}</{code_field}>{between}<coElNo>{number}</coElNo>{invt_no}"
        f"<returnStatus>{code}</returnStatus><returnTime>{beijing}</returnTime><returnInfo>{info}</returnInfo>"
        f"</{record}></{root}>"
    )


def format_check(message_id: str, time: datetime) -> str:
    """A CEB900 about one message."""
    beijing = (time + timedelta(hours=8)).strftime("%Y%m%d%H%M%S") + "000"
    guid = "0" * 36
    return (
        f'<CEB900Message xmlns="{CEB}" guid="{guid}" version="1.0"><MessageReturn><guid>{guid}</guid>'
        f"<returnStatus>-1</returnStatus><returnInfo>报文不符合规范</returnInfo><returnTime>{beijing}</returnTime>"
        f"<oriCopMsgId>{message_id}</oriCopMsgId><oriMessageType>CEB213</oriMessageType><oriBizMessage/>"
        "</MessageReturn></CEB900Message>"
    )


def give(office: Office, connector: Connector, message: str, *, receiver: str | None = None) -> None:
    """Have the office give out a receipt message."""
    envelope = Envelope(
        message_id=str(len(office.receipts)),
        sender=connector.receiver,
        receiver=receiver or connector.transfer.dxp_id,
        created=datetime.now(UTC),
        message_type=message[1:].split(maxsplit=1)[0].strip("/>"),
        data=message.encode(),
    )
    office.receipts.append(seal(envelope).decode())


def change_quantity(folder: Path, document: DocumentView, quantity: str) -> None:
    """Change a row of the warehouse, as the people there do."""
    number = document.business_key.rpartition("/")[2]
    with closing(sqlite3.connect(folder / "warehouse.db")) as warehouse, warehouse:
        (last,) = warehouse.execute("SELECT max(update_time) FROM wms_receipt_order").fetchone()
        later = datetime.fromisoformat(last) + timedelta(seconds=1)
        changed = warehouse.execute(
            "UPDATE wms_receipt_order SET update_time = ? WHERE order_no = ?",
            (later.isoformat(" ", timespec="seconds"), number),
        )
        assert changed.rowcount == 1
        warehouse.execute(
            "UPDATE wms_receipt_order_detail SET quantity = ? "
            "WHERE order_id = (SELECT id FROM wms_receipt_order WHERE order_no = ?)",
            (quantity, number),
        )


def test_changed_row_waits_for_the_answer_and_goes_by_itself_when_customs_rejects(
    connector: Connector, office: Office, clock: Clock, tmp_path: Path
) -> None:
    run_once(connector)
    document = documents(connector, type="CEB213")[0]
    number = document.business_key.rpartition("/")[2]
    clock.pass_by(timedelta(seconds=1))
    change_quantity(tmp_path / "enterprise", document, "0.25")
    assert run_once(connector).prepared.quarantined == 1
    assert reasons(connector)[number, "CEB213"] == "changed_while_open"
    give(office, connector, receipt(document, "120", clock()))
    run_once(connector)
    run_once(connector)
    assert len(documents(connector, business_key=document.business_key)) == 1
    clock.pass_by(timedelta(seconds=1))
    give(office, connector, receipt(document, "100", clock(), "数量超过"))
    run_once(connector)
    clock.pass_by(timedelta(seconds=1))
    cycle = run_once(connector)
    assert (cycle.prepared.documents, cycle.delivered.outcomes) == (1, {"taken_in": 1})
    (first, second) = documents(connector, business_key=document.business_key)
    assert (first.customs_status, second.revision, second.app_type, second.customs_status) == (
        "rejected",
        2,
        "1",
        "none",
    )
    assert (number, "CEB213") not in reasons(connector)
    assert run_once(connector) == Cycle()


def test_changed_row_is_held_for_an_operator_when_customs_accepts(
    connector: Connector, office: Office, clock: Clock, tmp_path: Path
) -> None:
    run_once(connector)
    document = documents(connector, type="CEB213")[0]
    number = document.business_key.rpartition("/")[2]
    clock.pass_by(timedelta(seconds=1))
    change_quantity(tmp_path / "enterprise", document, "0.25")
    run_once(connector)
    give(office, connector, receipt(document, "800", clock(), "放行"))
    for _ in range(3):
        run_once(connector)
    assert reasons(connector)[number, "CEB213"] == "changed_after_acceptance"
    assert len(documents(connector, business_key=document.business_key)) == 1
    assert len(office.bodies) == 2


def test_row_changed_in_what_is_not_sent_does_nothing(
    connector: Connector, office: Office, clock: Clock, tmp_path: Path
) -> None:
    run_once(connector)
    document = documents(connector, type="CEB215")[0]
    before = reasons(connector)
    with closing(sqlite3.connect(tmp_path / "enterprise" / "warehouse.db")) as warehouse, warehouse:
        warehouse.execute(
            "UPDATE wms_receipt_order SET total_amount = '1', update_time = '2099-01-01 00:00:00' WHERE order_no = ?",
            (document.business_key.rpartition("/")[2],),
        )
    clock.pass_by(timedelta(seconds=1))
    cycle = run_once(connector)
    assert (cycle.prepared.documents, cycle.prepared.quarantined) == (0, 0)
    assert reasons(connector) == before
    assert len(office.bodies) == 2


def test_receipt_delivers_a_message_in_doubt(connector: Connector, office: Office, clock: Clock) -> None:
    office.manner = "cut"
    run_once(connector)
    (document, *_) = documents(connector, type="CEB215")
    give(office, connector, receipt(document, "2", clock()))
    take_receipts(connector)
    assert states(connector) == {"delivered": 1, "in_doubt": 1}


def test_format_check_refuses_its_message_and_rejects_its_documents(
    connector: Connector, office: Office, clock: Clock
) -> None:
    run_once(connector)
    inside = documents(connector, type="CEB213")
    give(office, connector, format_check(inside[0].message_ids[0], clock()))
    received = take_receipts(connector)
    assert (received.receipts, received.rejected) == (1, len(inside))
    assert states(connector) == {"delivered": 1, "refused": 1}
    assert {view.customs_status for view in documents(connector, type="CEB213")} == {"rejected"}
    assert {view.customs_status for view in documents(connector, type="CEB215")} == {"none"}


@pytest.mark.parametrize("spoilt", ["no envelope", "no receipt", "no time", "not for us"])
def test_receipt_that_cannot_be_used_is_kept_and_stops_no_other(
    connector: Connector, office: Office, clock: Clock, spoilt: str
) -> None:
    run_once(connector)
    (first, second, *_) = documents(connector, type="CEB213")
    if spoilt == "no envelope":
        office.receipts.append("not XML & no < envelope")
    elif spoilt == "no receipt":
        give(office, connector, "<surprise/>")
    elif spoilt == "no time":
        text = receipt(first, "800", clock())
        start = text.index("<returnTime>") + len("<returnTime>")
        give(office, connector, text[:start] + "00010101000000000" + text[start + 17 :])
    else:
        give(office, connector, receipt(first, "800", clock()), receiver="DXPENT0000099999")
    give(office, connector, receipt(second, "800", clock()))
    cycle = run_once(connector)
    assert (cycle.received.receipts, cycle.received.unreadable, cycle.exit_code) == (1, 1, 3)
    assert [view.customs_status for view in documents(connector, type="CEB213")].count("released") == 1
    assert run_once(connector) == Cycle()
    with connector.database.read() as connection:
        problems = (
            connection.execute(select(RECEIPT_ENVELOPES.c.problem).order_by(RECEIPT_ENVELOPES.c.sequence))
            .scalars()
            .all()
        )
    assert [bool(problem) for problem in problems] == [True, False]


def test_every_document_gets_its_final_answer_from_the_simulated_office(enterprise: Wire, tmp_path: Path) -> None:
    port = free_port()
    connector = enterprise(60, port)
    with running_office(tmp_path / "enterprise" / "registry.toml", port):
        end = time.monotonic() + 60
        unanswered = 1
        while unanswered and time.monotonic() < end:
            run_once(connector)
            found = documents(connector)
            unanswered = sum(view.customs_status not in {"released", "finished", "rejected"} for view in found)
            time.sleep(0.1)
        assert (len(found), unanswered) == (114, 0)
        assert sum(view.customs_status == "rejected" for view in found) == 1
        assert run_once(connector) == Cycle()
    assert states(connector) == {"delivered": 2}
