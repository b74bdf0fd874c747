"""Appending to the log: the last step of the transaction whose changes it describes.

Numbers are given under the writer lock, so they have no gaps and follow the order of commits: SQLite has one writer at
a time anyway, PostgreSQL waits for an advisory lock that ends with the transaction. What an entry adds to the tree is
written with it, so the tree is never behind the log.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from connector.audit.bodies import KEY_COLUMNS, code_of, digest_of_name, encode, state_of, time_text
from connector.audit.events import Entry
from connector.audit.nodes import LOG, PEAKS, frontier_of, lock_log
from connector.audit.tree import leaf_hash
from connector.storage.audit import ACTORS, AUDIT_ENTRIES
from connector.storage.round_trips import insert_all, lock_and_read

_SALT_BYTES = 32
_HASHES = select(AUDIT_ENTRIES.c.hashes).where(AUDIT_ENTRIES.c.sequence == PEAKS.c.sequence).scalar_subquery()
_LAST = (
    select(PEAKS.c.sequence, _HASHES.label("hashes"), ACTORS.c.id, ACTORS.c.digest)
    .select_from(PEAKS.outerjoin(ACTORS, ACTORS.c.name == bindparam("name")))
    .where(PEAKS.c.sequence.is_not(None))
    .order_by(PEAKS.c.sequence)
)
"""All that it takes to go on, in one statement: the log is locked meanwhile.

Hashes are looked up one by one: a join of a table that was empty when PostgreSQL planned it reads all of it ever after.
"""


def append(transaction: Connection, entries: Sequence[Entry], *, actor: str, time: datetime) -> None:
    """Number and write the entries. Nothing else may be written in the transaction afterwards."""
    if not entries:
        return
    peaks = lock_and_read(transaction, LOG, _LAST, name=actor)
    tree = frontier_of(peaks)
    actor_id, digest = (peaks[0].id, peaks[0].digest) if peaks and peaks[0].id else _actor(transaction, actor)
    written = time_text(time)
    rows = []
    for number, entry in enumerate(entries, start=tree.size + 1):
        body = encode(entry, sequence=number, time=written, actor=digest)
        rows.append(
            {
                "sequence": number,
                "body": body,
                "hashes": b"".join(tree.add(leaf_hash(body))),
                "time": time,
                "event": entry.event.value,
                "actor_id": actor_id,
                "code": code_of(entry.detail),
                "state": state_of(entry.detail),
                **{name: getattr(entry, name) for name in KEY_COLUMNS},
            }
        )
    insert_all(transaction, AUDIT_ENTRIES, rows)


def forget(transaction: Connection, name: str) -> str | None:
    """Erase a name and its salt; the digest that entries go on to hold, None for an unknown name.

    Nobody can tell any more whose digest that was. The same name gets another one from then on.
    """
    lock_log(transaction)
    erased = update(ACTORS).where(ACTORS.c.name == name).values(name=None, salt=None).returning(ACTORS.c.digest)
    return transaction.execute(erased).scalar()


def _actor(transaction: Connection, name: str) -> tuple[int, str]:
    """The number of a person, and the digest that stands for the name."""
    found = transaction.execute(select(ACTORS.c.id, ACTORS.c.digest).where(ACTORS.c.name == name)).one_or_none()
    if found is None:
        salt = secrets.token_bytes(_SALT_BYTES)
        row = {"name": name, "salt": salt, "digest": digest_of_name(salt, name)}
        found = transaction.execute(insert(ACTORS).values(row).returning(ACTORS.c.id, ACTORS.c.digest)).one()
    return found.id, found.digest
