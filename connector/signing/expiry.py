"""When certificates end, and how urgently to say so; from what is handed in, without reading anything.

A certificate is warned of from 60 days before its end, in words that grow more urgent at 30, 14, 7 and 1. From 14 days
on the warning is a fault: `connector doctor` ends with exit code 7 for it. Two cases are planned and so no fault: a key
that another takes over from before its certificate ends, and a certificate not yet valid beside one that is::

    for warning in warnings(watched, now):
        print(warning.text)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from connector.messages.catalogue import BEIJING
from connector.signing.certificates import Certificate

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

THRESHOLDS = {
    1: "its last day: the new one has to be in place at once",
    7: "urgent: the new one has to be in place now",
    14: "the new one has to be in place this week",
    30: "the new one has to be issued now",
    60: "its renewal has to be planned",
}
"""Days left, fewer than which there is a warning -> what it urges to."""

FAULT_DAYS = 14
"""With fewer days left than these it is a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a certificate is there for."""

    role: str
    """In words, e.g. ``signing key main``."""
    remedy: str
    """What to do before it ends."""
    needed_from: datetime | None = None
    """When its key begins to sign; None: it is in use already."""
    needed_until: datetime | None = None
    """When another key takes over from it; None: nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One certificate, what it is for and where it stands."""

    use: Use
    file: Path | None = None
    """None: it is a peer's, who showed it."""
    certificate: Certificate

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends, below 0 once it has."""
        return (self.certificate.valid_until - now) // _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryWarning:
    """A certificate that is not valid, or soon will not be."""

    text: str
    """One line without the remedy."""
    remedy: str
    is_fault: bool
    """Whether it is too late for a mere warning."""


def warnings(watched: Iterable[Watched], now: datetime) -> list[ExpiryWarning]:
    """What there is to be said of these certificates, in their order; now: aware.

    A key that another has taken over from is no longer spoken of, nor is one not yet valid that nobody needs before.
    """
    found = in_use(watched, now)
    return [warning for one in found for warning in _warning(one, found, now)]


def in_use(watched: Iterable[Watched], now: datetime) -> list[Watched]:
    """Those that are needed now or will be."""
    return [one for one in watched if one.use.needed_until is None or now < one.use.needed_until]


def _warning(one: Watched, others: Sequence[Watched], now: datetime) -> list[ExpiryWarning]:
    certificate, use = one.certificate, one.use
    stands_alone = not any(other.use == use and other.certificate.is_valid_at(now) for other in others)
    if now < certificate.valid_from:
        if use.needed_from is not None and certificate.valid_from <= use.needed_from:
            return []
        said = f"is not valid before {_time(certificate.valid_from)}"
        remedy = "check the clocks of this machine and of the database, or wait until then"
        return [_made(one, said, remedy, is_fault=stands_alone)]
    until = certificate.valid_until
    if now > until:
        return [_expired(one, stands_alone=stands_alone)]
    left = until - now
    for days, urge in THRESHOLDS.items():
        if left < days * _DAY:
            said = f"expires in {_left(left)}, on {_date(until)} (less than {_count(days, 'day')})"
            if use.needed_until is not None and use.needed_until <= until:
                taken_over = f"{said}; the next key takes over before that, on {_date(use.needed_until)}"
                return [_made(one, taken_over, "nothing, if customs knows the next key", is_fault=False)]
            return [_made(one, f"{said}: {urge}", use.remedy, is_fault=days <= FAULT_DAYS)]
    return []


def _expired(one: Watched, *, stands_alone: bool) -> ExpiryWarning:
    said = f"expired on {_date(one.certificate.valid_until)}"
    if stands_alone:
        return _made(one, f"{said}: nothing passes with it any more", one.use.remedy, is_fault=True)
    remedy = "remove it once nothing that it signed can come any more"
    return _made(one, f"{said}; another one of the same use is valid", remedy, is_fault=False)


def _made(one: Watched, said: str, remedy: str, *, is_fault: bool) -> ExpiryWarning:
    where = "that it shows" if one.file is None else f"in {one.file}"
    text = f"{one.use.role}: the certificate {one.certificate.subject} {where} {said}"
    return ExpiryWarning(text=text, remedy=remedy, is_fault=is_fault)


def _left(left: timedelta) -> str:
    if left >= _DAY:
        return _count(left // _DAY, "day")
    return _count(left // _HOUR, "hour") if left >= _HOUR else "less than an hour"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _date(moment: datetime) -> str:
    """The day in Beijing."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d}"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}+08"
