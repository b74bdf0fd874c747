"""What customs said: the envelopes as fetched and the receipts read from them. Both are only added to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from connector.storage.columns import UtcTime, table_of


class ReceiptCursorRow(SQLModel, table=True):
    """How far an endpoint's receipt stream has been read."""

    __tablename__ = "receipt_cursor"

    endpoint: str = Field(primary_key=True)
    sequence: int = Field(sa_type=BigInteger)


class ReceiptEnvelopeRow(SQLModel, table=True):
    """One fetched envelope, whether or not it could be read."""

    __tablename__ = "receipt_envelope"

    endpoint: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    problem: str = Field(sa_column=Column(Text, nullable=False))
    """What could not be read of it, and why; empty when all could."""


class ReceiptRow(SQLModel, table=True):
    """One return record, applied once."""

    __tablename__ = "receipt"
    __table_args__ = (
        Index("ix_receipt_document", "document_guid"),
        Index("ix_receipt_message", "message_id"),
        Index("ix_receipt_envelope", "endpoint", "sequence"),
    )

    digest: str = Field(primary_key=True)
    """SHA-256 of the record's exclusive canonical form."""
    endpoint: str
    sequence: int = Field(sa_type=BigInteger)
    """The envelope that brought it first."""
    type: str
    guid: str
    """As echoed."""
    business_key: str
    code: str
    time: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    info: str = Field(sa_column=Column(Text, nullable=False))
    pre_no: str
    received_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    document_guid: str | None = Field(default=None, foreign_key="document.guid")
    """Whose it is; None when nothing of ours matches: kept and shown."""
    message_id: str | None = Field(default=None)
    """CEB900: the message it refuses, whether or not it is ours."""


RECEIPT_CURSORS = table_of(ReceiptCursorRow)
RECEIPT_ENVELOPES = table_of(ReceiptEnvelopeRow)
RECEIPTS = table_of(ReceiptRow)
