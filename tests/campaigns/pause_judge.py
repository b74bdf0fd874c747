"""What must hold after a trial of the campaign `pause`, by the office's own books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from connector.simulator import tables
from connector.simulator.ledger import read_ledger
from connector.storage.outbox import ATTEMPTS, MESSAGES
from tests.campaigns.pause_site import SETTLE, Site


def office_requests(site: Site) -> dict[str, int]:
    """How many requests came for each message."""
    counts: dict[str, int] = defaultdict(int)
    for row in _rows(site, tables.requests):
        counts[row.message_id] += 1
    return dict(counts)


def verdict(site: Site) -> Iterator[str]:
    """What is wrong in the end."""
    yield from _blind_resends(site)
    yield from _not_accepted_once(site)
    yield from _without_attempt(site)


def _blind_resends(site: Site) -> Iterator[str]:
    """A message may come again only after customs, asked `SETTLE` after it came before, did not know it."""
    questions = [row for row in _rows(site, tables.queries) if row.known == 0]
    requests: dict[str, list[Any]] = defaultdict(list)
    for row in sorted(_rows(site, tables.requests), key=lambda row: row.number):
        requests[row.message_id].append(row)
    for message_id, came in requests.items():
        for number, later in enumerate(came):
            for earlier in came[:number]:
                settled = earlier.received_at + int(SETTLE * 1000)
                if not any(
                    row.message_id == message_id and row.asked_at >= settled and row.asked_at <= later.received_at
                    for row in questions
                ):
                    yield f"blind resend: message {message_id} came again without a question that said not known"


def _not_accepted_once(site: Site) -> Iterator[str]:
    ledger = read_ledger(site.office, datetime.now(UTC))
    times = {(entry.type, entry.business_key): entry.times_accepted for entry in ledger.documents}
    for one in site.sent:
        if times.get(one) != 1:
            yield f"document {one[0]} {one[1]} was accepted {times.get(one, 0)} times, not once"


def _without_attempt(site: Site) -> Iterator[str]:
    """Requests that no attempt row speaks of."""
    table = ATTEMPTS.c
    sends: dict[str, int] = defaultdict(int)
    with site.connector.database.read() as connection:
        for message_id in connection.execute(select(table.message_id).where(table.kind == "send")).scalars():
            sends[message_id] += 1
        states = {row.id: row.state for row in connection.execute(select(MESSAGES.c.id, MESSAGES.c.state))}
    for message_id, count in office_requests(site).items():
        if count > sends[message_id]:
            yield f"message {message_id} came {count} times, but has {sends[message_id]} attempts to send it"
    for message in site.messages.values():
        if states[message.id] != "delivered":
            yield f"message {message.id} is {states[message.id]} in the end, not delivered"


def _rows(site: Site, table: Any) -> list[Any]:
    engine = tables.open_database(site.office)
    try:
        with tables.reading(engine).connect() as connection:
            return list(connection.execute(select(table)))
    finally:
        engine.dispose()
