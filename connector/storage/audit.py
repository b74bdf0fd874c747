"""The audit log. Its tables are only added to and are never altered by a migration; triggers refuse everything else.

The name of an actor is personal data: an entry holds a number, the name stands in `ActorRow` and can be erased.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from connector.storage.columns import BIG_KEY, UtcTime, table_of


class ActorRow(SQLModel, table=True):
    """Who does things here."""

    __tablename__ = "actor"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)


class AuditEntryRow(SQLModel, table=True):
    """One thing that happened. Numbers have no gaps and follow the order of commits."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_source_key", "source_key"),
        Index("ix_audit_entry_business_key", "business_key"),
        Index("ix_audit_entry_message_id", "message_id"),
        Index("ix_audit_entry_waybill", "waybill"),
        Index("ix_audit_entry_export_list", "export_list"),
    )

    sequence: int = Field(sa_column=Column(BIG_KEY, primary_key=True, autoincrement=False))
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
    body: str = Field(sa_column=Column(Text, nullable=False))
    """Canonical JSON: what happened in detail."""


ACTORS = table_of(ActorRow)
AUDIT_ENTRIES = table_of(AuditEntryRow)
