"""`SourceRecord`: one business fact read from the enterprise's systems, and its exact JSON form.

A record keeps the types its source gave it. JSON has no decimals and no times, so these are written as tagged strings;
nothing is rounded on the way and integers of any size survive::

    >>> encode({"id": 1843920012030070785, "quantity": Decimal("4.00")})
    '{"id":1843920012030070785,"quantity":{"$decimal":"4.00"}}'
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

Value: TypeAlias = bool | int | float | str | Decimal | datetime | date | None
"""What one column may hold. A `datetime` is aware and in UTC."""

Row: TypeAlias = Mapping[str, Value]
"""One row by column name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKey:
    """Which fact: the collection it belongs to and the key it has there, for ever."""

    collection: str
    """Name of the records file, e.g. ``returns``."""
    key: str
    """The key columns joined by ``/``, e.g. ``RK10098845``."""

    def __str__(self) -> str:
        """As the audit log writes it: ``returns/RK10098845``."""
        return f"{self.collection}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """One fact as the source gave it: a head row and its line rows."""

    key: SourceKey
    changed_at: datetime
    """The source's own time of the last change, UTC."""
    row: Row
    lines: tuple[Row, ...] = ()

    def to_json(self) -> str:
        """The row and the lines, exactly; the same record always gives the same text."""
        return encode({"row": self.row, "lines": list(self.lines)})

    @classmethod
    def from_json(cls, key: SourceKey, changed_at: datetime, text: str) -> SourceRecord:
        """Read back what `to_json` wrote."""
        body = decode(text)
        return cls(key=key, changed_at=changed_at, row=body["row"], lines=tuple(body["lines"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupShape:
    """A lookup a collection offers: rows of another table, found by values of the record or the line."""

    columns: frozenset[str]
    match: tuple[str, ...]
    """What is looked up, as references: ``record.biz_order_no``, ``line.sku_code``."""

    @property
    def per_line(self) -> bool:
        """Whether the answer differs from line to line."""
        return any(reference.startswith("line.") for reference in self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordShape:
    """What the records of one collection offer to a mapping."""

    collection: str
    columns: frozenset[str]
    line_columns: frozenset[str]
    lookups: Mapping[str, LookupShape]


Lookups: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Sequence[Row]]]
"""Rows found for one page of records: name -> matched values as text -> rows (none, one, or ambiguously more)."""


def encode(value: object) -> str:
    """Canonical JSON of rows: sorted keys, no spaces, tagged decimals, times and dates."""
    return json.dumps(value, default=_tag, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> Any:
    """Read back what `encode` wrote."""
    return json.loads(text, object_hook=_untag)


def digest(text: str) -> str:
    """SHA-256 of a text's UTF-8 form, lower-case hex. Lone surrogates count as they are: a digest never fails."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def rfc3339(moment: datetime) -> str:
    """A time as programs read it, RFC 3339 in UTC with milliseconds, e.g. ``2026-06-01T00:30:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tag(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$time": value.astimezone(UTC).isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    raise TypeError(f"a source value of type {type(value).__name__} has no JSON form")


def _untag(pair: dict[str, Any]) -> Any:
    if len(pair) != 1:
        return pair
    ((tag, text),) = pair.items()
    if tag == "$decimal":
        return Decimal(text)
    if tag == "$time":
        return datetime.fromisoformat(text)
    if tag == "$date":
        return date.fromisoformat(text)
    return pair
