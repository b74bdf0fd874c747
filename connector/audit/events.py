"""What there is to record: an `Event` for each kind of thing that happens, an `Entry` that says whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Event(StrEnum):
    """A kind of thing that happens."""

    ACTIVATED = "activated"
    """Other keys, certificates, mappings or addresses are in use from now on, or another of the keys signs."""
    COLLECTED = "collected"
    """A new or changed source record was read."""
    WINDOW_READ = "window_read"
    """A window of a collection was read to its end: how many rows, their digest, and what a sweep found."""
    DISAPPEARED = "disappeared"
    """The source has a row no longer that was collected from it."""
    MAPPED = "mapped"
    """A document revision was made from a source record."""
    QUARANTINED = "quarantined"
    """A source record gave no document of one type; it waits with its reason."""
    QUARANTINE_LEFT = "quarantine_left"
    """The reason to wait is gone."""
    RETRIED = "retried"
    """An operator had a record in quarantine prepared once more, with a reason."""
    RELEASED = "released"
    """An operator let a record in quarantine go out all the same, with a reason."""
    SIGNED = "signed"
    """A message was built, signed and stored."""
    ATTEMPTED = "attempted"
    """A try to send, or a question about a message in doubt, was about to leave."""
    ANSWERED = "answered"
    """What the attempt came to, and the delivery state that follows."""
    RECEIPT_TAKEN = "receipt_taken"
    """A receipt was read and matched, or kept as unknown."""
    RECEIPT_UNREADABLE = "receipt_unreadable"
    """An envelope came that cannot be read; it is kept."""
    STATUS_CHANGED = "status_changed"
    """The receipts of a document add up to another customs status."""
    DELIVERY_CHANGED = "delivery_changed"
    """A receipt or an expired lease changed the delivery state of a message."""
    RESENT = "resent"
    """Something was sent again, with a reason: by an operator, or each document of a refused batch alone."""
    SETTLED = "settled"
    """An operator said what became of a message, with a reason."""
    EXPORTED = "exported"
    """Evidence was about to be handed out, with a reason."""
    FORGOTTEN = "forgotten"
    """The name behind a digest was erased, with a reason."""
    ARCHIVED = "archived"
    """Payloads left the database for a file whose digest this is, with a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, as it is handed to the log."""

    event: Event
    source_key: str = ""
    """``collection/key`` of the source record."""
    document_type: str = ""
    business_key: str = ""
    message_id: str = ""
    waybill: str = ""
    export_list: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)
    """What else belongs to it; JSON values only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One entry as it stands in the log."""

    sequence: int
    time: datetime
    event: str
    actor: str
    source_key: str
    document_type: str
    business_key: str
    message_id: str
    waybill: str
    export_list: str
    detail: Mapping[str, object]
