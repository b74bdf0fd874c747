"""Processes of ours are stopped beyond their leases, others take over, and the stopped ones are woken.

Real processes on one PostgreSQL database, with leases of 0.6 s, and a simulated customs office. Each stop with a
takeover is one cycle:

- *messages*: a worker is stopped (SIGSTOP) between its claim and the first byte, after the last byte, after the answer,
  around a question, or at any moment; once its lease is over others settle the message. When it is woken it must send
  nothing that had not left before, and change nothing of any message.
- *cursors*: a process is stopped while it has the lease of a collection, of preparing one, or of the receipt stream.
  When it is woken, nothing is stored twice and no cursor goes back.

A process that is stopped in the middle of a transaction holds locks that others wait for: nobody can take over then,
and it finishes when it is woken. Such stops are counted apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import select

from connector.storage.leases import LEASES
from connector.storage.outbox import DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_CURSORS, RECEIPT_ENVELOPES, RECEIPTS
from connector.storage.sources import SOURCE_CURSORS, SOURCE_RECORDS
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.pause_judge import office_requests, verdict
from tests.campaigns.pause_orders import ANSWERED, LEASE, PAGE_READ, Report
from tests.campaigns.pause_site import SETTLE, Process, Site, open_site, wait_for

_MOMENT = "at any moment"
_SENDING = ("claim after", "submit before", "submit after", ANSWERED, _MOMENT)
_ASKING = ("claim after", "ask before", "ask after", ANSWERED)
_BEFORE_FIRST_BYTE = {"claim after": "Withdrawn", "submit before": "NotSent"}
"""What a worker that was stopped there makes of its message: the second is over its deadline."""
_SENDERS = 3
_ASKERS = 2
_CURSORS = {
    "collect": ("lease after", PAGE_READ, "collect after"),
    "prepare": ("lease after", "prepare after"),
    "receipts": ("lease after", "fetch after", ANSWERED, "take_receipts after"),
}
_MARGIN = 0.03
"""Seconds by which everything is waited for longer."""
_MOST_SECONDS = 0.04
"""Of a random moment after the order."""
_PARTS = ("transaction", "collect", "receipts", "prepare")
"""What a trial plays besides messages."""

Stops = dict[Process, str]
"""Where each process was stopped."""


@dataclass(slots=True, kw_only=True)
class _Play:
    """One trial as it goes."""

    site: Site
    random: Random
    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def run(trial: Trial) -> Outcome:
    """Stop and wake processes while they deliver, and in one other part of the flow."""
    random = Random(trial.seed)
    with open_site(trial.folder, random) as site:
        play = _Play(site=site, random=random)
        part = _PARTS[trial.number % len(_PARTS)]
        for name in ("collect", "prepare"):
            if part == name:
                _cursor(play, name)
            site.processes[-1].do(name)
        site.draft()
        _messages(play)
        if part == "receipts":
            _cursor(play, part)
        if part == "transaction":
            _in_transaction(play)
        play.violations += verdict(site)
    play.figures["stale_writes"] += 0
    return Outcome(figures=play.figures, violations=tuple(play.violations))


def _messages(play: _Play) -> None:
    """Stop some while they send, others while they ask, and let one settle everything before they are woken."""
    site, healthy = play.site, play.site.processes[-1]
    queued = {message.id for message in site.queue(_SENDERS)}
    places = [_SENDING[0], *play.random.sample(_SENDING[1:], _SENDERS - 1)]
    stopped = _stopped(play, site.processes[:_SENDERS], places)
    _wait_for_leases()
    healthy.do("deliver")  # it puts in doubt what was not settled
    time.sleep(SETTLE + _MARGIN)
    stopped |= _stopped(play, site.processes[_SENDERS : _SENDERS + _ASKERS], play.random.sample(_ASKING, _ASKERS))
    _wait_for_leases()

    def is_settled() -> bool:
        healthy.do("deliver")
        return all(row.state == "delivered" for row in _rows(site, MESSAGES) if row.id in queued)

    wait_for(is_settled)
    before = _rows(site, MESSAGES), office_requests(site)
    reports = _woken(play, stopped)
    _compare(play, stopped, before, (_rows(site, MESSAGES), office_requests(site)))
    for process, place in stopped.items():
        sent = [one.outcome for one in reports[process].sent]
        expected = _BEFORE_FIRST_BYTE.get(place)
        if process in site.processes[:_SENDERS] and expected and sent[:1] != [expected]:
            play.violations.append(f"{process.name}, stopped {place}, did not end with {expected}, but with {sent}")
        play.figures[f"stopped {place}"] += 1
    play.figures["cycles"] += len(stopped)


def _compare(play: _Play, stopped: Stops, before: tuple[list[Any], object], after: tuple[list[Any], object]) -> None:
    """No message and nothing at the office may differ."""
    who = ", ".join(f"{process.name} {place}" for process, place in stopped.items())
    was = [row for row in before[0] if row not in after[0]]
    became = [row for row in after[0] if row not in before[0]]
    if was or became:
        play.figures["stale_writes"] += max(len(was), len(became))
        play.violations.append(f"a stale holder changed {was} to {became}; stopped were {who}")
    if before[1] != after[1]:
        play.violations.append(f"a stale holder sent: {before[1]} requests became {after[1]}; stopped were {who}")


def _cursor(play: _Play, part: str) -> None:
    """Stop one process after the other while it has the lease; one more does all the work before they are woken."""
    stopped: Stops = {}
    for process, place in zip(play.site.processes, _CURSORS[part], strict=False):
        _bring_news(play, part)
        process.begin(part, place)
        if process.is_stopped():
            stopped[process] = place
            _wait_for_leases()
        else:
            process.report()
    _bring_news(play, part)
    play.site.processes[-1].do(part)
    before = _kept(play.site)
    _woken(play, stopped)
    _compare(play, stopped, (before, None), (_kept(play.site), None))
    play.figures["cycles"] += len(stopped)
    play.figures[f"cycles_of_{part}"] += len(stopped)


def _bring_news(play: _Play, part: str) -> None:
    """What a stopped process has read is old when it is woken: something new has come meanwhile."""
    if part == "collect":
        play.site.change_a_return()
    if part == "receipts":
        play.site.queue(1)
        play.site.processes[-1].do("deliver")


def _in_transaction(play: _Play) -> None:
    """Stop a process just before it commits an outcome; whoever would take over has to wait for it."""
    site, holder, other = play.site, play.site.processes[0], play.site.processes[-1]
    (message,) = site.queue(1)
    holder.begin("deliver", "record before")
    if not holder.is_stopped():
        play.violations.append(f"{holder.name} did not stop before it recorded: {holder.report()}")
        return
    _wait_for_leases()
    other.begin("deliver")
    time.sleep(LEASE)
    (row,) = [row for row in _rows(site, MESSAGES) if row.id == message.id]
    if row.state != "sending":
        play.violations.append(f"message {row.id} became {row.state} while its holder was about to commit")
    _woken(play, {holder: "record before"})
    other.report()
    (row,) = [row for row in _rows(site, MESSAGES) if row.id == message.id]
    if row.state != "delivered" or office_requests(site)[message.id] != 1:
        play.violations.append(f"message {row.id} is {row.state} after {office_requests(site)[message.id]} requests")
    play.figures["stops_in_transaction"] += 1


def _stopped(play: _Play, processes: Sequence[Process], places: Sequence[str]) -> Stops:
    """Have each do one delivery and stop at a place of its own; those that did."""
    stopped: Stops = {}
    for process, place in zip(processes, places, strict=True):
        process.begin("deliver", "" if place == _MOMENT else place)
        if place == _MOMENT:
            time.sleep(play.random.uniform(0, _MOST_SECONDS))
            _stop_outside_transaction(play.site, process)
        if process.is_stopped():
            stopped[process] = place
        else:
            _ended(play, process)
    return stopped


def _stop_outside_transaction(site: Site, process: Process) -> None:
    process.stop()
    while site.is_in_transaction(process):
        process.wake()
        time.sleep(_MARGIN / 10)
        process.stop()
    if process.pipe.poll():  # it was done before
        process.wake()
        wait_for(lambda: process.state() != "T")


def _woken(play: _Play, stopped: Stops) -> dict[Process, Report]:
    """Wake them in any order."""
    order = play.random.sample(list(stopped), len(stopped))
    for process in order:
        process.wake()
    return {process: _ended(play, process) for process in order}


def _ended(play: _Play, process: Process) -> Report:
    report = process.report()
    if report.error:
        play.violations.append(f"{process.name} ended with an error: {report.error}")
    return report


def _wait_for_leases() -> None:
    time.sleep(LEASE + _MARGIN)


def _rows(site: Site, table: Any) -> list[Any]:
    with site.connector.database.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def _kept(site: Site) -> list[Any]:
    """What leases guard; not whether a record waits to be prepared again, which may be said twice."""
    tables = (SOURCE_CURSORS, SOURCE_RECORDS, DOCUMENTS, MESSAGES, RECEIPT_CURSORS, RECEIPT_ENVELOPES, RECEIPTS, LEASES)
    return [
        {name: value for name, value in row._asdict().items() if (table, name) != (SOURCE_RECORDS, "state")}
        for table in tables
        for row in _rows(site, table)
    ]


CAMPAIGN = Campaign(
    name="pause",
    proves="a process that was stopped beyond its lease sends nothing and changes nothing when it goes on",
    run=run,
    full=80,
    small=1,
    demands={"cycles": 500},
    plants=(
        Plant(
            name="lease-not-rechecked",
            file="pipeline/deliver.py",
            old="return queue.is_ours(connection, claim, until=until)",
            new="return bool(until)",
        ),
        Plant(
            name="token-not-checked",
            file="outbox/queue.py",
            old=".where(MESSAGES.c.id == claim.message_id, MESSAGES.c.lease_token == claim.token)",
            new=".where(MESSAGES.c.id == claim.message_id)",
        ),
        Plant(
            name="cursor-lease-not-checked",
            file="storage/leases.py",
            old="raise Overtaken(lease.name)",
            new="return",
        ),
    ),
)
