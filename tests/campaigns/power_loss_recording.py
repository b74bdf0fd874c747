"""Programs at work under the shim, and what they let out: from that moment on it counts as acknowledged."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from connector.demo.enterprise import build as build_enterprise
from connector.demo.office import free_port, running_office
from tests.campaigns.disk_shim import File, Kind, Record, acknowledge, build, recording
from tests.campaigns.power_loss_check import Acknowledged

_COMMITS = 180
_RETURNS = 60
_FASTER = {
    "connector.toml": {
        "collect_seconds = 5": "collect_seconds = 0.2",
        "deliver_seconds = 1": "deliver_seconds = 0.1",
        "receipts_seconds = 1": "receipts_seconds = 0.2",
    },
    "registry.toml": {"stage_seconds = 0.2": "stage_seconds = 0.02"},
}
"""So that a daemon gets far in the short time it has: file -> text -> what replaces it."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CURSOR = re.compile(rb"afterSequence>(\d+)<")


def record_writer(folder: Path, seed: int) -> Path:
    """Record the writer; the log."""
    library, log = build(folder), folder / "log"
    command = [sys.executable, "-m", "tests.campaigns.power_loss_writer", str(folder), str(seed), str(_COMMITS)]
    subprocess.run(command, env=os.environ | recording(library, folder / "connector.db", log), check=True)
    return log


def record_daemon(folder: Path, seed: int) -> Path:
    """Record the daemon until it is killed, then a full cycle, then a command that shows the audit log; the log."""
    random, port, sample = Random(seed), free_port(), folder / "enterprise"
    enterprise = build_enterprise(sample, returns=_RETURNS, seed=seed, port=port)
    _hurry(sample)
    library, log = build(folder), folder / "log"
    environment = os.environ | recording(library, sample / "connector.db", log)
    command = [sys.executable, "-m", "connector", "--config", str(enterprise.config)]
    subprocess.run([*command, "db", "upgrade"], env=environment, check=True, capture_output=True)
    with running_office(enterprise.registry, port):
        with (folder / "stderr.log").open("wb") as errors:
            daemon = subprocess.Popen([*command, "run"], env=environment, stderr=errors)
            _bring_returns(sample / "warehouse.db", random.uniform(1.5, 3.5), random)
            daemon.kill()
            daemon.wait()
        # It may end with 3, partial: a sample has faults on purpose.
        subprocess.run([*command, "run", "--once"], env=environment, check=False, capture_output=True)
    shown = subprocess.run(
        [*command, "audit", "list", "--limit", "100000", "--json"], env=environment, check=True, capture_output=True
    )
    entries = len(json.loads(shown.stdout)["entries"])
    acknowledge(log, json.dumps({"entries": entries}).encode())
    return log


def _hurry(sample: Path) -> None:
    for name, changes in _FASTER.items():
        text = (sample / name).read_text("utf-8")
        for old, new in changes.items():
            text = text.replace(old, new)
        (sample / name).write_text(text, "utf-8")


def _bring_returns(warehouse: Path, seconds: float, random: Random) -> None:
    """Have returns come a few at a time, so that there is always something to commit and to send."""
    end = time.monotonic() + seconds
    with closing(sqlite3.connect(warehouse, isolation_level=None)) as connection:
        rows = connection.execute("SELECT * FROM wms_receipt_order ORDER BY order_no").fetchall()
        connection.execute("DELETE FROM wms_receipt_order")
        places = ", ".join("?" * len(rows[0]))
        while (left := end - time.monotonic()) > 0:
            count = random.randint(1, 4)
            some, rows = rows[:count], rows[count:]
            connection.executemany(f"INSERT INTO wms_receipt_order VALUES ({places})", some)
            time.sleep(min(left, 0.1))


@dataclass(slots=True)
class Marks:
    """What was acknowledged where: place in the log -> lines of acknowledgements, or requests to customs."""

    lines: dict[int, bytes] = field(default_factory=dict)
    requests: dict[int, bytes] = field(default_factory=dict)
    """Bodies, each at the place where its first byte was about to leave."""

    def take(self, place: int, acknowledged: Acknowledged) -> None:
        """Add what the record at a place acknowledges."""
        if place in self.lines:
            acknowledged.add(self.lines[place])
        body = self.requests.get(place)
        if body is None:
            return
        acknowledged.count += 1
        if cursor := _CURSOR.search(body):
            acknowledged.cursor = max(acknowledged.cursor, int(cursor[1]))
        elif b"queryMessage" in body:
            acknowledged.questions += 1
        else:
            digest = hashlib.sha256(body).hexdigest()
            acknowledged.sent[digest] = acknowledged.sent.get(digest, 0) + 1


def marks(records: Sequence[Record]) -> Marks:
    """Find every acknowledgement in a log."""
    found = Marks()
    sent: dict[tuple[int, int], bytes] = defaultdict(bytes)
    begun: dict[tuple[int, int], int] = {}
    for place, record in enumerate(records):
        connection = (record.process, record.fd)
        match record.kind:
            case Kind.WRITE if record.file is File.ACKNOWLEDGED:
                found.lines[place] = record.data
            case Kind.OPEN if record.file is File.SOCKET:
                sent.pop(connection, None)
                begun.pop(connection, None)
            case Kind.SENDING:
                begun.setdefault(connection, place)
            case Kind.SENT:
                sent[connection] += record.data
                head, _, body = sent[connection].partition(b"\r\n\r\n")
                length = _LENGTH.search(head)
                if length and len(body) >= int(length[1]):
                    found.requests[begun.pop(connection)] = body
                    sent.pop(connection)
    return found
