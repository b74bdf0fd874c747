"""Appending to the log: the last step of the transaction whose changes it describes.

Numbers are given under the writer lock, so they have no gaps and follow the order of commits: SQLite has one writer at
a time anyway, PostgreSQL waits for an advisory lock that ends with the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from connector.audit.events import Entry
from connector.storage.audit import ACTORS, AUDIT_ENTRIES
from connector.storage.database import lock


def append(transaction: Connection, entries: Sequence[Entry], *, actor: str, time: datetime) -> None:
    """Number and write the entries. Nothing else may be written in the transaction afterwards."""
    if not entries:
        return
    lock(transaction, "audit")
    actor_id = _actor_id(transaction, actor)
    last = transaction.execute(select(func.max(AUDIT_ENTRIES.c.sequence))).scalar() or 0
    transaction.execute(
        insert(AUDIT_ENTRIES),
        [
            {
                "sequence": number,
                "time": time,
                "event": entry.event.value,
                "actor_id": actor_id,
                "source_key": entry.source_key,
                "document_type": entry.document_type,
                "business_key": entry.business_key,
                "message_id": entry.message_id,
                "waybill": entry.waybill,
                "export_list": entry.export_list,
                "body": json.dumps(entry.detail, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
            }
            for number, entry in enumerate(entries, start=last + 1)
        ],
    )


def _actor_id(transaction: Connection, name: str) -> int:
    found = transaction.execute(select(ACTORS.c.id).where(ACTORS.c.name == name)).scalar()
    if found is not None:
        return int(found)
    return int(transaction.execute(insert(ACTORS).values(name=name).returning(ACTORS.c.id)).scalar_one())
