"""deliver: messages that are due go to customs, and messages in doubt are asked about.

Each try is two commits with the network between them: the claim with its attempt row before the first byte, then the
raw answer, what it means and the audit entry together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import DeliveryState, InDoubt, Known, NotSent, RefusedAtDoor, TakenIn
from connector.outbox import queue
from connector.outbox.delivery import Step, after_answer, after_finding, after_no_finding, doubt
from connector.outbox.queue import Claim
from connector.pipeline.wiring import ACTOR, Connector

_NEEDS_OPERATOR = {DeliveryState.REFUSED, DeliveryState.PARKED, DeliveryState.CONFLICT}
_UNANSWERED = {
    "not_sent": queue.CLAIMABLE,
    "unanswered": frozenset({DeliveryState.IN_DOUBT}),
    "in_doubt": frozenset[DeliveryState](),
}
"""Outcomes without a usable answer, and what is then left for the next time."""
_OUTCOMES = {TakenIn: "taken_in", RefusedAtDoor: "refused", NotSent: "not_sent", InDoubt: "in_doubt"}


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What delivering came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Attempts by outcome."""
    stopped: int = 0
    """Messages that now wait for an operator: refused, parked, or in conflict."""
    unanswered: str = ""
    """Why customs gave no usable answer, the first time; empty when it always did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    step: Step
    outcome: str
    response: bytes | None = None


def deliver(connector: Connector) -> Delivered:
    """Work through everything that is due.

    It ends early when customs cannot be reached; when it answers no questions, messages are still sent.
    """
    total = Delivered()
    recover(connector)
    wanted = set(queue.CLAIMABLE)
    while wanted and not connector.is_stopping():
        claim = _claim(connector, wanted)
        if claim is None:
            break
        result = _send(connector, claim) if claim.kind == "send" else _ask(connector, claim)
        _record(connector, claim, result)
        total.outcomes[result.outcome] += 1
        total.stopped += result.step.state in _NEEDS_OPERATOR
        if result.outcome in _UNANSWERED:
            total.unanswered = total.unanswered or result.step.info
            wanted -= _UNANSWERED[result.outcome]
    return total


def recover(connector: Connector) -> int:
    """Put messages in doubt whose sender is gone: killed, or paused beyond its lease. How many there were."""
    with connector.database.read() as connection:
        if not queue.expired(connection):
            return 0
    with connector.database.write() as transaction:
        now = connector.clock()
        step = doubt("its sender ended without an outcome", now=now, policy=connector.policy)
        gone = [
            message_id
            for message_id, token in queue.expired(transaction)
            if queue.abandon(transaction, message_id, token, step, now=now)
        ]
        entries = [_changed(message_id, step) for message_id in gone]
        log.append(transaction, entries, actor=ACTOR, time=now)
    return len(gone)


def _claim(connector: Connector, wanted: Collection[DeliveryState]) -> Claim | None:
    with connector.database.write() as transaction:
        now = connector.clock()
        claim = queue.claim(transaction, wanted, now=now, lease=connector.lease)
        if claim is not None:
            log.append(transaction, [_attempted(claim)], actor=ACTOR, time=now)
        return claim


def _send(connector: Connector, claim: Claim) -> _Result:
    answer = connector.customs.submit(claim.body)
    step = after_answer(
        answer, tries=claim.tries, now=connector.clock(), policy=connector.policy, random=connector.random
    )
    return _Result(step=step, outcome=_OUTCOMES[type(answer)], response=getattr(answer, "raw", None))


def _ask(connector: Connector, claim: Claim) -> _Result:
    try:
        finding = connector.customs.find_message(claim.message_id)
    except CustomsUnreachable as error:
        step = after_no_finding(
            error.cause,
            tries=claim.tries,
            settle_at=claim.settle_at,
            now=connector.clock(),
            policy=connector.policy,
            random=connector.random,
        )
        return _Result(step=step, outcome="unanswered")
    step = after_finding(
        finding, digest=claim.digest, tries=claim.tries, now=connector.clock(), policy=connector.policy
    )
    return _Result(step=step, outcome="known" if isinstance(finding, Known) else "not_known")


def _record(connector: Connector, claim: Claim, result: _Result) -> None:
    with connector.database.write() as transaction:
        now = connector.clock()
        ours = queue.record(transaction, claim, result.step, outcome=result.outcome, response=result.response, now=now)
        entry = Entry(
            event=Event.ANSWERED,
            message_id=claim.message_id,
            detail={
                "attempt": claim.number,
                "outcome": result.outcome,
                "info": result.step.info,
                "delivery_state": result.step.state.value if ours else "unchanged: the lease was lost",
            },
        )
        log.append(transaction, [entry], actor=ACTOR, time=now)


def _attempted(claim: Claim) -> Entry:
    return Entry(
        event=Event.ATTEMPTED, message_id=claim.message_id, detail={"attempt": claim.number, "kind": claim.kind}
    )


def _changed(message_id: str, step: Step) -> Entry:
    return Entry(
        event=Event.DELIVERY_CHANGED,
        message_id=message_id,
        detail={"delivery_state": DeliveryState(step.state).value, "info": step.info},
    )
