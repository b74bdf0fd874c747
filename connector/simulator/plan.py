"""`Plan`: which request gets which fault, and how the receipts of a message are given out. No input or output.

Each request of a service takes three numbers from that service's own random sequence, whether it gets a fault or not,
so that one fault more or less does not shift those of the requests that follow::

    plan = Plan(FaultSettings(seed=7, drop=0.5))
    plan.pick(Service.SUBMISSIONS, now=0.0)     # Stroke(fault=Fault.DROP, …) or None
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random

from connector.simulator.faults import RECEIPT_FAULTS, REQUEST_SHARES, Fault, FaultSettings, Order, Service
from connector.simulator.stages import Schedule

_BY_SEED = frozenset({Fault.BAD_GATEWAY, Fault.SERVER_FAULT})
_UNPROCESSED = frozenset({Fault.RESET_ON_ACCEPT, Fault.MAINTENANCE, Fault.RATE_LIMIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """The fault of one request."""

    fault: Fault
    processed: bool
    """Whether the request takes effect, sooner or later."""
    place: float
    """From 0 to below 1: where the response breaks off, for faults that break it off."""
    retry_after: int
    """Seconds, at least 1; for faults that say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReceipt:
    """One receipt message to be given out. Times are milliseconds since 1970."""

    stage: int
    said_at: int
    """The time it states, its returnTime."""
    due_at: int
    """When it is given out."""
    wrapping: int = 0
    """1 for the same return records in another envelope than the first."""


class Plan:
    """The faults in force, the orders that wait, and how often each fault was played. Threads may share it."""

    def __init__(self, settings: FaultSettings) -> None:
        self._lock = threading.Lock()
        self._played: Counter[Fault] = Counter()
        self.replace(settings)

    @property
    def settings(self) -> FaultSettings:
        """What is in force."""
        return self._settings

    @property
    def played(self) -> Mapping[Fault, int]:
        """How often each fault was played since the office started, maintenance by requests turned away."""
        with self._lock:
            return {fault: self._played[fault] for fault in Fault if self._played[fault]}

    @property
    def waiting(self) -> list[Order]:
        """Orders not played yet: requests by service, then messages."""
        with self._lock:
            queues = [(service, self._next[service]) for service in Service]
            queues.append((Service.SUBMISSIONS, self._next_receipts))
            return [
                Order(fault=fault, times=len(list(same)), service=service)
                for service, queue in queues
                for fault, same in groupby(queue)
            ]

    def replace(self, settings: FaultSettings) -> None:
        """Start anew from a seed: other shares, no orders, no maintenance window; the counts go on."""
        with self._lock:
            self._settings = settings
            self._random = {service: Random(f"{settings.seed} {service}") for service in Service}  # noqa: S311
            self._random_receipts = Random(f"{settings.seed} messages")  # noqa: S311 - repeatable is the point
            self._next: dict[Service, deque[Fault]] = {service: deque() for service in Service}
            self._next_receipts: deque[Fault] = deque()
            self._closed_until = dict.fromkeys(Service, 0.0)
            self._let_in: dict[Service, deque[float]] = {service: deque() for service in Service}

    def order(self, order: Order) -> None:
        """Have a fault played on the next requests or messages, after the orders that wait already."""
        with self._lock:
            queue = self._next_receipts if order.fault in RECEIPT_FAULTS else self._next[order.service]
            queue.extend([order.fault] * order.times)

    def pick(self, service: Service, now: float) -> Stroke | None:
        """The fault of the next request to a service, None when it is answered properly.

        now: seconds of a clock that only goes forward.
        """
        with self._lock:
            drawn, effect, place = (self._random[service].random() for _ in range(3))
            fault = self._ordered(service) or self._imposed(service, now) or self._by_share(service, drawn)
            if fault is None:
                return None
            if fault is Fault.MAINTENANCE and self._closed_until[service] <= now:
                for closed in {service, *self._settings.services}:
                    self._closed_until[closed] = now + self._settings.maintenance_seconds
            self._played[fault] += 1
            return Stroke(
                fault=fault,
                processed=effect < 1 / 2 if fault in _BY_SEED else fault not in _UNPROCESSED,
                place=place,
                retry_after=self._retry_after(fault, service, now),
            )

    def receipts(self, schedule: Schedule, stages: int) -> tuple[list[PlannedReceipt], Fault | None]:
        """The receipts of a message that was taken in, in the order of their stages, and the fault that befell them.

        stages: how many there are.
        """
        straight = [
            PlannedReceipt(stage=stage, said_at=schedule.due_at(stage), due_at=schedule.due_at(stage))
            for stage in range(stages)
        ]
        with self._lock:
            drawn, place, gap, wrapping = (self._random_receipts.random() for _ in range(4))
            fault = self._receipt_fault(drawn, stages)
            if fault is None:
                return straight, None
            self._played[fault] += 1
            late = round(self._settings.late_receipt_seconds * 1000)
        match fault:
            case Fault.DUPLICATE_RECEIPT:
                first = straight[int(place * stages)]
                due_at = first.due_at + int(gap * 3) * schedule.step
                planned = [*straight, replace(first, due_at=due_at, wrapping=int(wrapping * 2))]
            case Fault.LATE_RECEIPT:
                first_late = int(place * stages)
                planned = [
                    replace(one, due_at=one.due_at + late) if one.stage >= first_late else one for one in straight
                ]
            case _:
                planned = _swapped(straight, int(place * (stages - 1)))
        return planned, fault

    def _ordered(self, service: Service) -> Fault | None:
        return self._next[service].popleft() if self._next[service] else None

    def _imposed(self, service: Service, now: float) -> Fault | None:
        """What the hour and the traffic bring about."""
        if now < self._closed_until[service]:
            return Fault.MAINTENANCE
        most = self._settings.rate_requests
        if most is None or service not in self._settings.services:
            return None
        let_in = self._let_in[service]
        while let_in and let_in[0] + self._settings.rate_seconds <= now:
            let_in.popleft()
        if len(let_in) >= most:
            return Fault.RATE_LIMIT
        let_in.append(now)
        return None

    def _by_share(self, service: Service, drawn: float) -> Fault | None:
        if service not in self._settings.services:
            return None
        fault = _drawn(self._settings, REQUEST_SHARES, drawn)
        return None if fault is Fault.PROCESSED_LATE and service is not Service.SUBMISSIONS else fault

    def _receipt_fault(self, drawn: float, stages: int) -> Fault | None:
        fault = self._next_receipts[0] if self._next_receipts else None
        if fault is None:
            fault = _drawn(self._settings, RECEIPT_FAULTS, drawn)
            return None if fault is Fault.RECEIPT_OUT_OF_ORDER and stages == 1 else fault
        if fault is Fault.RECEIPT_OUT_OF_ORDER and stages == 1:
            return None  # the order waits for a message with more receipts
        return self._next_receipts.popleft()

    def _retry_after(self, fault: Fault, service: Service, now: float) -> int:
        end = now
        if fault is Fault.MAINTENANCE:
            end = self._closed_until[service]
        elif fault is Fault.RATE_LIMIT:
            let_in = self._let_in[service]
            end = (let_in[0] if let_in else now) + self._settings.rate_seconds
        return max(1, math.ceil(end - now))


def _drawn(settings: FaultSettings, faults: Sequence[Fault], drawn: float) -> Fault | None:
    """The fault in whose share a number from 0 to below 1 falls."""
    for fault, end in _ends(settings, faults):
        if drawn < end:
            return fault
    return None


def _ends(settings: FaultSettings, faults: Sequence[Fault]) -> Iterator[tuple[Fault, float]]:
    end = 0.0
    for fault in faults:
        end += settings.share(fault)
        yield fault, end


def _swapped(straight: Sequence[PlannedReceipt], early: int) -> list[PlannedReceipt]:
    """Give out the receipt of a stage right after that of the next one; nothing is given out before it is said."""
    after = straight[early + 1].due_at + 1
    return [replace(one, due_at=after) if one.stage == early else one for one in straight]
