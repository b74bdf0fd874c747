"""What goes out after everything has been sent once: nothing at first, then exactly what changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector.demo.returns import BEIJING, Return, generate
from connector.demo.rows import archive_rows, customs_list, warehouse_rows

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Ledger = Callable[[Path], dict[tuple[str, str], dict[str, Any]]]

pytestmark = pytest.mark.xdist_group("acceptance_changes")

LATER = "2026-10-08 09:00:00.000"


@dataclass(frozen=True)
class Changes:
    """What a test changes before it looks at what goes out."""

    add_return: Callable[[], Return]
    declare_excess: Callable[[Path], str]


@pytest.fixture
def changes(add_return: Callable[[], Return], declare_excess: Callable[[Path], str]) -> Changes:
    return Changes(add_return, declare_excess)


@pytest.fixture
def add_return(query: Query, sample: Path) -> Callable[[], Return]:
    """Writes one more return, with its export list, into warehouse, archive and the lists that customs knows."""

    def add() -> Return:
        parcel = next(generate(1, seed=99))
        parcel = replace(
            parcel,
            number=9_001,
            order=replace(parcel.order, number=9_001),
            changed_at=datetime(2026, 10, 8, 9, tzinfo=BEIJING),
        )
        rows = [("warehouse.db", *row) for row in warehouse_rows(parcel)]
        rows += [("archive.db", *row) for row in archive_rows(parcel)]
        for database, table, row in rows:
            places = ", ".join("?" * len(row))
            query(sample / database, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())
        with (sample / "export-lists.jsonl").open("a", encoding="utf-8") as lists:
            lists.write(json.dumps(customs_list(parcel), ensure_ascii=False) + "\n")
        return parcel

    return add


def test_run_once_sends_nothing_when_nothing_changed(
    sample: Path, read: Read, ledger: Ledger, office: Office, connector: Run
) -> None:
    before, counted = ledger(sample), read(sample, "status")
    with office(sample):
        first = connector(sample, "run", "--once")
        second = read(sample, "run", "--once")
    assert first.stdout == ""
    assert {name: second[name] for name in ("collected", "quarantined", "documents", "messages", "attempts")} == {
        "collected": 0,
        "quarantined": 0,
        "documents": 0,
        "messages": 0,
        "attempts": {},
    }
    assert ledger(sample) == before
    assert read(sample, "status")["messages"] == counted["messages"]


def test_run_once_sends_exactly_what_changed_when_rows_changed(
    sample: Path, read: Read, ledger: Ledger, office: Office, query: Query, changes: Changes
) -> None:
    with office(sample):
        rejected = changes.declare_excess(sample)
    before = ledger(sample)
    new = changes.add_return()
    warehouse = sample / "warehouse.db"
    # A column that no mapping reads; the row counts as changed.
    query(
        warehouse,
        "UPDATE wms_receipt_order SET total_amount = '1.23', update_time = ? WHERE order_no = 'RK10000003'",
        LATER,
    )
    order_no = rejected.rpartition("/")[2]
    query(
        warehouse,
        "UPDATE wms_receipt_order_detail SET quantity = '1.00' WHERE order_id = "
        "(SELECT id FROM wms_receipt_order WHERE order_no = ?)",
        order_no,
    )
    query(warehouse, "UPDATE wms_receipt_order SET update_time = ? WHERE order_no = ?", LATER, order_no)

    with office(sample):
        run = read(sample, "run", "--once")
        read(sample, "run", "--once")  # the office has gone through all its stages by now
    after = ledger(sample)

    keys = {
        ("CEB213", f"4401980A31/{new.order_no}"): 1,
        ("CEB215", f"4401660B27/{new.order_no}"): 1,
        ("CEB213", rejected): 2,
    }
    assert run["collected"] == 3
    assert (run["documents"], run["messages"], run["attempts"]) == (3, 2, {"taken_in": 2})
    assert run["quarantined"] == 0
    assert {key for key in after if after[key] != before.get(key)} == set(keys)
    assert before.keys() <= after.keys()
    for key, times_received in keys.items():
        assert (after[key]["times_received"], after[key]["times_accepted"]) == (times_received, 1)
    documents = read(sample, "documents", "list", "--key", rejected)["documents"]
    assert [(one["revision"], one["customs_status"]) for one in documents] == [(1, "rejected"), (2, "released")]
    assert [one["app_type"] for one in documents] == ["1", "1"]


def test_run_once_holds_the_row_when_it_changed_after_customs_accepted_it(
    sample: Path, read: Read, ledger: Ledger, office: Office, query: Query
) -> None:
    before = ledger(sample)
    query(
        sample / "warehouse.db",
        "UPDATE wms_receipt_order SET warehouse_id = (SELECT id FROM wms_warehouse WHERE id != warehouse_id LIMIT 1), "
        "update_time = ? WHERE order_no = 'RK10000003'",
        LATER,
    )
    with office(sample):
        run = read(sample, "run", "--once", code=3)
    assert (run["collected"], run["quarantined"], run["documents"]) == (1, 2, 0)
    assert ledger(sample) == before
    held = [one for one in read(sample, "quarantine", "list")["quarantine"] if one["key"] == "RK10000003"]
    assert {(one["type"], one["reason"]) for one in held} == {
        ("CEB213", "changed_after_acceptance"),
        ("CEB215", "changed_after_acceptance"),
    }
