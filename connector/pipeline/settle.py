"""settle: an operator says what became of a message, when neither customs nor a receipt does.

=====================  ====================================================================================
state                  what may be said
=====================  ====================================================================================
in_doubt, parked       delivered: customs confirmed by another way that it holds the message
in_doubt               not_received: customs confirmed that it does not; the same bytes go again
conflict               closed: the matter of the other bytes under its id is settled
=====================  ====================================================================================
"""

from __future__ import annotations

from enum import StrEnum

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import ResendRefused
from connector.messages.deliveries import DeliveryState, MessageId
from connector.outbox import queries, queue
from connector.pipeline.wiring import Connector


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


def settle(connector: Connector, message_id: MessageId, verdict: Verdict, *, reason: str, actor: str) -> DeliveryState:
    """Settle a message and audit it; the state it is in then. Raises `ResendRefused` where that may not be said."""
    with connector.database.write(Deed.SETTLE) as transaction:
        now = connector.clock(transaction)
        state = _STATES[verdict]
        info = f"{verdict}, says {actor}: {reason}"
        if not queue.settle(transaction, message_id, state, info=info, now=now):
            view = queries.message(transaction, message_id)
            found = f"it is {view.delivery_state}" if view else "there is none"
            raise ResendRefused(
                f"{message_id} cannot be settled as {verdict}: {found}",
                effect="nothing was changed",
                remedy="in doubt: delivered, or, after [customs] settle_seconds, not_received; conflict: closed",
            )
        entry = Entry(
            event=Event.SETTLED,
            message_id=message_id,
            detail={"verdict": verdict.value, "delivery_state": state.value, "reason": reason},
        )
        log.append(transaction, [entry], actor=actor, time=now)
    return state
