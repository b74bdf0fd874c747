"""retry: an operator has records in quarantine prepared once more, say after their mapping was corrected.

What their own row, a lookup or a code ends, is tried again without that.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.audit import log
from connector.audit.events import Event
from connector.deeds import Deed
from connector.pipeline.entries import decided
from connector.pipeline.wiring import Connector
from connector.sources import inbox, quarantine
from connector.sources.quarantine import Waiting
from connector.storage.database import lock


def retry(connector: Connector, waiting: Sequence[Waiting], *, reason: str, actor: str) -> list[Waiting]:
    """Have these prepared by the next cycle, and audit it with the reason; those of which there is a record.

    A row that could not be read has none: it is tried when it is read again. Entries end only when a record is sound.
    """
    with connector.database.write(Deed.TRY_AGAIN) as transaction:
        lock(transaction, "prepare")
        held = quarantine.held_among(transaction, [one.key for one in waiting])
        tried = [one for one in waiting if one.record_id is not None and (one.key, one.type) in held]
        inbox.wait_again(transaction, dict.fromkeys(one.key for one in tried))
        entries = [decided(Event.RETRIED, one, reason=reason) for one in tried]
        log.append(transaction, entries, actor=actor, time=connector.clock(transaction))
    return tried
