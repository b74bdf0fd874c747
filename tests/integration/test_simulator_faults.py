"""The office failing on purpose, as a plain socket sees it, and what its books say afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

import pytest
from lxml import etree

from connector.messages.documents import Document
from connector.signing.keyfiles import FileKey

DXP_ID = "DXPENT0000011351"
RECEIPTS = "urn:customs-warehouse-connector:receipt-service:1"
REGISTRY = """listen = "127.0.0.1:0"
database = "customs.db"
export_lists = "export-lists.jsonl"
[[senders]]
dxp_id = "DXPENT0000011351"
certificate_sha256 = "{}"
enterprise_codes = ["4401000001"]
"""

Make = Callable[..., Document]
Seal = Callable[..., str]


def framed(body: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>'
    ).encode()


def question(operation: str, **arguments: object) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    return framed(f'<{operation} xmlns="{RECEIPTS}">{inner}</{operation}>')


class Customs:
    """A running office; what is said to it goes over plain sockets."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "customs.db"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "connector", "simulator", "serve", "--registry", folder / "registry.toml"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.port = int(self.process.stderr.readline().rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        assert errors == ""
        return self.process.returncode

    def admin(self, path: str = "", content: object = None, status: int = 200) -> Any:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            body = content if content is None or isinstance(content, bytes) else json.dumps(content)
            connection.request("GET" if body is None else "POST", f"/admin/faults{path}", body)
            response = connection.getresponse()
            assert response.status == status
            return json.loads(response.read())

    def order(self, fault: str, **how: object) -> None:
        self.admin("/next", {"fault": fault, **how})

    def connect(self, path: str, body: bytes) -> socket.socket:
        """Send a request; the socket to read from."""
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connected.sendall(head.encode() + body)
        return connected

    def submit(self, content: str) -> bytes:
        """Submit a DxpMsg; every byte that comes back."""
        with self.connect_to_submit(content) as connected:
            return read_all(connected)

    def connect_to_submit(self, content: str) -> socket.socket:
        body = f'<r:receive xmlns:r="http://ws.newyork.zjport.gov.cn/"><content>{escape(content)}</content></r:receive>'
        return self.connect("/ReceiveCebDeclare", framed(body))

    def ask(self, message_id: str) -> bytes:
        with self.connect("/ReceiptService", question("queryMessage", dxpId=DXP_ID, copMsgId=message_id)) as connected:
            return read_all(connected)

    def knows(self, message_id: str) -> bool:
        return b"<known>true</known>" in self.ask(message_id)

    def fetch(self) -> bytes:
        body = question("fetchReceipts", dxpId=DXP_ID, afterSequence=0, maxCount=1)
        with self.connect("/ReceiptService", body) as connected:
            return read_all(connected)

    def rows(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(statement, values).fetchall()


def read_all(connected: socket.socket) -> bytes:
    return b"".join(iter(lambda: connected.recv(65536), b""))


def parts(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and body of a whole response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert int(fields["content-length"]) == len(body)
    return int(first.split()[1]), fields, body


def status_of(raw: bytes) -> int:
    return parts(raw)[0]


def chk_mark(body: bytes) -> str:
    answer = etree.fromstring(body).findtext(".//return") or ""
    return etree.fromstring(answer).findtext(".//chkMark") or ""


@pytest.fixture
def folder(tmp_path: Path, signing_key: FileKey) -> Path:
    return files(tmp_path, signing_key)


def files(folder: Path, signing_key: FileKey) -> Path:
    (folder / "export-lists.jsonl").write_text("")
    (folder / "registry.toml").write_text(REGISTRY.format(signing_key.certificate.key_id))
    return folder


@pytest.fixture
def start() -> Iterator[Callable[[Path], Customs]]:
    started: list[Customs] = []

    def run(folder: Path) -> Customs:
        started.append(Customs(folder))
        return started[-1]

    yield run
    for customs in started:
        if customs.process.poll() is None:
            customs.process.kill()
            customs.process.communicate()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, signing_key: FileKey) -> Iterator[Customs]:
    customs = Customs(files(tmp_path_factory.mktemp("office"), signing_key))
    yield customs
    assert customs.stop() == 0


@pytest.fixture
def customs(office: Customs) -> Iterator[Customs]:
    """An office without faults that several tests use one after the other."""
    office.admin("", {})
    yield office
    assert office.admin()["next"] == []


@pytest.fixture
def message(refund: Make, sealed: Seal) -> Callable[[], tuple[str, str]]:
    """Makes a message of one document: its id and its DxpMsg."""

    def make() -> tuple[str, str]:
        message_id = str(uuid4()).upper()
        return message_id, sealed([refund(message_id[:12])], message_id=message_id)

    return make


Message = Callable[[], tuple[str, str]]


def requests_of(customs: Customs, message_id: str) -> list[tuple[str, str, bool]]:
    """(fault, mark, whether processed) of each request that carried a message."""
    statement = "SELECT fault, mark, processed_at IS NOT NULL FROM requests WHERE message_id = ? ORDER BY number"
    return [(fault, mark, bool(processed)) for fault, mark, processed in customs.rows(statement, message_id)]


def test_request_row_says_when_it_came_and_was_processed_when_there_is_no_fault(
    customs: Customs, message: Message
) -> None:
    message_id, content = message()
    before = time.time() * 1000 - 1
    assert chk_mark(parts(customs.submit(content))[2]) == "1"
    assert customs.knows(message_id)

    ((received, processed, place),) = customs.rows(
        "SELECT received_at, processed_at, place FROM requests WHERE message_id = ?", message_id
    )
    ((asked, answered, later, known, digest, fault),) = customs.rows(
        "SELECT asked_at, answered_at, place, known, digest, fault FROM queries WHERE message_id = ?", message_id
    )
    assert before <= received <= processed <= asked <= answered
    assert (later, known, fault) == (place + 1, 1, "")
    assert customs.rows("SELECT digest FROM messages WHERE id = ?", message_id) == [(digest,)]
    assert requests_of(customs, message_id) == [("", "1", True)]


def test_reset_on_accept_ends_in_a_reset_and_leaves_no_trace(customs: Customs, message: Message) -> None:
    message_id, content = message()
    played = customs.admin()["played"].get("reset_on_accept", 0)
    customs.order("reset_on_accept")

    with pytest.raises(ConnectionResetError), customs.connect("/ReceiveCebDeclare", b"") as connected:
        connected.recv(1)
    customs.order("reset_on_accept")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        customs.submit(content)

    assert not customs.knows(message_id)
    assert requests_of(customs, message_id) == []
    assert customs.admin()["played"]["reset_on_accept"] == played + 2


def test_drop_processes_and_closes_without_one_byte(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.order("drop")

    assert customs.submit(content) == b""
    assert customs.knows(message_id)
    assert requests_of(customs, message_id) == [("drop", "1", True)]


def test_hang_processes_and_says_nothing(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.order("hang")

    with customs.connect_to_submit(content) as connected:
        while not customs.knows(message_id):
            time.sleep(0.01)
        connected.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connected.recv(1)
    assert requests_of(customs, message_id) == [("hang", "1", True)]


def test_hang_ends_without_one_byte_when_the_longest_time_is_over(customs: Customs, message: Message) -> None:
    customs.admin("", {"hang_seconds": 0.2})
    customs.order("hang")
    began = time.monotonic()

    assert customs.submit(message()[1]) == b""
    assert time.monotonic() - began > 0.2


def test_cut_answer_breaks_off_at_places_of_the_seed(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.admin("", {"seed": 1})
    customs.order("cut", times=8)
    found = [customs.submit(content) for _ in range(8)]  # a repeat is answered as the first was
    customs.admin("", {"seed": 1})
    customs.order("cut")

    assert customs.submit(content) == found[0]
    longest = max(found, key=len)
    head, _, body = longest.partition(b"\r\n\r\n")
    promised = re.search(rb"content-length: (\d+)", head)
    assert promised is not None
    assert 0 < len(body) < int(promised.group(1))
    assert len(set(map(len, found))) > 4
    assert all(raw and longest.startswith(raw) for raw in found)
    assert requests_of(customs, message_id) == [("cut", "1", True)] * 9


def test_empty_answer_is_200_after_processing(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.order("empty")

    status, _, body = parts(customs.submit(content))

    assert (status, body) == (200, b"")
    assert requests_of(customs, message_id) == [("empty", "1", True)]


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [("bad_gateway", 502, "text/html; charset=utf-8"), ("server_fault", 500, "text/xml; charset=utf-8")],
)
def test_error_is_answered_and_the_seed_decides_about_processing(
    customs: Customs, message: Message, fault: str, status: int, content_type: str
) -> None:
    customs.admin("", {"seed": 1})
    customs.order(fault, times=6)
    processed = []
    for _ in range(6):
        message_id, content = message()
        found, fields, body = parts(customs.submit(content))
        assert (found, fields["content-type"]) == (status, content_type)
        if fault == "server_fault":
            assert etree.fromstring(body).findtext(".//faultcode") == "soap:Server"
        else:
            assert body.startswith(b"<html>")
        ((noted, mark, was_processed),) = requests_of(customs, message_id)
        assert (noted, mark) == (fault, "1" if was_processed else "")
        assert customs.knows(message_id) == was_processed
        processed.append(was_processed)

    assert set(processed) == {True, False}


def test_malformed_answer_is_whole_http_and_no_xml(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.order("malformed")

    status, fields, body = parts(customs.submit(content))

    assert (status, fields["content-type"]) == (200, "text/xml; charset=utf-8")
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(body)
    assert requests_of(customs, message_id) == [("malformed", "1", True)]


def test_dripping_answer_comes_byte_by_byte_and_whole(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.admin("", {"drip_seconds": 0.001})
    customs.order("drip")
    pieces = []

    with customs.connect_to_submit(content) as connected:
        while piece := connected.recv(65536):
            pieces.append(piece)
            if len(pieces) == 1:
                assert customs.knows(message_id)

    assert chk_mark(parts(b"".join(pieces))[2]) == "1"
    assert len(pieces) > 100
    assert requests_of(customs, message_id) == [("drip", "1", True)]


def test_message_is_not_known_until_it_is_processed_late(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.admin("", {"late_seconds": 1.5})
    customs.order("processed_late")

    assert customs.submit(content) == b""
    assert not customs.knows(message_id)
    assert requests_of(customs, message_id) == [("processed_late", "", False)]
    assert customs.admin()["held"] == 1
    while not customs.knows(message_id):
        time.sleep(0.05)

    assert requests_of(customs, message_id) == [("processed_late", "1", True)]
    assert customs.admin()["held"] == 0
    ((received, processed, place),) = customs.rows(
        "SELECT received_at, processed_at, place FROM requests WHERE message_id = ?", message_id
    )
    assert processed - received >= 1500
    queries = customs.rows(
        "SELECT place, answered_at, known FROM queries WHERE message_id = ? ORDER BY place", message_id
    )
    assert [known for _, _, known in queries] == [0] * (len(queries) - 1) + [1]
    assert queries[-2][0] < place < queries[-1][0]
    assert queries[0][1] < processed <= queries[-1][1]


def test_maintenance_turns_messages_away_until_it_is_ended(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.order("maintenance")

    for _ in range(2):
        status, fields, _ = parts(customs.submit(content))
        assert status == 503
        assert 28 <= int(fields["retry-after"]) <= 30
    assert not customs.knows(message_id)
    customs.admin("", {})
    assert status_of(customs.submit(content)) == 200
    assert requests_of(customs, message_id) == [("maintenance", "", False)] * 2 + [("", "1", True)]


def test_rate_limit_turns_messages_away_beyond_so_many(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.admin("", {"rate_requests": 2, "rate_seconds": 60})

    answers = [parts(customs.submit(content)) for _ in range(3)]

    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert 50 <= int(answers[2][1]["retry-after"]) <= 60
    assert requests_of(customs, message_id) == [("", "1", True)] * 2 + [("rate_limit", "", False)]


def test_faults_are_repeated_when_the_same_seed_is_set_again(customs: Customs) -> None:
    def play(seed: int) -> list[str]:
        shares = {"bad_gateway": 0.2, "server_fault": 0.2, "empty": 0.2, "drop": 0.1, "cut": 0.1}
        customs.admin("", {"seed": seed, "services": ["receipts"], **shares})
        return [outcome(customs.fetch()) for _ in range(40)]

    def outcome(raw: bytes) -> str:
        return f"{raw[:15]!r} {len(raw) if b'date' not in raw else ''}"

    first = play(5)

    assert play(5) == first
    assert play(6) != first
    assert len(set(first)) > 5


def test_question_has_its_row_when_its_answer_is_lost_or_never_given(customs: Customs, message: Message) -> None:
    message_id, content = message()
    customs.submit(content)
    customs.order("drop", service="receipts")
    customs.order("maintenance", service="receipts")

    assert customs.ask(message_id) == b""
    assert status_of(customs.ask(message_id)) == 503
    assert customs.ask("") != b""  # still turned away
    customs.admin("", {})
    assert customs.knows(message_id)

    rows = customs.rows("SELECT fault, known, place IS NULL FROM queries WHERE message_id = ? ORDER BY 1", message_id)
    assert rows == [("", 1, 0), ("drop", 1, 0), ("maintenance", None, 1)]


def test_submissions_are_answered_when_only_the_other_service_fails(customs: Customs, message: Message) -> None:
    customs.admin("", {"services": ["receipts"], "drop": 1})

    assert customs.fetch() == b""
    assert status_of(customs.submit(message()[1])) == 200


def test_other_connections_are_answered_when_one_hangs(customs: Customs, message: Message) -> None:
    customs.order("hang")
    with customs.connect_to_submit(message()[1]) as hanging:
        assert status_of(customs.submit(message()[1])) == 200
        hanging.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        with pytest.raises(BlockingIOError):
            hanging.recv(1)


def test_office_goes_on_quietly_when_a_peer_leaves_in_the_middle_of_its_request(customs: Customs) -> None:
    for fault in (None, "drop", "reset_on_accept"):
        if fault:
            customs.order(fault)
        with socket.create_connection(("127.0.0.1", customs.port)) as connected:
            connected.sendall(b"POST /ReceiveCebDeclare HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
            time.sleep(0.05)
    while customs.admin()["next"]:
        time.sleep(0.01)
    # what it would say about this is read when it is stopped


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("", {"drop": 2}, "drop: Input should be less than or equal to 1"),
        ("", {"dropp": 1}, "dropp: is not a known key"),
        ("", {"drop": 0.7, "cut": 0.7}, "the shares of requests add up to more than 1"),
        ("", [], "Input should be an object"),
        ("", b"{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("/next", {"fault": "dropp"}, "fault: Input should be 'reset_on_accept', 'drop', "),
        ("/next", {"times": 1}, "fault: Field required"),
    ],
)
def test_admin_call_is_refused_and_nothing_changes_when_it_makes_no_sense(
    customs: Customs, path: str, content: object, said: str
) -> None:
    customs.admin("", {"empty": 0.5})
    before = customs.admin()

    (problem,) = customs.admin(path, content, status=400)["problems"]

    assert problem.startswith(said)
    assert customs.admin() == before


def test_admin_call_shows_what_is_in_force_what_waits_and_what_was_played(customs: Customs) -> None:
    customs.admin("", {"seed": 3, "drop": 0.25})
    customs.order("empty", service="receipts")
    before = customs.admin()["played"].get("empty", 0)
    customs.order("cut", times=2)
    state = customs.admin()

    assert {"seed": 3, "drop": 0.25, "cut": 0, "services": ["submissions"]}.items() <= state["settings"].items()
    assert state["next"] == [
        {"fault": "cut", "times": 2, "service": "submissions"},
        {"fault": "empty", "times": 1, "service": "receipts"},
    ]
    customs.fetch()
    state = customs.admin("", {})
    assert (state["next"], state["played"]["empty"]) == ([], before + 1)


def test_faults_of_the_registry_are_played_from_the_start(folder: Path, start: Callable[[Path], Customs]) -> None:
    registry = folder / "registry.toml"
    registry.write_text(registry.read_text() + "[faults]\nservices = ['receipts']\nempty = 1\n")
    customs = start(folder)

    assert parts(customs.fetch())[::2] == (200, b"")
    assert customs.admin()["played"] == {"empty": 1}
    assert customs.stop() == 0


def test_office_stops_at_once_and_processes_what_is_late_when_peers_are_kept_waiting(
    folder: Path, start: Callable[[Path], Customs], message: Message
) -> None:
    customs = start(folder)
    customs.admin("", {"late_seconds": 3600, "drip_seconds": 3600})
    message_id, content = message()
    customs.order("processed_late")
    assert customs.submit(content) == b""
    waiting = []
    for fault in ("hang", "drip"):
        customs.order(fault)
        waiting.append(customs.connect_to_submit(message()[1]))
    waiting[1].recv(1)
    began = time.monotonic()

    assert customs.stop() == 0

    assert time.monotonic() - began < 4.5  # uvicorn would wait 5 s for them
    assert requests_of(customs, message_id) == [("processed_late", "1", True)]
    for connected in waiting:
        connected.close()


def test_late_message_is_lost_and_the_order_of_things_goes_on_when_the_office_is_killed(
    folder: Path, start: Callable[[Path], Customs], message: Message
) -> None:
    customs = start(folder)
    customs.order("processed_late")
    message_id, content = message()
    customs.submit(content)
    customs.ask(message_id)
    os.kill(customs.process.pid, signal.SIGKILL)
    customs.process.communicate()
    customs = start(folder)
    customs.submit(message()[1])

    assert not customs.knows(message_id)
    assert requests_of(customs, message_id) == [("processed_late", "", False)]
    places = customs.rows("SELECT place FROM requests UNION ALL SELECT place FROM queries ORDER BY 1")
    assert places == [(None,), (1,), (2,), (3,)]


def test_office_does_not_start_when_its_file_is_of_an_older_version(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "customs.db")) as connection:
        connection.execute("CREATE TABLE requests (number INTEGER PRIMARY KEY, received_at INTEGER, body BLOB)")
    done = subprocess.run(
        [sys.executable, "-m", "connector", "simulator", "serve", "--registry", folder / "registry.toml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 4
    assert "customs.db was made by an older version: it has no requests.fault, requests.info" in done.stderr
    assert "remedy: move the file away" in done.stderr
