"""deliver: messages that are due go to customs, and messages in doubt are asked about.

Each try is two commits with the network between them: the claim with its attempt row before the first byte, then the
raw answer, what it means and the audit entry together. Just before the first byte leaves, the claim is looked at once
more: a worker that was paused meanwhile sends nothing. Any number of workers may do this at once.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import CustomsUnreachable, DatabaseUnreachable
from connector.messages.deliveries import (
    Answer,
    DeliveryState,
    Finding,
    InDoubt,
    Known,
    NotKnown,
    NotSent,
    RefusedAtDoor,
    TakenIn,
    Withdrawn,
)
from connector.outbox import endpoints, queue, turns
from connector.outbox.breaker import Breaker
from connector.outbox.delivery import Step, after_answer, after_finding, after_no_finding, doubt
from connector.outbox.queue import AttemptKind, Claim
from connector.pipeline.wiring import ACTOR, Connector
from connector.storage.database import lock

_NEEDS_OPERATOR = {DeliveryState.REFUSED, DeliveryState.PARKED, DeliveryState.CONFLICT}
_OUTCOMES = {
    TakenIn: "taken_in",
    RefusedAtDoor: "refused",
    NotSent: "not_sent",
    Withdrawn: "withdrawn",
    InDoubt: "in_doubt",
    Known: "known",
    NotKnown: "not_known",
}
_LOOK_BACK_SECONDS = 1.0
"""How often a busy worker looks for messages that others left behind."""
_RECORD_AGAIN_SECONDS = 0.5
_UNANSWERED = {"not_sent", "in_doubt", "unanswered"}
"""Outcomes without a usable answer: they count against the endpoint, not against the message."""


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What delivering came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Attempts by outcome."""
    stopped: int = 0
    """Messages that now wait for an operator: refused, parked, or in conflict."""
    recovered: int = 0
    """Messages in doubt because their sender ended without an outcome."""
    unanswered: str = ""
    """Why customs gave no usable answer, the first time, or why it was not called; empty when it always answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """What came back from customs, before it is decided what follows."""

    answer: Answer | Finding | Withdrawn | CustomsUnreachable
    outcome: str
    response: bytes | None = None
    info: str = ""
    """Why there was no usable answer."""
    retry_after: timedelta | None = None


def deliver(connector: Connector) -> Delivered:
    """Work through everything that is due, sending and asking in turn, as far as the circuit breakers allow."""
    total = Delivered()
    recovered_at, is_more_left = float("-inf"), False
    kinds: list[AttemptKind] = ["send", "query"] if connector.answers_questions else ["send"]
    while not connector.is_stopping():
        # A backlog may keep this loop busy for hours, and what was left behind may be as much: both have their turns.
        if is_more_left or connector.elapsed() - recovered_at >= _LOOK_BACK_SECONDS:
            is_more_left = _recover_some(connector, total)
            recovered_at = connector.elapsed()
        claimed = _claim(connector, kinds, total)
        if claimed is None:
            if is_more_left:
                continue
            break
        claim, mark = claimed
        begun = connector.elapsed()
        reply = _send(connector, claim) if claim.kind == "send" else _ask(connector, claim)
        state = _record_in_time(connector, claim, reply, mark, begun=begun)
        total.outcomes[reply.outcome] += 1
        total.stopped += state in _NEEDS_OPERATOR
        if reply.outcome in _UNANSWERED:
            total.unanswered = total.unanswered or reply.info
        kinds.reverse()  # so that neither questions nor messages wait behind a backlog of the other
    return total


def recover(connector: Connector) -> Delivered:
    """Put messages in doubt whose sender is gone: killed, or paused beyond its lease.

    Messages that have waited too long for customs are left to an operator.
    """
    total = Delivered()
    while _recover_some(connector, total):
        pass
    return total


def _recover_some(connector: Connector, total: Delivered) -> bool:
    """One batch of them; whether there may be more."""
    if not _is_anything_left_behind(connector):
        return False
    with connector.database.write(Deed.RECOVER) as transaction:
        lock(transaction, "prepare")  # receipts move several messages at once as well
        now = connector.clock(transaction)
        step = doubt("its sender ended without an outcome", now=now, policy=connector.policy)
        abandoned = queue.abandon(transaction, step, now=now)
        info = f"no certain answer within {connector.policy.give_up}"
        late = turns.past_deadline(transaction, now - connector.policy.give_up)
        parked = turns.park(transaction, late, info=info, now=now)
        entries = [_changed(message_id, DeliveryState.IN_DOUBT, step.info) for message_id in abandoned]
        entries += [_changed(message_id, DeliveryState.PARKED, info) for message_id in parked]
        log.append(transaction, entries, actor=ACTOR, time=now)
    total.recovered += len(abandoned)
    total.stopped += len(parked)
    return True


def _is_anything_left_behind(connector: Connector) -> bool:
    with connector.database.read() as connection:
        now = connector.clock(connection)
        late = turns.past_deadline(connection, now - connector.policy.give_up)
        return bool(late) or queue.has_expired(connection, now=now)


def _claim(connector: Connector, kinds: list[AttemptKind], total: Delivered) -> tuple[Claim, datetime | None] | None:
    """What to do next, and the mark of the probe that it is, if it is one."""
    with connector.database.write(Deed.CLAIM) as transaction:
        now = connector.clock(transaction)
        breakers = {kind: endpoints.locked(transaction, _endpoint(connector, kind)) for kind in sorted(kinds)}
        for kind in kinds:
            breaker = breakers[kind]
            if not breaker.lets_pass(now):
                if not total.unanswered and queue.is_due(transaction, kind, now=now):
                    total.unanswered = breaker.info
                continue
            claim = queue.claim(transaction, kind, now=now, lease=connector.lease)
            if claim is not None:
                called = breaker.called(now + connector.lease)
                endpoints.store(transaction, _endpoint(connector, kind), breaker, called)
                log.append(transaction, [_attempted(claim)], actor=ACTOR, time=now)
                return claim, called.probe_until
    return None


def _endpoint(connector: Connector, kind: AttemptKind) -> str:
    return connector.submit_endpoint if kind == "send" else connector.endpoint


def _send(connector: Connector, claim: Claim) -> _Reply:
    answer = connector.customs.submit(claim.body, lambda seconds: _is_still_ours(connector, claim, seconds))
    return _Reply(
        answer=answer,
        outcome=_OUTCOMES[type(answer)],
        response=getattr(answer, "raw", None),
        info=answer.info,
        retry_after=getattr(answer, "retry_after", None),
    )


def _ask(connector: Connector, claim: Claim) -> _Reply:
    try:
        finding = connector.customs.find_message(
            claim.message_id, lambda seconds: _is_still_ours(connector, claim, seconds)
        )
    except CustomsUnreachable as error:
        return _Reply(answer=error, outcome="unanswered", info=error.cause, retry_after=error.retry_after)
    return _Reply(answer=finding, outcome=_OUTCOMES[type(finding)], info=getattr(finding, "info", ""))


def _is_still_ours(connector: Connector, claim: Claim, seconds: float) -> bool:
    """Whether the claim holds for so long; False when nobody can tell, for nothing has left us yet."""
    try:
        with connector.database.read() as connection:
            until = connector.clock(connection) + timedelta(seconds=seconds)
            return queue.is_ours(connection, claim, until=until)
    except DatabaseUnreachable:
        return False


def _record_in_time(
    connector: Connector, claim: Claim, reply: _Reply, mark: datetime | None, *, begun: float
) -> DeliveryState | None:
    """Record a reply, again and again while the database cannot be written to and the claim lasts.

    What customs said is told only once. Raises `DatabaseUnreachable` when the claim has ended, or no work is wanted.
    """
    while True:
        try:
            return _record(connector, claim, reply, mark)
        except DatabaseUnreachable:
            if connector.is_stopping() or connector.elapsed() - begun > connector.lease.total_seconds():
                raise
            time.sleep(_RECORD_AGAIN_SECONDS)


def _record(connector: Connector, claim: Claim, reply: _Reply, mark: datetime | None) -> DeliveryState | None:
    """Write what came back and what follows; the message's state then, None when it was no longer ours to change."""
    with connector.database.write(Deed.RECORD) as transaction:
        now = connector.clock(transaction)
        endpoints.turn(transaction, _endpoint(connector, claim.kind), _turn_of_breaker(connector, reply, mark, now))
        step = _step(connector, claim, reply, now)
        ours = queue.record(transaction, claim, step, outcome=reply.outcome, response=reply.response, now=now)
        entry = Entry(
            event=Event.ANSWERED,
            message_id=claim.message_id,
            detail={
                "attempt": claim.number,
                "outcome": reply.outcome,
                "info": step.info,
                "response": "" if reply.response is None else hashlib.sha256(reply.response).hexdigest(),
            }
            | (
                {"delivery_state": step.state.value}
                if ours
                else {"unchanged": "it was settled or taken over meanwhile"}
            ),
        )
        log.append(transaction, [entry], actor=ACTOR, time=now)
    return step.state if ours else None


def _turn_of_breaker(
    connector: Connector, reply: _Reply, mark: datetime | None, now: datetime
) -> Callable[[Breaker], Breaker]:
    """What the endpoint's circuit breaker is told."""
    policy = connector.breaker_policy

    def turn(before: Breaker) -> Breaker:
        if reply.outcome == "withdrawn":
            return before.withdrawn(mark)
        if reply.outcome in _UNANSWERED:
            return before.failed(reply.info, mark, now=now, policy=policy, retry_after=reply.retry_after)
        return before.succeeded(policy, mark)

    return turn


def _step(connector: Connector, claim: Claim, reply: _Reply, now: datetime) -> Step:
    policy, random = connector.policy, connector.random
    match reply.answer:
        case Known() | NotKnown():
            return after_finding(
                reply.answer, digest=claim.digest, tries=claim.tries, now=now, policy=policy, random=random
            )
        case CustomsUnreachable() | Withdrawn() if claim.kind == "query":
            return after_no_finding(
                reply.info, tries=claim.tries, settle_at=claim.settle_at, now=now, policy=policy, random=random
            )
        case TakenIn() | RefusedAtDoor() | NotSent() | Withdrawn() | InDoubt():
            return after_answer(reply.answer, tries=claim.tries, now=now, policy=policy, random=random)
    raise AssertionError(f"{reply.answer} is no answer to a {claim.kind}")


def _attempted(claim: Claim) -> Entry:
    return Entry(
        event=Event.ATTEMPTED,
        message_id=claim.message_id,
        detail={
            "attempt": claim.number,
            "kind": claim.kind,
            "request": hashlib.sha256(claim.body).hexdigest(),
        },
    )


def _changed(message_id: str, state: DeliveryState, info: str) -> Entry:
    return Entry(
        event=Event.DELIVERY_CHANGED,
        message_id=message_id,
        detail={"delivery_state": state.value, "info": info},
    )
