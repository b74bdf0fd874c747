"""The durable queue of messages: add, claim, record what an attempt came to.

A claim and its attempt row are one commit, durable before the first byte leaves; so after any crash an attempt
without an outcome says that the message may have been sent. A claim is a lease with a token that grows: a holder that
lost its lease sends nothing and changes nothing any more. Every time is the database's: hosts may disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, update

from connector.messages.deliveries import DeliveryState, MessageId, SignedMessage
from connector.outbox.attempts import end_open, last_questions
from connector.outbox.delivery import Step
from connector.outbox.retry import next_question
from connector.storage.limits import AT_ONCE
from connector.storage.outbox import ATTEMPTS, MESSAGE_BYTES, MESSAGE_DOCUMENTS, MESSAGES

AttemptKind = Literal["send", "query"]

_CLAIMED = {"send": DeliveryState.PENDING, "query": DeliveryState.IN_DOUBT}
_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message ready to be sent, with everything that every attempt will send."""

    id: MessageId
    type: str
    signed: SignedMessage
    body: bytes
    """The frozen request body."""
    guids: tuple[str, ...]
    """The document revisions it carries, in order."""
    anchor: int | None = None
    """How many entries of the audit log the checkpoint in it covers; None where it carries none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One message that is ours to send, or to ask about, until the lease ends."""

    message_id: MessageId
    kind: AttemptKind
    body: bytes
    digest: str
    """SHA-256 of the signed bytes."""
    number: int
    """Which attempt of the message this is, from 1."""
    tries: int
    """Attempts since it was queued, this one included."""
    settle_at: datetime
    token: int


def add(transaction: Connection, messages: Sequence[NewMessage], *, now: datetime) -> None:
    """Queue messages; they are due at once."""
    if not messages:
        return
    transaction.execute(insert(MESSAGES), [_row(message, now) for message in messages])
    parts = [{"message_id": message.id, "xml": message.signed.xml, "body": message.body} for message in messages]
    transaction.execute(insert(MESSAGE_BYTES), parts)
    carried = [
        {"message_id": message.id, "position": position, "guid": guid}
        for message in messages
        for position, guid in enumerate(message.guids)
    ]
    transaction.execute(insert(MESSAGE_DOCUMENTS), carried)


def claim(transaction: Connection, kind: AttemptKind, *, now: datetime, lease: timedelta) -> Claim | None:
    """Take the message that has been due longest, to send it or to ask about it, and write its attempt row.

    A message that was asked about as often as is allowed is put off instead.
    """
    row = _next(transaction, kind, now)
    if row is None:
        return None
    table = MESSAGES.c
    of_message = MESSAGE_BYTES.c.message_id == row.id
    body: bytes = transaction.execute(select(MESSAGE_BYTES.c.body).where(of_message)).scalar_one()
    state = DeliveryState.SENDING if kind == "send" else DeliveryState.IN_DOUBT
    transaction.execute(
        update(MESSAGES)
        .where(table.id == row.id)
        .values(
            state=state,
            state_since=now if kind == "send" else row.state_since,
            tries=row.tries + 1,
            queued_at=row.queued_at if row.tries else now,  # nobody gives up what could not be tried for a week
            lease_token=row.lease_token + 1,
            lease_until=now + lease,
        )
    )
    end_open(transaction, [MessageId(row.id)], "whoever began it is gone", now)
    count = select(func.count()).select_from(ATTEMPTS).where(ATTEMPTS.c.message_id == row.id)
    number = transaction.execute(count).scalar_one() + 1
    transaction.execute(
        insert(ATTEMPTS).values(
            message_id=row.id,
            number=number,
            kind=kind,
            body_digest=hashlib.sha256(body).hexdigest(),
            started_at=now,
            outcome="",
            info="",
        )
    )
    return Claim(
        message_id=MessageId(row.id),
        kind=kind,
        body=body,
        digest=row.digest,
        number=number,
        tries=row.tries + 1,
        settle_at=row.settle_at,
        token=row.lease_token + 1,
    )


def record(
    transaction: Connection, claim: Claim, step: Step, *, outcome: str, response: bytes | None, now: datetime
) -> bool:
    """Write what an attempt came to and where the message goes; False when the lease was lost and nothing changed.

    The raw response is kept in either case.
    """
    moved = transaction.execute(  # the message before its attempts, as everywhere: else two could wait for each other
        update(MESSAGES)
        .where(MESSAGES.c.id == claim.message_id, MESSAGES.c.lease_token == claim.token)
        .values(**_stepped(step, now))
    )
    transaction.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.message_id == claim.message_id, ATTEMPTS.c.number == claim.number)
        .values(ended_at=now, outcome=outcome, info=step.info, response=response)
    )
    return moved.rowcount == 1


def is_due(connection: Connection, kind: AttemptKind, *, now: datetime) -> bool:
    """Whether a message waits for this kind of attempt now."""
    return connection.execute(_due(kind, now).with_only_columns(MESSAGES.c.id)).first() is not None


def is_ours(connection: Connection, claim: Claim, *, until: datetime) -> bool:
    """Whether the claim holds, and goes on to hold until then: nobody overtook it, and its lease lasts."""
    table = MESSAGES.c
    holds = and_(table.id == claim.message_id, table.lease_token == claim.token, table.lease_until >= until)
    return connection.execute(select(table.id).where(holds)).first() is not None


def has_expired(connection: Connection, *, now: datetime) -> bool:
    """Whether there are messages whose sender is gone."""
    return connection.execute(select(MESSAGES.c.id).where(_left_by_its_sender(now)).limit(1)).first() is not None


def abandon(transaction: Connection, step: Step, *, now: datetime) -> list[MessageId]:
    """Put messages in doubt whose sender is gone; a sender that should come back changes nothing.

    At most `AT_ONCE` of them; there may be more. Those that changed.
    """
    some = select(MESSAGES.c.id).where(_left_by_its_sender(now)).limit(AT_ONCE)
    moved = transaction.execute(
        update(MESSAGES)
        # Said twice: PostgreSQL looks again at the outer condition alone when a row has changed while it waited.
        .where(MESSAGES.c.id.in_(some), _left_by_its_sender(now))
        .values(**_stepped(step, now), lease_token=MESSAGES.c.lease_token + 1)
        .returning(MESSAGES.c.id)
    )
    message_ids = [MessageId(message_id) for message_id in moved.scalars()]
    end_open(transaction, message_ids, step.info, now)
    return message_ids


def end_leases(transaction: Connection, *, now: datetime) -> None:
    """End every lease at once; for one who knows that nobody else is at work."""
    transaction.execute(update(MESSAGES).where(MESSAGES.c.lease_until >= now).values(lease_until=now - _MOMENT))


def _left_by_its_sender(now: datetime) -> ColumnElement[bool]:
    """Still being sent although the lease has ended."""
    return and_(MESSAGES.c.state == DeliveryState.SENDING, MESSAGES.c.lease_until < now)


def _due(kind: AttemptKind, now: datetime) -> Select[Any]:
    table = MESSAGES.c
    free = or_(table.lease_until.is_(None), table.lease_until < now)
    due = and_(table.state == _CLAIMED[kind], table.due_at <= now, free)
    return select(MESSAGES).where(due).order_by(table.due_at).limit(1)


def _next(transaction: Connection, kind: AttemptKind, now: datetime) -> Row[Any] | None:
    """The message to claim, locked; questions beyond what customs allows are put off on the way."""
    while (row := transaction.execute(_due(kind, now).with_for_update(skip_locked=True)).one_or_none()) is not None:
        if kind == "send":
            break
        when = next_question(last_questions(transaction, MessageId(row.id)), now)
        if when <= now:
            break
        transaction.execute(update(MESSAGES).where(MESSAGES.c.id == row.id).values(due_at=when))
    return row


def _stepped(step: Step, now: datetime) -> dict[str, object]:
    return {
        "state": step.state,
        "state_since": now,
        "info": step.info,
        "due_at": step.due_at,
        "settle_at": step.settle_at,
        "lease_until": None,
    }


def _row(message: NewMessage, now: datetime) -> dict[str, object]:
    return {
        "id": message.id,
        "type": message.type,
        "suite": message.signed.suite,
        "key_id": message.signed.key_id,
        "digest": hashlib.sha256(message.signed.xml).hexdigest(),
        "created_at": now,
        "queued_at": now,
        "state": DeliveryState.PENDING,
        "state_since": now,
        "info": "",
        "due_at": now,
        "settle_at": now,
        "tries": 0,
        "lease_token": 0,
        "lease_until": None,
    }
