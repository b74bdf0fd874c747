"""A place to be killed at: a sample enterprise, its customs office as a process, and our records on either database.

The warehouse is empty at first; returns come in when a trial lets them, with the time of that moment as their change
time, so that there is work whenever a process dies.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal, TypeAlias

import psycopg

from connector.bootstrap import unchecked_database
from connector.config import load
from connector.demo.enterprise import Enterprise, build
from connector.demo.office import running_office
from connector.messages.catalogue import BEIJING
from connector.storage import schema
from connector.storage.database import Database
from tests.campaigns.daemon_under_test import Aim, Life, Orders, begin
from tests.campaigns.listing import POSTGRESQL

DatabaseKind: TypeAlias = Literal["sqlite", "postgresql"]

TYPES = ("CEB213", "CEB215")
"""What the mappings of a sample make of each return."""
DEADLINE = 2.0
SETTLE = 2.0
"""Longer than the office ever takes over a request; so long a message stays in doubt."""
_CONFIGURED = {
    "customs": {
        "deadline_seconds": str(DEADLINE),
        "settle_seconds": str(SETTLE),
        "retry_first_seconds": "0.05",
        "retry_most_seconds": "0.2",
        "attempts": "1000",
        "breaker_failures": "1000000",
        "breaker_open_seconds": "0.05",
        "breaker_probes": "1",
    },
    "audit": {"every_seconds": "0.2"},
    "schedule": {"collect_seconds": "0.2", "deliver_seconds": "0.2", "receipts_seconds": "0.2"},
}
"""Short waits: a trial has seconds, not hours."""
_PORTS = (20_000, 32_000)
_TABLE = "wms_receipt_order"


@dataclass(slots=True, kw_only=True)
class Site:
    """Everything of one trial."""

    sample: Enterprise
    port: int
    """Of the office."""
    types: tuple[str, ...]
    """Message types that the enterprise has mappings for."""
    database: Database
    """Our records, to be looked at from outside."""
    log: Path
    """What every daemon said."""
    outside: list[dict[str, Any]]
    """Returns that have not come in yet, in their order."""
    arrived: list[str] = field(default_factory=list)
    """Receipt numbers of those that have."""
    is_stranger: bool = False
    """Declares for a company that the office does not know: everything is rejected."""
    revised: set[str] = field(default_factory=set)
    """Business keys that an operator has corrected once."""
    last: datetime | None = None
    """When the last ones came."""

    @property
    def office(self) -> Path:
        """The office's database."""
        return self.sample.registry.with_name("customs.db")

    def make_tables(self) -> None:
        """Do ``connector db upgrade``."""
        schema.upgrade(self.database)

    def arrive(self, count: int) -> list[str]:
        """So many further returns come into the warehouse; their receipt numbers."""
        rows, self.outside = self.outside[:count], self.outside[count:]
        self._write(rows)
        numbers = [str(row["order_no"]) for row in rows]
        self.arrived += numbers
        return numbers

    def become_stranger(self) -> None:
        """Declare for a company that the office does not know, from now on."""
        self.is_stranger = True
        configure(self.sample.config, {"values": {"agent_code": '"4401ZZZZZZ"', "operator_code": '"4401ZZZZZZ"'}})

    def tell(self, path: str, content: Mapping[str, object]) -> None:
        """Tell the office, by an admin call, what is to go wrong there."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=json.dumps(content).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def life(self, aim: Aim | None = None, *, workers: int = 1, work: str = "daemon", subject: str = "") -> Life:
        """Start a process on it."""
        orders = Orders(config=self.sample.config, log=self.log, work=work, subject=subject, aim=aim, workers=workers)
        return begin(orders)

    def _write(self, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        # Collecting goes on from the last change time and key: what comes later must stand behind both.
        while (now := _milliseconds(datetime.now(BEIJING))) == self.last:
            time.sleep(0.001)
        self.last = now
        changed = now.replace(tzinfo=None).isoformat(" ", "milliseconds")
        values = [tuple((row | {"update_time": changed}).values()) for row in rows]
        with closing(_warehouse(self.sample)) as connection, connection:
            connection.executemany(f"INSERT INTO {_TABLE} VALUES ({', '.join('?' * len(values[0]))})", values)


@contextmanager
def open_site(
    folder: Path,
    *,
    returns: int,
    seed: int,
    kind: DatabaseKind,
    types: Sequence[str] = TYPES,
) -> Iterator[Site]:
    """Build the enterprise and start its office; nothing has come in yet, and our tables are not made."""
    port = _port()
    sample = build(folder / "enterprise", returns=returns, seed=seed, port=port)
    for name in set(TYPES) - set(types):
        (sample.directory / "mappings" / f"{name}.toml").unlink()
    records = sample.directory / "mappings" / "returns.toml"
    text = records.read_text("utf-8")  # nothing read again may hide a cursor that moved too early
    records.write_text(text.replace("page_size = 500", "page_size = 500\noverlap_seconds = 0"), "utf-8")
    configure(sample.registry, {"delays": {"stage_seconds": "0.01"}})
    configure(sample.config, _CONFIGURED)
    with _records(sample, kind), running_office(sample.registry, port):
        database = unchecked_database(load(sample.config))
        try:
            yield Site(
                sample=sample,
                port=port,
                types=tuple(types),
                database=database,
                log=folder / "daemon.log",
                outside=_emptied(sample),
            )
        finally:
            database.close()


@contextmanager
def _records(sample: Enterprise, kind: DatabaseKind) -> Iterator[None]:
    """An empty database for our records, and the configuration that names it."""
    if kind == "sqlite":
        yield
        return
    name = f"connector_campaign_{uuid.uuid4().hex[:12]}"
    url = POSTGRESQL.replace("postgresql://", "postgresql+psycopg://").rpartition("/")[0]
    configure(sample.config, {"database": {"url": f'"{url}/{name}"'}})
    with closing(psycopg.connect(POSTGRESQL, autocommit=True)) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _port() -> int:
    """A free port below those that the system hands out to clients: nobody gets it before the office, built later."""
    while True:
        port = SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _emptied(sample: Enterprise) -> list[dict[str, Any]]:
    """The returns of the warehouse, which has none from now on; their goods stay."""
    with closing(_warehouse(sample)) as connection, connection:
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {_TABLE} ORDER BY id")]
        connection.execute(f"DELETE FROM {_TABLE}")
    return rows


def _warehouse(sample: Enterprise) -> sqlite3.Connection:
    connection = sqlite3.connect(sample.directory / "warehouse.db", timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def configure(path: Path, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Set keys of tables that the file has, whether or not it has the keys."""
    table, kept = "", []
    for line in path.read_text("utf-8").splitlines():
        table = line.strip("[]") if line.startswith("[") else table
        if line.partition("=")[0].strip() not in tables.get(table, {}):
            kept.append(line)
        if line.startswith("["):
            kept += [f"{key} = {value}" for key, value in tables.get(table, {}).items()]
    path.write_text("\n".join(kept) + "\n", "utf-8")


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
