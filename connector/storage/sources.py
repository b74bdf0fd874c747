"""What was read from the enterprise's systems, and what waits because it cannot be sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from connector.storage.columns import UtcTime, table_of


class SourceCursorRow(SQLModel, table=True):
    """How far each collection has been read."""

    __tablename__ = "source_cursor"

    collection: str = Field(primary_key=True)
    changed_at: str
    """As the source writes it, as JSON; null where it is read by its unique column alone."""
    key: str
    """The tie-breaking column, as JSON."""


class SweepRow(SQLModel, table=True):
    """When the window behind each collection's cursor was last read again."""

    __tablename__ = "sweep"

    collection: str = Field(primary_key=True)
    swept_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))


class WindowRow(SQLModel, table=True):
    """What the pass that is under way has read of each collection, for its certificate."""

    __tablename__ = "source_window"

    collection: str = Field(primary_key=True)
    changed_at: str | None
    """Where it began, as in `SourceCursorRow`; None: at the beginning."""
    key: str | None
    rows: int
    stored: int
    digest: str


class SourceRecordRow(SQLModel, table=True):
    """One version of one source record. Versions are only added."""

    __tablename__ = "source_record"
    __table_args__ = (
        UniqueConstraint("collection", "key", "version", name="uq_source_record"),
        Index("ix_source_record_state", "state", "collection", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    collection: str
    key: str
    version: int
    digest: str
    """SHA-256 of the body: the same version is not stored twice."""
    changed_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    """Row and lines as `SourceRecord.to_json` writes them."""
    collected_at: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    state: str
    """waiting, prepared, superseded by a newer version, or gone from the source."""


class QuarantineRow(SQLModel, table=True):
    """Why a source record has no document of one message type."""

    __tablename__ = "quarantine"
    __table_args__ = (
        Index(
            "uq_quarantine_open",
            "collection",
            "key",
            "type",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index("ix_quarantine_business_key", "business_key"),
    )

    id: int | None = Field(default=None, primary_key=True)
    record_id: int | None = Field(default=None, foreign_key="source_record.id")
    """The version that could not be sent; None for a row that could not even be read."""
    collection: str
    key: str
    type: str
    business_key: str
    """Empty when the mapping did not get that far."""
    waybill: str
    export_list: str
    reason: str
    """The first fault's code, e.g. ``required_missing``, ``changed_while_open``."""
    faults: str = Field(sa_column=Column(Text, nullable=False))
    """JSON list of {code, field, text}."""
    since: datetime = Field(sa_column=Column(UtcTime, nullable=False))
    released_as: str
    """How an operator lets it go out: new, change or delete; empty while nobody does."""
    resolved_at: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))


SOURCE_CURSORS = table_of(SourceCursorRow)
SWEEPS = table_of(SweepRow)
SOURCE_WINDOWS = table_of(WindowRow)
SOURCE_RECORDS = table_of(SourceRecordRow)
QUARANTINE = table_of(QuarantineRow)
