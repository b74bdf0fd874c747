"""The office as its own process, over real HTTP, with SOAP written by hand."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import requests
from lxml import etree

from connector.errors import ConfigurationError
from connector.messages.documents import Document
from connector.messages.envelope import unseal
from connector.simulator.registry import load
from connector.simulator.server import open_socket

DXP_ID = "DXPENT0000011351"
RECEIPTS = "urn:customs-warehouse-connector:receipt-service:1"
COMMAND = [sys.executable, "-m", "connector", "simulator"]

Make = Callable[..., Document]
Seal = Callable[..., str]


class Customs:
    """A running office and its address."""

    def __init__(self, folder: Path) -> None:
        self.registry = folder / "registry.toml"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--registry", self.registry], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.fullmatch(r"the simulated customs office listens on (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line + self.process.stderr.read()
        self.address = found.group(1)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        assert errors == ""
        return self.process.returncode

    def post(self, path: str, body: str) -> requests.Response:
        envelope = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>' + body + "</s:Body></s:Envelope>"
        )
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        return requests.post(self.address + path, data=envelope.encode(), headers=headers, timeout=20)

    def submit(self, content: str) -> str:
        """The chkMark of the answer."""
        body = f'<r:receive xmlns:r="http://ws.newyork.zjport.gov.cn/"><content>{escape(content)}</content></r:receive>'
        response = self.post("/ReceiveCebDeclare", body)
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
        answer = etree.fromstring(response.content).findtext(
            ".//{http://ws.newyork.zjport.gov.cn/}receiveResponse/return"
        )
        assert answer is not None
        return etree.fromstring(answer).findtext("body/list/jkfResult/chkMark") or ""

    def ask(self, operation: str, **arguments: object) -> etree._Element:
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
        response = self.post("/ReceiptService", f'<{operation} xmlns="{RECEIPTS}">{inner}</{operation}>')
        found = etree.fromstring(response.content).find(f".//{{{RECEIPTS}}}{operation}Response")
        assert found is not None, response.text
        return found

    def codes(self, after: int = 0) -> list[str]:
        """Every returnStatus there is to fetch."""
        answer = self.ask("fetchReceipts", dxpId=DXP_ID, afterSequence=after, maxCount=100)
        codes: list[str] = []
        for content in answer.iterfind(f"{{{RECEIPTS}}}item/{{{RECEIPTS}}}content"):
            record = etree.fromstring(unseal((content.text or "").encode()).data)
            codes += [one.text or "" for one in record.iterfind(".//{*}returnStatus")]
        return codes


@pytest.fixture
def customs(office_files: Path) -> Iterator[Customs]:
    registry = office_files / "registry.toml"
    registry.write_text(registry.read_text().replace("stage_seconds = 2", "stage_seconds = 0.2"))
    customs = Customs(office_files)
    yield customs
    if customs.process.poll() is None:
        customs.process.kill()
        customs.process.communicate()


def wait_for(codes: list[str], customs: Customs) -> None:
    for _ in range(50):
        if customs.codes() == codes:
            return
        time.sleep(0.1)
    pytest.fail(f"{customs.codes()} instead of {codes}")


def test_office_answers_over_http_and_stops_cleanly_on_sigterm(customs: Customs, refund: Make, sealed: Seal) -> None:
    assert customs.submit(sealed([refund()], message_id="M-1")) == "1"
    assert customs.submit("<DxpMsg/>") == "2"
    known = customs.ask("queryMessage", dxpId=DXP_ID, copMsgId="M-1")
    unknown = customs.ask("queryMessage", dxpId=DXP_ID, copMsgId="M-2")
    documents = customs.ask("queryDocuments", dxpId=DXP_ID, messageType="CEB213", maxCount=10)

    assert known.findtext(f"{{{RECEIPTS}}}known") == "true"
    assert [etree.QName(child).localname for child in known] == ["known", "receivedAt", "dataDigest", "latestStatus"]
    assert [child.text for child in unknown] == ["false"]
    assert documents.findtext(f"{{{RECEIPTS}}}document/{{{RECEIPTS}}}businessKey") == "4401000001/RK1"
    assert customs.stop(signal.SIGTERM) == 0


def test_office_stops_cleanly_on_sigint(customs: Customs) -> None:
    assert customs.stop(signal.SIGINT) == 0


def test_ledger_is_printed_when_the_office_was_killed(customs: Customs, refund: Make, sealed: Seal) -> None:
    content = sealed([refund()], message_id="M-1")
    customs.submit(content)
    customs.submit(content)
    customs.stop(signal.SIGKILL)

    printed = subprocess.run(
        [*COMMAND, "ledger", "--registry", customs.registry, "--json"], check=True, capture_output=True, text=True
    ).stdout
    table = subprocess.run(
        [*COMMAND, "ledger", "--registry", customs.registry], check=True, capture_output=True, text=True
    ).stdout

    ledger = json.loads(printed)
    assert ledger["schema_version"] == 1
    (document,) = ledger["documents"]
    assert {name: document[name] for name in ("type", "business_key", "times_received", "times_accepted")} == {
        "type": "CEB213",
        "business_key": "4401000001/RK1",
        "times_received": 2,
        "times_accepted": 1,
    }
    assert (ledger["messages"][0]["id"], ledger["messages"][0]["times_received"]) == ("M-1", 2)
    assert "1 messages, 1 documents" in table


def test_receipts_follow_when_the_office_was_killed_after_its_answer(
    customs: Customs, refund: Make, sealed: Seal
) -> None:
    content = sealed([refund()])
    assert customs.submit(content) == "1"
    customs.stop(signal.SIGKILL)
    customs.start()

    assert customs.submit(content) == "1"
    wait_for(["2", "3", "120", "800"], customs)


@pytest.mark.parametrize(
    ("path", "name"), [("/ReceiveCebDeclare", "ReceiveCebDeclare"), ("/ReceiptService", "ReceiptService")]
)
def test_wsdl_is_served_with_the_address_of_the_office(customs: Customs, path: str, name: str) -> None:
    response = requests.get(f"{customs.address}{path}?wsdl", timeout=20)

    root = etree.fromstring(response.content)
    assert root.get("name") == name
    (address,) = root.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == customs.address + path


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ReceiveCebDeclare", '<send xmlns="http://ws.newyork.zjport.gov.cn/"/>'),
        (
            "/ReceiveCebDeclare",
            '<receive xmlns="http://ws.newyork.zjport.gov.cn/"><content>qualified</content></receive>',
        ),
        ("/ReceiptService", f'<fetchReceipts xmlns="{RECEIPTS}"><dxpId>D</dxpId></fetchReceipts>'),
        ("/ReceiptService", f'<queryAnything xmlns="{RECEIPTS}"/>'),
        ("/ReceiptService", "<unclosed>"),
    ],
)
def test_request_is_answered_by_a_fault_when_it_is_not_the_wire_form(customs: Customs, path: str, body: str) -> None:
    response = customs.post(path, body)

    assert response.status_code == 500
    assert etree.fromstring(response.content).findtext(".//faultcode") == "soap:Client"


def test_office_does_not_start_when_its_port_is_taken(office_files: Path) -> None:
    registry = load(office_files / "registry.toml")
    with open_socket(registry) as listener:
        taken = registry.model_copy(update={"listen": f"127.0.0.1:{listener.getsockname()[1]}"})

        with pytest.raises(ConfigurationError, match="cannot listen on"):
            open_socket(taken)
