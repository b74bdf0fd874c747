"""Delivery as an operator sees it: several processes, killed processes, breakers, overdue answers, an old SQLite."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from connector.deeds import Deed
from connector.storage import leases
from connector.storage.database import Database, now_by_database

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Ledger = Callable[[Path], dict[tuple[str, str], dict[str, Any]]]
Peer = Callable[[Callable[[bytes], object]], int]
Daemon = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]

pytestmark = pytest.mark.xdist_group("acceptance_delivery")

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/"
PATIENCE = 60.0


@pytest.fixture
def daemon(environment: dict[str, str]) -> Daemon:
    """Runs the daemon of a folder, which writes to NAME.log there; killed if it is left running."""

    @contextmanager
    def run(folder: Path, *arguments: str, name: str = "daemon") -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "connector", "--config", str(folder / "connector.toml"), "run", *arguments]
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=output)
        try:
            until(lambda: "running" in log.read_text("utf-8"))
            yield process
        finally:
            process.kill()
            process.wait()
        assert "Traceback" not in log.read_text("utf-8")

    return run


@pytest.fixture
def busy(enterprise: Path, edit: Edit) -> Path:
    """An enterprise whose daemon looks all the time."""
    edit(enterprise / "connector.toml", "collect_seconds = 5", "collect_seconds = 0.2")
    edit(enterprise / "connector.toml", "deliver_seconds = 1", "deliver_seconds = 0.1")
    edit(enterprise / "connector.toml", "receipts_seconds = 1", "receipts_seconds = 0.2")
    return enterprise


def until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "it has not happened in time"
        time.sleep(0.05)


def states(folder: Path, query: Query) -> dict[str, int]:
    return dict(query(folder / "connector.db", "SELECT state, count(*) FROM message GROUP BY state"))


def point(folder: Path, edit: Edit, port: int, *more: str) -> None:
    """Have submissions go to another port."""
    config = folder / "connector.toml"
    address = next(line for line in config.read_text("utf-8").splitlines() if line.startswith("submit_url"))
    edit(config, address, "\n".join([f'submit_url = "http://127.0.0.1:{port}/"', *more]))


@pytest.fixture
def hanging(busy: Path, edit: Edit, peer: Peer) -> Iterator[Path]:
    """An enterprise whose customs takes requests and is silent for long."""
    over: list[bool] = []

    def wait(_request: bytes) -> None:
        while not over:
            time.sleep(0.05)

    point(busy, edit, peer(wait), "deadline_seconds = 60")
    yield busy
    over.append(True)


def test_second_process_is_refused_and_told_of_the_first_when_records_are_in_sqlite(
    busy: Path, daemon: Daemon, connector: Run
) -> None:
    with daemon(busy) as first:
        for arguments in (["run", "--workers", "2"], ["run", "--once"], ["db", "upgrade"]):
            said = connector(busy, *arguments, code=8).stderr
            assert f"process {first.pid} already works on" in said
            assert "remedy: end that process first, or keep our records in PostgreSQL" in said
        connector(busy, "status")  # who only reads is not refused
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 0


def test_lock_is_gone_and_its_messages_are_in_doubt_at_once_when_the_first_process_was_killed(
    hanging: Path, daemon: Daemon, query: Query
) -> None:
    with daemon(hanging) as first:
        until(lambda: "sending" in states(hanging, query))
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
    assert "sending" in states(hanging, query)
    (left,) = query(hanging / "connector.db", "SELECT id FROM message WHERE state = 'sending'")[0]
    with daemon(hanging, name="second") as second:
        # Its lease would have lasted for 90 seconds: deadline and margin.
        until(
            lambda: query(hanging / "connector.db", "SELECT state FROM message WHERE id = ?", left) == [("in_doubt",)]
        )
        assert second.poll() is None
    (first_of_it,) = query(
        hanging / "connector.db", "SELECT outcome, info FROM attempt WHERE message_id = ? AND number = 1", left
    )
    assert first_of_it == ("abandoned", "its sender ended without an outcome")
    told = query(hanging / "connector.db", "SELECT body FROM audit_entry WHERE event = 'delivery_changed'")
    assert json.loads(told[0][0])["detail"]["delivery_state"] == "in_doubt"


@pytest.fixture
def shared(busy: Path, connector: Run, edit: Edit) -> Iterator[str]:
    """The enterprise keeps its records in a database of PostgreSQL; its URL."""
    server = create_engine(POSTGRESQL + "postgres", poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"connector_test_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    except OperationalError as error:
        pytest.skip(f"needs a database server at {POSTGRESQL}: {error.orig}")
    edit(busy / "connector.toml", "sqlite:///connector.db", POSTGRESQL + name)
    connector(busy, "db", "upgrade")
    yield POSTGRESQL + name
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def singles(busy: Path, shared: str, connector: Run) -> tuple[Path, str]:
    """Each document waits in a message of its own, so that workers have something to take from each other."""
    # The first cycle meets no office: batches are made, tried in vain and parked; then each document goes alone.
    config = busy / "connector.toml"
    whole = config.read_text("utf-8")
    config.write_text(whole.replace("settle_seconds = 5", "settle_seconds = 0.001\nattempts = 1"), "utf-8")
    connector(busy, "run", "--once", code=6)
    config.write_text(whole, "utf-8")
    connector(busy, "resend", "--state", "parked", "--split", "--reason", "r", "--actor", "wang", "--yes")
    return busy, shared


def test_every_document_is_accepted_once_when_two_daemons_with_workers_share_a_database(
    singles: tuple[Path, str], daemon: Daemon, office: Office, read: Read, ledger: Ledger, query: Query
) -> None:
    busy, shared = singles
    with office(busy), daemon(busy, "--workers", "3", name="one"), daemon(busy, "--workers", "3", name="two"):
        until(lambda: all(one["customs_status"] in {"released", "finished"} for one in _documents(read, busy)))
        held = ledger(busy)
    assert len(held) == len(_documents(read, busy)) == 12
    assert {(one["times_received"], one["times_accepted"]) for one in held.values()} == {(1, 1)}
    assert query(busy / "customs.db", "SELECT count(*), count(DISTINCT message_id) FROM requests") == [(12, 12)]
    engine = create_engine(shared, poolclass=NullPool)
    with engine.connect() as connection:
        counted: dict[str, int] = dict(
            connection.execute(text("SELECT state, count(*) FROM message GROUP BY state")).all()
        )
        numbers = connection.execute(text("SELECT count(*), max(sequence) FROM audit_entry")).one()
    assert counted == {"closed": 2, "delivered": 12}
    assert numbers[0] == numbers[1]
    assert "already works on" not in (busy / "two.log").read_text("utf-8")


def _documents(read: Read, folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(folder, "documents", "list")["documents"]
    return found


def test_one_cycle_says_so_when_another_process_is_collecting(
    busy: Path, shared: str, office: Office, connector: Run
) -> None:
    database = Database(shared)
    with database.write(Deed.LEASE) as transaction:
        now = now_by_database(transaction)
        assert leases.take(transaction, "collect returns", "another", now=now, length=timedelta(minutes=1))
    database.close()
    with office(busy):
        assert "another process was at part of this" in connector(busy, "run", "--once").stderr
        assert json.loads(connector(busy, "run", "--once", "--json").stdout)["is_elsewhere"] is True


def test_status_shows_the_breaker_of_each_endpoint(busy: Path, connector: Run, read: Read, edit: Edit) -> None:
    edit(busy / "connector.toml", "breaker_open_seconds = 2", "breaker_open_seconds = 600\nbreaker_failures = 2")
    edit(busy / "connector.toml", "retry_first_seconds = 1", "retry_first_seconds = 0.01")  # due at the second run
    assert [one["breaker"] for one in read(busy, "status")["endpoints"]] == ["closed", "closed"]
    connector(busy, "run", "--once", code=6)
    submissions, receipts = read(busy, "status")["endpoints"]
    assert (submissions["url"].rpartition("/")[2], submissions["breaker"], submissions["failures"]) == (
        "ReceiveCebDeclare",
        "open",
        2,
    )
    assert submissions["open_until"].endswith("Z")
    assert "nothing was sent to" in submissions["info"]
    assert (receipts["breaker"], receipts["failures"], receipts["open_until"]) == ("closed", 1, None)
    lines = connector(busy, "status").stdout.splitlines()
    (line,) = [line for line in lines if "circuit breaker open until" in line]
    assert "failures in a row 2" in line
    tries = [one["tries"] for one in read(busy, "messages", "list")["messages"]]
    said = connector(busy, "run", "--once", code=6).stderr
    assert "is left alone for a while" in said
    assert [one["tries"] for one in read(busy, "messages", "list")["messages"]] == tries


def test_overdue_documents_are_counted_and_listed_when_their_type_has_waited_too_long(
    busy: Path, connector: Run, read: Read, edit: Edit, office: Office, query: Query
) -> None:
    edit(busy / "registry.toml", "stage_seconds = 0.01", "stage_seconds = 600")
    edit(busy / "connector.toml", "settle_seconds = 5", "settle_seconds = 5\nreceipt_hours = {CEB215 = 1000}")
    with office(busy):
        connector(busy, "run", "--once")
    assert read(busy, "documents", "overdue")["documents"] == []
    query(busy / "connector.db", "UPDATE message SET state_since = datetime(state_since, '-25 hours')")
    found = read(busy, "documents", "overdue")["documents"]
    assert {one["type"] for one in found} == {"CEB213"}
    assert len(found) == read(busy, "status")["overdue"] == 6
    assert found[0].keys() == {"type", "business_key", "waybill", "export_list", "customs_status", "delivered_at"}
    assert found[0]["delivered_at"].endswith("Z")
    lines = connector(busy, "status").stdout.splitlines()
    assert ["overdue", "answers", "6"] in [line.split() for line in lines]
    table = connector(busy, "documents", "overdue").stdout
    assert all(one["business_key"] in table for one in found)


@pytest.mark.parametrize("arguments", [["status"], ["run", "--once"]])
def test_deadline_of_a_type_that_does_not_exist_is_a_fault_of_the_configuration(
    busy: Path, connector: Run, edit: Edit, arguments: list[str]
) -> None:
    edit(busy / "connector.toml", "settle_seconds = 5", "settle_seconds = 5\nreceipt_hours = {CEB999 = 2}")
    said = connector(busy, *arguments, code=4).stderr
    assert "[customs] receipt_hours: there is no message type CEB999" in said
    assert "name only CEB213" in said


def test_message_in_doubt_is_settled_by_an_operator_and_told_in_the_log(
    busy: Path, connector: Run, read: Read, edit: Edit, peer: Peer, query: Query
) -> None:
    edit(busy / "connector.toml", "settle_seconds = 5", "settle_seconds = 600")
    point(busy, edit, peer(lambda _request: None))
    connector(busy, "run", "--once", code=6)
    (first, second) = [one["id"] for one in read(busy, "messages", "list")["messages"]]
    assert states(busy, query) == {"in_doubt": 2}
    for_certain = ("--reason", "they said so", "--actor", "wang")
    refused = connector(busy, "messages", "settle", first, "--as", "not_received", *for_certain, code=3).stderr
    assert "cannot be settled as not_received: it has not settled" in refused
    connector(busy, "messages", "settle", first, "--as", "arrived", *for_certain, code=2)
    connector(busy, "messages", "settle", "unknown", "--as", "delivered", *for_certain, code=2)
    said = connector(busy, "messages", "settle", first, "--as", "delivered", *for_certain).stdout
    assert said == f"{first} is now delivered\n"
    query(busy / "connector.db", "UPDATE message SET settle_at = datetime('now', '-1 second')")
    done = json.loads(
        connector(busy, "messages", "settle", second, "--as", "not_received", *for_certain, "--json").stdout
    )
    assert done["messages"] == [{"id": second, "delivery_state": "pending"}]
    told = query(
        busy / "connector.db",
        "SELECT message_id, name, body FROM audit_entry JOIN actor ON actor_id = actor.id WHERE event = 'settled'"
        " ORDER BY sequence",
    )
    assert [(row[0], row[1], json.loads(row[2])["detail"]["verdict"]) for row in told] == [
        (first, "wang", "delivered"),
        (second, "wang", "not_received"),
    ]


def _old_sqlite(tmp_path: Path) -> str:
    """A PYTHONPATH on which the newer SQLite is not to be had; empty when Python's own is new enough."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pysqlite3.py").write_text("raise ImportError('not installed')\n")
    return os.pathsep.join([str(tmp_path / "without"), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_old_sqlite_is_warned_about_at_the_start_and_in_status(busy: Path, connector: Run, tmp_path: Path) -> None:
    hidden = _old_sqlite(tmp_path)
    show = "from connector.storage import sqlite_build as b; print(b.DRIVER.sqlite_version, bool(b.warning()))"
    found = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | {"PYTHONPATH": hidden},
        capture_output=True,
        text=True,
        check=True,
    )
    version, is_old = found.stdout.split()
    if is_old == "False":
        pytest.skip(f"SQLite {version} of this Python is new enough")
    warning = f"SQLite {version} may corrupt the database when two connections write at the same moment"
    assert f"warning: {warning}" in connector(busy, "status", PYTHONPATH=hidden).stdout
    warnings = json.loads(connector(busy, "status", "--json", PYTHONPATH=hidden).stdout)["warnings"]
    assert any(one.startswith(warning) for one in warnings)
    assert warning in connector(busy, "run", "--once", code=6, PYTHONPATH=hidden).stderr
    if importlib.util.find_spec("pysqlite3"):
        assert "SQLite" not in connector(busy, "status").stdout


def test_work_goes_on_when_nobody_can_be_told_who_holds_the_lock(busy: Path, connector: Run) -> None:
    """As on a full disk: the lock itself needs no room."""
    (busy / "connector.db.lock").symlink_to("/dev/full")
    connector(busy, "run", "--once", code=6)
