"""settle: an operator says what became of a message, when neither customs nor a receipt does.

=====================  ====================================================================================
state                  what may be said
=====================  ====================================================================================
in_doubt, parked       delivered: customs confirmed by another way that it holds the message
in_doubt, parked       not_received: customs confirmed that it does not; the same bytes go again
conflict               closed: the matter of the other bytes under its id is settled
=====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import ConnectorError, ResendRefused, UsageError
from connector.messages.deliveries import DeliveryState, MessageId
from connector.outbox import queries, turns
from connector.outbox.queries import MessageView
from connector.storage.database import Database, now_by_database


class Verdict(StrEnum):
    """What an operator may say of a message."""

    DELIVERED = "delivered"
    NOT_RECEIVED = "not_received"
    CLOSED = "closed"


_STATES = {
    Verdict.DELIVERED: DeliveryState.DELIVERED,
    Verdict.NOT_RECEIVED: DeliveryState.PENDING,
    Verdict.CLOSED: DeliveryState.CLOSED,
}


def settle(
    database: Database,
    message_id: MessageId,
    verdict: Verdict,
    *,
    reason: str,
    actor: str,
    clock: Callable[[Connection], datetime] = now_by_database,
) -> DeliveryState:
    """Settle a message and audit it; the state it is in then.

    It needs no key: an operator can do this whatever is wrong with ours. Raises `ResendRefused` where that may not be
    said, and `UsageError` for an unknown message.
    """
    with database.write(Deed.SETTLE) as transaction:
        now = clock(transaction)
        state = _STATES[verdict]
        info = f"{verdict}, says {actor}: {reason}"
        if not turns.settle(transaction, message_id, state, info=info, now=now):
            raise _refused(queries.message(transaction, message_id), message_id, verdict)
        entry = Entry(
            event=Event.SETTLED,
            message_id=message_id,
            detail={"verdict": verdict.value, "delivery_state": state.value, "reason": reason},
        )
        log.append(transaction, [entry], actor=actor, time=now)
    return state


def _refused(view: MessageView | None, message_id: MessageId, verdict: Verdict) -> ConnectorError:
    if view is None:
        return UsageError(f"there is no message {message_id}", remedy="`connector messages list` shows those there are")
    if verdict is Verdict.NOT_RECEIVED and view.delivery_state in {DeliveryState.IN_DOUBT, DeliveryState.PARKED}:
        found = "it has not settled, or customs is being asked about it"
        remedy = "look again in a moment, or once [customs] settle_seconds have passed; customs may still work on it"
    else:
        found = f"it is {view.delivery_state}"
        remedy = "delivered and not_received are for messages in doubt or parked, closed for those in conflict"
    return ResendRefused(
        f"{message_id} cannot be settled as {verdict}: {found}", effect="nothing was changed", remedy=remedy
    )
