"""What the office answers about itself: receipts that are due, messages it holds, the documents in its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update

from connector.simulator import tables
from connector.simulator.receipts import FORMAT_FAULT_CODE, write_receipt
from connector.simulator.rules import Verdict
from connector.simulator.stages import said


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One receipt message in the stream of a sender."""

    sequence: int
    content: str
    """The DxpMsg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMessage:
    """A message that was taken in."""

    received_at: int
    """Milliseconds since 1970."""
    digest: str
    statuses: tuple[str, ...]
    """The newest returnStatus of each of its documents, in order; of a CEB900 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What the office holds under one business key at one moment."""

    type: str
    business_key: str
    digest: str
    """SHA-256 of the exclusive C14N of the record it goes by."""
    status: str
    """The newest returnStatus it has given."""
    times_received: int
    times_accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentQuery:
    """Which part of the ledger is asked for."""

    dxp_id: str
    document_type: str
    received_from: int | None
    """Milliseconds since 1970, included; of the message that the office goes by."""
    received_to: int | None
    """Milliseconds since 1970, not included."""
    after_key: str
    """Business keys above this one; empty for the first page."""
    at_most: int


def due(connection: Connection, dxp_id: str, now: int) -> list[int]:
    """Numbers of the planned receipts of a sender that have fallen due and are not issued yet, in that order."""
    receipts = tables.receipts
    return list(
        connection.scalars(
            select(receipts.c.number)
            .where(receipts.c.sender == dxp_id, receipts.c.due_at <= now, receipts.c.sequence.is_(None))
            .order_by(receipts.c.due_at, receipts.c.number)
        )
    )


def issue(connection: Connection, numbers: Sequence[int]) -> None:
    """Give receipts the next places in the stream.

    A sequence is given only when a receipt can be fetched: a caller that has read up to one never misses a lower one.
    """
    receipts = tables.receipts
    last = connection.scalar(select(func.max(receipts.c.sequence))) or 0
    places = [{"receipt": number, "place": place} for place, number in enumerate(numbers, start=last + 1)]
    statement = update(receipts).where(receipts.c.number == bindparam("receipt")).values(sequence=bindparam("place"))
    if places:
        connection.execute(statement, places)


def fetch(connection: Connection, dxp_id: str, after: int, at_most: int) -> tuple[list[Issued], bool]:
    """Issued receipts of a sender with a sequence above ``after``, in order, and whether there are more."""
    receipts, messages = tables.receipts, tables.messages
    rows = connection.execute(
        select(receipts, messages.c.type, messages.c.format_fault)
        .join(messages, messages.c.id == receipts.c.message_id)
        .where(receipts.c.sender == dxp_id, receipts.c.sequence > after)
        .order_by(receipts.c.sequence)
        .limit(at_most + 1)
    ).all()
    issued = [Issued(sequence=row.sequence, content=write_receipt(connection, row)) for row in rows[:at_most]]
    return issued, len(rows) > at_most


def find_message(connection: Connection, dxp_id: str, message_id: str, now: int) -> HeldMessage | None:
    """A message of a sender, None where the office has not taken it in."""
    messages, declarations = tables.messages, tables.declarations
    row = connection.execute(
        select(messages, _stage(now).label("stage")).where(messages.c.id == message_id, messages.c.sender == dxp_id)
    ).one_or_none()
    if row is None:
        return None
    declared = connection.execute(
        select(declarations).where(declarations.c.message_id == message_id).order_by(declarations.c.number)
    )
    statuses = [said(one.type, Verdict(code=one.code, info=one.info), row.stage).code for one in declared]
    return HeldMessage(received_at=row.received_at, digest=row.digest, statuses=tuple(statuses or [FORMAT_FAULT_CODE]))


def find_documents(connection: Connection, query: DocumentQuery, now: int) -> tuple[list[LedgerEntry], bool]:
    """Ledger entries in order of business key, and whether there are more."""
    documents, messages = tables.documents, tables.messages
    statement = ledger(now).where(
        documents.c.type == query.document_type,
        messages.c.sender == query.dxp_id,
        documents.c.business_key > query.after_key,
    )
    if query.received_from is not None:
        statement = statement.where(messages.c.received_at >= query.received_from)
    if query.received_to is not None:
        statement = statement.where(messages.c.received_at < query.received_to)
    rows = connection.execute(statement.limit(query.at_most + 1)).all()
    return [entry(row) for row in rows[: query.at_most]], len(rows) > query.at_most


def ledger(now: int) -> Select[Any]:
    """The rows of the whole ledger by type and business key, for `entry`; add conditions and a limit to narrow it."""
    documents, declarations, messages = tables.documents, tables.declarations, tables.messages
    return (
        select(
            documents,
            declarations.c.digest,
            declarations.c.code,
            declarations.c.info,
            _stage(now).label("stage"),
        )
        .join(declarations, declarations.c.number == documents.c.declaration)
        .join(messages, messages.c.id == declarations.c.message_id)
        .order_by(documents.c.type, documents.c.business_key)
    )


def entry(row: Row[Any]) -> LedgerEntry:
    """One row of `ledger` as a value."""
    return LedgerEntry(
        type=row.type,
        business_key=row.business_key,
        digest=row.digest,
        status=said(row.type, Verdict(code=row.code, info=row.info), row.stage).code,
        times_received=row.times_received,
        times_accepted=row.times_accepted,
    )


def _stage(now: int) -> Any:
    """The newest stage that the receipts of a message have reached."""
    receipts = tables.receipts
    return (
        select(func.coalesce(func.max(receipts.c.stage), 0))
        .where(receipts.c.message_id == tables.messages.c.id, receipts.c.said_at <= now)
        .correlate(tables.messages)
        .scalar_subquery()
    )
