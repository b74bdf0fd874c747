"""The sample enterprise: a warehouse, an archive, a customs registry and a configuration, written into one folder.

::

    sample = build(Path("demo"), returns=60, seed=1, port=8610)
    sample.faults["missing_waybill"]     # the receipt numbers of the returns that have this fault

Everything but the keys follows from the seed. Rows are written as they are generated, so memory does not grow with the
number of returns.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import ssl
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from connector.config import shipped
from connector.demo import parties, tables
from connector.demo.handling import Stock, handling_rows
from connector.demo.returns import Fault, generate
from connector.demo.rows import archive_rows, customs_list, master_rows, warehouse_rows
from connector.errors import UsageError
from connector.signing.notes import new_note_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from connector.demo.returns import Return
    from connector.demo.rows import TableRow

_BATCH = 1000
_AREAS = parties.AREA_NAMES
_STEPS = {
    "unpacking": "unpacking",
    "inspection": "inspecting",
    "storage": "storing",
    "holding": "holding",
    "dispatch": "picking",
}
"""What is done with goods that are moved into an area of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enterprise:
    """What was built, and what was planted in it."""

    directory: Path
    config: Path
    """The configuration, ready for every command."""
    registry: Path
    """What the simulated customs office is told."""
    returns: int
    faults: Mapping[str, tuple[str, ...]]
    """Kind of fault (`connector.demo.returns.Fault`) -> receipt numbers, empty where none was planted."""


def build(
    directory: Path, *, returns: int, seed: int, port: int, suite: str = "sm2-sm3", mappings: Sequence[str] = ("ruoyi",)
) -> Enterprise:
    """Write a sample enterprise of that many returns into a folder of its own.

    port: where the simulated customs office will listen on loopback; suite: what it signs with; mappings: which of the
    shipped folders it uses. Raises `UsageError` if the folder holds anything.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UsageError(
            f"{directory} is not empty",
            effect="nothing was written",
            remedy="name a new folder; the connector runs on an existing one with --config connector.toml",
        )
    certs = directory / "certs"
    script = shipped("certs") / "make_development_pki.py"
    command = [sys.executable, str(script), str(certs), "--suite", suite]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own script, our own interpreter
    new_note_key(certs / "audit.key.pem")
    for name in mappings:
        shutil.copytree(shipped("mappings") / name, directory / "mappings", dirs_exist_ok=True)
    faults = _write_data(directory, returns, seed)
    registry, config = directory / "registry.toml", directory / "connector.toml"
    registry.write_text(_registry(port, _fingerprint(certs / "enterprise.crt.pem")), "utf-8")
    config.write_text(_configuration(port, suite), "utf-8")
    return Enterprise(directory=directory, config=config, registry=registry, returns=returns, faults=faults)


def _write_data(directory: Path, returns: int, seed: int) -> dict[str, tuple[str, ...]]:
    faults: dict[str, list[str]] = {fault.value: [] for fault in Fault}
    with (
        closing(_database(directory / "warehouse.db", tables.WAREHOUSE)) as warehouse,
        closing(_database(directory / "archive.db", tables.ARCHIVE)) as archive,
        (directory / "export-lists.jsonl").open("w", encoding="utf-8") as lists,
    ):
        _insert(warehouse, master_rows())
        parcels, stock = generate(returns, seed), Stock()
        while batch := list(islice(parcels, _BATCH)):
            _insert(warehouse, (row for parcel in batch for row in warehouse_rows(parcel)))
            _insert(warehouse, (row for parcel in batch for row in handling_rows(parcel)))
            stock.add(batch)
            _insert(archive, (row for parcel in batch for row in archive_rows(parcel)))
            lists.writelines(_json_lines(batch))
            for parcel in batch:
                if parcel.fault:
                    faults[parcel.fault].append(parcel.order_no)
        _insert(warehouse, stock.count_rows())
    return {kind: tuple(numbers) for kind, numbers in faults.items()}


def _sites() -> str:
    """Our supervised sites, each with its functional areas."""
    tables = []
    for site in parties.WAREHOUSES:
        tables.append(f"[sites.{site.site}]  # {site.name}")
        tables.append(f'customs_code = "{site.office}"\nexports_9610_from = 2025-01-01\n')
        for kind, number in site.areas.items():
            tables.append(f'[sites.{site.site}.areas."{_AREAS[kind]}"]')
            tables.append(f'kind = "{kind}"\nreturns_only = true\nlocations = ["{number}"]\n')
    return "\n".join(tables)


def _database(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript(schema)
    # Nothing is lost with a sample that a power failure spoils: it is built again.
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _insert(connection: sqlite3.Connection, rows: Iterable[TableRow]) -> None:
    groups: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = defaultdict(list)
    for table, row in rows:
        groups[table, tuple(row)].append(row)
    with connection:
        for (table, columns), values in groups.items():
            places = ", ".join(f":{column}" for column in columns)
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)  # noqa: S608 - our names


def _json_lines(batch: Iterable[Return]) -> Iterable[str]:
    return (json.dumps(known, ensure_ascii=False) + "\n" for parcel in batch if (known := customs_list(parcel)))


def _fingerprint(certificate: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii"))).hexdigest()


def _registry(port: int, fingerprint: str) -> str:
    return f"""\
# What the simulated customs office knows: who may send, and the export lists it holds.
listen = "127.0.0.1:{port}"
database = "customs.db"
export_lists = "export-lists.jsonl"

[delays]
stage_seconds = 0.2

[signing]  # receipts are signed with it
key_file = "certs/office.key.pem"
certificate_file = "certs/office.crt.pem"

[[senders]]
dxp_id = "{parties.DXP_ID}"
certificate_sha256 = "{fingerprint}"
enterprise_codes = ["{parties.AGENT.code}", "{parties.OPERATOR.code}", "{parties.ENTERPRISE.code}"]
"""


def _configuration(port: int, suite: str) -> str:
    places = [(kind, number, site) for site in parties.WAREHOUSES for kind, number in site.areas.items()]
    offices = "\n".join(f'{number} = "{site.office}"  # {site.name}{_AREAS[kind]}' for kind, number, site in places)
    sites = "\n".join(f'{number} = "{site.site}"' for _, number, site in places)
    steps = "\n".join(f'{number} = "{_STEPS[kind]}"' for kind, number, _ in places)
    return f"""\
# A sample enterprise, made by `connector demo`. Every command works with it: connector --config connector.toml …
mappings = "mappings"

[database]
url = "sqlite:///connector.db"

[sources.warehouse]
url = "sqlite:///warehouse.db"
timezone = "Asia/Shanghai"

[sources.archive]
url = "sqlite:///archive.db"
timezone = "Asia/Shanghai"

[enterprise]
dxp_id = "{parties.DXP_ID}"
cop_code = "{parties.ENTERPRISE.code}"
cop_name = "{parties.ENTERPRISE.name}"

[values]
agent_code = "{parties.AGENT.code}"
agent_name = "{parties.AGENT.name}"
operator_code = "{parties.OPERATOR.code}"
operator_name = "{parties.OPERATOR.name}"
return_reason = "消费者退货"
ems_no = "T4401W000001"  # bonded sites only: account number and message types, which their customs office gives
hchx_trans_type = "4001"
hchx_amount_type = "4002"

[codes.return_offices]  # warehouse -> customs office of the return site
{offices}

[codes.return_sites]  # warehouse -> code of the supervised site it lies in
{sites}

[codes.step_in_warehouse]  # warehouse -> what is done with goods that are moved there
{steps}

{_sites()}
[signing.main]
suite = "{suite}"
key_file = "certs/enterprise.key.pem"
certificate_file = "certs/enterprise.crt.pem"

[customs]
submit_url = "http://127.0.0.1:{port}/ReceiveCebDeclare"
receipts_url = "http://127.0.0.1:{port}/ReceiptService"
receipt_certificate_files = ["certs/office.crt.pem"]
settle_seconds = 5
retry_first_seconds = 1
breaker_open_seconds = 2

[audit]
origin = "demo.invalid/log"
key_file = "certs/audit.key.pem"
checkpoint_file = "checkpoints.txt"

[schedule]
collect_seconds = 5
deliver_seconds = 1
receipts_seconds = 1

[simulator]
registry = "registry.toml"
"""
