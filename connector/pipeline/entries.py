"""Audit entries that several steps write: what happens to a record in quarantine, another customs status."""

from __future__ import annotations

from connector.audit.events import Entry, Event
from connector.receipts.ledger import StatusChange
from connector.sources.quarantine import Held, Waiting


def quarantined(held: Held) -> Entry:
    """Say which record waits, for which message type, and why."""
    return Entry(
        event=Event.QUARANTINED,
        source_key=str(held.key),
        document_type=held.type,
        business_key=held.business_key,
        waybill=held.waybill,
        export_list=held.export_list,
        detail={"reason": held.reason, "faults": [dict(fault) for fault in held.faults]},
    )


def decided(event: Event, waiting: Waiting, *, reason: str, **more: object) -> Entry:
    """Say what a person decided about a record that waits, and why."""
    return Entry(
        event=event,
        source_key=str(waiting.key),
        document_type=waiting.type,
        business_key=waiting.business_key,
        waybill=waiting.waybill,
        export_list=waiting.export_list,
        detail={"reason": reason, "waited_for": waiting.reason} | more,
    )


def status_changed(change: StatusChange) -> Entry:
    """Say what the receipts of a revision add up to now."""
    owner = change.owner
    return Entry(
        event=Event.STATUS_CHANGED,
        document_type=owner.type,
        business_key=owner.business_key,
        waybill=owner.waybill,
        export_list=owner.export_list,
        detail={
            "guid": owner.guid,
            "before": change.before.value,
            "status": change.standing.status.value,
            "code": change.standing.code,
            "info": change.standing.info,
        },
    )
