"""Warehouses that are not in this repository, connected by files: AdventureWorks in SQL, an online retailer's CSV."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from random import Random

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.demo.office import free_port, running_office
from connector.outbox import queries
from connector.outbox.queries import Filter
from connector.pipeline.cycle import collect_and_prepare, run_once
from connector.pipeline.leasing import end_all
from connector.sources import quarantine
from connector.storage import schema
from tests.forks import FORKS
from tests.integration.any_warehouse import LINES, WOD_HEAD, adventureworks, connect, wrong_events

KILLS = 40


def _work(config: Path) -> None:
    connector = build_connector(load(config))
    with connector.database.held_alone():
        end_all(connector)
        collect_and_prepare(connector)


def test_every_line_becomes_one_event_though_the_process_is_killed_again_and_again(
    tmp_path: Path, reference: Path
) -> None:
    config = adventureworks(tmp_path, free_port(), reference)
    settings = load(config)
    schema.upgrade(unchecked_database(settings))
    random, killed = Random(LINES), 0
    for _ in range(KILLS):
        process = FORKS.Process(target=_work, args=(config,))
        process.start()
        time.sleep(random.uniform(0.05, 0.35))
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed > KILLS / 2, "the work was over before most of the kills"
    _work(config)
    assert not list(wrong_events(config))


RETURNED = """\
records = "returned"
database = "shop"
query = '''
SELECT r._id, r._file, r._line, r.InvoiceNo AS invoice, r.StockCode AS item, r.Description AS name,
       r.Quantity AS quantity, r.InvoiceDate AS at
FROM retail r
WHERE r.InvoiceNo LIKE 'C%'
'''
key = ["_file", "_line"]
unique = "_id"

[columns]
_id = "integer"
_file = "text"
_line = "integer"
invoice = "text"
item = "text"
name = "text"
quantity = "decimal"
at = "time"
"""
ARRIVED = f"""\
message = "WOD101"
version = 1
records = "returned"

[head]
eventTime    = {{ field = "record.at", time = {{ zone = "Asia/Shanghai", format = "%Y%m%d%H%M%S" }} }}
step         = {{ const = "receiving" }}
disposition  = {{ const = "returned" }}
{WOD_HEAD}
logisticsNo  = {{ field = "record.invoice" }}
itemNo       = {{ field = "record.item" }}
gname        = {{ field = "record.name" }}
qty          = {{ field = "record.quantity", decimal = {{ places = 5, negate = true }} }}
unit         = {{ const = "007" }}
"""


def test_lines_of_returned_invoices_are_all_mapped_or_quarantined_from_a_csv(tmp_path: Path, reference: Path) -> None:
    slice_ = reference / "warehouses" / "online-retail" / "online_retail_slice.csv"
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "retail-2010-12.csv").write_bytes(slice_.read_bytes())
    source = (
        f'[sources.shop]\nurl = "sqlite:///{tmp_path / "drop.db"}"\nfolder = "{drop}"\ntimezone = "Europe/London"\n'
        '[sources.shop.files]\n"retail-*.csv" = "retail"\n'
    )
    port = free_port()
    config = connect(tmp_path / "site", port, source, {"returned.toml": RETURNED, "arrived.toml": ARRIVED})
    settings = load(config)
    schema.upgrade(unchecked_database(settings))
    with running_office(config.with_name("registry.toml"), port):
        connector = build_connector(settings)
        for _ in range(3):
            run_once(connector)
            time.sleep(0.05)
    with slice_.open(encoding="utf-8", newline="") as file:
        returned = [row for row in csv.DictReader(file) if row["InvoiceNo"].startswith("C")]
    with connector.database.read() as connection:
        views = queries.documents(connection, Filter())
        contents = [queries.content(connection, view.guid) for view in views]
        held = quarantine.waiting_entries(connection)
    assert len(views) + len(held) == len(returned) > 0
    assert {view.customs_status for view in views} == {"finished"}
    names = {fault["field"] for one in held for fault in one.faults}
    assert names <= {"gname"}, held
    declared = Counter((one.head["logisticsNo"], one.head["itemNo"], one.head["qty"]) for one in contents if one)
    assert declared <= Counter((row["InvoiceNo"], row["StockCode"], str(-Decimal(row["Quantity"]))) for row in returned)
