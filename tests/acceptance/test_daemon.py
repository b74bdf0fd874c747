"""``connector run``: works by itself, recovers by itself, and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Peer = Callable[[Callable[[bytes], object]], int]
Daemon = Callable[[Path], AbstractContextManager[subprocess.Popen[bytes]]]

pytestmark = pytest.mark.xdist_group("acceptance_daemon")

PATIENCE = 60.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def daemon(environment: dict[str, str]) -> Daemon:
    """Runs the daemon of a folder, which writes to stderr.log and stdout.log there; killed if it is left running."""

    @contextmanager
    def run(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "connector", "--config", str(folder / "connector.toml"), "run"]
        with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            until(lambda: "running" in said(folder))
            yield process
        finally:
            process.kill()
            process.wait()

    return run


@pytest.fixture
def busy(enterprise: Path, edit: Edit) -> Path:
    """An enterprise whose daemon looks all the time."""
    edit(enterprise / "connector.toml", "collect_seconds = 5", "collect_seconds = 0.2")
    edit(enterprise / "connector.toml", "deliver_seconds = 1", "deliver_seconds = 0.1")
    return enterprise


def said(folder: Path) -> str:
    return (folder / "stderr.log").read_text("utf-8")


def until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "it has not happened in time"
        time.sleep(0.05)


def answered(folder: Path, query: Query) -> int:
    """How many documents have their final answer."""
    statement = "SELECT count(*) FROM document WHERE customs_status IN ('released', 'finished')"
    return int(query(folder / "connector.db", statement)[0][0])


def states(folder: Path, query: Query) -> set[str]:
    return {row[0] for row in query(folder / "connector.db", "SELECT state FROM message")}


def test_daemon_sends_what_is_there_and_what_comes_when_it_runs(
    busy: Path, daemon: Daemon, office: Office, query: Query
) -> None:
    warehouse = busy / "warehouse.db"
    (row,) = query(warehouse, "SELECT * FROM wms_receipt_order WHERE order_no = 'RK10000006'")
    query(warehouse, "DELETE FROM wms_receipt_order WHERE order_no = 'RK10000006'")
    with office(busy), daemon(busy) as process:
        until(lambda: answered(busy, query) == 10)
        query(warehouse, f"INSERT INTO wms_receipt_order VALUES ({', '.join('?' * len(row))})", *row)
        until(lambda: answered(busy, query) == 12)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert states(busy, query) == {"delivered"}
    held = query(busy / "customs.db", "SELECT DISTINCT times_received, times_accepted FROM documents")
    assert held == [(1, 1)]
    assert [line.split(" ")[3] for line in said(busy).splitlines()] == ["running", "stopping:", "stopped"]
    assert (busy / "stdout.log").read_bytes() == b""


def test_daemon_recovers_by_itself_when_customs_is_down_at_first(
    busy: Path, daemon: Daemon, office: Office, query: Query
) -> None:
    with daemon(busy) as process:
        until(lambda: query(busy / "connector.db", "SELECT max(number) FROM attempt")[0][0] == 2)
        with office(busy):
            until(lambda: answered(busy, query) == 12)
            until(lambda: said(busy).count("works again") == 2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert "Traceback" not in said(busy)
    # Said once, however many tries fail in the same way, and however long nothing is due between them.
    assert (said(busy).count("ERROR deliver"), said(busy).count("ERROR receipts")) == (1, 1)
    assert query(busy / "customs.db", "SELECT DISTINCT times_received FROM documents") == [(1,)]


@pytest.fixture
def hanging(busy: Path, edit: Edit, peer: Peer) -> Iterator[Path]:
    """An enterprise whose customs takes requests and never answers."""
    over = threading.Event()
    port = peer(lambda _: over.wait())
    config = busy / "connector.toml"
    address = next(line for line in config.read_text("utf-8").splitlines() if line.startswith("submit_url"))
    edit(config, address, f'submit_url = "http://127.0.0.1:{port}/"\ndeadline_seconds = 4')
    yield busy
    over.set()


def test_daemon_leaves_nothing_being_sent_when_it_is_told_to_stop_during_a_call(
    hanging: Path, daemon: Daemon, query: Query
) -> None:
    with daemon(hanging) as process:
        until(lambda: "sending" in states(hanging, query))
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - begun < 4 + 2
    assert states(hanging, query) == {"in_doubt", "pending"}
    assert query(hanging / "connector.db", "SELECT outcome FROM attempt") == [("in_doubt",)]
    assert "Traceback" not in said(hanging)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_daemon_ends_at_once_when_it_is_told_to_stop_a_second_time(
    hanging: Path, daemon: Daemon, edit: Edit, query: Query, number: signal.Signals, code: int
) -> None:
    edit(hanging / "connector.toml", "deadline_seconds = 4", "deadline_seconds = 60")
    with daemon(hanging) as process:
        until(lambda: "sending" in states(hanging, query))
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.send_signal(number)
        assert process.wait(5) == code
    # What became of the call nobody knows: the next start finds the attempt without an outcome.
    assert query(hanging / "connector.db", "SELECT outcome, ended_at FROM attempt") == [("", None)]


def test_daemon_names_every_failure_once_when_several_things_fail_at_the_same_time(
    busy: Path, connector: Run, daemon: Daemon
) -> None:
    (busy / "archive.db").rename(busy / "archive.away")
    connector(busy, "run", "--once", code=5)
    (busy / "warehouse.db").rename(busy / "warehouse.away")
    with daemon(busy) as process:
        until(lambda: said(busy).count("ERROR collect") == 2)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    failures = [line for line in said(busy).splitlines() if "ERROR collect" in line]
    assert len(failures) == 2
    assert "warehouse" in failures[0]
    assert "archive" in failures[1]


def test_daemon_ends_as_interrupted_when_ctrl_c_is_pressed(hanging: Path, daemon: Daemon, query: Query) -> None:
    with daemon(hanging) as process:
        until(lambda: "sending" in states(hanging, query))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert states(hanging, query) == {"in_doubt", "pending"}


def test_run_once_ends_as_interrupted_when_ctrl_c_is_pressed(
    hanging: Path, environment: dict[str, str], query: Query
) -> None:
    command = [sys.executable, "-m", "connector", "--config", str(hanging / "connector.toml"), "run", "--once"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "sending" in states(hanging, query))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
    assert states(hanging, query) == {"in_doubt", "pending"}


def test_log_tells_when_another_key_takes_over_while_the_daemon_works(
    busy: Path, daemon: Daemon, edit: Edit, query: Query
) -> None:
    begin = (datetime.now(UTC) + timedelta(seconds=12)).isoformat(timespec="milliseconds")
    config = busy / "connector.toml"
    text = config.read_text("utf-8")
    main = text[text.index("[signing.main]") :].partition("\n[")[0]
    following = main.replace("[signing.main]", f"[signing.next]\nactive_from = {begin}")
    edit(config, "[customs]\n", f"{following}\n[customs]\n")
    signs = "json_extract(CAST(body AS TEXT), '$.detail.signs')"
    told = f"SELECT {signs} FROM audit_entry WHERE event = 'activated' ORDER BY sequence"
    with daemon(busy) as process:
        assert query(busy / "connector.db", told) == [("main",)]
        until(lambda: len(query(busy / "connector.db", told)) > 1)
        until(lambda: "[signing.next] signs from now on" in said(busy))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert query(busy / "connector.db", told) == [("main",), ("next",)]
    assert "[signing.main] signs from now on" not in said(busy)


def test_configuration_is_read_again_at_sighup_and_kept_receipts_are_applied_then(
    busy: Path, daemon: Daemon, office: Office, edit: Edit, query: Query
) -> None:
    config = busy / "connector.toml"
    make = [sys.executable, str(ROOT / "certs/make_development_pki.py"), str(busy / "other")]
    subprocess.run(make, check=True, capture_output=True)
    edit(config, "certs/office.crt.pem", "other/office.crt.pem")  # of another office: nothing of ours counts
    unread = "SELECT count(*) FROM receipt_envelope WHERE problem LIKE 'its signature does not count%'"
    unanswered = "SELECT count(*) FROM document WHERE customs_status NOT IN ('released', 'finished')"
    with office(busy), daemon(busy) as process:
        until(lambda: query(busy / "connector.db", unread)[0][0] >= 2)
        assert "receipts cannot be read: `connector documents unreadable`" in said(busy)

        sound = config.read_text("utf-8")
        (busy / "phrase").write_bytes("口令".encode("gbk"))
        (busy / "phrase").chmod(0o600)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
        for number, (old, new, fault) in enumerate(
            [
                ("settle_seconds = 5", "settle_seconds = 0", "customs.settle_seconds"),
                ("sqlite:///connector.db", "sqlite:///another.db", "another database now"),
                ("other/office.crt.pem", "certs/ca.crt.pem", "holds no key that signs receipts"),
                ("[signing.main]", '[signing.main]\npassphrase_file = "phrase"', "phrase is not text in UTF-8"),
                ("[signing.main]", f"[signing.main]\nactive_from = {tomorrow}", "no key is active yet"),
            ],
            start=1,
        ):
            (busy / "another.db").write_bytes((busy / "connector.db").read_bytes())
            config.write_text(sound.replace(old, new), "utf-8")
            process.send_signal(signal.SIGHUP)
            until(lambda number=number: said(busy).count("what was in use stays in use") == number)  # type: ignore[misc]
            assert fault in said(busy)

        config.write_text(sound.replace("other/office.crt.pem", "certs/office.crt.pem"), "utf-8")
        process.send_signal(signal.SIGHUP)
        until(lambda: "what is in use has changed" in said(busy))
        until(lambda: query(busy / "connector.db", unanswered) == [(0,)])
        assert query(busy / "connector.db", unread) == [(0,)]
        process.send_signal(signal.SIGHUP)
        until(lambda: "no key, certificate, mapping, account or address has changed" in said(busy))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    told = query(busy / "connector.db", "SELECT count(*) FROM audit_entry WHERE event = 'activated'")
    assert told == [(2,)]
    assert "Traceback" not in said(busy)
