"""Whose a receipt is.

A record belongs to the revision whose guid it echoes, else to the newest revision of its key that may have arrived
before it was said, by customs' clock, which may differ from ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from connector.messages.receipts import Receipt
from connector.storage.limits import portions
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGE_DOCUMENTS, SURELY_NOT_HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The revision a receipt belongs to."""

    guid: str
    type: str
    business_key: str
    waybill: str
    export_list: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The revisions a receipt belongs to."""

    owners: tuple[Owner, ...]
    """One; for CEB900 all of its message; none when nothing of ours matches."""
    is_proof: bool
    """No other revision can be meant, so this one did arrive."""


def match_all(connection: Connection, receipts: Sequence[Receipt]) -> dict[str, Match]:
    """Owners by receipt digest."""
    by_guid = _owners(connection, DOCUMENTS.c.guid, [receipt.guid for receipt in receipts if receipt.answers])
    left = [receipt for receipt in receipts if receipt.answers and receipt.guid not in by_guid]
    by_key = _owners_by_key(connection, {receipt.business_key for receipt in left})
    matches: dict[str, Match] = {}
    for receipt in receipts:
        if receipt.message_id is not None:
            match = Match(owners=owners_in(connection, receipt.message_id), is_proof=True)
        elif receipt.guid in by_guid:
            match = Match(owners=(by_guid[receipt.guid],), is_proof=True)
        else:
            sent = [one for name in receipt.answers for one in by_key.get((name, receipt.business_key), [])]
            before = [owner for sent_at, owner in sent if sent_at <= receipt.time] or [owner for _, owner in sent[:1]]
            match = Match(owners=tuple(before[-1:]), is_proof=len(sent) == 1)
        matches[receipt.digest] = match
    return matches


def owners_in(connection: Connection, message_id: str) -> tuple[Owner, ...]:
    """The revisions a message carries, in order."""
    query = (
        _owner_query()
        .join(MESSAGE_DOCUMENTS, MESSAGE_DOCUMENTS.c.guid == DOCUMENTS.c.guid)
        .where(MESSAGE_DOCUMENTS.c.message_id == message_id)
        .order_by(MESSAGE_DOCUMENTS.c.position)
    )
    return tuple(_owner(row) for row in connection.execute(query))


def _owners(connection: Connection, column: Any, values: list[str]) -> dict[str, Owner]:
    found: dict[str, Owner] = {}
    for some in portions(values):
        for row in connection.execute(_owner_query().where(column.in_(some))):
            found[row.guid] = _owner(row)
    return found


def _owners_by_key(connection: Connection, keys: set[str]) -> dict[tuple[str, str], list[tuple[datetime, Owner]]]:
    """All revisions that may have arrived by (type, key), oldest first, each with the time it was first sent."""
    found: dict[tuple[str, str], list[tuple[datetime, Owner]]] = {}
    for some in portions(sorted(keys)):
        query = (
            _owner_query()
            .add_columns(func.min(ATTEMPTS.c.started_at).label("sent_at"))
            .join(MESSAGE_DOCUMENTS, MESSAGE_DOCUMENTS.c.guid == DOCUMENTS.c.guid)
            .join(ATTEMPTS, ATTEMPTS.c.message_id == MESSAGE_DOCUMENTS.c.message_id)
            .where(
                DOCUMENTS.c.business_key.in_(some),
                ATTEMPTS.c.kind == "send",
                ATTEMPTS.c.outcome.not_in(SURELY_NOT_HELD),
            )
            .group_by(DOCUMENTS.c.guid)
            .order_by(DOCUMENTS.c.revision)
        )
        for row in connection.execute(query):
            found.setdefault((row.type, row.business_key), []).append((row.sent_at, _owner(row)))
    return found


def _owner_query() -> Any:
    table = DOCUMENTS.c
    return select(table.guid, table.type, table.business_key, table.waybill, table.export_list)


def _owner(row: Any) -> Owner:
    return Owner(
        guid=row.guid,
        type=row.type,
        business_key=row.business_key,
        waybill=row.waybill,
        export_list=row.export_list,
    )
