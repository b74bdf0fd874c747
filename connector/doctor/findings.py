"""What a check says, and the exit code that several of them add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from connector.errors import ConnectorError, SigningError
from connector.signing.expiry import ExpiryWarning

_FIRST = (9, 7, 4, 5, 6)
"""Exit codes in the order of which counts where several apply; any other comes after them."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works, but something should be done."""
    FAULT = "fault"
    """It does not work, or soon will not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, e.g. ``source warehouse``."""
    level: Level
    text: str
    """One line."""
    remedy: str = ""
    """What to do; empty when nothing is to be done."""
    exit_code: int = 0
    """0 but for a fault."""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Level.OK, text=text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Something should be done."""
    return Finding(check=check, level=Level.WARNING, text=text, remedy=remedy)


def key_fault(check: str, text: str, remedy: str) -> Finding:
    """A key or certificate that does not do, or soon will not."""
    return Finding(check=check, level=Level.FAULT, text=text, remedy=remedy, exit_code=SigningError.exit_code)


def ending(check: str, found: ExpiryWarning) -> Finding:
    """A certificate that ends soon, or has ended."""
    return (key_fault if found.is_fault else warning)(check, found.text, found.remedy)


def faults(check: str, error: ConnectorError) -> Iterator[Finding]:
    """An error, one finding for each line of its cause: configuration and mappings name all their faults at once."""
    for line in error.cause.splitlines():
        yield Finding(check=check, level=Level.FAULT, text=line, remedy=error.remedy, exit_code=error.exit_code)


def exit_code(findings: Iterable[Finding]) -> int:
    """The first that applies of 9, 7, 4, 5, 6; 0 without a fault.

    >>> exit_code([ok("TLS", "always verified"), key_fault("certificates", "expired", "renew it")])
    7
    """
    codes = {finding.exit_code for finding in findings if finding.level is Level.FAULT}
    return next((code for code in _FIRST if code in codes), min(codes, default=0))
