"""Which documents and messages were made with which version of a mapping, for after a mapping was corrected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeWith:
    """What was made with one version of a mapping, file, values and code lists alike."""

    mapping: str
    """``NAME VERSION``."""
    digest: str
    """SHA-256 of the mapping; another for the same version where its file, a value or a code list was changed."""
    type: str
    documents: int
    messages: int
    first_at: datetime
    last_at: datetime


def made_with(connection: Connection) -> list[MadeWith]:
    """Every version that was ever used, the last used first."""
    table, carried = DOCUMENTS.c, MESSAGE_DOCUMENTS.c
    query = (
        select(
            table.mapping,
            table.mapping_digest,
            table.type,
            func.count(table.guid.distinct()).label("documents"),
            func.count(carried.message_id.distinct()).label("messages"),
            func.min(table.app_time).label("first_at"),
            func.max(table.app_time).label("last_at"),
        )
        .join(MESSAGE_DOCUMENTS, carried.guid == table.guid, isouter=True)
        .group_by(table.mapping, table.mapping_digest, table.type)
        .order_by(func.max(table.app_time).desc(), table.mapping)
    )
    return [
        MadeWith(
            mapping=row.mapping,
            digest=row.mapping_digest,
            type=row.type,
            documents=row.documents,
            messages=row.messages,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in connection.execute(query)
    ]
