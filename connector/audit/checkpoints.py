"""Checkpoints: what the tree of the log was at one time, as it is signed, stored, and kept outside of the database.

The text is C2SP's (https://c2sp.org/tlog-checkpoint): the name of the log, how many entries it has, and its root::

    wms.example.com/log
    4711
    4FzYqLQpTrOcKBQ…=

Whoever holds one can tell if an entry below its size is altered later, or if the end of the log is cut off.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from connector.audit.tree import HASH_BYTES
from connector.storage.audit import AUDIT_CHECKPOINTS, AUDIT_ENTRIES

_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The size and root of a log."""

    origin: str
    """The name of the log."""
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what was signed. Raises `ValueError`."""
        lines = text.splitlines()
        if len(lines) != _LINES or not lines[1].isascii() or not lines[1].isdigit():
            raise ValueError("a checkpoint has three lines: the log, its size, its root")
        checkpoint = cls(origin=lines[0], size=int(lines[1]), root=base64.b64decode(lines[2], validate=True))
        if checkpoint.text != text or len(checkpoint.root) != HASH_BYTES:
            raise ValueError("the checkpoint is not written as checkpoints are")
        return checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A checkpoint as it is stored."""

    size: int
    root: bytes
    note: str
    signed_at: datetime


def store(transaction: Connection, issued: Issued) -> None:
    """Keep a checkpoint."""
    row = {"size": issued.size, "root": issued.root, "note": issued.note, "signed_at": issued.signed_at}
    transaction.execute(insert(AUDIT_CHECKPOINTS).values(row))


def last(connection: Connection) -> Issued | None:
    """The newest checkpoint."""
    row = connection.execute(_newest_last().order_by(None).order_by(AUDIT_CHECKPOINTS.c.size.desc()).limit(1)).first()
    return _issued(row) if row else None


def of_size(connection: Connection, size: int) -> Issued | None:
    """The checkpoint of a tree of this size."""
    row = connection.execute(_newest_last().where(AUDIT_CHECKPOINTS.c.size == size)).first()
    return _issued(row) if row else None


def issued_after(connection: Connection, size: int = -1) -> Iterator[Issued]:
    """Every checkpoint of a larger tree, in order."""
    for row in connection.execute(_newest_last().where(AUDIT_CHECKPOINTS.c.size > size)):
        yield _issued(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """Entries after the last checkpoint: whoever owns the database can still rewrite them unseen."""

    entries: int
    since: datetime | None
    """When the first of them was written; None where there is none."""


def uncovered(connection: Connection) -> Uncovered:
    """What no checkpoint covers yet. The last one is believed; `connector.evidence.verify` does not."""
    covered = connection.execute(select(func.max(AUDIT_CHECKPOINTS.c.size))).scalar() or 0
    size = connection.execute(select(func.max(AUDIT_ENTRIES.c.sequence))).scalar() or 0
    first = select(AUDIT_ENTRIES.c.time).where(AUDIT_ENTRIES.c.sequence == covered + 1)
    return Uncovered(entries=max(size - covered, 0), since=connection.execute(first).scalar_one_or_none())


def _newest_last() -> Any:
    return select(AUDIT_CHECKPOINTS).order_by(AUDIT_CHECKPOINTS.c.size)


def _issued(row: Row[Any]) -> Issued:
    return Issued(size=row.size, root=row.root, note=row.note, signed_at=row.signed_at)
