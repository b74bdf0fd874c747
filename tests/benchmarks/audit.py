"""How fast the audit log takes entries in, and how fast it answers when it is long.

::

    python tests/benchmarks/audit.py                     # appending, then a log of 1,000,000 entries, on SQLite
    python tests/benchmarks/audit.py --entries 100000 --json
    python tests/benchmarks/audit.py --postgresql postgresql+psycopg://postgres@127.0.0.1:5432/

The floor inserts the bodies of the same entries, without tree, columns or indexes, in transactions of the same size.
README.md says what is measured. Linux only: peak memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, MetaData, Table, create_engine, insert, text

from connector.audit import log, queries
from connector.audit.bodies import encode, time_text
from connector.audit.events import Entry, Event
from connector.audit.findings import Findings
from connector.audit.nodes import StoredTree
from connector.audit.queries import EntryFilter, Position
from connector.audit.tree import Frontier, leaf_hash, verify_inclusion
from connector.audit.verification import rebuild, verify_entries
from connector.deeds import Deed
from connector.storage import schema
from connector.storage.database import Database

GROUP = 20
"""Entries in a transaction."""
WRITERS = (1, 4)
PAGE = 101
"""What `audit list` asks for: a page, and whether there is more."""
TIMES = 5
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FLOOR = Table("floor", MetaData(), Column("sequence", BigInteger, primary_key=True), Column("body", LargeBinary))

Figures = dict[str, Any]
Write = Callable[[Database, int, Sequence[Entry]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description="The audit log: appending, and a long one.")
    parser.add_argument("--entries", type=int, default=1_000_000, metavar="N", help="of the long log; 0 leaves it out")
    parser.add_argument("--appended", type=int, default=40_000, metavar="N", help="entries appended each time")
    parser.add_argument("--postgresql", metavar="URL", help="also on this server, in a database of its own")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where SQLite's files go; the disk matters")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".benchmark-", dir=given.folder) as place:
        folder = Path(place)
        measured: Figures = {"syncs_per_second": syncs(folder / "synced"), "append": [], "long": []}
        for kind in ("sqlite", *(["postgresql"] if given.postgresql else [])):
            new = partial(fresh, given.postgresql if kind == "postgresql" else None, folder)
            measured["append"] += [measure_append(kind, new, writers, given.appended) for writers in WRITERS]
            if given.entries:
                measured["long"].append(measure_long(kind, new, given.entries))
    sys.stdout.write((json.dumps(measured, indent=2) if given.json else "\n".join(show(measured))) + "\n")


@contextmanager
def fresh(server: str | None, folder: Path) -> Iterator[str]:
    """The address of a database with our tables, removed afterwards."""
    name = f"connector_benchmark_{uuid.uuid4().hex[:12]}"
    url = f"{server.rstrip('/')}/{name}" if server else f"sqlite:///{folder / name}.db"
    if server:
        _on_server(server, f"CREATE DATABASE {name}")
    try:
        with closing(Database(url)) as database:
            schema.upgrade(database)
            with database.write(Deed.UPGRADE) as transaction:
                FLOOR.create(transaction)
        yield url
    finally:
        if server:
            _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


def _on_server(server: str, statement: str) -> None:
    engine = create_engine(f"{server.rstrip('/')}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def syncs(file: Path) -> float:
    """How often a second this disk makes 4 KiB durable."""
    say("syncing")
    number, begin = 0, time.perf_counter()
    with file.open("wb") as written:
        while (passed := time.perf_counter() - begin) < 1:
            os.pwrite(written.fileno(), bytes(4096), 4096 * number)
            os.fdatasync(written.fileno())
            number += 1
    return number / passed


def measure_append(kind: str, new: Callable[[], Any], writers: int, entries: int) -> Figures:
    """Entries per second of the log and of the floor, each with so many processes that write at once."""
    figures: Figures = {"database": kind, "writers": writers}
    for name in ("log", "floor"):
        say(f"{kind}: appending, {writers} writers, {name}")
        with new() as url:
            figures[name] = entries / _write_at_once(name, url, writers, entries // writers // GROUP)
    return figures | {"ratio": figures["log"] / figures["floor"]}


def _write_at_once(name: str, url: str, writers: int, transactions: int) -> float:
    """Seconds from when all are ready until all are done."""
    processes = multiprocessing.get_context("spawn")
    ready = processes.Barrier(writers + 1)
    started = [
        processes.Process(target=_write, args=(name, url, writer, transactions, ready)) for writer in range(writers)
    ]
    for one in started:
        one.start()
    ready.wait()
    begin = time.perf_counter()
    for one in started:
        one.join()
    if any(one.exitcode for one in started):
        raise SystemExit("a writer failed")
    return time.perf_counter() - begin


def _write(name: str, url: str, writer: int, transactions: int, ready: Any) -> None:
    write = {"log": _append, "floor": _insert}[name]
    with closing(Database(url)) as database:
        entries = list(told(writer * transactions * GROUP, transactions * GROUP))
        write(database, writer, entries[:GROUP])  # connected, and its statements compiled
        ready.wait()
        for first in range(0, len(entries), GROUP):
            write(database, writer, entries[first : first + GROUP])


def _append(database: Database, _writer: int, entries: Sequence[Entry]) -> None:
    with database.write(Deed.PREPARE) as transaction:
        log.append(transaction, entries, actor="connector", time=datetime.now(UTC))


def _insert(database: Database, writer: int, entries: Sequence[Entry]) -> None:
    now, digest = time_text(datetime.now(UTC)), "0" * 64
    bodies = [encode(one, sequence=1_000_000 + at, time=now, actor=digest) for at, one in enumerate(entries)]
    first = time.monotonic_ns() * len(WRITERS) * 4 + writer * GROUP
    rows = [{"sequence": first + at, "body": body} for at, body in enumerate(bodies)]
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(FLOOR), rows)


def told(first: int, count: int) -> Iterator[Entry]:
    """Entries as returns leave them, ten for each."""
    steps = (Event.COLLECTED, Event.MAPPED, Event.SIGNED, Event.ATTEMPTED, Event.ANSWERED)
    codes = ("2", "3", "120", "800")
    for number in range(first, first + count):
        parcel, step = divmod(number, 10)
        source = {"source_key": f"returns/RK{parcel:08}"}
        document = {
            "document_type": "CEB213",
            "business_key": f"4401000001/RK{parcel:08}",
            "waybill": f"YT{parcel:013}",
            "export_list": f"22442026E{parcel // 3:09}",
        }
        message = {"message_id": f"{parcel // 10:08}-0000-4000-8000-000000000000"}
        if step == 0:
            yield Entry(event=steps[0], **source, detail={"version": 1, "digest": f"{parcel:064}"})
        elif step == 1:
            yield Entry(event=steps[1], **source, **document, detail={"mapping": "CEB213", "guid": f"{parcel:036}"})
        elif step < len(steps):
            said = {"delivery_state": "delivered"} if step == len(steps) - 1 else {"digest": f"{parcel:064}"}
            yield Entry(event=steps[step], **message, detail=said)
        elif step < len(steps) + len(codes):
            detail: dict[str, object] = {"code": codes[step - len(steps)], "info": "放行", "matched": True}
            yield Entry(event=Event.RECEIPT_TAKEN, **document, **message, detail=detail)
        else:
            yield Entry(event=Event.STATUS_CHANGED, **document, detail={"status": "released", "code": "800"})


def measure_long(kind: str, new: Callable[[], Any], entries: int) -> Figures:
    """What a long log answers, and how fast; milliseconds, the median of some and the longest."""
    with new() as url, closing(Database(url)) as database:
        begin, tenth = time.perf_counter(), 0
        step = max(1, entries // 100)
        for first in range(0, entries, step):
            with database.write(Deed.PREPARE) as transaction:
                time_ = BEGIN + timedelta(seconds=first)
                log.append(transaction, list(told(first, step)), actor=f"user {first // step % 3}", time=time_)
            if first == entries // 10:
                tenth = peak_memory()
        figures: Figures = {"database": kind, "entries": entries, "seconds": time.perf_counter() - begin}
        say(f"{kind}: {entries:,} entries appended; asking")
        with database.read() as connection:
            tree = StoredTree(connection)
            root = tree.root(tree.size)
            figures["root"] = milliseconds(lambda: StoredTree(connection).root(entries))
            hashes = tree.inclusion_proof(index=entries // 3, size=entries)
            body = queries.body(connection, entries // 3 + 1)
            assert body is not None
            assert verify_inclusion(leaf_hash(body), entries // 3, entries, hashes, root)
            figures["proof_bytes"] = sum(map(len, hashes))
            figures["proof"] = milliseconds(lambda: tree.inclusion_proof(index=entries // 3, size=entries))
            figures["pages"] = {
                name: milliseconds(partial(queries.entries, connection, wanted, at_most=PAGE))
                for name, wanted in pages(entries).items()
            }
            figures["verifying"] = {
                "tree": seconds(lambda: rebuild(connection, Frontier())),
                "tree and columns": seconds(partial(verified, connection, tree.size, root)),
            }
        return figures | {"peak_at_a_tenth": tenth, "peak": peak_memory()}


def pages(entries: int) -> dict[str, EntryFilter]:
    """Every filter but the text: with something common, with something rare, with what is not there."""
    parcel = entries // 20
    middle = BEGIN + timedelta(seconds=entries // 2)
    nothing = EntryFilter()
    return {
        "none": nothing,
        "since": replace(nothing, since=middle),
        "until": replace(nothing, until=middle),
        "before": replace(nothing, before=Position(time=middle, sequence=entries // 2)),
        "event": replace(nothing, event="receipt_taken"),
        "event, of none": replace(nothing, event="settled"),
        "actor": replace(nothing, actor="user 1"),
        "actor, of none": replace(nothing, actor="nobody"),
        "type": replace(nothing, document_type="CEB213"),
        "type, of none": replace(nothing, document_type="CEB215"),
        "source key": replace(nothing, source_key=f"returns/RK{parcel:08}"),
        "key": replace(nothing, business_key=f"4401000001/RK{parcel:08}"),
        "message": replace(nothing, message_id=f"{parcel // 10:08}-0000-4000-8000-000000000000"),
        "waybill": replace(nothing, waybill=f"YT{parcel:013}"),
        "export list": replace(nothing, export_list=f"22442026E{parcel // 3:09}"),
        "code": replace(nothing, code="800"),
        "code, of none": replace(nothing, code="100"),
        "state": replace(nothing, state="released"),
        "state, of none": replace(nothing, state="parked"),
    }


def verified(connection: Connection, size: int, root: bytes) -> None:
    """The whole log against one checkpoint, as `connector audit verify` does it."""
    findings = Findings()
    verify_entries(connection, {size: {root}}, findings)
    assert not findings.count


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def milliseconds(work: Callable[[], object]) -> dict[str, float]:
    """The median of some times, and the longest."""
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        work()
        took.append((time.perf_counter() - begin) * 1000)
    return {"median": statistics.median(took), "longest": max(took)}


def peak_memory() -> int:
    """The most memory this process has had in use, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found
    return int(found.group(1)) * 1024


def show(measured: Figures) -> Iterator[str]:
    """The figures as tables."""
    yield f"this disk makes 4 KiB durable {measured['syncs_per_second']:,.0f} times a second"
    yield ""
    yield f"{f'append, {GROUP} a transaction':28}{'writers':>9}{'log, /s':>12}{'floor, /s':>12}{'log / floor':>13}"
    for one in measured["append"]:
        yield (
            f"{one['database']:28}{one['writers']:>9}{one['log']:>12,.0f}{one['floor']:>12,.0f}{one['ratio']:>13.2f}"
        )
    for one in measured["long"]:
        yield ""
        yield f"{one['database']}: {one['entries']:,} entries, appended in {one['seconds']:.0f} s"
        yield f"peak memory in MB: {one['peak_at_a_tenth'] / 1e6:.0f} at a tenth, {one['peak'] / 1e6:.0f} at the end"
        yield ", ".join(f"verifying {what}: {took:.1f} s" for what, took in one["verifying"].items())
        yield f"{'milliseconds':28}{'median':>9}{'longest':>9}"
        asked = {"root": one["root"], f"proof, {one['proof_bytes']} bytes": one["proof"], **one["pages"]}
        for name, took in asked.items():
            yield f"{name:28}{took['median']:>9.1f}{took['longest']:>9.1f}"


def say(what: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
