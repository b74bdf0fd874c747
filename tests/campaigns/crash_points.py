"""A process dies at every named point, one after the other; whoever comes after it must be able to finish.

A trial is one deed, one message type and one of the two databases; in it a process is killed just before the deed and
one just after, at every place where the deed is done. The first trial takes a handful of points on SQLite instead.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from random import Random
from typing import get_args

from sqlalchemy import select

from connector.deeds import Deed, Moment
from connector.messages.deliveries import DeliveryState
from connector.pipeline.wiring import ACTOR
from connector.simulator.admin import NEXT_PATH
from connector.storage import schema
from connector.storage.outbox import DOCUMENTS, MESSAGE_BYTES, MESSAGES
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.daemon_under_test import KILLED, Aim
from tests.campaigns.site_checks import examine, finish
from tests.campaigns.sites import SETTLE, TYPES, DatabaseKind, Site, configure, open_site

_PLACES = {Deed.LEASE: 7}
"""How many places do a deed, where it is more than one: a lease is taken and given back by collect, prepare and
take_receipts, and all are ended at the start."""
_REACHED_WITHIN = 20.0
_ALL = [(deed, kind, database) for database, deed, kind in product(get_args(DatabaseKind), Deed, TYPES)]
_HANDFUL = (Aim(deed=Deed.SUBMIT, moment="after"), Aim(deed=Deed.TAKE_RECEIPTS, moment="after"))
_OTHERS = [
    Aim(deed=deed, moment=moment)
    for deed in (Deed.LEASE, Deed.COLLECT, Deed.TRY_AGAIN, Deed.PREPARE, Deed.CLAIM, Deed.RECORD, Deed.FETCH)
    for moment in get_args(Moment)
]


def run(trial: Trial) -> Outcome:
    """One trial."""
    random = Random(trial.seed)
    if trial.number == 1:
        return _play(trial, [*_HANDFUL, random.choice(_OTHERS)], "sqlite", TYPES)
    deed, kind, database = _ALL[trial.number - 2]
    aims = [
        Aim(deed=deed, moment=moment, count=count)
        for count in range(1, _PLACES.get(deed, 1) + 1)
        for moment in get_args(Moment)
    ]
    return _play(trial, aims, database, [kind])


def _play(trial: Trial, aims: Sequence[Aim], database: DatabaseKind, kinds: Sequence[str]) -> Outcome:
    seed, points = trial.seed % 2**31, 0
    violations: list[str] = []
    with open_site(trial.folder, returns=2 * len(aims) + 8, seed=seed, kind=database, types=kinds) as site:
        for aim in aims:
            found = list(_ROADS.get(aim.deed, _by_itself)(site, aim))
            points += not found
            violations += [f"{aim}: {one}" for one in [*found, *_finished(site)]]
            if violations:
                break
        findings = examine(site)
    findings.figures["points"] = points
    return Outcome(figures=findings.figures, violations=(*violations, *findings.violations))


def _finished(site: Site) -> Iterator[str]:
    site.make_tables()  # nothing happens where they are made
    yield from finish(site)


def _die(site: Site, aim: Aim, *, work: str = "daemon", subject: str = "") -> Iterator[str]:
    """Have a process die at the aim; what is wrong when it does not."""
    life = site.life(aim, work=work, subject=subject)
    code = life.ended_within(_REACHED_WITHIN)
    life.kill()
    if code != KILLED:
        yield "it was not reached" if code is None else f"the process that was to die there ended with {code}"


def _bring(site: Site) -> str:
    """Let returns come in until there is one with nothing wrong; its receipt number."""
    faulty = {number for numbers in site.sample.faults.values() for number in numbers}
    return next(number for number in iter(lambda: site.arrive(1)[0], "") if number not in faulty)


def _by_itself(site: Site, aim: Aim) -> Iterator[str]:
    """Deeds that every new return leads to."""
    site.make_tables()
    _bring(site)
    yield from _die(site, aim)


def _upgrade(site: Site, aim: Aim) -> Iterator[str]:
    """The tables; after the first death there are none, so there is a second that can die after making them."""
    if aim.moment == "before":
        yield from _die(site, aim, work="upgrade")
        with site.database.read() as connection:
            if version := schema.current(connection):
                yield f"nothing was committed, and yet the schema is version {version}"
        yield from _die(site, Aim(deed=aim.deed, moment="after"), work="upgrade")
    else:
        yield from _die(site, aim, work="upgrade")
    _bring(site)


def _after_a_doubt(site: Site, aim: Aim) -> Iterator[str]:
    """Deeds about a message whose sender died just before it was sent; no receipt will settle that."""
    yield from _by_itself(site, Aim(deed=Deed.SUBMIT, moment="before"))
    yield from _die(site, aim)


def _receipts_fail(site: Site, aim: Aim) -> Iterator[str]:
    """A call for receipts fails."""
    site.tell(NEXT_PATH, {"fault": "drop", "times": 1, "service": "receipts"})
    yield from _by_itself(site, aim)


def _operator(work: str, site: Site, aim: Aim) -> Iterator[str]:
    """What an operator does about a message in doubt."""
    yield from _after_a_doubt(site, Aim(deed=Deed.RECOVER, moment="after"))
    with site.database.read() as connection:
        in_doubt = select(MESSAGES.c.id).where(MESSAGES.c.state == DeliveryState.IN_DOUBT)
        message_id = connection.execute(in_doubt.limit(1)).scalar_one()
    time.sleep(SETTLE)  # before that, nobody may say that it was not received
    yield from _die(site, aim, work=work, subject=message_id)


def _revise(site: Site, aim: Aim) -> Iterator[str]:
    """What an operator does about a document that customs rejected, when its names are corrected."""
    if not site.is_stranger:
        site.become_stranger()
    site.make_tables()
    number = _bring(site)
    yield from finish(site)
    with site.database.read() as connection:
        keys = select(DOCUMENTS.c.business_key).where(DOCUMENTS.c.business_key.endswith(f"/{number}"))
        key = connection.execute(keys).scalar_one()
    name = f'"correct {number}"'
    configure(site.sample.config, {"values": {"agent_name": name, "operator_name": name}})
    yield from _die(site, aim, work="revise", subject=key)
    if aim.moment == "before":
        site.life(work="revise", subject=key).ended_within(_REACHED_WITHIN)
    site.revised.add(key)


def _export(site: Site, aim: Aim) -> Iterator[str]:
    """What an operator is asked for; whoever dies over it hands nothing out."""
    site.make_tables()
    number = _bring(site)
    yield from finish(site)
    with site.database.read() as connection:
        keys = select(DOCUMENTS.c.business_key).where(DOCUMENTS.c.business_key.endswith(f"/{number}"))
        key = connection.execute(keys).scalar_one()
    yield from _die(site, aim, work="export", subject=key)
    yield from (f"{path.name} was handed out" for path in site.sample.directory.glob("evidence-*.zip"))


def _activate(site: Site, aim: Aim) -> Iterator[str]:
    """The first start with a configuration, and the first with another one."""
    needed = "true" if aim.moment == "before" else "false"
    configure(site.sample.config, {"customs": {"require_signed_receipts": needed}})
    yield from _by_itself(site, aim)


def _forget(site: Site, aim: Aim) -> Iterator[str]:
    """Whoever's name is erased has done something: the connector itself."""
    yield from _by_itself(site, Aim(deed=Deed.PREPARE, moment="after"))
    yield from _die(site, aim, work="forget", subject=ACTOR)


def _archive(site: Site, aim: Aim) -> Iterator[str]:
    """What an operator moves out of the database, as if all was answered a day ago; a bundle stands before it goes."""
    site.make_tables()
    _bring(site)
    yield from finish(site)
    before = _messages(site)
    yield from _die(site, aim, work="archive")
    gone = before - _messages(site)
    if (aim.moment == "after") != bool(gone):
        yield f"{len(gone)} messages left the database"
    if missing := gone - _archived(site):
        yield f"{len(missing)} messages that left the database are in no archive"


def _messages(site: Site) -> set[bytes]:
    """Those in the database."""
    with site.database.read() as connection:
        return {bytes(xml) for xml in connection.execute(select(MESSAGE_BYTES.c.xml)).scalars()}


def _archived(site: Site) -> set[bytes]:
    """Every file in every archive."""
    found: set[bytes] = set()
    for path in site.sample.directory.glob("archive-*.zip"):
        with zipfile.ZipFile(path) as opened:
            found |= {opened.read(name) for name in opened.namelist()}
    return found


_ROADS: Mapping[Deed, Callable[[Site, Aim], Iterator[str]]] = {
    Deed.UPGRADE: _upgrade,
    Deed.ACTIVATE: _activate,
    Deed.BREAKER: _receipts_fail,
    Deed.RECOVER: _after_a_doubt,
    Deed.ASK: _after_a_doubt,
    Deed.RESEND: partial(_operator, "resend"),
    Deed.SETTLE: partial(_operator, "settle"),
    Deed.REVISE: _revise,
    Deed.EXPORT: _export,
    Deed.FORGET: _forget,
    Deed.ARCHIVE: _archive,
}
"""How to come to a deed that does not come by itself."""

CAMPAIGN = Campaign(
    name="crash-points",
    proves="a process may die just before or just after anything that it commits or sends, and all is finished rightly",
    run=run,
    full=1 + len(_ALL),
    small=1,
    demands={"points": 3 + sum(2 * _PLACES.get(deed, 1) for deed, _, _ in _ALL)},
    plants=(
        Plant(
            name="receipt-cursor-first",
            file="pipeline/take_receipts.py",
            old="    envelopes = [_read(connector, fetched) for fetched in page.receipts]\n",
            new="""\
    envelopes = [_read(connector, fetched) for fetched in page.receipts]
    if envelopes:
        with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
            ledger.move_cursor(transaction, connector.endpoint, envelopes[-1].sequence)
""",
        ),
    ),
)
