"""Keys that follow each other, and receipts of whoever signed them, between the whole connector and the office."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from connector.audit.queries import EntryFilter, entries
from connector.config import SigningSettings
from connector.demo.office import free_port, running_office
from connector.errors import CustomsUnreachable, SigningError
from connector.messages.catalogue import BEIJING
from connector.outbox import queries
from connector.outbox.queries import DocumentView, Filter
from connector.pipeline.activation import activate
from connector.pipeline.cycle import Cycle, run_once
from connector.pipeline.take_receipts import read_again, take_receipts
from connector.pipeline.wiring import Connector
from connector.receipts.queries import count_unreadable
from connector.signing.certificates import read_certificates
from connector.signing.envelopes import EnvelopeOpener, trusted_certificates
from connector.signing.keyfiles import load_key
from connector.signing.keyring import KeyRing, RingKey
from connector.storage.receipts import RECEIPT_ENVELOPES
from connector.transport.interface import FetchedReceipt, ReceiptPage

Wire = Callable[..., Connector]

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
LAST_WORD = 0.3
"""Seconds within which the office has passed through all its stages."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "enterprise"


@pytest.fixture
def connector(enterprise: Wire, folder: Path) -> Connector:
    """Its office hardly takes any time."""
    wired = enterprise(6, free_port())
    registry = folder / "registry.toml"
    text = registry.read_text("utf-8")
    registry.write_text(text.replace("stage_seconds = 0.2", "stage_seconds = 0.01"), "utf-8")
    return wired


@pytest.fixture
def other_pki(tmp_path: Path) -> Path:
    """Keys of a second enterprise and a second office."""
    made = tmp_path / "other"
    command = [sys.executable, str(ROOT / "certs/make_development_pki.py"), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def port_of(connector: Connector) -> int:
    return int(connector.submit_endpoint.rpartition(":")[2].partition("/")[0])


def opener(*certificates: Path, is_required: bool = True) -> EnvelopeOpener:
    trusted = tuple(one for file in certificates for one in read_certificates(file))
    return EnvelopeOpener(trusted=trusted, is_required=is_required)


def documents(connector: Connector) -> list[DocumentView]:
    with connector.database.read() as connection:
        return queries.documents(connection, Filter())


def problems(connector: Connector) -> set[str]:
    with connector.database.read() as connection:
        return set(connection.execute(select(RECEIPT_ENVELOPES.c.problem)).scalars())


@pytest.fixture
def answered(connector: Connector, folder: Path) -> Iterator[Connector]:
    """Everything is sent, and the office, which still runs, has said its last word on it."""
    with running_office(folder / "registry.toml", port_of(connector)):
        run_once(replace(connector, answers_questions=False))
        time.sleep(LAST_WORD)
        yield connector


def test_receipts_of_the_office_are_applied_and_the_log_tells_who_signed_them(
    answered: Connector, folder: Path
) -> None:
    received = take_receipts(answered)
    assert received.receipts > 0
    assert (received.unreadable, problems(answered)) == (0, {""})
    (office,) = read_certificates(folder / "certs/office.crt.pem")
    with answered.database.read() as connection:
        told = entries(connection, EntryFilter(event="receipt_taken"))
    assert {one.detail["signed_by"] for one in told} == {office.key_id}


def test_receipts_that_nobody_trusted_signed_are_kept_and_applied_once_he_is_trusted(
    answered: Connector, folder: Path, other_pki: Path
) -> None:
    distrusting = replace(answered, open_envelope=opener(other_pki / "office.crt.pem"))
    received = take_receipts(distrusting)
    assert (received.receipts, received.rejected) == (0, 0)
    assert received.unreadable > 0
    assert all("its signature does not count" in problem for problem in problems(answered))
    assert {view.customs_status for view in documents(answered)} == {"none"}
    assert read_again(distrusting).receipts == 0
    assert take_receipts(distrusting).receipts == 0

    overlapping = replace(answered, open_envelope=opener(other_pki / "office.crt.pem", folder / "certs/office.crt.pem"))
    again = read_again(overlapping)
    assert again.receipts > 0
    assert {view.customs_status for view in documents(answered)} <= {"released", "finished", "rejected"}
    with answered.database.read() as connection:
        assert count_unreadable(connection) == 0
    assert read_again(overlapping).receipts == 0


def test_unsigned_receipts_are_kept_and_not_applied_unless_the_region_does_not_sign(
    connector: Connector, folder: Path
) -> None:
    registry = folder / "registry.toml"
    text = registry.read_text("utf-8")
    table = text[text.index("[signing]") : text.index("[[senders]]")]
    registry.write_text(text.replace(table, ""), "utf-8")
    with running_office(registry, port_of(connector)):
        run_once(replace(connector, answers_questions=False))
        time.sleep(LAST_WORD)
        assert take_receipts(connector).receipts == 0
    assert problems(connector) == {
        "its signature does not count: it is not signed, and customs signs what it sends here"
    }
    assert {view.customs_status for view in documents(connector)} == {"none"}
    assert read_again(replace(connector, open_envelope=opener(is_required=False))).receipts > 0
    assert "none" not in {view.customs_status for view in documents(connector)}


def test_new_key_takes_over_while_messages_of_the_old_one_are_still_accepted(
    connector: Connector, folder: Path, other_pki: Path
) -> None:
    key_file, certificate_file = (other_pki / f"enterprise.{kind}.pem" for kind in ("key", "crt"))
    new = load_key(SigningSettings(key_file=key_file, certificate_file=certificate_file))
    old = connector.keys.keys[0].key
    registry = folder / "registry.toml"
    text = registry.read_text("utf-8")
    sender = text[text.index("[[senders]]") :]
    second = sender.replace(old.certificate.key_id, new.certificate.key_id)
    registry.write_text(f"{text}\n{second}", "utf-8")
    takes_over = datetime.now(UTC) + DAY
    ring = KeyRing(
        [RingKey(name="main", key=old, active_from=None), RingKey(name="next", key=new, active_from=takes_over)]
    )
    clock = {"now": takes_over - timedelta(seconds=1)}
    connector = replace(connector, keys=ring, clock=lambda _connection: clock["now"])
    with running_office(registry, port_of(connector)):
        run_once(connector)
        clock["now"] = takes_over
        touch(folder)
        run_once(connector)
        time.sleep(LAST_WORD)
        take_receipts(connector)
    with connector.database.read() as connection:
        signed = entries(connection, EntryFilter(event="signed"))
        assert set(queries.count_messages(connection)) == {"delivered"}
    first, second, *later = [str(one.detail["key_id"]) for one in signed]
    assert first == second == old.certificate.key_id
    assert set(later) == {new.certificate.key_id}


def touch(folder: Path) -> None:
    """Three returns come in that were not there before: those under new numbers."""
    with closing(sqlite3.connect(folder / "warehouse.db")) as warehouse, warehouse:
        names = [row[1] for row in warehouse.execute("PRAGMA table_info(wms_receipt_order)")]
        now = datetime.now(BEIJING).replace(tzinfo=None).isoformat(" ", "milliseconds")
        changes = {"id": "id + 500000", "order_no": "'N' || order_no", "update_time": f"'{now}'"}
        values = ", ".join(changes.get(name, name) for name in names)
        warehouse.execute(f"INSERT INTO wms_receipt_order SELECT {values} FROM wms_receipt_order LIMIT 3")


def test_nothing_is_signed_with_an_expired_key_and_all_else_goes_on(answered: Connector, folder: Path) -> None:
    sent = len(documents(answered))
    touch(folder)
    expired = answered.keys.keys[0].key.certificate.valid_until + timedelta(seconds=1)
    late = replace(answered, clock=lambda _connection: expired)
    cycle = run_once(late)
    (failure,) = cycle.failures
    assert isinstance(failure, SigningError)
    assert "expired on" in failure.cause
    assert (cycle.exit_code, cycle.prepared.documents) == (7, 0)
    assert cycle.received.receipts > 0  # signed when that certificate was valid
    assert len(documents(answered)) == sent
    assert run_once(answered).prepared.documents > 0  # as soon as there is a key again


def test_what_is_in_use_is_told_when_it_changes_and_only_then(connector: Connector) -> None:
    assert activate(connector)
    assert not activate(connector)
    other = replace(connector, open_envelope=opener(is_required=False))
    assert activate(other)
    assert activate(connector)
    with connector.database.read() as connection:
        told = entries(connection, EntryFilter(event="activated"))
    assert [one.detail["receipts_must_be_signed"] for one in told] == [True, False, True]
    (key,) = told[0].detail["keys"].values()  # type: ignore[attr-defined]
    assert key["key_id"] == connector.keys.keys[0].key.certificate.key_id


def test_change_is_told_although_the_clock_was_set_back(connector: Connector) -> None:
    assert activate(connector)
    other = replace(connector, open_envelope=opener(is_required=False))
    assert activate(replace(other, clock=lambda _: datetime.now(UTC) - timedelta(seconds=2)))
    assert not activate(other)
    assert activate(connector)


def test_log_tells_which_key_signs_when_another_takes_over_and_when_none_is_left(connector: Connector) -> None:
    key = connector.keys.keys[0].key
    takes_over = datetime.now(UTC) + DAY
    clock = {"now": takes_over - timedelta(seconds=1)}
    ring = KeyRing(
        [RingKey(name="main", key=key, active_from=None), RingKey(name="next", key=key, active_from=takes_over)]
    )
    connector = replace(connector, keys=ring, clock=lambda _connection: clock["now"])
    for now in (clock["now"], takes_over, key.certificate.valid_until + timedelta(seconds=1)):
        clock["now"] = now
        assert activate(connector)
        assert not activate(connector)
    with connector.database.read() as connection:
        told = entries(connection, EntryFilter(event="activated"))
    assert [one.detail["signs"] for one in told] == ["main", "next", ""]
    assert told[1].time == takes_over


def test_receipts_of_another_account_are_kept_and_not_applied(answered: Connector) -> None:
    received = take_receipts(replace(answered, receiver="DXPEDCCEB0000099"))
    assert received.receipts == 0
    assert problems(answered) == {"it comes from DXPEDCCEB0000003, not from DXPEDCCEB0000099"}


def test_envelope_that_nobody_vouches_for_does_not_carry_the_cursor_away(answered: Connector) -> None:
    """Whoever can answer one question must not be able to hide all that customs says later."""

    @dataclass(frozen=True)
    class Leaping:
        """The real customs, whose next page ends with an envelope far ahead."""

        content: bytes
        sequence: int

        def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
            page = answered.customs.fetch_receipts(after, at_most)
            far = FetchedReceipt(sequence=self.sequence, envelope=self.content)
            return ReceiptPage(receipts=(*page.receipts, far), more=False)

    for sequence in (2**62, 2_000_000):
        leaping = Leaping(content=b"<junk/>", sequence=sequence)
        with pytest.raises(CustomsUnreachable, match="cannot be read"):
            take_receipts(replace(answered, customs=leaping))  # type: ignore[arg-type]
    assert take_receipts(answered).receipts > 0


def test_envelope_with_nothing_new_is_logged_with_its_digest(answered: Connector) -> None:
    """What came is told of, also where customs repeats itself under another number."""
    take_receipts(answered)
    with answered.database.read() as connection:
        (last,) = connection.execute(
            select(RECEIPT_ENVELOPES).order_by(RECEIPT_ENVELOPES.c.sequence.desc()).limit(1)
        ).all()

    class Repeating:
        """The customs that gives out its last envelope once more."""

        def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
            del at_most
            again = FetchedReceipt(sequence=after + 1, envelope=bytes(last.content))
            return ReceiptPage(receipts=(again,) if after == last.sequence else (), more=False)

    assert take_receipts(replace(answered, customs=Repeating())).receipts == 0  # type: ignore[arg-type]
    with answered.database.read() as connection:
        told = entries(connection, EntryFilter(event="receipt_taken"))
    repeated = [one for one in told if "repeats" in one.detail]
    (entry,) = repeated
    assert (entry.detail["sequence"], entry.detail["content"]) == (
        last.sequence + 1,
        hashlib.sha256(bytes(last.content)).hexdigest(),
    )
    assert entry.business_key


def test_what_is_read_again_counts_in_what_a_cycle_came_to(answered: Connector, other_pki: Path) -> None:
    take_receipts(replace(answered, open_envelope=opener(other_pki / "office.crt.pem")))
    cycle = Cycle()
    cycle.received.add(read_again(answered))
    assert cycle.received.receipts > 0
    assert not cycle.is_elsewhere


def test_certificate_that_cannot_sign_receipts_is_refused_at_once(folder: Path, connector: Connector) -> None:
    del connector  # it makes the folder
    with pytest.raises(SigningError, match="holds no key that signs receipts"):
        trusted_certificates([folder / "certs/office.crt.pem", folder / "certs/ca.crt.pem"])
