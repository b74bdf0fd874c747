"""Our own client against an office that fails on purpose: one process each, real sockets, every fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connector.config import CustomsSettings
from connector.demo.office import free_port, running_office
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import Answer, InDoubt, Known, MessageId, NotKnown, NotSent, TakenIn
from connector.messages.documents import Document
from connector.signing.keyfiles import FileKey
from connector.simulator.admin import FAULTS_PATH, NEXT_PATH
from connector.simulator.faults import RECEIPT_FAULTS, Fault
from connector.simulator.remote import call
from connector.transport.customs import SoapCustoms

DXP_ID = "DXPENT0000011351"
DEADLINE = 0.5
"""Of the client that faces a peer which keeps it waiting; the other one has time enough on a busy machine."""
SLACK = 1.0
REGISTRY = """listen = "127.0.0.1:{port}"
database = "customs.db"
export_lists = "export-lists.jsonl"
[[senders]]
dxp_id = "DXPENT0000011351"
certificate_sha256 = "{fingerprint}"
enterprise_codes = ["4401000001"]
"""

SETTINGS = {"seed": 1, "late_seconds": 86400, "hang_seconds": 60, "drip_seconds": 0.05}
ANSWERS_NOTHING = frozenset({Fault.RESET_ON_ACCEPT, Fault.DROP, Fault.HANG, Fault.PROCESSED_LATE})
TURNS_AWAY = frozenset({Fault.MAINTENANCE, Fault.RATE_LIMIT})
NOT_KNOWN = frozenset({Fault.RESET_ON_ACCEPT, Fault.PROCESSED_LATE, *TURNS_AWAY})
KEEPS_WAITING = frozenset({Fault.HANG, Fault.DRIP})
BY_SEED = frozenset({Fault.BAD_GATEWAY, Fault.SERVER_FAULT})


class Side:
    """Our client and the office it talks to."""

    def __init__(self, port: int, content: Callable[[str], str]) -> None:
        self.address = ("127.0.0.1", port)
        self.content = content
        url = f"http://127.0.0.1:{port}"
        self.customs, self.hasty = (
            SoapCustoms(
                CustomsSettings(
                    submit_url=f"{url}/ReceiveCebDeclare",
                    receipts_url=f"{url}/ReceiptService",
                    require_signed_receipts=False,
                    deadline_seconds=seconds,
                ),
                DXP_ID,
            )
            for seconds in (20, DEADLINE)
        )

    def set(self, **settings: object) -> Any:
        return call(self.address, FAULTS_PATH, settings)

    def order(self, fault: Fault, **how: object) -> None:
        call(self.address, NEXT_PATH, {"fault": fault.value, **how})

    def client(self, fault: Fault) -> SoapCustoms:
        """The client that faces a fault."""
        return self.hasty if fault in KEEPS_WAITING else self.customs

    def submit(self, message_id: str, client: SoapCustoms | None = None) -> Answer:
        body = self.customs.freeze(self.content(message_id).encode())
        return (client or self.customs).submit(body, lambda _seconds: True)

    def knows(self, message_id: str) -> bool:
        return isinstance(self.customs.find_message(MessageId(message_id)), Known)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    signing_key: FileKey,
    refund: Callable[..., Document],
    sealed: Callable[..., str],
) -> Iterator[Side]:
    folder: Path = tmp_path_factory.mktemp("office")
    port = free_port()
    (folder / "export-lists.jsonl").write_text("")
    (folder / "registry.toml").write_text(REGISTRY.format(port=port, fingerprint=signing_key.certificate.key_id))
    with running_office(folder / "registry.toml", port):
        side = Side(port, lambda message_id: sealed([refund(message_id[:12])], message_id=message_id))
        yield side
        side.customs.close()
        side.hasty.close()


@pytest.fixture
def side(running: Side) -> Side:
    running.set()
    return running


@pytest.fixture
def message_id() -> str:
    return str(uuid4()).upper()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in RECEIPT_FAULTS])
def test_submit_is_in_doubt_and_the_next_one_is_taken_in_when_the_office_fails(
    side: Side, message_id: str, fault: Fault
) -> None:
    played = side.set(**SETTINGS)["played"].get(fault, 0)
    side.order(fault)
    began = time.monotonic()

    answer = side.submit(message_id, side.client(fault))

    assert isinstance(answer, InDoubt), answer
    assert answer.info
    assert fault not in KEEPS_WAITING or DEADLINE - 0.1 < time.monotonic() - began < DEADLINE + SLACK
    assert (answer.retry_after is not None) == (fault in TURNS_AWAY)
    if fault in ANSWERS_NOTHING:
        assert answer.raw == b""
    assert side.set()["played"][fault] == played + 1
    if fault not in BY_SEED:
        assert side.knows(message_id) == (fault not in NOT_KNOWN)
    assert isinstance(side.submit(str(uuid4()).upper()), TakenIn)


def test_submit_is_told_how_long_to_stay_away_in_a_maintenance_window(side: Side, message_id: str) -> None:
    side.set(maintenance_seconds=120)
    side.order(Fault.MAINTENANCE)

    answer = side.submit(message_id)

    assert isinstance(answer, InDoubt)
    assert answer.retry_after == timedelta(seconds=120)


def test_query_hears_not_known_when_it_comes_before_a_late_message(side: Side, message_id: str) -> None:
    side.set(late_seconds=1.5)
    side.order(Fault.PROCESSED_LATE)

    assert isinstance(side.submit(message_id), InDoubt)
    assert side.customs.find_message(MessageId(message_id)) == NotKnown()
    end = time.monotonic() + 10
    while not side.knows(message_id):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in {*RECEIPT_FAULTS, Fault.PROCESSED_LATE}])
def test_question_and_fetch_fail_as_one_when_the_receipt_service_fails(
    side: Side, message_id: str, fault: Fault
) -> None:
    asks: list[Callable[[SoapCustoms], object]] = [
        lambda customs: customs.find_message(MessageId(message_id)),
        lambda customs: customs.fetch_receipts(0, 10),
    ]
    for ask in asks:
        side.set(seed=1, drip_seconds=0.05)
        side.order(fault, service="receipts")
        with pytest.raises(CustomsUnreachable):
            ask(side.client(fault))
        side.set()
        ask(side.customs)


def test_submit_is_not_sent_when_the_office_does_not_run(side: Side, message_id: str) -> None:
    assert isinstance(Side(free_port(), side.content).submit(message_id), NotSent)


@pytest.mark.parametrize("fault", [Fault.RESET_ON_ACCEPT, Fault.DROP, Fault.CUT])
def test_submit_is_in_doubt_and_not_repeated_when_a_kept_connection_fails(
    side: Side, message_id: str, fault: Fault
) -> None:
    assert isinstance(side.submit(str(uuid4()).upper()), TakenIn)
    side.order(fault)

    assert isinstance(side.submit(message_id), InDoubt)
    assert side.knows(message_id) == (fault not in NOT_KNOWN)
