"""Everything that is known under a name that a person may give: documents, what waits, and the entries of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from connector.audit import queries
from connector.audit.events import Recorded
from connector.audit.queries import EntryFilter
from connector.outbox.queries import DocumentView, find_documents, message
from connector.sources.inbox import key_of
from connector.sources.quarantine import Waiting, waiting_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What goes by one name."""

    source_keys: Sequence[str]
    """Of the returns, sorted."""
    documents: Sequence[DocumentView]
    waiting: Sequence[Waiting]
    entries: Sequence[Recorded]


def tell(connection: Connection, name: str) -> Story:
    """By any key or number of a return, a guid, a message id or a source key; empty for an unknown name."""
    if not name:  # what has no waybill or list has an empty one
        return Story(source_keys=(), documents=(), waiting=(), entries=())
    carrier = message(connection, name)
    collected = queries.entries(connection, EntryFilter(source_key=name))
    names = {name, *(carrier.documents if carrier else ()), *(one.business_key for one in collected)} - {""}
    views = {view.guid: view for one in sorted(names) for view in find_documents(connection, one)}
    found = list(views.values())
    source_keys = {str(key_of(connection, view.record_id)) for view in found}
    waiting = [
        one
        for one in waiting_entries(connection)
        if str(one.key) in {name, *source_keys} or name in {one.key.key, one.business_key, one.waybill, one.export_list}
    ]
    keys = sorted(source_keys | {str(one.key) for one in waiting} | {one.source_key for one in collected})
    entries = queries.story(
        connection,
        source_keys=keys,
        business_keys=list({view.business_key for view in found}),
        message_ids=list({message_id for view in found for message_id in view.message_ids}),
    )
    return Story(source_keys=keys, documents=found, waiting=waiting, entries=entries)
