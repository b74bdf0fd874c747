"""Reading the log.

Entries come in the order of time and number, so that an index gives the newest of any filter without sorting: time
follows the numbers but for what several processes write within one moment, or after a clock was set back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, cast, func, literal, or_, select, tuple_
from sqlalchemy.types import Text

from connector.audit.bodies import KEY_COLUMNS
from connector.audit.events import Event, Recorded
from connector.storage.audit import ACTORS, AUDIT_ENTRIES
from connector.storage.columns import UtcTime
from connector.storage.limits import portions

_RARE = ("source_key", "business_key", "message_id", "waybill", "export_list")
"""Columns of which one value names few entries."""
_COMMON = ("event", "document_type", "code", "state")
"""Columns of which one value may name a third of all entries."""


class Position(NamedTuple):
    """Where an entry stands in the order of a listing."""

    time: datetime
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries; everything given must hold, None asks for nothing."""

    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    event: str | None = None
    actor: str | None = None
    source_key: str | None = None
    document_type: str | None = None
    business_key: str | None = None
    message_id: str | None = None
    waybill: str | None = None
    export_list: str | None = None
    code: str | None = None
    """Of a receipt."""
    state: str | None = None
    """The delivery state or customs status that it came to."""
    text: str | None = None
    """Anywhere in the body; this reads every entry that the rest of the filter leaves."""
    before: Position | None = None
    """Only what stands before this one: the page before it."""


def entries(connection: Connection, wanted: EntryFilter, *, at_most: int | None = None) -> list[Recorded]:
    """The entries in order; with ``at_most``, the newest of them, still in order."""
    table = AUDIT_ENTRIES.c
    query = _joined().where(*_conditions(connection, wanted)).order_by(table.time.desc(), table.sequence.desc())
    return [_recorded(row) for row in reversed(connection.execute(query.limit(at_most)).all())]


def entry(connection: Connection, sequence: int) -> Recorded | None:
    """One entry by its number."""
    row = connection.execute(_joined().where(AUDIT_ENTRIES.c.sequence == sequence)).one_or_none()
    return _recorded(row) if row else None


def last_of(connection: Connection, event: Event) -> Recorded | None:
    """The last entry of an event by number, whatever the clock was set to meanwhile."""
    last = select(func.max(AUDIT_ENTRIES.c.sequence)).where(AUDIT_ENTRIES.c.event == event.value).scalar_subquery()
    row = connection.execute(_joined().where(AUDIT_ENTRIES.c.sequence == last)).one_or_none()
    return _recorded(row) if row else None


def body(connection: Connection, sequence: int) -> bytes | None:
    """The bytes of one entry that are hashed."""
    return connection.execute(select(AUDIT_ENTRIES.c.body).where(AUDIT_ENTRIES.c.sequence == sequence)).scalar()


def bodies(connection: Connection, sequences: Sequence[int]) -> dict[int, bytes]:
    """The same of several entries, by their numbers; without those that are not there."""
    table = AUDIT_ENTRIES.c
    rows = connection.execute(select(table.sequence, table.body).where(table.sequence.in_(sequences)))
    return {row.sequence: bytes(row.body) for row in rows}


def story(
    connection: Connection, *, source_keys: Sequence[str], business_keys: Sequence[str], message_ids: Sequence[str]
) -> list[Recorded]:
    """Everything about one return, in order: its source records, its documents, and the messages that carried them.

    Entries about the other documents of those messages are left out.
    """
    table = AUDIT_ENTRIES.c
    whose = [
        *(and_(table.source_key.in_(some), table.source_key != "") for some in portions(source_keys)),
        *(and_(table.business_key.in_(some), table.business_key != "") for some in portions(business_keys)),
        *(
            and_(table.message_id.in_(some), table.message_id != "", table.business_key == "")
            for some in portions(message_ids)
        ),
    ]
    rows = {row.sequence: row for condition in whose for row in connection.execute(_joined().where(condition))}
    return [_recorded(rows[number]) for number in sorted(rows)]


def count(connection: Connection) -> int:
    """How many entries there are."""
    return connection.execute(select(func.max(AUDIT_ENTRIES.c.sequence))).scalar() or 0


def _joined() -> Select[Any]:
    return select(AUDIT_ENTRIES, func.coalesce(ACTORS.c.name, ACTORS.c.digest).label("actor")).join(ACTORS)


def _conditions(connection: Connection, wanted: EntryFilter) -> Iterator[ColumnElement[bool]]:
    table = AUDIT_ENTRIES.c
    asked = {name: value for name in (*_RARE, *_COMMON) if (value := getattr(wanted, name)) is not None}
    is_rare = not asked.keys().isdisjoint(_RARE)
    for name, value in asked.items():
        # SQLite keeps no statistics: it may take the index of a common value, unless an expression hides the column.
        yield (table[name].concat("") if is_rare and name in _COMMON else table[name]) == value
        if name != "event":
            yield table[name] != ""  # the index holds no empty values, and only this says that none is wanted
    if wanted.actor is not None:
        number = select(ACTORS.c.id).where(or_(ACTORS.c.name == wanted.actor, ACTORS.c.digest == wanted.actor))
        yield (table.actor_id + 0 if is_rare else table.actor_id) == number.scalar_subquery()
    if wanted.since is not None:
        yield table.time >= wanted.since
    if wanted.until is not None:
        yield table.time < wanted.until
    if wanted.before is not None:
        here = tuple_(literal(wanted.before.time, UtcTime()), literal(wanted.before.sequence))
        yield tuple_(table.time, table.sequence) < here
    if wanted.text is not None:
        yield _text_of_body(connection).contains(wanted.text, autoescape=True)


def _text_of_body(connection: Connection) -> ColumnElement[str]:
    if connection.dialect.name == "postgresql":
        return func.convert_from(AUDIT_ENTRIES.c.body, "UTF8")
    return cast(AUDIT_ENTRIES.c.body, Text)


def _recorded(row: Row[Any]) -> Recorded:
    """What the body says, for that is what the log vouches for; the columns are for finding it."""
    said = json.loads(row.body)
    keys = {name: said.get(name, "") for name in KEY_COLUMNS}
    return Recorded(
        sequence=row.sequence, time=row.time, event=said["event"], actor=row.actor, detail=said["detail"], **keys
    )
