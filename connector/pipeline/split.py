"""split: after a format check (CEB900) refused a batch, its documents go again once, each alone.

One document that the check refuses must not hold up the innocent ones beside it. The batch is closed by this, and a
message of one document is never split, so it happens once.
"""

from __future__ import annotations

from connector.outbox import queries
from connector.pipeline.resend import Action, carry_out, plan_messages
from connector.pipeline.wiring import ACTOR, Connector
from connector.receipts.queries import refused_batches

_REASON = "a format check (CEB900) refused the batch; each of its documents goes alone"


def split_refused(connector: Connector) -> int:
    """Split every batch that stands refused by a format check; how many. Raises `SigningError`."""
    with connector.database.read() as connection:
        batches = [queries.message(connection, message_id) for message_id in refused_batches(connection)]
    plans = plan_messages(connector, [batch for batch in batches if batch is not None], split=True)
    wanted = [plan for plan in plans if plan.action is Action.SPLIT]
    done = carry_out(connector, wanted, reason=_REASON, actor=ACTOR)
    return sum(plan.action is Action.SPLIT for plan in done)
