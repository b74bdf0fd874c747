"""Reading the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from connector.audit.events import Recorded
from connector.storage.audit import ACTORS, AUDIT_ENTRIES


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


def entries(connection: Connection, wanted: EntryFilter, *, at_most: int | None = None) -> list[Recorded]:
    """The entries in order; with ``at_most``, the newest of them, still in order."""
    query = _filtered(wanted).order_by(AUDIT_ENTRIES.c.sequence.desc()).limit(at_most)
    return [_recorded(row) for row in reversed(connection.execute(query).all())]


def entry(connection: Connection, sequence: int) -> Recorded | None:
    """One entry by its number."""
    row = connection.execute(_joined().where(AUDIT_ENTRIES.c.sequence == sequence)).one_or_none()
    return _recorded(row) if row else None


def story(
    connection: Connection, *, source_keys: Sequence[str], business_keys: Sequence[str], message_ids: Sequence[str]
) -> list[Recorded]:
    """Everything about one return, in order: its source records, its documents, and the messages that carried them.

    Entries about the other documents of those messages are left out.
    """
    table = AUDIT_ENTRIES.c
    query = (
        _joined()
        .where(
            or_(
                table.source_key.in_(source_keys),
                table.business_key.in_(business_keys),
                and_(table.message_id.in_(message_ids), table.business_key == ""),
            )
        )
        .order_by(table.sequence)
    )
    return [_recorded(row) for row in connection.execute(query)]


def count(connection: Connection) -> int:
    """How many entries there are."""
    return connection.execute(select(func.count()).select_from(AUDIT_ENTRIES)).scalar_one()


def _joined() -> Select[Any]:
    return select(AUDIT_ENTRIES, ACTORS.c.name.label("actor")).join(ACTORS)


def _filtered(wanted: EntryFilter) -> Select[Any]:
    query = _joined()
    if wanted.since is not None:
        query = query.where(AUDIT_ENTRIES.c.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(AUDIT_ENTRIES.c.time < wanted.until)
    if wanted.actor is not None:
        query = query.where(ACTORS.c.name == wanted.actor)
    for name in ("event", "source_key", "document_type", "business_key", "message_id", "waybill", "export_list"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(AUDIT_ENTRIES.c[name] == value)
    return query


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(
        sequence=row.sequence,
        time=row.time,
        event=row.event,
        actor=row.actor,
        source_key=row.source_key,
        document_type=row.document_type,
        business_key=row.business_key,
        message_id=row.message_id,
        waybill=row.waybill,
        export_list=row.export_list,
        detail=json.loads(row.body),
    )
