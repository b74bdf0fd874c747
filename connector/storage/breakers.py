"""The circuit breaker of each customs endpoint, shared by all processes and shown by `connector status`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from connector.storage.columns import UtcTime, table_of


class BreakerRow(SQLModel, table=True):
    """What the last calls of one endpoint came to; no row before its first failure."""

    __tablename__ = "breaker"

    endpoint: str = Field(primary_key=True)
    """Its URL."""
    failures: int
    """In a row, up to now."""
    probes: int
    """Successes in a row since it was last open."""
    open_until: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))
    """No call before this time."""
    probe_until: datetime | None = Field(default=None, sa_column=Column(UtcTime, nullable=True))
    """A probe is on its way, until then at most."""
    info: str = Field(sa_column=Column(Text, nullable=False))
    """What the last failure was."""


BREAKERS = table_of(BreakerRow)
