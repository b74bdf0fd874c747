"""`Worker`: one of our processes as a thread that moves only when it is told to, from one stopping place to the next.

Exactly one thread runs at any time, so the same orders give the same run. A worker that is killed ends where it stands,
as a process does: nothing of what would have followed is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from connector.messages.deliveries import MessageId


class Stop(StrEnum):
    """Where a worker can be stopped."""

    CLAIMED = "claimed"
    """Its claim is committed; nothing else has happened."""
    GUARDED = "guarded"
    """It has looked whether it may still send; the first byte has not left."""
    SENT = "sent"
    """All bytes have left."""
    ANSWERED = "answered"
    """It knows what came back and has not written it down."""


class Fate(StrEnum):
    """What becomes of a call; each kind of call knows some of them and takes the others for `ANSWER`."""

    ANSWER = "answer"
    """Customs does what it should."""
    REFUSE = "refuse"
    """Refused at the door."""
    LOSE_ANSWER = "lose_answer"
    """Processed at once, but the answer is lost."""
    LATE = "late"
    """Processed only after the connection has ended."""
    VANISH = "vanish"
    """The request is lost on its way."""
    UNREACHED = "unreached"
    """No connection."""
    BUSY = "busy"
    """Turned away, with a time to stay away."""
    OTHER_DIGEST = "other_digest"
    """A question: customs says it holds other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What happens to the calls of a worker, until it gets new orders."""

    send: Fate = Fate.ANSWER
    question: Fate = Fate.ANSWER
    dials: timedelta = timedelta()
    """How long connecting takes."""
    takes: timedelta = timedelta()
    """How long after that the call ends."""
    lag: float = 0.0
    """LATE: when customs processes, as a part of the time it may take after the connection ended; below 1."""
    stops: frozenset[Stop] = frozenset()


class Killed(BaseException):
    """Raised in a worker to end it; nothing of the program catches it."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One call that a worker makes under a claim."""

    message_id: MessageId
    token: int
    """Of the claim."""
    attempt: int
    """The number of its attempt."""
    jumps: int
    """Of the clock, when it was last certain that the claim holds."""
    before: Any = None
    """The message's row just before the outcome was written down."""


class Worker:
    """A thread that takes turns with the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at: Stop | None = None
        """Where it stands; None: it has nothing to do."""
        self.orders = Orders()
        self.calls_left = 0
        self.call: Call | None = None
        self._ours = threading.Semaphore(0)
        self._theirs = threading.Semaphore(0)
        self._is_killed = False
        self._error: Exception | None = None

    def begin(self, action: Callable[[], object], orders: Orders, calls: int) -> None:
        """Have it do something, up to its next stop or its end. Raises what the action raised."""
        assert self.at is None
        self.orders, self.calls_left, self._is_killed, self._error, self.call = orders, calls, False, None, None
        threading.Thread(target=self._run, args=(action,), name=self.name, daemon=True).start()
        self._wait()

    def go_on(self, orders: Orders) -> None:
        """Let it go on from where it stands. Raises what its action raised."""
        assert self.at is not None
        self.orders = orders
        self._theirs.release()
        self._wait()

    def kill(self) -> None:
        """End it where it stands."""
        self._is_killed = True
        self.go_on(self.orders)

    def pause(self, stop: Stop) -> None:
        """Called in its thread: stop here, if that was ordered."""
        if stop not in self.orders.stops:
            return
        self.at = stop
        self._ours.release()
        self._theirs.acquire()
        self.at = None
        if self._is_killed:
            raise Killed

    def _run(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            self._error = error
        self._ours.release()

    def _wait(self) -> None:
        self._ours.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
