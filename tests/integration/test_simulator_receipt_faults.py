"""Receipts that come twice, late or out of order, from an office with a clock of our own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from lxml import etree

from connector.messages.documents import Document
from connector.messages.envelope import unseal
from connector.simulator.enquiries import Issued
from connector.simulator.faults import Fault, FaultSettings, Order
from connector.simulator.ledger import read_ledger
from connector.simulator.office import Office
from connector.simulator.registry import load

DXP_ID = "DXPENT0000011351"

Make = Callable[..., Document]
Seal = Callable[..., str]


class Desk:
    """An office and a clock that a test moves; one stage of receipts each 2 seconds."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "customs.db"
        self.now = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
        self.office = Office(load(folder / "registry.toml"), lambda: self.now)
        self.after = 0

    def submit(self, content: str) -> None:
        framed = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            '<r:receive xmlns:r="http://ws.newyork.zjport.gov.cn/"><content/></r:receive></s:Body></s:Envelope>'
        )
        envelope = etree.fromstring(framed)
        envelope[0][0][0].text = content
        self.office.receive(etree.tostring(envelope), content)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def fetch(self) -> list[Issued]:
        """What has come since the last time."""
        issued, _ = self.office.fetch_receipts(DXP_ID, after=self.after, at_most=100)
        self.after = issued[-1].sequence if issued else self.after
        return issued

    def fetch_all(self, seconds: int = 20) -> list[Issued]:
        """What comes within some seconds, asking every second."""
        found = []
        for _ in range(seconds):
            found += self.fetch()
            self.wait(1)
        return found


def data(issued: Issued) -> etree._Element:
    return etree.fromstring(unseal(issued.content.encode()).data)


def codes(issued: list[Issued]) -> list[str]:
    return [record.text or "" for one in issued for record in data(one).iterfind(".//{*}returnStatus")]


def times(issued: list[Issued]) -> list[str]:
    return [record.text or "" for one in issued for record in data(one).iterfind(".//{*}returnTime")]


def records(issued: Issued) -> list[bytes]:
    """Its return records as they are deduplicated."""
    return [etree.tostring(record, method="c14n", exclusive=True) for record in data(issued)]


@pytest.fixture
def desk(office_files: Path) -> Iterator[Desk]:
    desk = Desk(office_files)
    yield desk
    desk.office.close()


def play(desk: Desk, fault: Fault, seed: int) -> None:
    desk.office.plan.replace(FaultSettings(seed=seed, late_receipt_seconds=10))
    desk.office.plan.order(Order(fault=fault))


def test_duplicate_receipt_has_a_sequence_of_its_own_and_the_very_same_records(
    desk: Desk, refund: Make, sealed: Seal
) -> None:
    kinds = set()
    for seed in range(10):
        play(desk, Fault.DUPLICATE_RECEIPT, seed)
        desk.submit(sealed([refund(f"RK{seed}", list_number=seed)]))
        found = desk.fetch_all()

        assert [one.sequence for one in found] == list(range(found[0].sequence, found[0].sequence + 5))
        ((first, second),) = (pair for pair in combinations(found, 2) if records(pair[0]) == records(pair[1]))
        assert sorted(codes(found)) == sorted(["2", "3", "120", "800", *codes([first])])
        is_whole = first.content == second.content
        ids = {unseal(one.content.encode()).message_id for one in (first, second)}
        guids = {data(one).get("guid") for one in (first, second)}
        assert (len(ids), len(guids)) == ((1, 1) if is_whole else (2, 2))
        kinds.add(is_whole)

    assert kinds == {True, False}


def test_duplicate_of_a_format_fault_has_the_very_same_record(desk: Desk, refund: Make, sealed: Seal) -> None:
    def spoil(root: etree._Element) -> None:
        for element in root.iter("{*}agentCode"):
            element.text = "TOO-LONG-FOR-THIS-FIELD"

    wrapped = set()
    for seed in range(10):
        play(desk, Fault.DUPLICATE_RECEIPT, seed)
        desk.submit(sealed([refund()], before_signing=spoil))
        first, second = desk.fetch_all()

        assert codes([first, second]) == ["-625001", "-625001"]
        assert records(first) == records(second)
        wrapped.add(first.content == second.content)

    assert wrapped == {True, False}


def test_late_receipts_state_when_they_were_due(desk: Desk, refund: Make, sealed: Seal) -> None:
    play(desk, Fault.LATE_RECEIPT, seed=1)
    desk.submit(sealed([refund()], message_id="M-1"))
    desk.wait(7)
    in_time = desk.fetch()
    status = read_ledger(desk.database, desk.now).documents[0].status
    late = desk.fetch_all()

    assert len(in_time) < 4
    assert status == "800"  # what has been decided, told or not
    assert codes(in_time + late) == ["2", "3", "120", "800"]
    assert times(in_time + late) == [f"202604151030{second:02}000" for second in (0, 2, 4, 6)]
    message = desk.office.find_message(DXP_ID, "M-1")
    assert message is not None
    assert message.statuses == ("800",)


def test_receipt_comes_after_the_next_one_when_out_of_order(desk: Desk, refund: Make, sealed: Seal) -> None:
    orders = set()
    for seed in range(10):
        play(desk, Fault.RECEIPT_OUT_OF_ORDER, seed)
        desk.submit(sealed([refund(f"RK{seed}", list_number=seed)]))
        found = desk.fetch_all()
        stated = dict(zip(codes(found), times(found), strict=True))

        assert [stated[code] for code in ("2", "3", "120", "800")] == sorted(times(found))
        orders.add(" ".join(codes(found)))

    assert orders == {"3 2 120 800", "2 120 3 800", "2 3 800 120"}


def test_message_row_names_what_befell_its_receipts(desk: Desk, refund: Make, sealed: Seal) -> None:
    play(desk, Fault.LATE_RECEIPT, seed=1)
    desk.submit(sealed([refund("RK1")]))
    desk.submit(sealed([refund("RK2", list_number=2)]))

    with closing(sqlite3.connect(desk.database)) as connection:
        found = connection.execute("SELECT fault FROM messages ORDER BY number").fetchall()
    assert found == [("late_receipt",), ("",)]


def test_receipt_faults_are_repeated_by_their_seed(office_files: Path, refund: Make, sealed: Seal) -> None:
    registry = office_files / "registry.toml"
    text = registry.read_text()
    streams = []
    for seed in (7, 7, 8):
        registry.write_text(
            text + f"[faults]\nseed = {seed}\nlate_receipt = 0.3\nduplicate_receipt = 0.3\nreceipt_out_of_order = 0.3\n"
        )
        (office_files / "customs.db").unlink(missing_ok=True)
        desk = Desk(office_files)
        for number in range(8):
            desk.submit(sealed([refund(f"RK{number}", list_number=number)]))
        streams.append(codes(desk.fetch_all(100)))
        desk.office.close()

    assert streams[0] == streams[1] != streams[2]
