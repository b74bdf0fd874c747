"""The daemon's own database fails while it works: it says so, sends nothing it could not account for, and recovers.

The disk fails by a preloaded shim (``tests/campaigns/disk_shim.c``), PostgreSQL by shutting its door on one database.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.campaigns import disk_shim
from tests.campaigns.disk_shim import fault, faults

Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.xdist_group("acceptance_disk_faults")

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/"
PATIENCE = 100.0
LONG_ENOUGH = 0.5
"""Seconds in which a daemon that did not care would have sent something."""
ANSWERED = "SELECT count(*) FROM document WHERE customs_status IN ('released', 'finished')"
SENT = "SELECT message_id FROM attempt WHERE kind = 'send'"
BEFORE_SENDING = ["ENOSPC all", "EIO sync", "EROFS all"]
WHILE_SENDING = [f"{order} POST /ReceiveCebDeclare" for order in ("ENOSPC all", "EIO all", "EIO sync")]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim."""
    if not disk_shim.is_possible():
        pytest.skip("needs gcc")
    return disk_shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def busy(enterprise: Path, edit: Edit) -> Path:
    """An enterprise whose daemon looks all the time; its returns have not come yet."""
    edit(enterprise / "connector.toml", "collect_seconds = 5", "collect_seconds = 0.2")
    edit(enterprise / "connector.toml", "deliver_seconds = 1", "deliver_seconds = 0.1")
    edit(enterprise / "connector.toml", "receipts_seconds = 1", "receipts_seconds = 0.3")
    return enterprise


@pytest.fixture
def returns(busy: Path, query: Query) -> Callable[[], int]:
    """Has the next return come to the warehouse; how many documents there are to be then."""
    warehouse = busy / "warehouse.db"
    rows = query(warehouse, "SELECT * FROM wms_receipt_order ORDER BY order_no")
    query(warehouse, "DELETE FROM wms_receipt_order")
    came = 0

    def come() -> int:
        nonlocal came
        query(warehouse, f"INSERT INTO wms_receipt_order VALUES ({', '.join('?' * len(rows[came]))})", *rows[came])
        came += 1
        return 2 * came

    return come


@contextmanager
def daemon(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon, which writes to stderr.log; it must end well when it is told to, and is killed otherwise."""
    command = [sys.executable, "-m", "connector", "--config", str(folder / "connector.toml"), "run"]
    with (folder / "stderr.log").open("wb") as err:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=err)
    try:
        until(lambda: "running" in said(folder))
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in said(folder)


def said(folder: Path) -> str:
    return (folder / "stderr.log").read_text("utf-8")


def complaints(folder: Path) -> list[str]:
    """What the daemon has said to fail, each time without the moment: which part of it, and why."""
    return [line.partition(" ERROR ")[2] for line in said(folder).splitlines() if " ERROR " in line]


def until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "it has not happened in time"
        time.sleep(0.05)


def requests(folder: Path, query: Query) -> Counter[str]:
    """How often the office was sent each message."""
    return Counter(row[0] for row in query(folder / "customs.db", "SELECT message_id FROM requests"))


def accepted(folder: Path, query: Query) -> list[tuple[int, int]]:
    """Of each document that the office holds, how often it came and how often it was accepted."""
    return query(folder / "customs.db", "SELECT times_received, times_accepted FROM documents")


def answered(folder: Path, query: Query) -> int:
    return int(query(folder / "connector.db", ANSWERED)[0][0])


def attempts(folder: Path, query: Query) -> Counter[str]:
    return Counter(row[0] for row in query(folder / "connector.db", SENT))


def until_it_says_so(folder: Path, before: list[str]) -> None:
    until(lambda: complaints(folder) > before)


def until_answered(folder: Path, query: Query, documents: int) -> None:
    until(lambda: answered(folder, query) == documents)


def is_said_once(folder: Path, before: list[str]) -> bool:
    new = complaints(folder)[len(before) :]
    return len(new) == len(set(new)) > 0


def test_daemon_sends_nothing_and_recovers_when_the_disk_fails_before_it_sends(
    busy: Path, returns: Callable[[], int], office: Office, library: Path, environment: dict[str, str], query: Query
) -> None:
    control = busy / "fault"
    with office(busy), daemon(busy, environment | faults(library, busy / "connector.db", control)):
        for order in BEFORE_SENDING:
            sent, before = requests(busy, query), complaints(busy)
            with fault(control, order):
                documents = returns()
                until_it_says_so(busy, before)
                time.sleep(LONG_ENOUGH)
                assert requests(busy, query) == sent, order
            until_answered(busy, query, documents)
            assert is_said_once(busy, before), said(busy)
    assert set(accepted(busy, query)) == {(1, 1)}
    assert requests(busy, query) == attempts(busy, query)


def test_daemon_sends_nothing_twice_and_recovers_when_the_disk_fails_while_it_sends(
    busy: Path, returns: Callable[[], int], office: Office, library: Path, environment: dict[str, str], query: Query
) -> None:
    control = busy / "fault"
    with office(busy), daemon(busy, environment | faults(library, busy / "connector.db", control)):
        for order in WHILE_SENDING:
            sent, before = requests(busy, query), complaints(busy)
            with fault(control, order):
                documents = returns()
                until_it_says_so(busy, before)
                time.sleep(LONG_ENOUGH)
                # The answer to this one could not be kept; nothing else went out.
                assert (requests(busy, query) - sent).total() == 1, order
                assert requests(busy, query) <= attempts(busy, query), order
            until_answered(busy, query, documents)
            assert is_said_once(busy, before), said(busy)
    assert set(accepted(busy, query)) == {(1, 1)}
    assert requests(busy, query) == attempts(busy, query)


def test_daemon_ends_well_when_it_is_told_to_stop_while_the_disk_fails(
    busy: Path, returns: Callable[[], int], office: Office, library: Path, environment: dict[str, str], query: Query
) -> None:
    control = busy / "fault"
    variables = environment | faults(library, busy / "connector.db", control)
    with office(busy), daemon(busy, variables) as process, fault(control, WHILE_SENDING[1]):
        returns()
        until_it_says_so(busy, [])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    # Nobody knows whether it arrived: the next start finds an attempt without an outcome.
    assert query(busy / "connector.db", "SELECT outcome, ended_at FROM attempt") == [("", None)]


def test_database_is_written_again_when_connections_were_made_while_the_disk_was_read_only(
    library: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    program = """
import sys
from pathlib import Path
from sqlalchemy import text
from connector.deeds import Deed
from connector.errors import DatabaseUnreachable
from connector.storage.database import Database

database, control = Database(f"sqlite:///{sys.argv[1]}"), Path(sys.argv[2])
with database.write(Deed.UPGRADE) as transaction:
    transaction.execute(text("CREATE TABLE thing (number)"))
control.write_text("EROFS all")
with database.read(), database.read(), database.read():
    pass  # of these connections, two are new: SQLite could open the file for reading only
control.unlink()
failed = 0
for _ in range(9):
    try:
        with database.write(Deed.COLLECT) as transaction:
            transaction.execute(text("INSERT INTO thing VALUES (1)"))
    except DatabaseUnreachable:
        failed += 1
with database.read() as connection:
    print(failed, connection.execute(text("SELECT count(*) FROM thing")).scalar_one())
"""
    file, control = tmp_path / "connector.db", tmp_path / "fault"
    variables = environment | faults(library, file, control)
    command = [sys.executable, "-c", program, str(file), str(control)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed, written = map(int, done.stdout.split())
    assert failed + written == 9
    assert failed <= 1


class Server:
    """One database of a PostgreSQL server that serves others as well, and the door to it."""

    def __init__(self) -> None:
        self._engine = create_engine(POSTGRESQL + "postgres", poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self.name = f"connector_test_{uuid.uuid4().hex[:12]}"

    def run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement.format(self.name)))

    def hang_up(self) -> None:
        """End every connection to the database, whatever it is doing."""
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'")

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Let nobody in as long as the block lasts."""
        self.run("ALTER DATABASE {} ALLOW_CONNECTIONS false")
        self.hang_up()
        try:
            yield
        finally:
            self.run("ALTER DATABASE {} ALLOW_CONNECTIONS true")

    def query(self, statement: str) -> list[Any]:
        engine = create_engine(POSTGRESQL + self.name, poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]


@pytest.fixture
def server(busy: Path, connector: Run, edit: Edit) -> Iterator[Server]:
    """The enterprise keeps its records in a database of PostgreSQL."""
    one = Server()
    try:
        one.run("CREATE DATABASE {} TEMPLATE template0")
    except OperationalError as error:
        pytest.skip(f"needs a database server at {POSTGRESQL}: {error.orig}")
    edit(busy / "connector.toml", "sqlite:///connector.db", POSTGRESQL + one.name)
    connector(busy, "db", "upgrade")
    yield one
    one.run("DROP DATABASE {} WITH (FORCE)")


def test_daemon_sends_nothing_unaccounted_for_and_recovers_when_postgresql_is_gone(
    busy: Path, returns: Callable[[], int], office: Office, server: Server, environment: dict[str, str], query: Query
) -> None:
    def answered_here() -> int:
        return int(server.query(ANSWERED)[0][0])

    with office(busy), daemon(busy, environment):
        documents = returns()
        until(lambda: answered_here() == documents)
        sent, before = requests(busy, query), complaints(busy)
        with server.shut():
            documents = returns()
            until_it_says_so(busy, before)
            time.sleep(LONG_ENOUGH)
            assert requests(busy, query) == sent
        until(lambda: answered_here() == documents)
        assert is_said_once(busy, before), said(busy)
        for _ in range(3):
            documents = returns()
            for _ in range(4):
                server.hang_up()
                time.sleep(0.05)
        until(lambda: answered_here() == documents)
    assert set(accepted(busy, query)) == {(1, 1)}
    assert requests(busy, query) <= Counter(row[0] for row in server.query(SENT))
