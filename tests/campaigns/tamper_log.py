"""A log with checkpoints, and what its owner can do to it: every write that triggers and keys would refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

from connector.audit import checkpoints, log
from connector.audit.bodies import KEY_COLUMNS, code_of, state_of, utf8
from connector.audit.bodies import write as write_json
from connector.audit.checkpoints import Checkpoint, Issued
from connector.audit.events import Entry, Event
from connector.audit.nodes import StoredTree
from connector.audit.tree import Frontier, leaf_hash
from connector.deeds import Deed
from connector.signing.notes import NoteSigner
from connector.storage.audit import ACTORS, AUDIT_CHECKPOINTS, AUDIT_ENTRIES
from connector.storage.database import Database

ORIGIN = "wms.example.com/log"
_START = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
_ACTORS = ("connector", "王芳", "wang")
_STATES = ("released", "rejected", "inspection")


def signer(random: Random, name: str = ORIGIN) -> NoteSigner:
    """A key from a seed."""
    return NoteSigner(name=name, private_key=Ed25519PrivateKey.from_private_bytes(random.randbytes(32)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log as it was before anybody touched it."""

    signer: NoteSigner
    rows: list[dict[str, Any]]
    """Entries in order."""
    issued: list[Issued]
    actors: list[dict[str, Any]]

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.rows)

    @property
    def notes(self) -> list[str]:
        """The checkpoint file."""
        return [one.note for one in self.issued]

    def checkpoints_from(self, entry: int) -> list[Issued]:
        """Those that cover an entry."""
        return [one for one in self.issued if one.size >= entry]

    def proven_before(self, entry: int) -> int:
        """The size of the largest checkpoint that does not cover an entry."""
        return max((one.size for one in self.issued if one.size < entry), default=0)

    def first_of_actor(self, actor: int) -> int:
        """The first entry of an actor."""
        return next(number for number, row in enumerate(self.rows, start=1) if row["actor_id"] == actor)


def build(database: Database, random: Random) -> Log:
    """Write a log of some hundred entries, and sign it at random times."""
    ours = signer(random)
    for number in range(random.randint(8, 24)):
        with database.write(Deed.PREPARE) as transaction:
            entries = [_entry(random) for _ in range(random.randint(1, 12))]
            actor = random.choice(_ACTORS) if number >= len(_ACTORS) else _ACTORS[number]
            log.append(transaction, entries, actor=actor, time=_START + timedelta(seconds=number, microseconds=number))
            if number in {1, 4} or random.random() < 0.4:
                sign(transaction, ours)
    if not database.is_postgresql:
        _drop_triggers(database)
    with database.read() as connection:
        return Log(
            signer=ours,
            rows=[dict(row) for row in connection.execute(select(AUDIT_ENTRIES).order_by("sequence")).mappings()],
            issued=list(checkpoints.issued_after(connection)),
            actors=[dict(row) for row in connection.execute(select(ACTORS).order_by("id")).mappings()],
        )


def sign(transaction: Connection, by: NoteSigner) -> Issued:
    """Sign what the log is, as the connector does."""
    tree = StoredTree(transaction)
    checkpoint = Checkpoint(origin=by.name, size=tree.size, root=tree.root(tree.size))
    issued = Issued(size=tree.size, root=checkpoint.root, note=by.sign(checkpoint.text), signed_at=_START)
    checkpoints.store(transaction, issued)
    return issued


def let_owner(transaction: Connection) -> None:
    """Lift what the schema refuses, as far as the end of the transaction."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(text("SET LOCAL session_replication_role = replica"))
    else:
        transaction.execute(text("PRAGMA defer_foreign_keys = ON"))


def write(transaction: Connection, number: int, /, **values: object) -> None:
    """Alter an entry."""
    transaction.execute(update(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence == number).values(**values))


def write_checkpoint(transaction: Connection, number: int, /, **values: object) -> None:
    """Alter a checkpoint."""
    transaction.execute(update(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size == number).values(**values))


def write_actor(transaction: Connection, number: int, **values: object) -> None:
    """Alter an actor."""
    transaction.execute(update(ACTORS).where(ACTORS.c.id == number).values(**values))


def replace_all(transaction: Connection, rows: list[dict[str, Any]]) -> None:
    """Write the whole log anew."""
    transaction.execute(delete(AUDIT_ENTRIES))
    transaction.execute(insert(AUDIT_ENTRIES), rows)


def restamped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows numbered from 1, with bodies, columns and hashes that fit these numbers."""
    tree, made = Frontier(), []
    for number, row in enumerate(rows, start=1):
        said = json.loads(row["body"])
        body = row["body"] if said["sequence"] == number else utf8(write_json(said | {"sequence": number}))
        made.append(row | {"sequence": number, "body": body, "hashes": b"".join(tree.add(leaf_hash(body)))})
    return made


def with_body(row: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A row whose body and columns say something else."""
    said = json.loads(row["body"]) | changes
    columns = {name: said.get(name, "") for name in KEY_COLUMNS}
    detail = said["detail"]
    return row | columns | {"body": utf8(write_json(said)), "code": code_of(detail), "state": state_of(detail)}


def flipped(random: Random, data: bytes, at: range) -> bytes:
    """The data with one byte of this range altered."""
    place = random.choice(at)
    return data[:place] + bytes([data[place] ^ random.randint(1, 255)]) + data[place + 1 :]


def _entry(random: Random) -> Entry:
    number = random.randrange(10**8)
    detail: dict[str, object] = {"digest": random.randbytes(32).hex(), "revision": random.randint(1, 3)}
    if random.random() < 0.5:
        detail |= {"code": str(random.choice((800, 120, 100))), "status": random.choice(_STATES), "info": "放行"}
    return Entry(
        event=random.choice([Event.COLLECTED, Event.MAPPED, Event.SIGNED, Event.RECEIPT_TAKEN]),
        source_key=f"returns/RK{number}",
        document_type="CEB213",
        business_key=f"4401000001/RK{number}",
        message_id=random.randbytes(16).hex(),
        waybill=f"YT{number}",
        export_list=f"22442026E{number:09}",
        detail=detail,
    )


def _drop_triggers(database: Database) -> None:
    with database.write(Deed.UPGRADE) as transaction:
        for name in transaction.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
            transaction.execute(text(f"DROP TRIGGER {name}"))
