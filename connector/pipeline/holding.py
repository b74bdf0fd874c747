"""The audit entry of a record that is held in quarantine; collecting and preparing both hold some."""

from __future__ import annotations

from connector.audit.events import Entry, Event
from connector.sources.quarantine import Held


def quarantined(held: Held) -> Entry:
    """Say which record waits, for which message type, and why."""
    return Entry(
        event=Event.QUARANTINED,
        source_key=f"{held.key.collection}/{held.key.key}",
        document_type=held.type,
        business_key=held.business_key,
        waybill=held.waybill,
        export_list=held.export_list,
        detail={"reason": held.reason, "faults": [dict(fault) for fault in held.faults]},
    )
