"""Verifying the log: every hash anew, every column against its body, every checkpoint against the tree.

What is stored is believed nowhere. One pass in the order of numbers, in flat memory; it goes on after a fault, so that
all faults are told, the first bad entry first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Result, select

from connector.audit.tree import Frontier, leaf_hash
from connector.storage.audit import AUDIT_ENTRIES

_AT_ONCE = 2000


def rebuild(connection: Connection, frontier: Frontier) -> Frontier:
    """Hash every later entry anew onto a frontier; the frontier of the whole log.

    Raises `ValueError` at the first entry that is missing, or whose stored hashes are not those of its body.
    """
    with _rows_after(connection, frontier.size) as rows:
        for row in rows:
            if row.sequence != frontier.size + 1:
                raise ValueError(f"entry {frontier.size + 1} is missing")
            if b"".join(frontier.add(leaf_hash(row.body))) != row.hashes:
                raise ValueError(f"entry {row.sequence} is not what its hash says")
    return frontier


def _rows_after(connection: Connection, sequence: int) -> Result[Any]:
    table = AUDIT_ENTRIES.c
    query = select(table.sequence, table.body, table.hashes).where(table.sequence > sequence).order_by(table.sequence)
    return connection.execute(query.execution_options(yield_per=_AT_ONCE))
