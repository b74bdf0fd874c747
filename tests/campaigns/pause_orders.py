"""What the campaign `pause` tells its processes, and what they tell it."""

from __future__ import annotations

from dataclasses import dataclass

LEASE = 0.6
"""Seconds; of messages, collections and the receipt stream alike."""
ANSWERED = "answered"
"""Stopped when customs' answer is known and not written down."""
PAGE_READ = "page read"
"""Stopped when a page of the warehouse has been read and not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do, once."""

    part: str
    """deliver, collect, prepare or receipts."""
    stop: str = ""
    """Where to stop: ``claim after`` and the like; nowhere when empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One call of `submit`."""

    body: str
    """SHA-256 of what was to be sent."""
    outcome: str
    """Name of the answer's type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of an order."""

    sent: tuple[Sent, ...] = ()
    asked: tuple[str, ...] = ()
    """Messages that were asked about."""
    error: str = ""
