"""The audit log and the checkpoints of its tree. Both are only added to; triggers refuse everything else.

The name of an actor is personal data: an entry holds a digest of it, the name stands in `ActorRow` and can be erased.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from connector.storage.columns import BIG_KEY, UtcTime, table_of


class ActorRow(SQLModel, table=True):
    """Who does things here."""

    __tablename__ = "actor"

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    """SHA-256 of the salt and the name, hex: what entries say in place of the name."""
    salt: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    """None once the name is erased."""
    name: str | None = Field(default=None, unique=True)


def _index_of(name: str, *order: str) -> Index:
    """Of the entries that say anything there: most concern only some of what an entry can concern."""
    some = text(f"{name} <> ''")
    return Index(f"ix_audit_entry_{name}", name, *order, sqlite_where=some, postgresql_where=some)


class AuditEntryRow(SQLModel, table=True):
    """One thing that happened. Numbers have no gaps and follow the order of commits."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_time", "time", "sequence"),
        Index("ix_audit_entry_event", "event", "time", "sequence"),
        Index("ix_audit_entry_actor", "actor_id", "time", "sequence"),
        *map(_index_of, ("source_key", "business_key", "message_id", "waybill", "export_list")),
        *(_index_of(name, "time", "sequence") for name in ("document_type", "code", "state")),
    )

    sequence: int = Field(sa_column=Column(BIG_KEY, primary_key=True, autoincrement=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Canonical JSON: all that the entry says. The columns below repeat parts of it for queries."""
    hashes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """The hash of the body as a leaf of the tree, then of each subtree that it completes, 32 bytes each."""
    time: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    event: str
    actor_id: int = Field(foreign_key="actor.id")
    source_key: str
    """``collection/key`` of the source record; empty where none is concerned."""
    document_type: str
    business_key: str
    message_id: str
    waybill: str
    export_list: str
    code: str
    """What customs said, e.g. ``800``."""
    state: str
    """The delivery state or customs status that it came to."""


class CheckpointRow(SQLModel, table=True):
    """A signed statement of the size and the root of the tree."""

    __tablename__ = "audit_checkpoint"

    size: int = Field(sa_column=Column(BIG_KEY, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: str = Field(sa_column=Column(Text, nullable=False))
    """The signed note, as it also stands in the file outside."""
    signed_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    """For us to know when the next is due; no part of what is signed."""


ACTORS = table_of(ActorRow)
AUDIT_ENTRIES = table_of(AuditEntryRow)
AUDIT_CHECKPOINTS = table_of(CheckpointRow)
