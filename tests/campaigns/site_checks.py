"""What must hold at a site when all work is done, held against what was planted and against the office's own books."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from connector.audit.checkpoints import issued_after
from connector.audit.events import Event
from connector.audit.nodes import StoredTree
from connector.audit.tree import Frontier
from connector.audit.verification import rebuild
from connector.messages.receipts import CustomsStatus
from connector.outbox.queries import count_documents, count_messages
from connector.simulator import enquiries, tables
from connector.simulator.enquiries import LedgerEntry
from connector.simulator.stages import milliseconds
from connector.sources import quarantine
from connector.storage.audit import AUDIT_ENTRIES
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_ENVELOPES
from tests.campaigns.daemon_under_test import until
from tests.campaigns.sites import Site

_ACCEPTED, _REJECTED, _HELD = "accepted", "rejected", "quarantined"
_PLANTED: Mapping[str, Mapping[str, str]] = {
    "quantity_above_original": {"CEB213": _HELD, "CEB215": _ACCEPTED},
    "list_unknown_to_customs": {"CEB213": _REJECTED, "CEB215": _ACCEPTED},
    "list_unknown_to_us": {"CEB213": _HELD, "CEB215": _ACCEPTED},
    "control_character": {"CEB213": _HELD, "CEB215": _ACCEPTED},
    "unknown_unit": {"CEB213": _HELD, "CEB215": _ACCEPTED},
    "missing_waybill": {"CEB213": _HELD, "CEB215": _HELD},
}
_SOUND = {"CEB213": _ACCEPTED, "CEB215": _ACCEPTED}
_SURELY_NOT_SENT = {"not_sent", "withdrawn"}
_AT_REST = {"delivered", "closed"}
_TOLD = 5
"""Examples that a violation names."""
_PATIENCE = 7.0
"""Seconds without any progress before a site is given up: longer than a lease and a settling together, and than a
receipt that comes late."""
_LIMIT = 90.0
"""Seconds after which it is given up in any case."""
_STARTS_WITHIN = 20.0
_STOPS_WITHIN = 5.0
_LOOK = 0.1


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a site came to."""

    figures: Counter[str]
    violations: list[str]


def finish(site: Site, *, workers: int = 1) -> Iterator[str]:
    """Have a daemon finish what was begun, and end it; what is wrong with that."""
    life = site.life(workers=workers)
    try:
        seen = _progress(site)
        since = begun = time.monotonic()
        while seen[0] and time.monotonic() - since < _PATIENCE and time.monotonic() - begun < _LIMIT:
            time.sleep(_LOOK)
            if (now := _progress(site)) != seen:
                seen, since = now, time.monotonic()
        if seen[0]:
            yield f"{seen[0]} things are left to do, and nothing has moved for {time.monotonic() - since:.0f} s"
        until(lambda: life.is_up or life.has_ended, _STARTS_WITHIN)  # before that, a signal would just end it
        if (code := life.stop(_STOPS_WITHIN)) != 0:
            yield f"told to stop, the daemon ended with {code}"
    finally:
        life.kill()


def _progress(site: Site) -> tuple[int, ...]:
    """How far our records are; the first number is what is left to do, 0 at the end."""
    with site.database.read() as connection:
        messages, documents = count_messages(connection), count_documents(connection)
        held = len(quarantine.waiting_entries(connection))
        revised = select(func.count()).select_from(DOCUMENTS).where(DOCUMENTS.c.revision > 1)
        revisions = connection.execute(revised).scalar_one()
    final = sum(count for (_, status), count in documents.items() if CustomsStatus(status).is_final)
    under_way = sum(count for state, count in messages.items() if state not in _AT_REST)
    left = abs(len(_expected(site)) - final - held) + under_way + len(site.revised) - revisions
    return left, final, held, under_way, revisions, *sorted(documents.values()), *sorted(messages.values())


def examine(site: Site) -> Findings:
    """Hold everything against everything; nothing may be under way any more."""
    findings = Findings(figures=Counter(), violations=[])
    ledger = _ledger(site)
    with site.database.read() as connection:
        _compare_with_plan(site, ledger, findings)
        _compare_with_ledger(site, connection, ledger, findings)
        findings.violations += _receipts_lost(site, connection)
        _look_at_sending(site, connection, findings)
        findings.violations += _records_at_fault(connection)
    return findings


def _expected(site: Site) -> dict[tuple[str, str], str]:
    """(type, receipt number) -> what should become of it, for every return that came in."""
    faults = {number: kind for kind, numbers in site.sample.faults.items() for number in numbers}
    expected = {
        (kind, number): (_PLANTED[faults[number]] if number in faults else _SOUND)[kind]
        for number in site.arrived
        for kind in site.types
    }
    return {name: _REJECTED if site.is_stranger and what == _ACCEPTED else what for name, what in expected.items()}


def _ledger(site: Site) -> dict[tuple[str, str], LedgerEntry]:
    """(type, business key) -> the office's entry."""
    engine = tables.open_database(site.office)
    try:
        with tables.reading(engine).connect() as connection:
            rows = connection.execute(enquiries.ledger(milliseconds(datetime.now(UTC))))
            return {(row.type, row.business_key): enquiries.entry(row) for row in rows}
    finally:
        engine.dispose()


def _compare_with_plan(site: Site, ledger: Mapping[tuple[str, str], LedgerEntry], findings: Findings) -> None:
    """Lost, doubled, or declared although it should not be."""
    entries = {(kind, key.rpartition("/")[2]): entry for (kind, key), entry in ledger.items()}
    expected = _expected(site)
    lost, doubled, stray = [], [], []
    for name, what in expected.items():
        entry = entries.get(name)
        times = entry.times_accepted if entry else 0
        if (what != _HELD and entry is None) or (what == _ACCEPTED and times == 0):
            lost.append(name)
        elif times > 1:
            doubled.append(name)
        elif entry and (what == _HELD or (what == _REJECTED and times)):
            stray.append(name)
    stray += sorted(entries.keys() - expected.keys())
    findings.figures.update(documents=len(entries), lost=len(lost), doubled=len(doubled))
    findings.violations += _told("lost: never accepted by the office", lost)
    findings.violations += _told("doubled: accepted by the office more than once", doubled)
    findings.violations += _told("declared or accepted although it should not be", stray)


def _compare_with_ledger(
    site: Site, connection: Connection, ledger: Mapping[tuple[str, str], LedgerEntry], findings: Findings
) -> None:
    """Our customs status must be the office's, of each document exactly one revision unless it was revised."""
    ours = connection.execute(select(DOCUMENTS).order_by(DOCUMENTS.c.revision)).all()
    by_key = {(row.type, row.business_key): row.customs_code for row in ours}
    differing = [key for key, entry in ledger.items() if by_key.get(key) != entry.status]
    repeated = [(row.type, row.business_key) for row in ours if row.revision > 1 + (row.business_key in site.revised)]
    unknown = sorted(by_key.keys() - ledger.keys())
    findings.violations += _told("our customs status is not the office's", differing)
    findings.violations += _told("a revision too many", repeated)
    findings.violations += _told("we have it, the office does not", unknown)


def _receipts_lost(site: Site, connection: Connection) -> Iterator[str]:
    """Receipt messages that the office gave out and that we do not keep; the last page may have been on its way."""
    kept = set(connection.execute(select(RECEIPT_ENVELOPES.c.sequence)).scalars())
    with closing(sqlite3.connect(site.office, timeout=10)) as office:
        given = {row[0] for row in office.execute("SELECT sequence FROM receipts WHERE sequence IS NOT NULL")}
    missing = sorted(one for one in given - kept if one < max(kept, default=0))
    if missing:
        yield f"lost: {len(missing)} receipt messages that the office gave out, e.g. number {missing[0]}"


def _look_at_sending(site: Site, connection: Connection, findings: Findings) -> None:
    """What was sent when, by our attempts and by the office's requests and questions."""
    attempts: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(select(ATTEMPTS).order_by(ATTEMPTS.c.message_id, ATTEMPTS.c.number)):
        attempts[row.message_id].append(row)
    by_operator = select(AUDIT_ENTRIES.c.message_id).where(AUDIT_ENTRIES.c.event == Event.SETTLED)
    settled = set(connection.execute(by_operator).scalars())
    with closing(sqlite3.connect(site.office, timeout=10)) as office:
        requests = defaultdict(list)
        received = office.execute("SELECT message_id, body, received_at FROM requests ORDER BY number")
        for message_id, body, at in received:
            requests[message_id].append((hashlib.sha256(body).hexdigest(), at))
        denials = defaultdict(list)
        for message_id, at in office.execute("SELECT message_id, answered_at FROM queries WHERE known = 0"):
            denials[message_id].append(at)
    figures: Counter[str] = Counter(messages=len(attempts), in_doubt=0, known=0, not_known=0, resent=0, blind=0)
    for message_id, tries in attempts.items():
        sends = [row for row in tries if row.kind == "send"]
        figures["in_doubt"] += sum(row.outcome in {"", "abandoned", "in_doubt"} for row in sends)
        figures["resent"] += len(sends) - 1
        figures.update(row.outcome for row in tries if row.outcome in {"known", "not_known"})
        if message_id not in settled:
            findings.violations += _unasked_by_us(message_id, tries)
    for message_id, arrivals in requests.items():
        sends = [row for row in attempts.get(message_id, ()) if row.kind == "send"]
        if len(arrivals) > len(sends) or {digest for digest, _ in arrivals} - {row.body_digest for row in sends}:
            text = f"{message_id}: {len(arrivals)} requests reached the office, of {len(sends)} attempts on record"
            findings.violations.append(text)
        times = [at for _, at in arrivals]
        blind = [later for sooner, later in pairwise(times) if not _denied(denials[message_id], sooner, later)]
        figures["blind"] += len(blind)
        if blind:
            findings.violations.append(f"{message_id} reached the office again, and it had not said that it lacks it")
    findings.figures.update(figures)


def _denied(denials: Sequence[int], sooner: int, later: int) -> bool:
    """Whether the office said between two times, in milliseconds, that it does not know a message."""
    return any(sooner <= at <= later for at in denials)


def _unasked_by_us(message_id: str, tries: Sequence[Row[Any]]) -> Iterator[str]:
    """Sends after one that may have arrived, with no answer "not known" between, by our own attempts."""
    unsure = False
    for row in tries:
        if row.kind == "query":
            unsure = unsure and row.outcome != "not_known"
            continue
        if unsure:
            yield f"{message_id}: attempt {row.number} was sent although an earlier one may have arrived"
        unsure = row.outcome not in _SURELY_NOT_SENT


def _records_at_fault(connection: Connection) -> Iterator[str]:
    """What our own records hold that they may not."""
    stuck = {state: count for state, count in count_messages(connection).items() if state not in _AT_REST}
    if stuck:
        yield f"messages that did not come to rest: {stuck}"
    open_ended = select(func.count()).select_from(ATTEMPTS).where(ATTEMPTS.c.ended_at.is_(None))
    if count := connection.execute(open_ended).scalar_one():
        yield f"{count} attempts never ended"
    leased = select(func.count()).select_from(MESSAGES).where(MESSAGES.c.lease_until.is_not(None))
    if count := connection.execute(leased).scalar_one():
        yield f"{count} messages at rest are still leased"
    numbers = list(connection.execute(select(AUDIT_ENTRIES.c.sequence).order_by(AUDIT_ENTRIES.c.sequence)).scalars())
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the audit log has gaps: {len(numbers)} entries up to number {numbers[-1]}"
    try:
        rebuild(connection, Frontier())
        tree = StoredTree(connection)
        yield from (
            f"checkpoint {one.size} is not of this log"
            for one in issued_after(connection)
            if tree.root(one.size) != one.root
        )
    except ValueError as error:
        yield f"the audit log does not verify: {error}"
    if connection.dialect.name == "sqlite":
        said = connection.execute(text("PRAGMA integrity_check")).scalar_one()
        if said != "ok":
            yield f"integrity_check: {said}"


def _told(what: str, names: Sequence[tuple[str, str]]) -> list[str]:
    some = ", ".join(" ".join(name) for name in names[:_TOLD])
    return [f"{what}: {len(names)}, e.g. {some}"] if names else []
