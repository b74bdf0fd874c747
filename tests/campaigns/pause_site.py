"""A sample enterprise on a PostgreSQL database, a customs office, and the processes that are stopped and woken."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from sqlalchemy import update

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.deeds import Deed
from connector.demo.enterprise import build
from connector.demo.office import free_port, running_office
from connector.messages.catalogue import BEIJING, message_type
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import Document
from connector.outbox import documents, queries, queue
from connector.outbox.queries import Filter
from connector.outbox.queue import NewMessage
from connector.pipeline.packing import new_message
from connector.pipeline.wiring import Connector
from connector.storage import schema
from connector.storage.outbox import MESSAGES
from tests.campaigns.model_databases import postgresql_url
from tests.campaigns.pause_orders import Order, Report
from tests.campaigns.pause_worker import short_leases

SETTLE = 0.4
RETURNS = 30
WORKERS = 6
_PATIENCE = 30.0
"""Seconds for anything that should take far less."""
_GLANCE = 0.003
_CUSTOMS = f"""\
settle_seconds = {SETTLE}
deadline_seconds = 0.3
retry_first_seconds = 0.05
retry_most_seconds = 0.1
breaker_failures = 1000000
attempts = 100
"""


class TookTooLong(Exception):
    """Something that was waited for did not come."""


@dataclass(slots=True, kw_only=True, eq=False)
class Process:
    """One process of ours."""

    name: str
    pipe: Connection
    pid: int = 0

    def begin(self, part: str, stop: str = "") -> None:
        """Tell it to do something; it may stop itself on the way."""
        self.pipe.send(Order(part=part, stop=stop))

    def report(self) -> Report:
        """What came of it. Raises `TookTooLong`."""
        report: Report = self.receive()
        return report

    def receive(self) -> Any:
        """What it says next. Raises `TookTooLong`."""
        if not self.pipe.poll(_PATIENCE):
            raise TookTooLong(f"{self.name} does not answer")
        return self.pipe.recv()

    def do(self, part: str) -> Report:
        """Have it do something and wait for the end."""
        self.begin(part)
        return self.report()

    def state(self) -> str:
        """As the operating system has it: T is stopped."""
        return Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(") ")[2][:1]

    def is_stopped(self) -> bool:
        """Whether it stopped; waits until that is decided, by its stop or by its report. Raises `TookTooLong`."""
        wait_for(lambda: self.state() == "T" or self.pipe.poll())
        return self.state() == "T"

    def stop(self) -> None:
        """Stop it now, wherever it is."""
        self._signal(signal.SIGSTOP)
        wait_for(lambda: self.state() == "T")

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, also when it is stopped."""
        with suppress(ProcessLookupError):
            self._signal(signal.SIGKILL)
        self.pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


@dataclass(slots=True, kw_only=True)
class Site:
    """Everything of one trial."""

    connector: Connector
    """Of the campaign itself; it delivers nothing."""
    office: Path
    """The office's database."""
    server: psycopg.Connection[tuple[object, ...]]
    processes: list[Process]
    random: Random
    faulty: set[str]
    """Numbers of returns that customs would not accept."""
    drafts: list[Document] = field(default_factory=list)
    messages: dict[str, NewMessage] = field(default_factory=dict)
    """What was queued, by its id."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """Type and business key of every document queued."""

    def draft(self) -> None:
        """Make ready every document that nothing is wrong with; the messages they came in are closed."""
        with self.connector.database.write(Deed.PREPARE) as transaction:
            transaction.execute(update(MESSAGES).values(state=DeliveryState.CLOSED))
            guids = [view.guid for view in queries.documents(transaction, Filter())]
            found = documents.load(transaction, guids)
        self.drafts = [one for one in found if one.business_key.rpartition("/")[2] not in self.faulty]

    def queue(self, count: int) -> list[NewMessage]:
        """Queue so many documents, each alone in its message."""
        chosen = [self.drafts.pop() for _ in range(count)]
        created = datetime.now(UTC)
        made = [new_message(self.connector, message_type(one.type), [one], created=created) for one in chosen]
        with self.connector.database.write(Deed.PREPARE) as transaction:
            queue.add(transaction, made, now=self.connector.clock(transaction))
        self.messages |= {message.id: message for message in made}
        self.sent += [(one.type, one.business_key) for one in chosen]
        return made

    def change_a_return(self) -> None:
        """Somebody touches a return in the warehouse: it is read again."""
        with closing(sqlite3.connect(self.office.with_name("warehouse.db"))) as warehouse, warehouse:
            ids = [row[0] for row in warehouse.execute("SELECT id FROM wms_receipt_order ORDER BY id")]
            touched = (
                datetime.now(BEIJING).replace(tzinfo=None).isoformat(" ", "milliseconds"),
                self.random.choice(ids),
            )
            warehouse.execute("UPDATE wms_receipt_order SET update_time = ? WHERE id = ?", touched)

    def is_in_transaction(self, process: Process) -> bool:
        """Whether a process is in the middle of a transaction, so that others wait for it."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'"
        row = self.server.execute(query, (process.name,)).fetchone()
        assert row is not None
        return bool(row[0])


def wait_for(happened: Callable[[], bool], seconds: float = _PATIENCE) -> None:
    """Wait until something has happened. Raises `TookTooLong`."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TookTooLong(f"nothing happened within {seconds} s")
        time.sleep(_GLANCE)


@contextmanager
def open_site(folder: Path, random: Random) -> Iterator[Site]:
    """Build the enterprise, start the office and the processes."""
    port = free_port()
    with ExitStack() as stack:
        url = stack.enter_context(postgresql_url())
        processes = _started(stack)
        sample = build(folder / "enterprise", returns=RETURNS, seed=random.randrange(2**31), port=port)
        server = stack.enter_context(psycopg.connect(url.replace("+psycopg", ""), autocommit=True))
        text = sample.config.read_text("utf-8").replace("sqlite:///connector.db", url)
        for line in ("settle_seconds = 5\n", "retry_first_seconds = 1\n"):
            text = text.replace(line, "")
        sample.config.write_text(text.replace("[customs]\n", f"[customs]\n{_CUSTOMS}"), "utf-8")
        settings = load(sample.config)
        with closing(unchecked_database(settings)) as database:
            schema.upgrade(database)
        stack.enter_context(running_office(sample.registry, port))
        connector = short_leases(build_connector(settings))
        stack.callback(connector.database.close)
        _configured(stack, processes, sample.config, url)
        yield Site(
            connector=connector,
            office=sample.registry.with_name("customs.db"),
            server=server,
            processes=processes,
            random=random,
            faulty={number for numbers in sample.faults.values() for number in numbers},
        )


def _started(stack: ExitStack) -> list[Process]:
    """Processes that wait to be told their configuration."""
    pipes = [Pipe() for _ in range(WORKERS)]
    theirs = [their.fileno() for _, their in pipes]
    command = [sys.executable, "-m", "tests.campaigns.pause_worker", *map(str, theirs)]
    nursery = stack.enter_context(subprocess.Popen(command, pass_fds=theirs))
    stack.callback(nursery.terminate)
    for _, their in pipes:
        their.close()
    return [Process(name=f"worker-{number}", pipe=our) for number, (our, _) in enumerate(pipes)]


def _configured(stack: ExitStack, processes: Sequence[Process], config: Path, url: str) -> None:
    """Tell each where the database is, under a name of its own, and wait until all are ready."""
    for process in processes:
        process.pid = process.receive()
        stack.callback(process.end)
        own = config.with_name(f"{process.name}.toml")
        own.write_text(config.read_text("utf-8").replace(url, f"{url}?application_name={process.name}"), "utf-8")
        process.pipe.send(own)
    for process in processes:
        process.report()
