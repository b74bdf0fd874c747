"""The state machine of one message on its way out. Pure: a state and what happened give the next state and its times.

::

    pending ──> sending ──> delivered
       ^           ├──────> refused
       ├───────────┤ surely not sent
       │           └──────> in_doubt ──> delivered | conflict
       └──────────────────────┘ not known, asked after it has settled
    pending, in_doubt ──> parked when the tries are used up

What is not surely unsent is in doubt: customs is asked first, no earlier than `RetryPolicy.settle` after our
connection ended, and the same bytes go again only if it does not know the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random

from connector.messages.deliveries import (
    Answer,
    DeliveryState,
    Finding,
    Known,
    NotSent,
    RefusedAtDoor,
    TakenIn,
    Withdrawn,
)
from connector.outbox.retry import RetryPolicy

_FIRST_QUESTION = 2
"""Tries when customs is asked about a message for the first time: one send, one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a message goes next."""

    state: DeliveryState
    info: str
    due_at: datetime
    """The next attempt or question, at the earliest."""
    settle_at: datetime
    """In doubt: no question before this time."""


def after_answer(answer: Answer, *, tries: int, now: datetime, policy: RetryPolicy, random: Random) -> Step:
    """What follows from the answer to a try to send."""
    match answer:
        case TakenIn(info=info):
            return _rest(DeliveryState.DELIVERED, info, now)
        case RefusedAtDoor(info=info):
            return _rest(DeliveryState.REFUSED, info, now)
        case Withdrawn(info=info):
            return _rest(DeliveryState.PENDING, info, now)
        case NotSent(info=info):
            if policy.is_used_up(tries):
                return _rest(DeliveryState.PARKED, f"{info}; all {tries} tries are used up", now)
            due = now + policy.wait(tries, random)
            return Step(state=DeliveryState.PENDING, info=info, due_at=due, settle_at=now)
        case _:
            return doubt(answer.info, now=now, policy=policy)


def after_finding(
    finding: Finding, *, digest: str, tries: int, now: datetime, policy: RetryPolicy, random: Random
) -> Step:
    """What follows from the answer to a question about a message in doubt."""
    if isinstance(finding, Known):
        if finding.digest == digest:
            return _rest(DeliveryState.DELIVERED, "customs holds the message", now)
        return _rest(DeliveryState.CONFLICT, f"customs holds other bytes under this id: {finding.digest}", now)
    if policy.is_used_up(tries):
        return _rest(DeliveryState.PARKED, f"customs does not know it; all {tries} tries are used up", now)
    # At once the first time; but a request that is lost each time must not go out every few minutes.
    due = now if tries <= _FIRST_QUESTION else now + policy.wait(tries, random)
    info = "customs does not know it; the same bytes go again"
    return Step(state=DeliveryState.PENDING, info=info, due_at=due, settle_at=now)


def after_no_finding(
    reason: str, *, tries: int, settle_at: datetime, now: datetime, policy: RetryPolicy, random: Random
) -> Step:
    """What follows when the question itself found no answer."""
    if policy.is_used_up(tries):
        info = f"{reason}; all {tries} tries are used up"
        return Step(state=DeliveryState.PARKED, info=info, due_at=now, settle_at=settle_at)
    due = now + policy.wait(tries, random)
    return Step(state=DeliveryState.IN_DOUBT, info=reason, due_at=due, settle_at=settle_at)


def doubt(info: str, *, now: datetime, policy: RetryPolicy) -> Step:
    """In doubt from now on."""
    settled = now + policy.settle
    return Step(state=DeliveryState.IN_DOUBT, info=info, due_at=settled, settle_at=settled)


def _rest(state: DeliveryState, info: str, now: datetime) -> Step:
    return Step(state=state, info=info, due_at=now, settle_at=now)
