"""`DeliveryState` of a message, and the answers customs may give to one delivery.

An answer is one type per outcome, never a flag and never an exception. What we do not know for certain is `InDoubt`:
customs may have taken the message in, so it is asked about before it may be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType, TypeAlias

MessageId = NewType("MessageId", str)
"""The DXP CopMsgId: a UUID made once, stored with the signed bytes, the same in every attempt."""


class DeliveryState(StrEnum):
    """Where one message is on its way out; what customs thinks of its documents is another matter."""

    PENDING = "pending"
    """Signed and stored; waits for its next attempt."""
    SENDING = "sending"
    """Claimed by a sender; an attempt row exists."""
    DELIVERED = "delivered"
    """Customs took it in."""
    REFUSED = "refused"
    """Refused at the door, or by a format check, as a whole."""
    IN_DOUBT = "in_doubt"
    """It may have arrived; customs is asked before anything else happens."""
    CONFLICT = "conflict"
    """Customs holds other bytes under this id: never a success, never sent again."""
    PARKED = "parked"
    """Attempts, queries or the deadline are used up; an operator decides."""
    CLOSED = "closed"
    """Ended by an operator: a conflict that is settled, or a message whose documents go out in others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """Customs took the message in (chkMark 1)."""

    raw: bytes
    """The response body as received."""
    info: str
    """What customs said, e.g. 处理成功."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAtDoor:
    """Customs refused the whole message (chkMark 2, or a client SOAP Fault)."""

    raw: bytes
    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Surely not sent: the failure came before the first byte of the request left us."""

    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Surely not sent either: when the first byte should have left, the message was no longer ours to send."""

    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Anything else: a lost, cut, late or unreadable answer."""

    raw: bytes
    """What was received, perhaps nothing."""
    info: str
    retry_after: timedelta | None = None
    """How long customs asked us to stay away (HTTP Retry-After)."""


Answer: TypeAlias = TakenIn | RefusedAtDoor | NotSent | Withdrawn | InDoubt
"""What one attempt came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """queryMessage: customs knows the message."""

    digest: str
    """SHA-256 of the signed message it holds, lower-case hex."""
    received_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnown:
    """queryMessage: customs does not know the message."""


Finding: TypeAlias = Known | NotKnown
"""What a query about a message in doubt found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMessage:
    """The exact signed bytes of one message. They never change."""

    xml: bytes
    """The message; of a bare type, whose envelope is signed, what the envelope holds."""
    key_id: str
    """SHA-256 fingerprint of the signing certificate, lower-case hex."""
    suite: str
    """Name of the signature suite, e.g. ``rsa-sha1``."""
