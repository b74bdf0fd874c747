"""archive: payloads of what customs has answered long ago leave the database for bundles that an auditor can check.

A bundle holds everything about the returns concerned, and is on the disk before anything goes. Then, in one
transaction, what stands in it byte for byte and is still due leaves the database, and the log says which file has it.
Whoever dies in between leaves a bundle too many, and nothing lost.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from connector.audit import log, queries
from connector.audit.bundle import Bundle
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.evidence import payloads
from connector.evidence.export import gather, published
from connector.evidence.payloads import Amount, Concerned, Due, Key, Payload, Policy
from connector.evidence.story import Story
from connector.outbox.queries import documents_of_keys
from connector.pipeline.checkpoint import checkpoint_now, require_policy
from connector.pipeline.wiring import Connector
from connector.storage.database import lock

_AT_MOST = {
    Payload.SOURCE_ROWS: 200,
    Payload.DOCUMENTS: 200,
    Payload.MESSAGES: 10,
    Payload.RESPONSES: 10,
    Payload.RECEIPTS: 10,
}
"""Payloads in one bundle, so that it fits into memory: at most 3,400 returns, for a message or an envelope may bring in
100, and one return about 12 entries of 12 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """One bundle, and what left the database for it."""

    file: Path
    """There only where something left."""
    digest: str
    """SHA-256 of the file."""
    removed: Mapping[Payload, int]
    kept: int
    """Payloads that stay where they are, because no entry of the log holds their SHA-256."""


def due_now(connector: Connector, policy: Policy) -> dict[Payload, Amount]:
    """How much of each kind in the policy would leave."""
    with connector.database.read() as connection:
        now = connector.clock(connection)
        return {kind: payloads.amount(connection, kind, before=now - policy[kind]) for kind in policy}


def archive(connector: Connector, policy: Policy, folder: Path, *, reason: str, actor: str) -> Iterator[Archived]:
    """Archive everything that is due, one bundle after the other.

    Raises `UsageError` when a bundle cannot be written, and `AuditLogInvalid` for what is not what the log says it
    was; what was archived before stays so.
    """
    checkpoints = require_policy(connector.checkpoints)
    checkpoint_now(connector)
    with connector.database.read() as connection:
        now = connector.clock(connection)
    before = {kind: now - age for kind, age in policy.items()}
    after: dict[Payload, Key] = {}
    for number in count(1):
        file = folder / f"archive-{now:%Y%m%dT%H%M%S.%f}-{number:04}.zip"
        with connector.database.read() as connection:
            found = _next(connection, before, after)
            if not found:
                return
            concerned = payloads.concerned(connection, found)
            bundle = gather(connector, connection, checkpoints, _story(connection, concerned), {"archive": file.name})
        after |= {one.kind: one.key for one in found}
        inside, removed, digest = _inside(bundle, found), {}, ""
        if inside:
            data = bundle.packed()
            with published(file, data):
                pass
            digest = hashlib.sha256(data).hexdigest()
            said = {"file": file.name, "digest": digest, "reason": reason, "business_keys": concerned.business_keys}
            removed = _remove(connector, inside, before, said, actor=actor)
            if not removed:  # others were faster
                file.unlink()
        yield Archived(file=file, digest=digest, removed=removed, kept=len(found) - len(inside))


def _next(connection: Connection, before: Mapping[Payload, datetime], after: Mapping[Payload, Key]) -> list[Due]:
    return [
        one
        for kind, time in before.items()
        for one in payloads.due(connection, kind, before=time, after=after.get(kind), at_most=_AT_MOST[kind])
    ]


def _story(connection: Connection, concerned: Concerned) -> Story:
    keys = concerned.business_keys
    return Story(
        source_keys=concerned.source_keys,
        documents=documents_of_keys(connection, keys),
        waiting=(),
        entries=queries.story(
            connection, source_keys=concerned.source_keys, business_keys=keys, message_ids=concerned.message_ids
        ),
    )


def _inside(bundle: Bundle, found: Sequence[Due]) -> list[Due]:
    """Those that the bundle holds, every byte, and that an entry of the log vouches for."""
    vouched = {hashlib.sha256(bundle.files[path]).digest() for path in bundle.bound}
    return [one for one in found if all(hashlib.sha256(part).digest() in vouched for part in one.content)]


def _remove(
    connector: Connector,
    inside: Sequence[Due],
    before: Mapping[Payload, datetime],
    said: Mapping[str, object],
    *,
    actor: str,
) -> dict[Payload, int]:
    """How many of each kind left; said: what the log says of it besides."""
    removed: Counter[Payload] = Counter()
    with connector.database.write(Deed.ARCHIVE) as transaction:
        lock(transaction, "prepare")  # no revision is made, and no receipt taken, while it is looked at
        now = connector.clock(transaction)
        for kind, time in before.items():
            if keys := [one.key for one in inside if one.kind is kind]:
                removed[kind] = payloads.remove(transaction, kind, keys, before=time)
        removed = +removed
        if removed:
            detail = {**said, "payloads": {kind.value: number for kind, number in removed.items()}}
            log.append(transaction, [Entry(event=Event.ARCHIVED, detail=detail)], actor=actor, time=now)
    return dict(removed)
