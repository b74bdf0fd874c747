"""Documents, the messages that carry them, and every attempt to deliver one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from connector.storage.columns import UtcTime, table_of


class DocumentRow(SQLModel, table=True):
    """One revision of one customs record. Only its customs status ever changes."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("type", "business_key", "revision", name="uq_document"),
        Index("ix_document_waybill", "waybill"),
        Index("ix_document_export_list", "export_list"),
        Index("ix_document_customs_status", "customs_status"),
        Index("ix_document_record", "record_id"),
    )

    guid: str = Field(primary_key=True)
    type: str
    business_key: str
    revision: int
    app_type: str
    app_time: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    content: str = Field(sa_column=Column(Text, nullable=False))
    """As `Content.to_json` writes it."""
    content_digest: str
    record_id: int = Field(foreign_key="source_record.id")
    """The source version it was made from."""
    part: str
    """What of the source record it tells, where it is not all of it: ``arriving``, ``put_away/1843920``."""
    corrects: str
    """Business key of the document that it replaces, where its type says so in itself; else empty."""
    mapping: str
    """Name and version of the mapping, e.g. ``CEB213.toml 1``."""
    mapping_digest: str
    waybill: str
    export_list: str
    customs_status: str
    customs_code: str
    """The returnStatus behind the status, as it stands; empty before the first receipt."""
    customs_info: str = Field(sa_column=Column(Text, nullable=False))
    customs_time: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))


class DocumentLineRow(SQLModel, table=True):
    """What one line of a document takes of a line of its original export list."""

    __tablename__ = "document_line"

    guid: str = Field(primary_key=True, foreign_key="document.guid")
    position: int = Field(primary_key=True)
    gnum: int
    qty: str
    """As declared, exact; so are the statutory quantities."""
    qty1: str
    qty2: str


class MessageRow(SQLModel, table=True):
    """One signed message and where it is on its way out."""

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_due", "state", "due_at"),
        Index("ix_message_queued", "state", "queued_at"),
    )

    id: str = Field(primary_key=True)
    """The DXP CopMsgId."""
    type: str
    suite: str
    key_id: str
    """Fingerprint of the signing certificate."""
    digest: str
    """SHA-256 of the signed bytes."""
    created_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    queued_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    """When it was made, or an operator last had it sent again; then, when it was first tried after that."""
    state: str
    state_since: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    info: str = Field(sa_column=Column(Text, nullable=False))
    """What led to the state, in words."""
    due_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    """When a pending message is sent, or one in doubt is asked about, at the earliest."""
    settle_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    """In doubt: before this time customs may still be processing what it received."""
    tries: int
    """Attempts since it was queued or requeued, queries included."""
    lease_token: int
    """Grows with every claim: a stale holder's writes change nothing."""
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))
    """By the database's clock."""


class MessageBytesRow(SQLModel, table=True):
    """The bytes of a message, which never change; apart, so that a change of state does not write them anew."""

    __tablename__ = "message_bytes"

    message_id: str = Field(primary_key=True, foreign_key="message.id")
    xml: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """The exact signed bytes."""
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """The exact request body that every attempt sends."""


class MessageDocumentRow(SQLModel, table=True):
    """Which document revision a message carries, and where in it."""

    __tablename__ = "message_document"
    __table_args__ = (Index("ix_message_document_guid", "guid"),)

    message_id: str = Field(primary_key=True, foreign_key="message.id")
    position: int = Field(primary_key=True)
    guid: str = Field(foreign_key="document.guid")


class AttemptRow(SQLModel, table=True):
    """One try to send a message, or one question about it; durable before the first byte leaves."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("message_id", "number", name="uq_attempt"),)

    id: int | None = Field(default=None, primary_key=True)
    message_id: str = Field(foreign_key="message.id")
    number: int
    """1 for the first of the message."""
    kind: str
    """send or query."""
    body_digest: str
    """SHA-256 of the frozen body."""
    started_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))
    """None: the process ended before it knew."""
    outcome: str
    """Empty while under way; then taken_in, refused, not_sent, withdrawn, in_doubt, known, not_known, unanswered or
    abandoned."""
    info: str = Field(sa_column=Column(Text, nullable=False))
    response: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    """The raw answer, kept whether or not it could be read."""


SURELY_NOT_HELD = ("not_sent", "withdrawn", "refused")
"""Outcomes of a send after which customs surely does not hold the message."""

DOCUMENTS = table_of(DocumentRow)
DOCUMENT_LINES = table_of(DocumentLineRow)
MESSAGES = table_of(MessageRow)
MESSAGE_BYTES = table_of(MessageBytesRow)
MESSAGE_DOCUMENTS = table_of(MessageDocumentRow)
ATTEMPTS = table_of(AttemptRow)
