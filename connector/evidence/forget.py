"""forget: the name of a person is erased from the audit log, and the log says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import UsageError
from connector.storage.database import Database, now_by_database


def forget(
    database: Database,
    name: str,
    *,
    reason: str,
    actor: str,
    clock: Callable[[Connection], datetime] = now_by_database,
) -> str:
    """Erase a name and audit it; the digest that stands in its place.

    Raises `UsageError` for a name that the log does not know, and where the entry about it would hold the name.
    """
    if name == actor or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reason, re.IGNORECASE):
        raise UsageError(
            f"{name} would be named again by the entry that says so",
            effect="nothing was erased",
            remedy="have somebody else do it, and give a reason without the name",
        )
    with database.write(Deed.FORGET) as transaction:
        now = clock(transaction)
        digest = log.forget(transaction, name)
        if digest is None:
            raise UsageError(
                f"the audit log knows nobody named {name}",
                effect="nothing was erased",
                remedy="`connector audit list` shows who did what",
            )
        entry = Entry(event=Event.FORGOTTEN, detail={"digest": digest, "reason": reason})
        log.append(transaction, [entry], actor=actor, time=now)
    return digest
