"""The sample enterprise on PostgreSQL: as our own database, as its own, and with two connectors at work at once.

Everything runs as users run it, as processes; what they left behind is read from the databases.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from connector.audit.queries import EntryFilter, entries
from connector.bootstrap import build_connector, open_database, unchecked_database
from connector.config import load
from connector.demo import tables
from connector.demo.enterprise import Enterprise, build
from connector.demo.office import free_port, running_office
from connector.demo.outcome import Outcome, read_outcome
from connector.demo.returns import Fault
from connector.pipeline.cycle import collect_and_prepare
from connector.simulator.ledger import read_ledger
from connector.storage import schema

TYPES_OF_POSTGRESQL = {
    r"((create|update|release)_time) TEXT": r"\1 TIMESTAMP(3)",
    r"(\w*quantity|amount|qty\d?) TEXT": r"\1 NUMERIC(19,5)",
    r"\bTINYINT\b": "SMALLINT",
}
"""The sample keeps times and quantities as text because SQLite has no types for them; PostgreSQL has."""

BuildSample = Callable[[int], Enterprise]


@pytest.fixture
def build_sample(tmp_path: Path) -> Iterator[BuildSample]:
    """Builds a sample of so many returns and keeps its customs office running."""
    with ExitStack() as offices:

        def build_one(returns: int) -> Enterprise:
            port = free_port()
            sample = build(tmp_path / "sample", returns=returns, seed=1, port=port)
            offices.enter_context(running_office(sample.registry, port))
            return sample

        yield build_one


def run_once(sample: Enterprise, *, at_once: int = 1) -> list[dict[str, Any]]:
    """Run so many cycles, each a process of its own, all at the same time; what each of them did."""
    command = [sys.executable, "-m", "connector", "--config", str(sample.config), "run", "--once", "--json"]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(at_once)
    ]
    done = [(run, *run.communicate(timeout=90)) for run in runs]
    for run, _, errors in done:
        assert run.returncode in {0, 3}, errors
    return [json.loads(output) for _, output, _ in done]


def run_until_answered(sample: Enterprise, *, at_once: int = 1) -> Counter[str]:
    """Run cycles until every document has its final answer; how much all of them did together."""
    total: Counter[str] = Counter()
    end = time.monotonic() + 60
    while time.monotonic() < end and (not total or outcome(sample).unanswered):
        for cycle in run_once(sample, at_once=at_once):
            total += Counter({name: figure for name, figure in cycle.items() if isinstance(figure, int)})
            total += Counter({f"attempts {name}": figure for name, figure in cycle["attempts"].items()})
    return total


def outcome(sample: Enterprise) -> Outcome:
    """What the documents of a sample came to."""
    database = open_database(load(sample.config))
    try:
        with database.read() as connection:
            return read_outcome(connection, sample)
    finally:
        database.close()


def assert_as_planted(sample: Enterprise) -> Outcome:
    """Every return came out as it was planted, and the log of it is numbered without gaps."""
    found = outcome(sample)
    assert not found.surprises
    planted = {kind: len(numbers) for kind, numbers in sample.faults.items()}
    only_213 = {
        Fault.LIST_UNKNOWN_TO_US,
        Fault.CONTROL_CHARACTER,
        Fault.UNKNOWN_UNIT,
        Fault.QUANTITY_ABOVE_ORIGINAL,
    }
    figures = (found.released, found.finished, found.rejected, found.quarantined, found.unanswered)
    assert figures == (
        sample.returns - sum(planted.values()),
        sample.returns - planted[Fault.MISSING_WAYBILL],
        planted[Fault.LIST_UNKNOWN_TO_CUSTOMS],
        sum(planted[kind] for kind in only_213) + 2 * planted[Fault.MISSING_WAYBILL],
        0,
    )
    database = open_database(load(sample.config))
    with database.read() as connection:
        numbers = sorted(one.sequence for one in entries(connection, EntryFilter()))
    database.close()
    assert numbers == list(range(1, found.audit_entries + 1))
    return found


def assert_once_at_customs(sample: Enterprise, found: Outcome) -> None:
    """Customs holds each document, has received none twice, and holds nothing else."""
    ledger = read_ledger(sample.directory / "customs.db", datetime.now(UTC))
    assert len(ledger.documents) == found.documents
    assert len(ledger.messages) == found.messages
    assert {one.times_received for one in ledger.documents} == {1}
    assert {one.times_received for one in ledger.messages} == {1}
    assert sum(one.times_accepted for one in ledger.documents) == found.released + found.finished


def make_tables(sample: Enterprise) -> None:
    database = unchecked_database(load(sample.config))
    schema.upgrade(database)
    database.close()


def copy_into_postgresql(file: Path, ddl: str, url: str) -> None:
    """The tables of a SQLite file with all their rows, in PostgreSQL with its own types."""
    for pattern, replacement in TYPES_OF_POSTGRESQL.items():
        ddl = re.sub(pattern, replacement, ddl)
    engine = create_engine(url, poolclass=NullPool)
    with closing(sqlite3.connect(file)) as source, engine.begin() as target:
        target.execute(text(ddl))
        for table in re.findall(r"CREATE TABLE (\w+)", ddl):
            rows = source.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            values = [dict(zip(names, row, strict=True)) for row in rows]
            if values:
                places = ", ".join(f":{name}" for name in names)
                target.execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"), values)


def mapped_content(sample: Enterprise) -> dict[tuple[str, str], object]:
    """(Type, business key) -> digest of the content that the source row was mapped to."""
    database = open_database(load(sample.config))
    with database.read() as connection:
        found = entries(connection, EntryFilter(event="mapped"))
    database.close()
    return {(one.document_type, one.business_key): one.detail["content"] for one in found}


def test_sample_comes_out_as_planted_when_our_database_is_postgresql(
    build_sample: BuildSample, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", postgresql_url)
    sample = build_sample(60)
    make_tables(sample)
    run_until_answered(sample)
    found = assert_as_planted(sample)
    assert (found.released, found.finished, found.rejected, found.quarantined) == (54, 59, 1, 6)
    assert_once_at_customs(sample, found)
    for _ in range(2):
        (cycle,) = run_once(sample)
        assert not any(cycle[name] for name in ("collected", "quarantined", "documents", "attempts", "receipts"))
    assert assert_as_planted(sample) == found
    assert_once_at_customs(sample, found)


def test_rows_give_the_same_documents_when_the_warehouse_is_postgresql(
    build_sample: BuildSample, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = build_sample(60)
    make_tables(sample)
    collect_and_prepare(build_connector(load(sample.config)))
    expected = mapped_content(sample)
    copy_into_postgresql(sample.directory / "warehouse.db", tables.WAREHOUSE, postgresql_url)
    copy_into_postgresql(sample.directory / "archive.db", tables.ARCHIVE, postgresql_url)
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", f"sqlite:///{sample.directory / 'second.db'}")
    for source in ("WAREHOUSE", "ARCHIVE"):
        monkeypatch.setenv(f"CONNECTOR_SOURCES__{source}__URL", postgresql_url)
    make_tables(sample)
    run_until_answered(sample)
    found = assert_as_planted(sample)
    assert_once_at_customs(sample, found)
    assert len(expected) == found.documents
    assert mapped_content(sample) == expected


def test_nothing_is_lost_or_doubled_when_two_connectors_work_at_once(
    build_sample: BuildSample, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", postgresql_url)
    sample = build_sample(200)
    records = sample.directory / "mappings/returns.toml"
    records.write_text(records.read_text("utf-8").replace("page_size = 500", "page_size = 5"), "utf-8")
    make_tables(sample)
    # Pages of five: the two meet at every one of them.
    together = run_until_answered(sample, at_once=2)
    found = assert_as_planted(sample)
    assert_once_at_customs(sample, found)
    figures = {name: together[name] for name in ("collected", "documents", "messages", "attempts taken_in")}
    assert figures == {
        "collected": sample.returns,
        "documents": found.documents,
        "messages": found.messages,
        "attempts taken_in": found.messages,
    }
