"""What moves a message besides its own attempts: receipts, operators, and time.

Whoever is sending it, or asking about it, at that moment is overtaken: its token holds no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, exists, or_, select, update

from connector.messages.deliveries import DeliveryState, MessageId
from connector.outbox.attempts import end_open
from connector.storage.limits import AT_ONCE
from connector.storage.outbox import ATTEMPTS, MESSAGE_DOCUMENTS, MESSAGES, SURELY_NOT_HELD

_OPEN = [DeliveryState.PENDING, DeliveryState.IN_DOUBT]
_CONFIRMED_BY_RECEIPT = [
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.IN_DOUBT,
    DeliveryState.PARKED,
]
_REFUSED_BY_RECEIPT = [*_CONFIRMED_BY_RECEIPT, DeliveryState.DELIVERED]


def past_deadline(connection: Connection, queued_before: datetime) -> list[MessageId]:
    """Messages that have been tried, and have waited for customs since before then.

    At most `AT_ONCE` of them; there may be more.
    """
    table = MESSAGES.c
    tried = or_(table.tries > 0, table.state == DeliveryState.IN_DOUBT)
    query = select(table.id).where(table.state.in_(_OPEN), table.queued_at < queued_before, tried).limit(AT_ONCE)
    return [MessageId(message_id) for message_id in connection.execute(query).scalars()]


def park(transaction: Connection, message_ids: Sequence[MessageId], *, info: str, now: datetime) -> list[MessageId]:
    """Leave messages to an operator; those that changed, for others are settled meanwhile."""
    waiting = and_(MESSAGES.c.id.in_(message_ids), MESSAGES.c.state.in_(_OPEN))
    return _turn(transaction, waiting, DeliveryState.PARKED, info, now)


def confirm_by_receipt(transaction: Connection, guids: Sequence[str], *, now: datetime) -> list[MessageId]:
    """A receipt came for these revisions: the messages that carried them did arrive. Those that changed."""
    carriers = select(MESSAGE_DOCUMENTS.c.message_id).where(MESSAGE_DOCUMENTS.c.guid.in_(guids))
    sent = and_(ATTEMPTS.c.message_id == MESSAGES.c.id, ATTEMPTS.c.kind == "send")
    may_have_arrived = exists().where(sent, ATTEMPTS.c.outcome.not_in(SURELY_NOT_HELD))
    return _turn(
        transaction,
        and_(MESSAGES.c.id.in_(carriers), MESSAGES.c.state.in_(_CONFIRMED_BY_RECEIPT), may_have_arrived),
        DeliveryState.DELIVERED,
        "a receipt for it arrived",
        now,
    )


def refuse_by_receipt(transaction: Connection, message_id: MessageId, info: str, *, now: datetime) -> list[MessageId]:
    """A format check refused the whole message (CEB900). Those that changed."""
    this = and_(MESSAGES.c.id == message_id, MESSAGES.c.state.in_(_REFUSED_BY_RECEIPT))
    return _turn(transaction, this, DeliveryState.REFUSED, info, now)


def requeue(transaction: Connection, message_id: MessageId, *, info: str, now: datetime) -> bool:
    """Send the same bytes again, for an operator; False when the state has changed meanwhile."""
    allowed = MESSAGES.c.state.in_([DeliveryState.REFUSED, DeliveryState.PARKED])
    return bool(_turn(transaction, and_(MESSAGES.c.id == message_id, allowed), DeliveryState.PENDING, info, now))


def close(transaction: Connection, message_id: MessageId, *, info: str, now: datetime) -> bool:
    """End a message whose documents go out in others; False when the state has changed meanwhile."""
    allowed = MESSAGES.c.state.in_([DeliveryState.REFUSED, DeliveryState.PARKED])
    return bool(_turn(transaction, and_(MESSAGES.c.id == message_id, allowed), DeliveryState.CLOSED, info, now))


def settle(transaction: Connection, message_id: MessageId, state: DeliveryState, *, info: str, now: datetime) -> bool:
    """Let an operator decide what became of a message; False when the state has changed meanwhile.

    In doubt or parked: delivered, or pending when it surely did not arrive, has settled and is not being asked about.
    In conflict: closed.
    """
    table = MESSAGES.c
    allowed = {
        DeliveryState.DELIVERED: table.state.in_([DeliveryState.IN_DOUBT, DeliveryState.PARKED]),
        DeliveryState.PENDING: and_(
            table.state.in_([DeliveryState.IN_DOUBT, DeliveryState.PARKED]),
            table.settle_at <= now,
            or_(table.lease_until.is_(None), table.lease_until < now),
        ),
        DeliveryState.CLOSED: table.state == DeliveryState.CONFLICT,
    }
    return bool(_turn(transaction, and_(table.id == message_id, allowed[state]), state, info, now))


def ask_soon(transaction: Connection, message_id: MessageId, *, info: str, now: datetime) -> bool:
    """Bring the next question about a message in doubt forward, never before it has settled; its tries begin anew.

    One that was parked is in doubt again. False when it is neither.
    """
    table = MESSAGES.c
    parked = and_(table.id == message_id, table.state == DeliveryState.PARKED)
    _turn(transaction, parked, DeliveryState.IN_DOUBT, info, now)
    brought = transaction.execute(
        update(MESSAGES)
        .where(table.id == message_id, table.state == DeliveryState.IN_DOUBT)
        .values(due_at=case((table.settle_at > now, table.settle_at), else_=now), tries=0)
    )
    return brought.rowcount == 1


def _turn(transaction: Connection, which: Any, state: DeliveryState, info: str, now: datetime) -> list[MessageId]:
    anew = {"tries": 0, "queued_at": now} if state in _OPEN else {}
    turned = transaction.execute(
        update(MESSAGES)
        .where(which)
        .values(
            state=state,
            state_since=now,
            info=info,
            due_at=now,
            lease_token=MESSAGES.c.lease_token + 1,  # whoever is sending it, or asking about it, is overtaken
            lease_until=None,
            **anew,
        )
        .returning(MESSAGES.c.id)
    )
    message_ids = [MessageId(message_id) for message_id in turned.scalars()]
    if message_ids:
        end_open(transaction, message_ids, info, now)
    return message_ids
