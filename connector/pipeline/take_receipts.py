"""take_receipts: what customs says is fetched, kept raw, matched, and added up to the status of each document.

A page of envelopes is one commit. What cannot be read, an envelope or one record in it, is kept with its problem and
never stops the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.errors import CustomsUnreachable, SignatureInvalid, UnreadableMessage
from connector.messages.receipts import Receipt
from connector.messages.records import rfc3339
from connector.outbox import turns
from connector.pipeline.calling import breaking
from connector.pipeline.entries import status_changed
from connector.pipeline.leasing import held
from connector.pipeline.wiring import ACTOR, Connector
from connector.receipts import ledger
from connector.receipts.ledger import FetchedEnvelope, StatusChange, Taken
from connector.receipts.parse import Parsed, read_receipts
from connector.signing.envelopes import SUITE
from connector.sources import inbox, quarantine
from connector.storage import leases
from connector.storage.database import lock
from connector.storage.leases import Lease
from connector.transport.interface import FetchedReceipt

PAGE = 25
"""Envelopes fetched at once: with 100 receipts each, all with their longest texts, still fewer bytes than are read."""

_MOST_LEAP = 1_000_000
"""How far the sequence of an envelope that cannot be read may be above the one before."""


@dataclass(slots=True, kw_only=True)
class Received:
    """What taking receipts came to."""

    receipts: int = 0
    """Not known before."""
    rejected: int = 0
    """Documents that customs has now rejected or failed."""
    unreadable: int = 0
    """Envelopes kept but not understood."""
    unmatched: int = 0
    """Receipts that belong to nothing of ours."""
    is_elsewhere: bool = False
    """Another process is at it; nothing, or not all, was done here."""

    def add(self, other: Received) -> None:
        """Count what was taken besides."""
        self.receipts += other.receipts
        self.rejected += other.rejected
        self.unreadable += other.unreadable
        self.unmatched += other.unmatched
        self.is_elsewhere |= other.is_elsewhere


def take_receipts(connector: Connector) -> Received:
    """Take everything there is, unless another process is doing so.

    Raises `CustomsUnreachable`; pages committed before stay.
    """
    total = Received()
    if not connector.answers_questions:
        return total  # receipts are pushed there; a call that nobody makes must not count as a probe of the breaker
    with held(connector, f"receipts {connector.endpoint}", connector.lease) as lease:
        total.is_elsewhere = lease is None
        more = lease is not None
        while lease is not None and more and not connector.is_stopping():
            more = _take_page(connector, lease, total)
    return total


def _take_page(connector: Connector, lease: Lease, total: Received) -> bool:
    """Take one page; whether there is more."""
    with connector.database.read() as connection:
        cursor = ledger.read_cursor(connection, connector.endpoint)
    with breaking(connector, connector.endpoint):
        page = connector.customs.fetch_receipts(cursor, PAGE)
    envelopes = [_read(connector, fetched) for fetched in page.receipts]
    _refuse_leaps(cursor, envelopes)
    if envelopes:
        _commit(connector, lease, envelopes, total)
    return page.more and bool(envelopes)


def _refuse_leaps(cursor: int, envelopes: list[FetchedEnvelope]) -> None:
    """Raise `CustomsUnreachable` where an envelope that nobody vouches for would carry the cursor far ahead.

    Nobody signs the sequence: everything that customs has to say below it would never be asked for again.
    """
    for envelope in envelopes:
        if envelope.problem and envelope.sequence > cursor + _MOST_LEAP:
            raise CustomsUnreachable(
                f"after receipt {cursor} the receipt service gives {envelope.sequence}, which cannot be read: "
                f"{envelope.problem}",
                effect="nothing of it was taken; it is asked again later",
                remedy="check [customs] receipts_url, and ask its operator what is wrong with it",
            )
        cursor = envelope.sequence


def _read(connector: Connector, fetched: FetchedReceipt) -> FetchedEnvelope:
    parsed, signed_by = Parsed(receipts=(), problems=()), ""
    try:
        opened = connector.open_envelope(fetched.envelope)
        signed_by, envelope = opened.signed_by, opened.envelope
        problem = ""
        if envelope.receiver != connector.transfer.dxp_id:
            problem = f"it is addressed to {envelope.receiver}, not to us"
        elif envelope.sender != connector.receiver:
            problem = f"it comes from {envelope.sender}, not from {connector.receiver}"
        if not problem:
            parsed = read_receipts(envelope.data, message_type=envelope.message_type)
            problem = "; ".join(parsed.problems)
    except SignatureInvalid as error:
        problem = f"its signature does not count: {error.cause}"
    except UnreadableMessage as error:
        problem = error.cause
    return FetchedEnvelope(
        sequence=fetched.sequence,
        content=fetched.envelope,
        receipts=parsed.receipts,
        signed_by=signed_by,
        problem=problem,
    )


def read_again(connector: Connector) -> Received:
    """Read once more what is kept and could not be read, unless another process takes receipts now.

    For the start, and for whenever the configuration has changed: what was not trusted or not understood then may be
    now. What still cannot be read is not told again.
    """
    total, after = Received(is_elsewhere=True), 0
    with held(connector, f"receipts {connector.endpoint}", connector.lease) as lease:
        while lease is not None and not connector.is_stopping():
            with connector.database.read() as connection:
                kept = ledger.unread(connection, connector.endpoint, after=after, at_most=PAGE)
            if not kept:
                total.is_elsewhere = False
                break
            after = kept[-1][0]
            envelopes = [_read(connector, FetchedReceipt(sequence=one[0], envelope=one[1])) for one in kept]
            with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
                lock(transaction, "prepare")
                now = connector.clock(transaction)
                leases.extend(transaction, lease, now=now)
                taken = ledger.take_again(transaction, connector.endpoint, envelopes, now=now)
                log.append(transaction, _applied(transaction, taken, total, now), actor=ACTOR, time=now)
    return total


def _commit(connector: Connector, lease: Lease, envelopes: list[FetchedEnvelope], total: Received) -> None:
    with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
        lock(transaction, "prepare")  # no record starts to wait for an answer while that answer is being taken
        now = connector.clock(transaction)
        leases.extend(transaction, lease, now=now)
        taken = ledger.take(transaction, connector.endpoint, envelopes, now=now)
        entries = _unreadable_entries(envelopes) + _repeating_entries(envelopes, taken)
        entries += _applied(transaction, taken, total, now)
        ledger.move_cursor(transaction, connector.endpoint, envelopes[-1].sequence)
        log.append(transaction, entries, actor=ACTOR, time=now)
    total.unreadable += sum(bool(envelope.problem) for envelope in envelopes)


def _applied(transaction: Connection, taken: list[Taken], total: Received, now: datetime) -> list[Entry]:
    """Let what was said have its effect; the entries that tell of it."""
    moved = _move_messages(transaction, taken, now)
    changes = ledger.refold(transaction, [owner for one in taken for owner in one.owners])
    _retry_held(transaction, changes)
    total.receipts += len(taken)
    total.unmatched += sum(not one.owners for one in taken)
    total.rejected += sum(change.standing.status.may_be_declared_again for change in changes)
    return [_taken_entry(one) for one in taken] + [status_changed(change) for change in changes] + moved


def _move_messages(transaction: Connection, taken: list[Taken], now: datetime) -> list[Entry]:
    """A receipt proves that its message arrived; a format check (CEB900) refuses its message as a whole."""
    entries: list[Entry] = []
    for one in taken:
        if one.receipt.message_id is not None:
            info = f"{one.receipt.code} {one.receipt.info}"
            refused = turns.refuse_by_receipt(transaction, one.receipt.message_id, info, now=now)
            entries += [_moved(message_id, "refused", info) for message_id in refused]
    proved = [one for one in taken if one.is_proof and one.receipt.message_id is None]
    answered = [owner.guid for one in proved for owner in one.owners]
    confirmed = turns.confirm_by_receipt(transaction, answered, now=now)
    return entries + [_moved(message_id, "delivered", "a receipt for it arrived") for message_id in confirmed]


def _retry_held(transaction: Connection, changes: list[StatusChange]) -> None:
    """Records that waited for an answer which is now final are prepared once more."""
    final = [(change.owner.type, change.owner.business_key) for change in changes if change.standing.status.is_final]
    if final:
        inbox.wait_again(transaction, quarantine.held_for_answer(transaction, final))


def _unreadable_entries(envelopes: list[FetchedEnvelope]) -> list[Entry]:
    return [
        Entry(
            event=Event.RECEIPT_UNREADABLE,
            detail={
                "sequence": envelope.sequence,
                "problem": envelope.problem,
                "signed_by": envelope.signed_by,
                "content": hashlib.sha256(envelope.content).hexdigest(),
            },
        )
        for envelope in envelopes
        if envelope.problem
    ]


def _repeating_entries(envelopes: list[FetchedEnvelope], taken: list[Taken]) -> list[Entry]:
    """Envelopes with nothing new in them were received too; the first receipt in one says whom it concerns."""
    new = {one.sequence for one in taken}
    return [
        Entry(
            event=Event.RECEIPT_TAKEN,
            document_type=_answered(envelope.receipts[0]),
            business_key=envelope.receipts[0].business_key,
            message_id=envelope.receipts[0].message_id or "",
            detail={
                "sequence": envelope.sequence,
                "repeats": len(envelope.receipts),
                "content": hashlib.sha256(envelope.content).hexdigest(),
                "signed_by": envelope.signed_by,
            },
        )
        for envelope in envelopes
        if envelope.receipts and envelope.sequence not in new and not envelope.problem
    ]


def _taken_entry(taken: Taken) -> Entry:
    receipt = taken.receipt
    detail = {
        "sequence": taken.sequence,
        "code": receipt.code,
        "time": rfc3339(receipt.time),
        "info": receipt.info,
        "digest": receipt.digest,
        "content": taken.content_digest,
        "matched": bool(taken.owners),
        "signed_by": taken.signed_by,
        "suite": SUITE if taken.signed_by else "",
    }
    owner = taken.owners[0] if taken.owners and receipt.message_id is None else None
    return Entry(
        event=Event.RECEIPT_TAKEN,
        document_type=owner.type if owner else _answered(receipt),
        business_key=owner.business_key if owner else receipt.business_key,
        message_id=receipt.message_id or "",
        waybill=owner.waybill if owner else "",
        export_list=owner.export_list if owner else "",
        detail=detail,
    )


def _answered(receipt: Receipt) -> str:
    """The type of the documents it answers, where it can be but one."""
    return receipt.answers[0] if len(receipt.answers) == 1 else ""


def _moved(message_id: str, state: str, info: str) -> Entry:
    return Entry(event=Event.DELIVERY_CHANGED, message_id=message_id, detail={"delivery_state": state, "info": info})
