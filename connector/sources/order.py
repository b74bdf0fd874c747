"""The order that a collection is read in, and the places in it.

By change time, ties broken by a unique column; or, where rows are only ever added, by the unique column alone. The next
page is asked for in two queries, the rest of the last change time and then the later ones: each is one range of an
index on both columns, in every database, and no row is read twice however many share one change time.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select

from connector.sources.interface import Cursor
from connector.sources.query import Query, ReadRow, parameter

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

_MOMENT = re.compile(
    r"(\d{4})(?P<dash>-?)(\d\d)(?P=dash)(\d\d)"
    r"(?:(?P<blank>[ T])(?P<hour>\d\d)(?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)"
    r"(?P<fraction>[.,]\d+)?)?)?(?P<offset>.*))?",
    re.ASCII | re.DOTALL,
)
_BELOW_HOURS = (("minute", "%M"), ("second", "%S"))


class Order:
    """Where rows stand, and which follow."""

    def __init__(self, heads: Query, changed: str | None, unique: str) -> None:
        self._heads = heads
        self._changed_name, self._unique_name = changed, unique
        self._unique = heads.column(unique)
        self._changed = heads.column(changed) if changed else None

    @property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        """What to sort by."""
        return (self._unique,) if self._changed is None else (self._changed, self._unique)

    def place(self, head: ReadRow) -> Cursor:
        """Behind this row."""
        changed = head.raw[self._changed_name] if self._changed_name else None
        if isinstance(changed, datetime):  # of a driver that cannot be told to hand times over as text
            changed = changed.isoformat(" ")
        unique = head.row[self._unique_name]
        return Cursor(changed_at=json.dumps(changed, ensure_ascii=False), key=json.dumps(unique, ensure_ascii=False))

    def following(
        self, connection: Connection, after: Cursor | None, until: Cursor | None, at_most: int
    ) -> list[ReadRow]:
        """The next rows, in order."""
        found: list[ReadRow] = []
        for conditions, given in self._ranges(after, until):
            statement = self._heads.select(*conditions).order_by(*self.columns).limit(at_most - len(found))
            found += self._heads.rows(connection, statement, **given)
            if len(found) == at_most:
                break
        return found

    def count(self, connection: Connection, after: Cursor | None, until: Cursor | None) -> int:
        """How many rows there are between two places."""
        total = 0
        for conditions, given in self._ranges(after, until):
            statement = select(func.count()).select_from(self._heads.select(*conditions).subquery("counted"))
            total += connection.execute(statement, given).scalar_one()
        return total

    def _ranges(
        self, after: Cursor | None, until: Cursor | None
    ) -> list[tuple[list[ColumnElement[bool]], dict[str, Any]]]:
        """Conditions with their values; one after the other they are all rows between two places, in order."""
        end, given = self._end(until)
        end.append(self._unique.is_not(None))  # a row without it could never be told from the next
        changed = self._changed
        if changed is None:
            begin = [] if after is None else [self._unique > parameter("key")]
            return [([*begin, *end], given | ({} if after is None else {"key": json.loads(after.key)}))]
        if after is None:
            return [([changed.is_not(None), *end], given)]
        at, key = json.loads(after.changed_at), json.loads(after.key)
        if key is None:
            return [([changed >= parameter("at"), *end], given | {"at": at})]
        same = [changed == parameter("at"), self._unique > parameter("key"), *end]
        later = [changed > parameter("at"), *end]
        return [(same, given | {"at": at, "key": key}), (later, given | {"at": at})]

    def _end(self, until: Cursor | None) -> tuple[list[ColumnElement[bool]], dict[str, Any]]:
        if until is None:
            return [], {}
        key = {"until_key": json.loads(until.key)}
        last = self._unique <= parameter("until_key")
        if self._changed is None:
            return [last], key
        same = and_(self._changed == parameter("until_at"), last)
        return [or_(self._changed < parameter("until_at"), same)], key | {"until_at": json.loads(until.changed_at)}


def before(cursor: Cursor, back: timedelta) -> Cursor | None:
    """Before everything that changed up to so long before a place; None where its time is in a form we cannot shift.

    The time keeps its form, dashes, blank or T, fraction and offset, so that it compares in the source as others do.

    >>> at = Cursor(changed_at='"2026-06-01T00:02:00.500+08:00"', key="7")
    >>> before(at, timedelta(minutes=5)).changed_at
    '"2026-05-31T23:57:00.000+08:00"'
    """
    text = json.loads(cursor.changed_at)
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, _, month, day, *_rest = found.groups()
    hour, minute, second = (found[name] or "00" for name in ("hour", "minute", "second"))
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}") - back
    except (ValueError, OverflowError):
        return None
    shifted = found["dash"].join((f"{moment.year:04}", f"{moment:%m}", f"{moment:%d}"))
    if found["blank"]:
        parts = [f"{moment:%H}", *(f"{moment:{form}}" for name, form in _BELOW_HOURS if found[name])]
        fraction = re.sub(r"\d", "0", found["fraction"] or "")
        shifted += found["blank"] + (found["colon"] or "").join(parts) + fraction + found["offset"]
    return Cursor(changed_at=json.dumps(shifted, ensure_ascii=False), key="null")
