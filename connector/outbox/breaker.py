"""The circuit breaker of one endpoint. Pure: what happened gives the next state.

::

    closed ── `failures` calls fail in a row, or customs names a time (Retry-After) ──> open
    open ── its time has passed ──> half open: one call at a time goes through as a probe
    half open ── a probe fails ──> open
    half open ── `probes` of them succeed in a row ──> closed

One probe at a time means one request for each open period while customs is down, and no herd when it is back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MOST_PATIENCE = timedelta(hours=1)
"""The longest time that a Retry-After may hold us back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When to stop calling, and when to begin again."""

    failures: int = 5
    """Failures in a row that open it."""
    open_for: timedelta = timedelta(seconds=60)
    probes: int = 3
    """Successes in a row that close it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What the last calls of an endpoint came to."""

    failures: int = 0
    """In a row, up to now."""
    probes: int = 0
    """Successes in a row since it was last open."""
    open_until: datetime | None = None
    """None: closed."""
    probe_until: datetime | None = None
    """A probe is on its way, until then at most; also its mark: only the call that bears it can end it."""
    info: str = ""
    """What the last failure was."""

    def state(self, now: datetime) -> str:
        """closed, open or half open."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half open"

    def lets_pass(self, now: datetime) -> bool:
        """Whether a call may be made now."""
        if self.open_until is None:
            return True
        return now >= self.open_until and (self.probe_until is None or now >= self.probe_until)

    def called(self, until: datetime) -> Breaker:
        """A call begins, which takes until then at most."""
        return self if self.open_until is None else replace(self, probe_until=until)

    def withdrawn(self, mark: datetime | None) -> Breaker:
        """A call that was to begin was not made.

        mark: `probe_until` as the call began; None when it was no probe.
        """
        return replace(self, probe_until=None) if self.probe_until == mark else self

    def succeeded(self, policy: BreakerPolicy, mark: datetime | None) -> Breaker:
        """A call was answered; one that began before it opened proves nothing and ends no probe."""
        if self.open_until is None:
            return Breaker()
        if mark is None or mark != self.probe_until:
            return self
        if self.probes + 1 >= policy.probes:
            return Breaker()
        return replace(self, failures=0, probes=self.probes + 1, probe_until=None)

    def failed(
        self,
        info: str,
        mark: datetime | None,
        *,
        now: datetime,
        policy: BreakerPolicy,
        retry_after: timedelta | None = None,
    ) -> Breaker:
        """A call found no usable answer; retry_after: how long customs asked us to stay away."""
        failures = self.failures + 1
        times = [] if self.open_until is None else [self.open_until]  # of several calls the longest time counts
        if self.open_until is not None or failures >= policy.failures:
            times.append(now + policy.open_for)
        if retry_after is not None:
            times.append(now + min(retry_after, MOST_PATIENCE))
        probe_until = None if mark == self.probe_until else self.probe_until
        return Breaker(failures=failures, open_until=max(times, default=None), probe_until=probe_until, info=info)
