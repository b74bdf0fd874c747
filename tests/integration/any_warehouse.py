"""Connecting a warehouse that the program has never seen: by a configuration, a records file and a mapping."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select

from connector.bootstrap import open_database
from connector.config import load
from connector.demo.enterprise import build
from connector.outbox import queries
from connector.outbox.queries import Filter
from connector.sources import quarantine
from connector.storage.sources import SOURCE_RECORDS

WOD_HEAD = """\
customsCode  = { const = "5141" }
siteCode     = { const = "GZKG01" }
operatorCode = { value = "operator_code" }
"""
EVENTS = f"""\
message = "WOD101"
version = 1
records = "moves"

[head]
eventTime = {{ const = "20260601080000" }}
step      = {{ const = "receiving" }}
{WOD_HEAD}
itemNo    = {{ field = "record.no" }}
qty       = {{ const = "1" }}
unit      = {{ const = "007" }}
"""
"""A mapping of whatever the records file ``moves`` reads."""
LINES = 8845
"""Lines of AdventureWorks' receiving; 308 distinct times."""
RECEIVING = """\
records = "receiving"
database = "adventureworks"
query = '''
SELECT d.PurchaseOrderDetailID AS id, d.PurchaseOrderID AS order_id, d.ProductID AS product, d.ReceivedQty AS received,
       d.ModifiedDate AS changed
FROM PurchaseOrderDetail d
'''
key = ["order_id", "id"]
changed = "changed"
unique = "id"
page_size = 10

[columns]
id = "integer"
order_id = "integer"
product = "integer"
received = "decimal"
changed = "time"
"""
RECEIVED = f"""\
message = "WOD101"
version = 1
records = "receiving"

[head]
eventTime    = {{ field = "record.changed", time = {{ zone = "Asia/Shanghai", format = "%Y%m%d%H%M%S" }} }}
step         = {{ const = "receiving" }}
{WOD_HEAD}
itemNo       = {{ field = "record.product" }}
qty          = {{ field = "record.received" }}
unit         = {{ const = "007" }}
"""


def connect(folder: Path, port: int, sources: str, files: Mapping[str, str]) -> Path:
    """Keys, office and configuration of the sample enterprise, with other sources and mapping files; the configuration.

    sources: the ``[sources.NAME]`` tables; files: name -> TOML, all that the mapping folder holds.
    """
    sample = build(folder, returns=1, seed=1, port=port)
    for file in (folder / "mappings").glob("*.toml"):
        if file.name != "codes.toml":
            file.unlink()
    for name, text in files.items():
        (folder / "mappings" / name).write_text(text, "utf-8")
    config = sample.config.read_text("utf-8")
    theirs = re.compile(r"\[sources\.warehouse\].*?(?=\[enterprise\])", re.DOTALL)
    config, count = theirs.subn(lambda _: sources + "\n", config)
    assert count == 1
    sample.config.write_text(config, "utf-8")
    registry = sample.registry.read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
    sample.registry.write_text(registry, "utf-8")
    return sample.config


def adventureworks(folder: Path, port: int, reference: Path) -> Path:
    """The whole of its receiving in a SQLite table, read in pages of ten; the configuration."""
    with (
        closing(sqlite3.connect(folder / "aw.db")) as connection,
        connection,
        (reference / "warehouses" / "adventureworks" / "PurchaseOrderDetail.csv").open(encoding="utf-8") as file,
    ):
        connection.execute(
            "CREATE TABLE PurchaseOrderDetail (PurchaseOrderID INT, PurchaseOrderDetailID INT PRIMARY KEY,"
            " DueDate TEXT, OrderQty INT, ProductID INT, UnitPrice TEXT, LineTotal TEXT, ReceivedQty TEXT,"
            " RejectedQty TEXT, StockedQty TEXT, ModifiedDate TEXT)"
        )
        rows = csv.reader(file, delimiter="\t")
        connection.executemany(f"INSERT INTO PurchaseOrderDetail VALUES ({', '.join('?' * 11)})", rows)
    source = f'[sources.adventureworks]\nurl = "sqlite:///{folder / "aw.db"}"\ntimezone = "America/Los_Angeles"\n'
    return connect(folder / "site", port, source, {"receiving.toml": RECEIVING, "received.toml": RECEIVED})


def wrong_events(config: Path) -> Iterator[str]:
    """What is not as it should be when each line of AdventureWorks is one event in one message."""
    with closing(open_database(load(config))) as database, database.read() as connection:
        views = queries.documents(connection, Filter())
        carried = [guid for one in queries.messages(connection, Filter()) for guid in one.guids]
        records = connection.execute(select(func.count(), func.max(SOURCE_RECORDS.c.version))).one()
        held = quarantine.count_waiting(connection)
    if (len(views), len({view.business_key for view in views}), held) != (LINES, LINES, 0):
        yield f"{len(views)} documents of {len({view.business_key for view in views})} keys, {held} in quarantine"
    if sorted(carried) != sorted(view.guid for view in views):
        yield f"{len(carried)} documents stand in messages"
    if tuple(records) != (LINES, 1):
        yield f"{records[0]} records are stored, in up to {records[1]} versions"
