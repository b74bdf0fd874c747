"""When to try again, and when to stop trying. Pure: the random source is handed in.

The wait grows twofold up to a cap and is drawn evenly between nothing and that ("full jitter"), so that many messages
that failed together do not come back together
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Authorities block who asks or repeats too
often (Brazil's tax office after 10 questions an hour about one document), so questions have a limit of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

QUESTIONS = 10
"""Questions about one message within `QUESTION_PERIOD`."""
QUESTION_PERIOD = timedelta(hours=1)

IDENTICAL_REFUSALS = 5
"""After so many refusals of a message in the same words, sending it once more is refused."""


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
    give_up: timedelta
    """How long after its first try a message may wait for customs before it is parked, however seldom it was tried."""

    def wait(self, tries: int, random: Random) -> timedelta:
        """How long to wait after so many tries (1 or more)."""
        grown = self.first.total_seconds() * 2.0 ** min(tries - 1, 32)  # as seconds: a timedelta would overflow
        return timedelta(seconds=min(self.most.total_seconds(), grown) * random.random())

    def is_used_up(self, tries: int) -> bool:
        """Whether an operator has to decide now."""
        return tries >= self.tries


def next_question(asked: Sequence[datetime], now: datetime) -> datetime:
    """When the next question about a message may be asked.

    asked: when the last ones were, the newest first.
    """
    if len(asked) < QUESTIONS:
        return now
    return max(now, asked[QUESTIONS - 1] + QUESTION_PERIOD)
