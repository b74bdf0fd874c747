"""What a driver hands over becomes an exact value of the type its column is declared as.

Nothing is guessed: a number in a text column has lost its leading zeros already, so it is a misfit and never turned
into text. Drivers hand times over as text (see ``database``), which is read here, in one place for all of them::

    >>> from zoneinfo import ZoneInfo
    >>> read_value("2026-06-01 08:00:00.5", ColumnType.TIME, ZoneInfo("Asia/Shanghai"))
    datetime.datetime(2026, 6, 1, 0, 0, 0, 500000, tzinfo=datetime.timezone.utc)
    >>> read_value(b"4.00", ColumnType.DECIMAL, ZoneInfo("Asia/Shanghai"))
    Decimal('4.00')

A time without an offset is a wall clock time of the source's zone. Where summer time makes it ambiguous, the earlier of
both instants is meant; where the clock skipped it, the instant that a clock not yet moved would show.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from connector.messages.records import Value


class ColumnType(StrEnum):
    """What a records file may declare a column to hold. Every column may also be empty (NULL)."""

    TEXT = "text"
    """Text, or bytes that are UTF-8."""
    INTEGER = "integer"
    """A whole number of any size."""
    DECIMAL = "decimal"
    """An exact number. A binary float stays one: the mapping decides whether it may be rounded."""
    TIME = "time"
    """An instant: ISO 8601 text, with an offset or in the source's zone."""
    DATE = "date"
    """A calendar day, ``YYYY-MM-DD``."""


class Misfit(ValueError):
    """A value that does not fit the declared type; the message completes the sentence "column X …"."""


def read_value(raw: object, kind: ColumnType, zone: ZoneInfo) -> Value:
    """The value of the declared type, times in UTC. Raises `Misfit`."""
    if raw is None:
        return None
    if kind is ColumnType.TIME:
        return _time(raw, zone)
    return _READERS[kind](raw)


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; bytes that are not became lone surrogates when they were read."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _text(raw: object) -> str:
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    if not isinstance(raw, str):
        raise Misfit(f"holds the number {raw}, not text; declare it as a number, or make it text in the query")
    if not is_unicode(raw):
        raise Misfit(f"holds {raw!a}, which is not UTF-8")
    return raw


def _integer(raw: object) -> int:
    if isinstance(raw, Decimal) and raw.is_finite() and raw == raw.to_integral_value():
        return int(raw)
    if isinstance(raw, str) and _WHOLE.fullmatch(raw):
        return int(raw)  # of a file, where everything is text
    if type(raw) is not int:
        raise Misfit(f"holds {_shown(raw)}, not an integer")
    return raw


_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,30})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)


def _decimal(raw: object) -> Decimal | float:
    if isinstance(raw, float) and math.isfinite(raw):
        return raw
    if type(raw) is int:
        return Decimal(raw)
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    if isinstance(raw, str) and _NUMBER.fullmatch(raw):
        return Decimal(raw)
    if isinstance(raw, Decimal) and raw.is_finite():
        return raw
    raise Misfit(f"holds {_shown(raw)}, not a decimal number")


def _time(raw: object, zone: ZoneInfo) -> datetime:
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    try:
        local = datetime.fromisoformat(raw) if isinstance(raw, str) else raw
        if isinstance(local, datetime):
            moment = (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)
            if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                return moment
    except (ValueError, OverflowError):
        pass
    raise Misfit(f"holds {_shown(raw)}, not a time such as 2026-06-01 08:00:00.123")


_FIRST_YEAR, _LAST_YEAR = 2, 9998
"""Beyond, a time cannot be told in every zone, nor a year later; it stands for "none" or "for ever" in some systems."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _date(raw: object) -> date:
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    if isinstance(raw, str) and _DAY.fullmatch(raw):
        try:
            return date.fromisoformat(raw)
        except ValueError:
            pass
    raise Misfit(f"holds {_shown(raw)}, not a date such as 2026-06-01")


def _shown(raw: object) -> str:
    if isinstance(raw, str) and raw.isprintable():
        return f"'{raw}'"
    return f"{raw!a}" if isinstance(raw, str | bytes) else f"{raw} ({type(raw).__name__})"


_READERS: dict[ColumnType, Callable[[object], Value]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.DECIMAL: _decimal,
    ColumnType.DATE: _date,
}
