"""What is known of the attempts of one message: sends, and questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select, update

from connector.messages.deliveries import MessageId
from connector.outbox.retry import QUESTIONS
from connector.storage.outbox import ATTEMPTS, SURELY_NOT_HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One attempt of a message."""

    number: int
    kind: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    info: str


def attempts(connection: Connection, message_id: MessageId) -> list[AttemptView]:
    """Every attempt of a message, in order."""
    table = ATTEMPTS.c
    rows = connection.execute(
        select(table.number, table.kind, table.started_at, table.ended_at, table.outcome, table.info)
        .where(table.message_id == message_id)
        .order_by(table.number)
    )
    return [AttemptView(**row) for row in rows.mappings()]


def last_questions(connection: Connection, message_id: MessageId) -> list[datetime]:
    """When the last questions about a message were asked, the newest first; no more than the limit on them counts."""
    table = ATTEMPTS.c
    asked = select(table.started_at).where(table.message_id == message_id, table.kind == "query")
    return list(connection.execute(asked.order_by(table.number.desc()).limit(QUESTIONS)).scalars())


def identical_refusals(connection: Connection, message_id: MessageId) -> int:
    """How often customs has refused a message in the same words; of several, in those it used most."""
    table = ATTEMPTS.c
    refused = (
        select(func.count())
        .where(table.message_id == message_id, table.outcome == "refused")
        .group_by(table.info)
        .order_by(func.count().desc())
        .limit(1)
    )
    return connection.execute(refused).scalar() or 0


def may_have_arrived(connection: Connection, message_id: MessageId) -> bool:
    """Whether customs may hold a message: a send had no certain end, and no later question was answered "not known"."""
    table, doubtful = ATTEMPTS.c, False
    tried = select(table.kind, table.outcome).where(table.message_id == message_id).order_by(table.number)
    for kind, outcome in connection.execute(tried):
        if kind == "send":
            doubtful |= outcome not in SURELY_NOT_HELD
        elif outcome == "not_known":
            doubtful = False
    return doubtful


def end_open(transaction: Connection, message_ids: Sequence[MessageId], info: str, now: datetime) -> None:
    """Attempts that nobody works on any more came to nothing that we know of; one who still does writes over it."""
    open_ones = and_(ATTEMPTS.c.message_id.in_(message_ids), ATTEMPTS.c.ended_at.is_(None))
    transaction.execute(update(ATTEMPTS).where(open_ones).values(ended_at=now, outcome="abandoned", info=info))
