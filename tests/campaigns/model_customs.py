"""`Office`: customs as the model has it, in memory; `WorkerCustoms`: the road of one worker to it.

The office is harsh: it accepts the documents of a message as often as it processes the message. What saves us from a
double is our own doing, not that customs may know a message again.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from connector.errors import CustomsUnreachable
from connector.messages.deliveries import (
    Answer,
    Finding,
    InDoubt,
    Known,
    MessageId,
    NotKnown,
    NotSent,
    RefusedAtDoor,
    TakenIn,
    Withdrawn,
)
from connector.messages.envelope import unseal
from connector.transport.interface import FetchedReceipt, ReceiptPage
from tests.campaigns.model_clock import Clock
from tests.campaigns.model_worker import Call, Fate, Orders, Stop, Worker

DEADLINE = timedelta(seconds=30)
"""Of one call."""
SETTLE = timedelta(seconds=120)
SUBMIT = "http://customs/submit"
ASK = "http://customs/ask"
POISON = "BAD"
"""What the number of a document begins with that no format check takes."""
_BODY = b"POST "
_GUID = re.compile(rb"<(?:\w+:)?guid>([0-9A-F-]{36})<")
_MOMENT = timedelta(milliseconds=1)
_PATIENCE = timedelta(minutes=10)
_PAGE = 3


@dataclass(slots=True, kw_only=True)
class Departure:
    """A request whose first byte has left us."""

    message_id: MessageId
    body: bytes
    at: datetime
    """True time."""
    ends: datetime
    """When its connection ended, or ends at the latest."""
    place: int
    """Among everything that happened to messages."""
    jumps: int
    """Of the clock, when the claim was last certain to hold."""
    lands_at: datetime | None = None
    """When customs processes it; None: it has, or never will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A queryMessage as customs saw it."""

    message_id: MessageId
    at: datetime
    place: int
    jumps: int
    says_not_known: bool


@dataclass(slots=True, kw_only=True)
class Office:
    """The books of customs."""

    clock: Clock
    held: dict[str, str] = field(default_factory=dict)
    """Digest of the signed bytes by message."""
    refuses: set[str] = field(default_factory=set)
    """Messages held that the format check refuses."""
    guids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Documents of each message that was processed."""
    accepted: Counter[str] = field(default_factory=Counter)
    """How often each document was accepted, by guid."""
    processed: Counter[str] = field(default_factory=Counter)
    departures: list[Departure] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    stream: list[bytes] = field(default_factory=list)
    """Receipt envelopes in order of sequence, from 1."""
    places: int = 0

    def __post_init__(self) -> None:
        self.clock.watchers.append(self.land)

    def place(self) -> int:
        """The next place in the order of everything that happened."""
        self.places += 1
        return self.places

    def land(self) -> None:
        """Process what has been due for it."""
        for departure in self.departures:
            if departure.lands_at is not None and departure.lands_at <= self.clock.true:
                self.process(departure)

    def on_its_way(self) -> list[Departure]:
        """Requests that customs is yet to process."""
        return [departure for departure in self.departures if departure.lands_at is not None]

    def process(self, departure: Departure) -> None:
        """Take a message in."""
        departure.lands_at = None
        data = unseal(departure.body.removeprefix(_BODY)).data
        message_id = departure.message_id
        self.held[message_id] = hashlib.sha256(data).hexdigest()
        self.guids[message_id] = tuple(guid.decode() for guid in _GUID.findall(data))
        self.processed[message_id] += 1
        if f">{POISON}".encode() in data:
            self.refuses.add(message_id)
        else:
            self.accepted.update(self.guids[message_id])


class Watcher(Protocol):
    """Who looks on."""

    def begins(self, worker: Worker, endpoint: str, message_id: MessageId | None) -> Call | None:
        """Tell of a call that begins: its claim has just been committed."""

    def guarded(self, worker: Worker) -> None:
        """Tell that a worker has looked for the last time whether it may send, and found that it may."""

    def departs(self, worker: Worker, departure: Departure) -> None:
        """Tell that the first byte of a message is about to leave."""

    def note_before(self, call: Call) -> None:
        """Tell that an outcome is about to be written down."""


class WorkerCustoms:
    """Customs as one worker meets it: what goes wrong, and where the worker is stopped, is in its orders."""

    def __init__(self, office: Office, worker: Worker, watcher: Watcher) -> None:
        self._office = office
        self._clock = office.clock
        self._worker = worker
        self._watcher = watcher
        self._departure: Departure | None = None
        """The request under way."""

    def freeze(self, envelope: bytes) -> bytes:
        return _BODY + envelope

    def submit(self, body: bytes, may_send: Callable[[float], bool]) -> Answer:
        message_id = MessageId(unseal(body.removeprefix(_BODY)).message_id)
        call = self._worker.call = self._watcher.begins(self._worker, SUBMIT, message_id)
        assert call is not None
        answer = self._submit(call, body, may_send)
        self._worker.pause(Stop.ANSWERED)
        self._watcher.note_before(call)
        return answer

    def _submit(self, call: Call, body: bytes, may_send: Callable[[float], bool]) -> Answer:
        self._worker.pause(Stop.CLAIMED)
        orders, began = self._worker.orders, self._clock.true
        self._clock.advance(orders.dials)
        if orders.send is Fate.UNREACHED:
            return NotSent(info="no connection")
        left = DEADLINE - orders.dials
        if not may_send(left.total_seconds()):
            return Withdrawn(info="no longer ours")
        call.jumps = self._clock.jumps
        self._watcher.guarded(self._worker)
        self._worker.pause(Stop.GUARDED)
        orders = self._worker.orders
        if self._clock.true >= began + DEADLINE:
            return NotSent(info="the deadline was over before the first byte")
        departure = self._depart(call, body, orders, latest=began + DEADLINE)
        self._worker.pause(Stop.SENT)
        self._clock.advance(max(timedelta(), min(departure.at + orders.takes, departure.ends) - self._clock.true))
        if self._clock.true > departure.ends:
            return InDoubt(raw=b"", info="no answer within the deadline")
        departure.ends = self._clock.true
        self._departure = None
        return _answer(orders.send)

    def _depart(self, call: Call, body: bytes, orders: Orders, *, latest: datetime) -> Departure:
        now = self._clock.true
        departure = Departure(
            message_id=call.message_id,
            body=body,
            at=now,
            ends=latest,
            place=self._office.place(),
            jumps=call.jumps,
        )
        self._watcher.departs(self._worker, departure)
        self._office.departures.append(departure)
        self._departure = departure
        if orders.send in {Fate.ANSWER, Fate.LOSE_ANSWER, Fate.OTHER_DIGEST}:
            self._office.process(departure)
        elif orders.send is Fate.LATE:
            departure.lands_at = min(now + orders.takes, latest) + SETTLE * orders.lag
        return departure

    def hang_up(self) -> None:
        """The worker is gone, and its connection with it."""
        now, departure = self._clock.true, self._departure
        if departure is not None and departure.ends > now:
            departure.ends = now
            if departure.lands_at is not None:
                departure.lands_at = min(departure.lands_at, now + SETTLE - _MOMENT)

    def find_message(self, message_id: MessageId, may_ask: Callable[[float], bool]) -> Finding | Withdrawn:
        call = self._worker.call = self._watcher.begins(self._worker, ASK, message_id)
        assert call is not None
        self._worker.pause(Stop.CLAIMED)
        orders = self._worker.orders
        self._clock.advance(orders.dials)
        if not may_ask((DEADLINE - orders.dials).total_seconds()):
            return Withdrawn(info="no longer ours")
        known = self._office.held.get(message_id)
        reached = orders.question in {Fate.ANSWER, Fate.OTHER_DIGEST, Fate.REFUSE}
        self._office.questions.append(
            Question(
                message_id=message_id,
                at=self._clock.true,
                place=self._office.place(),
                jumps=self._clock.jumps,
                says_not_known=reached and known is None and orders.question is not Fate.OTHER_DIGEST,
            )
        )
        self._clock.advance(min(orders.takes, DEADLINE - orders.dials))
        self._worker.pause(Stop.ANSWERED)
        self._watcher.note_before(call)
        if not reached:
            raise _silent(orders.question)
        if orders.question is Fate.OTHER_DIGEST:
            return Known(digest="0" * 64, received_at=None)
        return NotKnown() if known is None else Known(digest=known, received_at=None)

    def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
        self._worker.call = self._watcher.begins(self._worker, ASK, None)
        self._worker.pause(Stop.CLAIMED)
        orders = self._worker.orders
        self._clock.advance(orders.dials)
        stream = self._office.stream
        end = after + min(at_most, _PAGE)
        page = [
            FetchedReceipt(sequence=number, envelope=content)
            for number, content in enumerate(stream[after:end], start=after + 1)
        ]
        more = len(stream) > end
        self._worker.pause(Stop.ANSWERED)
        if orders.question not in {Fate.ANSWER, Fate.OTHER_DIGEST, Fate.REFUSE}:
            raise _silent(orders.question)
        return ReceiptPage(receipts=tuple(page), more=more)


def _answer(fate: Fate) -> Answer:
    if fate is Fate.ANSWER:
        return TakenIn(raw=b"1", info="taken in")
    if fate is Fate.REFUSE:
        return RefusedAtDoor(raw=b"2", info="refused")
    if fate is Fate.BUSY:
        return InDoubt(raw=b"503", info="busy", retry_after=_PATIENCE)
    return InDoubt(raw=b"", info="no answer")


def _silent(fate: Fate) -> CustomsUnreachable:
    error = CustomsUnreachable("no answer", effect="nothing is known", remedy="wait")
    error.retry_after = _PATIENCE if fate is Fate.BUSY else None
    return error
