"""Receipts as they came: envelopes kept raw, each return record applied once, to the revision it belongs to.

Whose a record is, `matching` decides. One that matches nothing is kept and shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from connector.messages.deliveries import DeliveryState
from connector.messages.receipts import CustomsStatus, Receipt
from connector.receipts.fold import Said, Standing, fold
from connector.receipts.matching import Owner, match_all
from connector.storage.limits import portions
from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_CURSORS, RECEIPT_ENVELOPES, RECEIPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedEnvelope:
    """One fetched envelope and what could be read from it."""

    sequence: int
    content: bytes
    receipts: tuple[Receipt, ...]
    signed_by: str = ""
    """SHA-256 fingerprint of the certificate that vouches for it; empty when nobody does."""
    problem: str = ""
    """What could not be read, and why; empty when all could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A receipt that was not known before, and whose it is."""

    receipt: Receipt
    sequence: int
    signed_by: str
    """Who vouches for its envelope, as `FetchedEnvelope` says."""
    content_digest: str
    """SHA-256 of the envelope, hex."""
    owners: tuple[Owner, ...]
    """One revision; for CEB900 all of the message; none when nothing of ours matches."""
    is_proof: bool
    """No other revision can be meant, so this one did arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """A revision whose receipts now add up to something else."""

    owner: Owner
    before: CustomsStatus
    standing: Standing


def read_cursor(connection: Connection, endpoint: str) -> int:
    """The last sequence taken from the endpoint; 0 before the first."""
    query = select(RECEIPT_CURSORS.c.sequence).where(RECEIPT_CURSORS.c.endpoint == endpoint)
    return connection.execute(query).scalar() or 0


def move_cursor(transaction: Connection, endpoint: str, sequence: int) -> None:
    """Remember the last sequence taken."""
    table = RECEIPT_CURSORS
    moved = transaction.execute(update(table).where(table.c.endpoint == endpoint).values(sequence=sequence))
    if moved.rowcount == 0:
        transaction.execute(insert(table).values(endpoint=endpoint, sequence=sequence))


def take(transaction: Connection, endpoint: str, envelopes: Sequence[FetchedEnvelope], *, now: datetime) -> list[Taken]:
    """Keep envelopes and store the receipts in them that are new; those, with the revisions they belong to."""
    known = _known_envelopes(transaction, endpoint, [envelope.sequence for envelope in envelopes])
    fresh = [envelope for envelope in envelopes if envelope.sequence not in known]
    if not fresh:
        return []
    transaction.execute(
        insert(RECEIPT_ENVELOPES),
        [
            {
                "endpoint": endpoint,
                "sequence": envelope.sequence,
                "content": envelope.content,
                "received_at": now,
                "problem": envelope.problem,
            }
            for envelope in fresh
        ],
    )
    return _apply(transaction, endpoint, fresh, now)


def unread(connection: Connection, endpoint: str, *, after: int, at_most: int) -> list[tuple[int, bytes]]:
    """Sequence and content of kept envelopes of which something could not be read, in order, above a sequence."""
    table = RECEIPT_ENVELOPES.c
    query = select(table.sequence, table.content).where(
        table.endpoint == endpoint, table.problem != "", table.sequence > after
    )
    return [
        (row.sequence, bytes(row.content)) for row in connection.execute(query.order_by(table.sequence).limit(at_most))
    ]


def take_again(
    transaction: Connection, endpoint: str, envelopes: Sequence[FetchedEnvelope], *, now: datetime
) -> list[Taken]:
    """Store what can be read now of envelopes that were kept; the receipts that are new, as `take` gives them."""
    table = RECEIPT_ENVELOPES.c
    statement = (
        update(RECEIPT_ENVELOPES)
        .where(table.endpoint == endpoint, table.sequence == bindparam("this"))
        .values(problem=bindparam("found"))
    )
    transaction.execute(statement, [{"this": one.sequence, "found": one.problem} for one in envelopes])
    return _apply(transaction, endpoint, envelopes, now)


def _apply(transaction: Connection, endpoint: str, fresh: Sequence[FetchedEnvelope], now: datetime) -> list[Taken]:
    """Store the receipts in envelopes that are not known yet."""
    found: dict[str, tuple[Receipt, FetchedEnvelope]] = {}
    for envelope in fresh:
        for receipt in envelope.receipts:
            found.setdefault(receipt.digest, (receipt, envelope))
    for digest in _known_receipts(transaction, list(found)):
        del found[digest]
    matches = match_all(transaction, [receipt for receipt, _ in found.values()])
    taken = [
        Taken(
            receipt=receipt,
            sequence=envelope.sequence,
            signed_by=envelope.signed_by,
            content_digest=hashlib.sha256(envelope.content).hexdigest(),
            owners=match.owners,
            is_proof=match.is_proof,
        )
        for receipt, envelope in found.values()
        for match in [matches[receipt.digest]]
    ]
    if taken:
        transaction.execute(insert(RECEIPTS), [_row(one, endpoint, now) for one in taken])
    return taken


def refold(transaction: Connection, owners: Iterable[Owner]) -> list[StatusChange]:
    """Add up the receipts of these revisions anew and store what changed."""
    by_guid = {owner.guid: owner for owner in owners}
    guids = list(by_guid)
    changes: list[StatusChange] = []
    for some in portions(guids):
        said = _said(transaction, some)
        table = DOCUMENTS.c
        columns = (table.guid, table.customs_status, table.customs_code, table.customs_info, table.customs_time)
        query = select(*columns).where(table.guid.in_(some))
        for row in transaction.execute(query):
            standing = fold(said.get(row.guid, ()))
            stored = (row.customs_status, row.customs_code, row.customs_info, row.customs_time)
            if stored != (standing.status, standing.code, standing.info, standing.time):
                before = CustomsStatus(row.customs_status)
                changes.append(StatusChange(owner=by_guid[row.guid], before=before, standing=standing))
    if changes:
        statement = (
            update(DOCUMENTS)
            .where(DOCUMENTS.c.guid == bindparam("this"))
            .values(
                customs_status=bindparam("status"),
                customs_code=bindparam("code"),
                customs_info=bindparam("info"),
                customs_time=bindparam("time"),
            )
        )
        transaction.execute(statement, [_standing_row(change) for change in changes])
    return changes


def _known_envelopes(connection: Connection, endpoint: str, sequences: list[int]) -> set[int]:
    table = RECEIPT_ENVELOPES.c
    query = select(table.sequence).where(table.endpoint == endpoint, table.sequence.in_(sequences))
    return set(connection.execute(query).scalars())


def _known_receipts(connection: Connection, digests: list[str]) -> list[str]:
    known: list[str] = []
    for some in portions(digests):
        query = select(RECEIPTS.c.digest).where(RECEIPTS.c.digest.in_(some))
        known += connection.execute(query).scalars()
    return known


def _said(connection: Connection, guids: Sequence[str]) -> dict[str, list[Said]]:
    """What was said about each revision. A format check counts while its message is refused, not once it goes again."""
    said: dict[str, list[Said]] = {}
    table = RECEIPTS.c
    own = select(table.document_guid, table.code, table.time, table.info).where(table.document_guid.in_(guids))
    for row in connection.execute(own):
        said.setdefault(row.document_guid, []).append(Said(code=row.code, time=row.time, info=row.info))
    of_messages = (
        select(MESSAGE_DOCUMENTS.c.guid, table.code, table.time, table.info)
        .join(MESSAGE_DOCUMENTS, MESSAGE_DOCUMENTS.c.message_id == table.message_id)
        .join(MESSAGES)
        .where(MESSAGE_DOCUMENTS.c.guid.in_(guids), MESSAGES.c.state == DeliveryState.REFUSED)
    )
    for row in connection.execute(of_messages):
        format_check = Said(code=row.code, time=row.time, info=row.info, is_format_check=True)
        said.setdefault(row.guid, []).append(format_check)
    return said


def _row(taken: Taken, endpoint: str, now: datetime) -> dict[str, object]:
    receipt = taken.receipt
    return {
        "digest": receipt.digest,
        "endpoint": endpoint,
        "sequence": taken.sequence,
        "type": receipt.type,
        "guid": receipt.guid,
        "business_key": receipt.business_key,
        "code": receipt.code,
        "time": receipt.time,
        "info": receipt.info,
        "pre_no": receipt.pre_no,
        "received_at": now,
        "document_guid": taken.owners[0].guid if taken.owners and receipt.message_id is None else None,
        "message_id": receipt.message_id,
    }


def _standing_row(change: StatusChange) -> dict[str, object]:
    standing = change.standing
    return {
        "this": change.owner.guid,
        "status": standing.status.value,
        "code": standing.code,
        "info": standing.info,
        "time": standing.time,
    }
