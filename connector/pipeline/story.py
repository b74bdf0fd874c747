"""Everything that is known under a name that a person may give: documents, what waits, and the entries of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from connector.audit import queries
from connector.audit.events import Recorded
from connector.outbox.queries import DocumentView, find_documents
from connector.sources.inbox import key_of
from connector.sources.quarantine import Waiting, waiting_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What there is to tell of one return."""

    documents: Sequence[DocumentView]
    waiting: Sequence[Waiting]
    entries: Sequence[Recorded]


def tell(connection: Connection, name: str) -> Story:
    """By business key, order number, waybill, export list number, or guid of a revision; empty for an unknown name."""
    found = find_documents(connection, name)
    source_keys = {key_of(connection, view.record_id) for view in found}
    waiting = [
        one
        for one in waiting_entries(connection)
        if one.key in source_keys or name in {one.key.key, one.business_key, one.waybill, one.export_list}
    ]
    source_keys |= {one.key for one in waiting}
    entries = queries.story(
        connection,
        source_keys=[str(key) for key in source_keys],
        business_keys=list({view.business_key for view in found}),
        message_ids=list({message_id for view in found for message_id in view.message_ids}),
    )
    return Story(documents=found, waiting=waiting, entries=entries)
