"""Eight threads on one SQLite file, each committing what the stages commit; no lock may fail and all must add up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from random import Random

from sqlalchemy import Connection, func, select, text

from connector.audit import queries as audit
from connector.audit.events import Event, Recorded
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import queries
from connector.sources import inbox
from connector.storage import schema
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS, DOCUMENTS
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.threads_worker import NOW, TRANSACTIONS, Worker

_THREADS = 8


def run(trial: Trial) -> Outcome:
    """One trial: a fresh file, eight threads, and a look at what they left."""
    database = Database(f"sqlite:///{trial.folder / 'connector.db'}")
    try:
        _make(database)
        random = Random(trial.seed)
        workers = [
            Worker(number=number, database=database, random=Random(random.getrandbits(64)))
            for number in range(1, _THREADS + 1)
        ]
        _work(workers)
        violations = [*_failed(workers), *(one for worker in workers for one in worker.violations)]
        with database.read() as connection:
            violations += _faults(connection, workers)
    finally:
        database.close()
    return Outcome(figures=_figures(workers), violations=tuple(violations))


def _make(database: Database) -> None:
    schema.upgrade(database)
    record = SourceRecord(key=SourceKey(collection="returns", key="RK1"), changed_at=NOW, row={})
    with database.write(Deed.COLLECT) as transaction:
        inbox.store(transaction, [record], now=NOW)


def _work(workers: Sequence[Worker]) -> None:
    start = threading.Barrier(len(workers))

    def begin(worker: Worker) -> None:
        start.wait()
        worker.work()

    threads = [threading.Thread(target=begin, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _figures(workers: Sequence[Worker]) -> dict[str, int]:
    total: Counter[str] = Counter()
    locked = 0
    for worker in workers:
        total.update(worker.figures)
        locked += sum(count for said, count in worker.failures.items() if "database is locked" in said)
    names = ("transactions", "messages", "claims", "records", "entries", "reads")
    return {name: total[name] for name in names} | {"database is locked": locked}


def _failed(workers: Sequence[Worker]) -> list[str]:
    total: Counter[str] = Counter()
    for worker in workers:
        total.update(worker.failures)
    wanted = _THREADS * TRANSACTIONS
    if not total and (made := _figures(workers)["transactions"]) != wanted:
        return [f"{made} of {wanted} transactions were made: a thread ended early"]
    return [f"{count} times in {wanted} transactions: {said}" for said, count in total.most_common()]


def _faults(connection: Connection, workers: Sequence[Worker]) -> list[str]:
    """What does not add up at the end."""
    entries = audit.entries(connection, EntryFilter())
    figures = _figures(workers)
    expected: list[tuple[str, object, object]] = [
        ("integrity_check", "ok", connection.execute(text("PRAGMA integrity_check")).scalar_one()),
        ("foreign_key_check", [], list(connection.execute(text("PRAGMA foreign_key_check")))),
        ("numbers of the log", list(range(1, figures["entries"] + 1)), [entry.sequence for entry in entries]),
        (
            "entries by thread",
            {worker.name: worker.figures["entries"] for worker in workers if worker.figures["entries"]},
            dict(Counter(entry.actor for entry in entries)),
        ),
        ("messages", figures["messages"], sum(queries.count_messages(connection).values())),
        ("attempts", figures["claims"], _count(connection, ended=None)),
        ("attempts that ended", figures["records"], _count(connection, ended=1)),
        (
            "messages under way",
            figures["claims"] - figures["records"],
            queries.count_messages(connection).get(DeliveryState.SENDING, 0),
        ),
        ("revisions", figures["messages"], _revisions_in_order(connection)),
    ]
    faults = [
        f"{what}: committed {_short(wanted)}, found {_short(found)}"
        for what, wanted, found in expected
        if wanted != found
    ]
    return faults + _taken_twice(entries)


def _count(connection: Connection, *, ended: int | None) -> int:
    query = select(func.count()).select_from(ATTEMPTS)
    return connection.execute(query if ended is None else query.where(ATTEMPTS.c.ended_at.is_not(None))).scalar_one()


def _revisions_in_order(connection: Connection) -> int:
    """How many revisions there are, counting up to the first gap of each key."""
    table = DOCUMENTS.c
    rows = connection.execute(select(table.business_key, table.revision).order_by(table.business_key, table.revision))
    return sum(
        number == row.revision
        for _, of_key in groupby(rows, key=lambda row: row.business_key)
        for number, row in enumerate(of_key, start=1)
    )


def _taken_twice(entries: Sequence[Recorded]) -> list[str]:
    """Messages claimed while another thread had them: by the log, whose order is that of the commits."""
    faults = []
    holders: dict[str, tuple[str, object]] = {}
    for entry in entries:
        holder = (entry.actor, entry.detail.get("token"))
        if entry.event == Event.ATTEMPTED:
            if entry.message_id in holders:
                faults.append(f"{entry.message_id} was claimed by {holder} while {holders[entry.message_id]} had it")
            holders[entry.message_id] = holder
        elif entry.event == Event.ANSWERED and holders.pop(entry.message_id, None) != holder:
            faults.append(f"{entry.message_id} was recorded by {holder}, who did not have it")
    return faults


def _short(value: object) -> str:
    written = repr(value)
    return written if len(written) <= 200 else f"{written[:200]}…"


CAMPAIGN = Campaign(
    name="threads",
    proves="eight threads writing to one SQLite file never meet a lock that fails, and lose or double nothing",
    run=run,
    full=100_000 // (_THREADS * TRANSACTIONS),
    small=1,
    demands={"transactions": 100_000},
    plants=(
        Plant(
            name="deferred-begin",
            file="storage/database.py",
            old='"BEGIN IMMEDIATE" if writer else "BEGIN"',
            new='"BEGIN"',
        ),
    ),
)
