"""When to try again. Pure: the random source is handed in.

The wait grows twofold up to a cap and is drawn evenly between nothing and that ("full jitter"), so that many messages
that failed together do not come back together
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient we are with one message."""

    first: timedelta
    """Upper bound of the first wait."""
    most: timedelta
    """Cap of the upper bound."""
    tries: int
    """Attempts, queries included, before the message is parked."""
    settle: timedelta
    """How long customs may take over a request whose connection we gave up."""

    def wait(self, tries: int, random: Random) -> timedelta:
        """How long to wait after so many tries (1 or more)."""
        grown = self.first.total_seconds() * 2.0 ** min(tries - 1, 32)  # as seconds: a timedelta would overflow
        return timedelta(seconds=min(self.most.total_seconds(), grown) * random.random())

    def is_used_up(self, tries: int) -> bool:
        """Whether an operator has to decide now."""
        return tries >= self.tries
