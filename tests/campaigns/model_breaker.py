"""`Probes`: who calls which endpoint, and whether its circuit breaker should have let it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from connector.outbox.breaker import Breaker


@dataclass(slots=True, kw_only=True)
class _Probe:
    """A call of a half-open endpoint."""

    worker: str
    until: datetime


@dataclass(slots=True)
class Probes:
    """The calls under way."""

    figures: Counter[str] = field(default_factory=Counter)
    _calls: dict[str, str] = field(default_factory=dict)
    """The endpoint that each worker calls."""
    _probes: dict[str, list[_Probe]] = field(default_factory=lambda: defaultdict(list))

    def begin(self, worker: str, endpoint: str, breaker: Breaker, now: datetime) -> str:
        """Note a call that was claimed just now; what is wrong with it, or nothing.

        breaker: as it stands after the claim; now: by the database's clock.
        """
        self.end(worker)
        self._calls[worker] = endpoint
        state = breaker.state(now)
        if state == "open":
            return f"breaker: {worker} calls {endpoint}, which is open until {breaker.open_until}"
        if state == "closed":
            return ""
        if breaker.probe_until is None:
            return f"breaker: {worker} probes {endpoint} without a mark"
        # A probe that has run out never counts again, even when the clock is set back to before its end.
        others = [probe for probe in self._probes[endpoint] if probe.until > now]
        self._probes[endpoint] = [*others, _Probe(worker=worker, until=breaker.probe_until)]
        self.figures["probes"] += 1
        beside = [probe.worker for probe in others]
        return f"breaker: {worker} probes {endpoint} while {', '.join(beside)} does so" if beside else ""

    def end(self, worker: str) -> None:
        """A worker makes no call any more."""
        endpoint = self._calls.pop(worker, "")
        self._probes[endpoint] = [probe for probe in self._probes[endpoint] if probe.worker != worker]
