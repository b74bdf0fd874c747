"""A daemon starts in front of a hundred thousand open messages; on PostgreSQL a peer dies beside it as well.

A third of the messages waits to be sent, a third is in doubt, and of a third the sender is gone. `connector run` starts
as a user starts it; the time from the command to the first message that customs answered is measured, and the peak of
its memory. Then, on PostgreSQL, one of two daemons is killed while it sends, and the records of the attempts tell how
long the other left its messages alone. The first two trials are short ones.
"""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from connector.bootstrap import build_connector
from connector.config import load
from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState
from connector.pipeline.cycle import collect_and_prepare
from connector.storage.outbox import ATTEMPTS, MESSAGE_BYTES, MESSAGES
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.daemon_under_test import LEASE_MARGIN, Aim, until
from tests.campaigns.sites import DEADLINE, DatabaseKind, Site, open_site

_OPEN, _OPEN_SHORT = 100_000, 6_000
_SHORT_TRIALS = 2
_RETURNS = 10
_AT_ONCE = 4_000
_WORKERS: dict[DatabaseKind, int] = {"sqlite": 1, "postgresql": 4}
_FIRST_SEND_WITHIN = 5.0
_TAKES_OVER_WITHIN = timedelta(seconds=5)
"""After the end of a lease."""
_MARGIN = timedelta(seconds=1)
_MOST_MEMORY = 250
"""MiB."""
_STOPS_WITHIN = DEADLINE + 2
_PATIENCE = 30.0
_LEASE = timedelta(seconds=DEADLINE) + LEASE_MARGIN
"""Of the daemons that die; a user's is longer by the margin."""
_UNFINISHED = {"", "abandoned"}


def run(trial: Trial) -> Outcome:
    """One trial."""
    kind: DatabaseKind = "sqlite" if trial.number % 2 else "postgresql"
    count = _OPEN_SHORT if trial.number <= _SHORT_TRIALS else _OPEN
    figures: Counter[str] = Counter({"starts": 1, "open messages": count})
    with open_site(trial.folder, returns=_RETURNS, seed=trial.seed % 2**31, kind=kind) as site:
        site.make_tables()
        _fill(site, count, kind)
        violations = list(_start(site, kind, figures))
        if kind == "postgresql":
            violations += _bereave(site, figures)
    return Outcome(figures=figures, violations=tuple(violations))


def _fill(site: Site, count: int, kind: DatabaseKind) -> None:
    """So many messages in the outbox, copies of real ones under ids of their own."""
    site.arrive(_RETURNS)
    built = build_connector(load(site.sample.config))
    with closing(built.database):
        collect_and_prepare(built)
    with site.database.read() as connection:
        queued = connection.execute(select(MESSAGES, MESSAGE_BYTES).join(MESSAGE_BYTES)).all()
    for first in range(0, count, _AT_ONCE):
        _copy(site, queued, range(first, min(first + _AT_ONCE, count)), kind)
    with site.database.write(Deed.PREPARE) as transaction:
        transaction.execute(
            update(MESSAGES).where(MESSAGES.c.id.in_([row.id for row in queued])).values(state=DeliveryState.CLOSED)
        )


def _copy(site: Site, queued: Sequence[Row[Any]], numbers: range, kind: DatabaseKind) -> None:
    now = datetime.now(UTC)
    # Who alone works on SQLite ends every lease when it starts; on PostgreSQL they must have ended.
    ends = now + timedelta(seconds=DEADLINE if kind == "sqlite" else -1)
    messages, parts, attempts = [], [], []
    for number in numbers:
        row = queued[number % len(queued)]
        state = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.IN_DOUBT)[number % 3]
        message_id = str(UUID(int=number))
        tried = state is not DeliveryState.PENDING
        messages.append(
            {column.name: row._mapping[column] for column in MESSAGES.columns}  # noqa: SLF001 - the API, whatever its name
            | {
                "id": message_id,
                "state": state,
                "queued_at": now,
                "due_at": now,
                "settle_at": now,
                "tries": int(tried),
                "lease_token": int(tried),
                "lease_until": ends if state is DeliveryState.SENDING else None,
            }
        )
        parts.append({"message_id": message_id, "xml": row.xml, "body": row.body})
        if tried:
            unfinished = state is DeliveryState.SENDING
            attempts.append(
                {
                    "message_id": message_id,
                    "number": 1,
                    "kind": "send",
                    "body_digest": "",
                    "started_at": now,
                    "ended_at": None if unfinished else now,
                    "outcome": "" if unfinished else "in_doubt",
                    "info": "",
                }
            )
    with site.database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(MESSAGES), messages)
        transaction.execute(insert(MESSAGE_BYTES), parts)
        transaction.execute(insert(ATTEMPTS), attempts)


def _start(site: Site, kind: DatabaseKind, figures: Counter[str]) -> Iterator[str]:
    """Start the daemon, wait for its first answered message, and end it; what is wrong with that."""
    begun = datetime.now(UTC)
    command = [sys.executable, "-m", "connector", "--config", str(site.sample.config), "run"]
    command += ["--workers", str(_WORKERS[kind])]
    with site.log.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            until(lambda: _first_send(site, begun), _PATIENCE)
            memory = _peak_memory(daemon.pid)
            asked = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(_PATIENCE)
            took = time.monotonic() - asked
        finally:
            daemon.kill()
    sent = _first_send(site, begun)
    if sent is None:
        yield f"nothing was sent within {_PATIENCE:g} s"
        return
    seconds = (sent - begun).total_seconds()
    figures[f"first send within {math.ceil(seconds)} s"] += 1
    figures[f"peak memory below {math.ceil(memory / 50) * 50} MiB"] += 1
    if seconds > _FIRST_SEND_WITHIN:
        yield f"the first message was sent {seconds:.1f} s after the start"
    if memory > _MOST_MEMORY:
        yield f"it took {memory} MiB"
    if code != 0 or took > _STOPS_WITHIN:
        yield f"told to stop, it ended with {code} after {took:.1f} s"


def _first_send(site: Site, since: datetime) -> datetime | None:
    """When customs first answered a message that was sent since then."""
    table = ATTEMPTS.c
    answered = select(table.ended_at).where(
        table.kind == "send", table.started_at >= since, table.outcome.not_in(_UNFINISHED)
    )
    with site.database.read() as connection:
        ended: datetime | None = connection.execute(answered.order_by(table.id).limit(1)).scalar()
    return ended


def _peak_memory(process: int) -> int:
    """Of a process, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) // 1024


def _bereave(site: Site, figures: Counter[str]) -> Iterator[str]:
    """Kill one of two daemons while it sends; what is wrong with how the other takes over."""
    begun = datetime.now(UTC)
    survivor = site.life(workers=_WORKERS["postgresql"])
    mortal = site.life(Aim(deed=Deed.SUBMIT, moment="after", count=20), workers=_WORKERS["postgresql"])
    try:
        if mortal.ended_within(_PATIENCE) is None:
            yield "a daemon sent too little to be killed"
            return
        died = datetime.now(UTC)
        until(lambda: not _left_behind(site, begun, died), (_LEASE + _TAKES_OVER_WITHIN + _MARGIN).total_seconds())
    finally:
        mortal.kill()
        survivor.stop(_STOPS_WITHIN)
        survivor.kill()
    with site.database.read() as connection:
        taken = _abandoned(connection, begun)
    figures["taken over"] += len(taken)
    if left := _left_behind(site, begun, died):
        yield f"{left} messages of a dead peer were not taken over"
    if not taken:
        yield "a daemon died while it sent, and nothing was taken over from it"
    for row in taken:
        late = row.ended_at - row.started_at - _LEASE
        figures[f"taken over within lease + {max(math.ceil(late.total_seconds()), 1)} s"] += 1
        if late > _TAKES_OVER_WITHIN:
            yield f"{row.message_id} of a dead peer was taken over {late} after its lease had ended"


def _left_behind(site: Site, begun: datetime, died: datetime) -> int:
    """Attempts between two times that nobody has ended."""
    table = ATTEMPTS.c
    open_ones = select(table.id).where(table.started_at >= begun, table.started_at <= died, table.ended_at.is_(None))
    with site.database.read() as connection:
        return len(connection.execute(open_ones).all())


def _abandoned(connection: Connection, begun: datetime) -> Sequence[Row[Any, Any, Any]]:
    table = ATTEMPTS.c
    query = select(table.message_id, table.started_at, table.ended_at)
    return connection.execute(query.where(table.started_at >= begun, table.outcome == "abandoned")).all()


CAMPAIGN = Campaign(
    name="recovery",
    proves="in front of 100,000 open messages a daemon sends within 5 s of its start, in bounded memory, and the "
    "messages of a dead peer are taken over within 5 s of the end of their lease",
    run=run,
    full=12,
    small=2,
    demands={"open messages": 1_000_000, "taken over": 6},
    plants=(
        Plant(
            name="recovery-first-and-one-by-one",
            file="pipeline/deliver.py",
            old='    recovered_at, is_more_left = float("-inf"), False\n',
            new="""\
    recovered_at, is_more_left = float("-inf"), False
    queue.AT_ONCE = 1
    recover(connector)
""",
        ),
        Plant(
            name="peers-not-looked-after",
            file="pipeline/deliver.py",
            old="_LOOK_BACK_SECONDS = 1.0",
            new="_LOOK_BACK_SECONDS = 1e9",
        ),
    ),
)
