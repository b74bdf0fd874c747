"""Reads the office's ledger straight from its file, whether the office runs or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from connector.errors import ConfigurationError
from connector.simulator import enquiries, tables
from connector.simulator.enquiries import LedgerEntry
from connector.simulator.stages import milliseconds, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEntry:
    """One message that was taken in."""

    id: str
    """CopMsgId."""
    type: str
    """Root name, e.g. ``CEB213Message``."""
    sender: str
    """dxpId."""
    digest: str
    """SHA-256 of the signed bytes, lower-case hex."""
    received_at: datetime
    """UTC, the first time."""
    times_received: int
    format_fault: str
    """Why a CEB900 answers it; empty when its documents were judged."""
    answer: str
    """The mo document it was answered with, each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything the office holds, at one moment."""

    documents: tuple[LedgerEntry, ...]
    """By type and business key."""
    messages: tuple[MessageEntry, ...]
    """In the order they came."""

    def to_dict(self) -> dict[str, Any]:
        """What ``connector simulator ledger --json`` prints beside the schema version."""
        return asdict(self)


def read_ledger(database: Path, now: datetime) -> Ledger:
    """Read the ledger as it stands at a moment. Raises `ConfigurationError` when there is no such file yet."""
    if not database.is_file():
        raise ConfigurationError(
            f"{database}: no such file",
            effect="there is no ledger to show",
            remedy="start the office first: connector simulator serve",
        )
    engine = tables.open_database(database)
    try:
        with tables.reading(engine).connect() as connection:
            documents = connection.execute(enquiries.ledger(milliseconds(now)))
            messages = connection.execute(select(tables.messages).order_by(tables.messages.c.number))
            return Ledger(
                documents=tuple(map(enquiries.entry, documents)),
                messages=tuple(
                    MessageEntry(
                        id=row.id,
                        type=row.type,
                        sender=row.sender,
                        digest=row.digest,
                        received_at=moment(row.received_at),
                        times_received=row.times_received,
                        format_fault=row.format_fault,
                        answer=row.answer,
                    )
                    for row in messages
                ),
            )
    finally:
        engine.dispose()
