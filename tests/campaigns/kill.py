"""The daemon is killed again and again while returns come in; at the end every document must be with customs, once.

Half of the kills come at a random moment of a life, its start included, the others at a named deed, just before it or
just after. Odd trials keep our records in SQLite, even ones in PostgreSQL with four workers, every other of them with
two daemons at a time. The first trial is a short one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import get_args

from connector.deeds import Deed, Moment
from connector.simulator.admin import FAULTS_PATH
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.daemon_under_test import KILLED, Aim, Life
from tests.campaigns.site_checks import examine, finish
from tests.campaigns.sites import DatabaseKind, Site, open_site

_WORKERS: dict[DatabaseKind, int] = {"sqlite": 1, "postgresql": 4}
_POINTS: tuple[tuple[Deed, Moment], ...] = tuple(
    (deed, moment)
    for deed in (
        Deed.LEASE,
        Deed.COLLECT,
        Deed.TRY_AGAIN,
        Deed.PREPARE,
        Deed.RECOVER,
        Deed.CLAIM,
        Deed.SUBMIT,
        Deed.ASK,
        Deed.RECORD,
        Deed.FETCH,
        Deed.TAKE_RECEIPTS,
    )
    for moment in get_args(Moment)
)
"""Where a daemon comes by itself when nothing but its death goes wrong."""
_SENDING = tuple(point for point in _POINTS if point[0] in {Deed.CLAIM, Deed.SUBMIT, Deed.RECORD})
_LONGEST: dict[DatabaseKind, float] = {"sqlite": 2.0, "postgresql": 3.0}
"""Seconds that a life lasts at most, one with an aim that it does not come to included. On PostgreSQL the leases of the
one before must end first."""
_PORTIONS = (0.0, 0.2, 0.4, 0.6, 0.8)
"""When in a life returns come in, in seconds."""
_RECEIPTS = {
    "late_receipt": 0.9,
    "late_receipt_seconds": 4,
    "duplicate_receipt": 0.05,
    "receipt_out_of_order": 0.05,
}
"""Receipts come late, so that messages in doubt are asked about and not all settled by a receipt before."""
_PAUSE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """How one life ends."""

    seconds: float
    """After so many, whatever it does."""
    aim: Aim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How it did end."""

    code: int | None
    at_deed: bool
    """Where it was to, before its time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one trial does."""

    kind: DatabaseKind
    returns: int
    dooms: tuple[Doom, ...]
    """One for each kill."""
    daemons: int
    """At the same time."""


def run(trial: Trial) -> Outcome:
    """One trial."""
    random = Random(trial.seed)
    plan = _short() if trial.number == 1 else _plan(trial.number, random)
    seed = random.randrange(2**31)
    with open_site(trial.folder, returns=plan.returns, seed=seed, kind=plan.kind) as site:
        site.make_tables()
        if trial.number > 1:  # it takes time
            site.tell(FAULTS_PATH, _RECEIPTS | {"seed": seed})
        ends = _kill(site, plan)
        violations = [f"a daemon was not killed, it ended with {end.code}" for end in ends if end.code != KILLED]
        violations += finish(site, workers=_WORKERS[plan.kind])
        findings = examine(site)
    at_deeds = sum(end.at_deed for end in ends)
    kills = {"kills": len(ends), f"kills_{plan.kind}": len(ends), "kills_at_deeds": at_deeds}
    return Outcome(figures=kills | findings.figures, violations=(*violations, *findings.violations))


def _short() -> Plan:
    """A few kills where they hurt."""
    places: list[tuple[Deed, Moment, int]] = [
        (Deed.COLLECT, "after", 1),
        (Deed.SUBMIT, "before", 1),
        (Deed.SUBMIT, "after", 1),
        (Deed.TAKE_RECEIPTS, "before", 1),
    ]
    dooms = [Doom(seconds=3, aim=Aim(deed=deed, moment=moment, count=count)) for deed, moment, count in places]
    return Plan(kind="sqlite", returns=40, dooms=(*dooms, Doom(seconds=0.4)), daemons=1)


def _plan(number: int, random: Random) -> Plan:
    kind: DatabaseKind = "sqlite" if number % 2 else "postgresql"
    longest = _LONGEST[kind]
    dooms = [Doom(seconds=random.uniform(0, longest)) for _ in range(5)]
    turn = number // 2  # of the trials on this database, so that each point has its turn
    points = [*random.sample(_SENDING, 3), *(_POINTS[(2 * turn + half) % len(_POINTS)] for half in range(2))]
    for deed, moment in points:
        dooms.append(Doom(seconds=longest, aim=Aim(deed=deed, moment=moment, count=random.randint(1, 3))))
    random.shuffle(dooms)
    return Plan(kind=kind, returns=400, dooms=tuple(dooms), daemons=1 if number % 4 else 2)


def _kill(site: Site, plan: Plan) -> list[End]:
    """Carry out every doom; returns come in all the while."""
    ends: list[End] = []
    dooms = iter(plan.dooms)
    share = len(site.outside) // (len(plan.dooms) * len(_PORTIONS)) or 1
    begun = [_Mortal(site, doom, plan) for doom in islice(dooms, plan.daemons)]
    while begun:
        for mortal in list(begun):
            site.arrive(share * mortal.portions_due())
            if mortal.is_over():
                ends.append(mortal.end())
                begun.remove(mortal)
                begun += [_Mortal(site, doom, plan) for doom in islice(dooms, 1)]
        time.sleep(_PAUSE)
    site.arrive(len(site.outside))
    return ends


class _Mortal:
    """A life with its doom."""

    def __init__(self, site: Site, doom: Doom, plan: Plan) -> None:
        self._life: Life = site.life(doom.aim, workers=_WORKERS[plan.kind])
        self._doom = doom
        self._born = time.monotonic()
        self._portions: Sequence[float] = _PORTIONS

    def portions_due(self) -> int:
        """How many portions of returns are to come in now."""
        age = time.monotonic() - self._born
        due = [when for when in self._portions if when <= age]
        self._portions = self._portions[len(due) :]
        return len(due)

    def is_over(self) -> bool:
        """Whether it has ended, or must."""
        return self._life.has_ended or time.monotonic() - self._born > self._doom.seconds

    def end(self) -> End:
        """End it, if it has not ended where it was to."""
        at_deed = self._life.has_ended
        self._life.kill()
        return End(code=self._life.ended_within(0), at_deed=at_deed)


CAMPAIGN = Campaign(
    name="kill",
    proves="a daemon that is killed at any moment, again and again, loses no document and has none accepted twice",
    run=run,
    full=101,
    small=1,
    demands={"kills_sqlite": 500, "kills_postgresql": 500, "documents": 50_000},
    plants=(
        Plant(
            name="attempt-after-sending",
            file="pipeline/deliver.py",
            old="""\
        claimed = _claim(connector, kinds, total)
        if claimed is None:
            if is_more_left:
                continue
            break
        claim, mark = claimed
        begun = connector.elapsed()
        reply = _send(connector, claim) if claim.kind == "send" else _ask(connector, claim)
""",
            new="""\
        with connector.database.read() as connection:
            due = connection.execute(queue._due("send", connector.clock(connection))).first()
            bodies = queue.MESSAGE_BYTES.c
            body = due and connection.execute(queue.select(bodies.body).where(bodies.message_id == due.id)).scalar()
        answer = connector.customs.submit(body) if body else None
        claimed = _claim(connector, ["send"] if answer else kinds, total)
        if claimed is None:
            break
        claim, mark = claimed
        begun = connector.elapsed()
        if answer:
            reply = _Reply(answer=answer, outcome=_OUTCOMES[type(answer)], info=answer.info)
        else:
            reply = _send(connector, claim) if claim.kind == "send" else _ask(connector, claim)
""",
        ),
        Plant(
            name="lease-to-pending",
            file="pipeline/deliver.py",
            old='step = doubt("its sender ended without an outcome", now=now, policy=connector.policy)',
            new='step = Step(state=DeliveryState.PENDING, info="its sender is gone", due_at=now, settle_at=now)',
        ),
        Plant(
            name="cursor-before-records",
            file="pipeline/collect.py",
            old="        page = collection.source.page(window.place, window.end)\n",
            new="""\
        page = collection.source.page(window.place, window.end)
        if page.remember is not None and window.kind == _NEW:
            with connector.database.write(Deed.COLLECT) as transaction:
                inbox.move_cursor(transaction, collection.name, page.remember)
""",
        ),
    ),
)
