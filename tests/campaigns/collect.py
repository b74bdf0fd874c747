"""A process that collects is killed after every page, at every commit and at any moment; nothing is lost or doubled.

In each trial a warehouse of one kind goes on working between the lives of the process: rows come, share their times,
come late, change with and without a change of their time, go. Whatever it held must stand in the end, each content of
a record once. In the last trial it is AdventureWorks' whole receiving, page by page.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from sqlalchemy import Connection, select

from connector.audit.events import Event
from connector.audit.queries import EntryFilter, entries
from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.deeds import Deed, unwatched
from connector.messages.records import decode
from connector.pipeline.collect import collect
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.leasing import end_all
from connector.pipeline.sweep import Sweeping, sweep
from connector.storage import schema
from connector.storage.database import Database
from connector.storage.sources import SOURCE_RECORDS
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.collect_warehouses import KINDS, PAGE, Warehouse, opened
from tests.campaigns.daemon_under_test import Aim, Death
from tests.campaigns.listing import REFERENCE
from tests.forks import FORKS
from tests.integration.any_warehouse import EVENTS, LINES, adventureworks, connect, wrong_events

_ROUNDS = 5
_LIVES = 100
"""After so many that end at random, a round that should come to an end does not."""
_TRIALS = 180
_PORT = 8610
"""Of an office that nobody calls."""
_AT_RANDOM = [
    Aim(deed=deed, moment=moment, count=count)
    for deed in (Deed.LEASE, Deed.COLLECT, Deed.TRY_AGAIN)
    for moment in ("before", "after")
    for count in (1, 2)
]
_AFTER_A_PAGE = Aim(deed=Deed.COLLECT, moment="after")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doom:
    """How a life ends, if it lasts so long."""

    aim: Aim | None = None
    milliseconds: int = 0


def run(trial: Trial) -> Outcome:
    """One trial."""
    if trial.number == _TRIALS:
        return _every_line(trial)
    random, kind = Random(trial.seed), KINDS[(trial.number - 1) % len(KINDS)]
    with opened(kind, trial.folder, random) as warehouse:
        files = {"moves.toml": warehouse.records, "events.toml": EVENTS}
        config = connect(trial.folder / "site", _PORT, warehouse.source, files)
        with closing(unchecked_database(load(config))) as database:
            schema.upgrade(database)
            figures, violations = _play(warehouse, config, database, random)
    return Outcome(figures=figures | {f"trials of {kind}": 1}, violations=tuple(f"{kind}: {one}" for one in violations))


def _every_line(trial: Trial) -> Outcome:
    """AdventureWorks' receiving, killed after every page of ten."""
    config = adventureworks(trial.folder, _PORT, REFERENCE)
    with closing(unchecked_database(load(config))) as database:
        schema.upgrade(database)
    lives = 1
    while not _live(config, _Doom(aim=_AFTER_A_PAGE)) and lives <= LINES:
        lives += 1
    collect_and_prepare(build_connector(load(config)))
    violations = tuple(wrong_events(config))
    if lives < LINES / 10:
        violations += (f"{lives} lives are fewer than there are pages",)
    return Outcome(figures={"kills": lives - 1, "lines": LINES}, violations=violations)


def _play(warehouse: Warehouse, config: Path, database: Database, random: Random) -> tuple[Counter[str], list[str]]:
    figures: Counter[str] = Counter()
    for number in range(_ROUNDS):
        before = warehouse.contents
        warehouse.work()
        came = warehouse.contents - before  # each page that is read again brings one of them at least
        most = _LIVES if number % 2 else came + came // PAGE + 5
        ended, lives = False, 0
        while not ended and lives < most:
            lives += 1
            ended = _live(config, _doom(random) if number % 2 else _Doom(aim=_AFTER_A_PAGE))
            figures["kills"] += not ended
        if not ended:
            return figures, [f"a pass did not come to an end in {most} lives"]
    with database.read() as connection:
        found = list(_not_yet(connection, warehouse))
    _live(config, _Doom(), sweeping=True)
    with database.read() as connection:
        found += _wrong(connection, warehouse)
    figures += Counter(keys=len(warehouse.was), late=warehouse.late, gone=len(warehouse.gone))
    figures["contents"] += warehouse.contents
    return figures, found


def _doom(random: Random) -> _Doom:
    if random.random() < 0.5:
        return _Doom(milliseconds=random.randint(20, 400))
    return _Doom(aim=random.choice(_AT_RANDOM))


def _live(config: Path, doom: _Doom, *, sweeping: bool = False) -> bool:
    """One life; whether it came to its end by itself."""
    process = FORKS.Process(target=_work, args=(config, doom.aim, sweeping))
    process.start()
    process.join(doom.milliseconds / 1000 if doom.milliseconds else None)
    if process.exitcode is None:
        with suppress(ProcessLookupError):
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, f"a life ended with {process.exitcode}"
    return process.exitcode == 0


def _work(config: Path, aim: Aim | None, sweeping: bool) -> None:  # noqa: FBT001 - handed to a process
    connector = build_connector(load(config), watch=Death(aim) if aim else unwatched)
    with connector.database.held_alone():
        end_all(connector)
        for collection in connector.collections:
            collect(connector, collection)
            if sweeping:
                sweep(connector, collection, Sweeping.NOW)


def _stored(connection: Connection) -> dict[str, list[str]]:
    """Key -> every content that was stored, in order."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(select(SOURCE_RECORDS).order_by(SOURCE_RECORDS.c.key, SOURCE_RECORDS.c.version)):
        found.setdefault(row.key, []).append(decode(row.body)["row"]["note"])
    return found


def _not_yet(connection: Connection, warehouse: Warehouse) -> Iterator[str]:
    """What should be there without a sweep, and is not."""
    stored = _stored(connection)
    for key, content in warehouse.stands.items():
        if key not in warehouse.hidden and stored.get(key, [""])[-1] != content:
            yield f"{key} is {content!r} and what is stored last is {stored.get(key)}"


def _wrong(connection: Connection, warehouse: Warehouse) -> Iterator[str]:
    """What is wrong after the sweep."""
    stored = _stored(connection)
    for key, content in warehouse.stands.items():
        if stored.get(key, [""])[-1] != content:
            yield f"after the sweep, {key} is {content!r} and what is stored last is {stored.get(key)}"
    for key, contents in stored.items():
        if any(one == other for one, other in pairwise(contents)) or len(set(contents)) < len(contents):
            yield f"{key} is stored twice with the same content: {contents}"
        if contents != [one for one in warehouse.was[key] if one in contents]:
            yield f"{key} is stored as {contents}, and was {warehouse.was[key]}"
    told = Counter(one.source_key for one in entries(connection, EntryFilter(event=Event.COLLECTED)))
    if told != {f"moves/{key}": len(contents) for key, contents in stored.items()}:
        yield "the log tells of other versions than are stored"
    gone = {one.source_key for one in entries(connection, EntryFilter(event=Event.DISAPPEARED))}
    wanted = {f"moves/{key}" for key in warehouse.gone & stored.keys()}
    if gone != wanted:
        yield f"gone are {sorted(wanted - gone)}, of which nothing is told; not gone {sorted(gone - wanted)}"


CAMPAIGN = Campaign(
    name="collect",
    proves="a process that collects may be killed after every page and at any moment, from whatever warehouse: nothing "
    "is lost and nothing is stored twice",
    run=run,
    full=_TRIALS,
    small=3,
    demands={"kills": 2_000, "contents": 12_000, "late": 800, "gone": 400},
    plants=(
        Plant(
            name="cursor-first",
            file="pipeline/collect.py",
            old="        news = _news(connector, collection, window, page)\n",
            new="""\
        if page.remember is not None and window.kind == _NEW:
            with connector.database.write(Deed.COLLECT) as transaction:
                inbox.move_cursor(transaction, collection.name, page.remember)
        news = _news(connector, collection, window, page)
""",
        ),
        Plant(
            name="no-overlap",
            file="pipeline/collect.py",
            old="    if earlier is not None:\n",
            new="    if earlier is not None and not earlier:\n",
        ),
        Plant(
            name="everything-again",
            file="pipeline/collect.py",
            old="        is_other = content != newest if window.kind == _NEW else content not in versions\n",
            new="        is_other = content != newest\n",
        ),
    ),
)
