"""split: after a format check (CEB900) refused a batch, its documents go again once, each alone.

One document that the check refuses must not hold up the innocent ones beside it. The batch is closed by this, and a
message of one document is never split, so it happens once.
"""

from __future__ import annotations

from connector.errors import UnreadableMessage
from connector.outbox import queries
from connector.pipeline.resend import Action, carry_out, plan_messages
from connector.pipeline.wiring import ACTOR, Connector
from connector.receipts.queries import refused_batches

_REASON = "a format check (CEB900) refused the batch; each of its documents goes alone"


def split_refused(connector: Connector) -> int:
    """Split every batch that stands refused by a format check; how many.

    Raises `SigningError`, and `UnreadableMessage` when a document fits its schema no more: after all others are split.
    """
    with connector.database.read() as connection:
        batches = [queries.message(connection, message_id) for message_id in refused_batches(connection)]
    plans = plan_messages(connector, [batch for batch in batches if batch is not None], split=True)
    count, failure = 0, None
    for plan in plans:
        if plan.action is not Action.SPLIT or connector.is_stopping():
            continue
        try:
            (done,) = carry_out(connector, [plan], reason=_REASON, actor=ACTOR)
        except UnreadableMessage as error:
            failure = failure or UnreadableMessage(
                f"{plan.id} cannot be split: {error.cause}",
                effect="its documents stay refused together; other batches are split",
                remedy="correct their source rows and `connector resend` each of them, or ask for support",
            )
        else:
            count += done.action is Action.SPLIT
    if failure is not None:
        raise failure
    return count
