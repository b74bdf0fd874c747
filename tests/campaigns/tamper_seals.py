"""Edits of checkpoints, in the database and in the file, and of actors, each with what has to be found."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sqlalchemy import Connection, delete, insert

from connector.audit.bodies import digest_of_name
from connector.audit.checkpoints import Checkpoint
from connector.audit.findings import Fault
from connector.signing.notes import NoteSigner
from connector.storage.audit import ACTORS, AUDIT_CHECKPOINTS
from tests.campaigns.tamper_edits import Edit, Expected
from tests.campaigns.tamper_log import (
    Log,
    flipped,
    replace_all,
    restamped,
    signer,
    with_body,
    write_actor,
    write_checkpoint,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Whose checkpoint it is, and who signs it."""

    origin: str
    by: NoteSigner


_LOST = frozenset({Fault.CHECKPOINT_MISSING})


def drop_checkpoint(transaction: Connection, log: Log, random: Random) -> Expected:
    """One, some or all of the database."""
    gone = random.sample([one.size for one in log.issued], random.randint(1, len(log.issued)))
    transaction.execute(delete(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size.in_(gone)))
    return Expected(fault=Fault.CHECKPOINT_MISSING)


def drop_checkpoint_everywhere(transaction: Connection, log: Log, random: Random) -> Expected:
    """One of the database and of the file; it was kept elsewhere."""
    one = random.choice(log.issued)
    transaction.execute(delete(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size == one.size))
    kept = [note for note in log.notes if note != one.note]
    return Expected(fault=Fault.CHECKPOINT_MISSING, kept=kept, outside=(one.note,))


def drop_checkpoint_of_file(transaction: Connection, log: Log, random: Random) -> Expected:
    """Any of the file but the last."""
    del transaction
    gone = random.choice(log.notes[:-1])
    return Expected(fault=Fault.CHECKPOINT_MISSING, kept=[note for note in log.notes if note != gone])


def alter_size_or_root(transaction: Connection, log: Log, random: Random) -> Expected:
    """What stands beside a note."""
    one = random.choice(log.issued)
    size = random.choice((-1, 0, log.size + random.randint(1, 10**9)))
    change = random.choice(({"size": size}, {"root": flipped(random, one.root, range(32))}, {"root": b""}))
    write_checkpoint(transaction, one.size, **change)
    return Expected(fault=Fault.CHECKPOINT_ALTERED)


def swap_notes(transaction: Connection, log: Log, random: Random) -> Expected:
    """The notes of two checkpoints."""
    first, second = random.sample(log.issued, 2)
    write_checkpoint(transaction, first.size, note=second.note)
    write_checkpoint(transaction, second.size, note=first.note)
    return Expected(fault=Fault.CHECKPOINT_ALTERED)


def forge_note(transaction: Connection, log: Log, random: Random) -> Expected:
    """Any character of what a note says or of its signature, in the database or in the file."""
    one = random.choice(log.issued)
    forged = _forged(one.note, random)
    if random.random() < 0.5:
        return Expected(
            fault=Fault.CHECKPOINT_FORGED,
            also=_LOST,
            kept=[forged if note == one.note else note for note in log.notes],
        )
    write_checkpoint(transaction, one.size, note=forged)
    return Expected(fault=Fault.CHECKPOINT_FORGED, also=_LOST)


def garbage_for_note(transaction: Connection, log: Log, random: Random) -> Expected:
    """No note at all."""
    made = random.choice(("", "x", "\n\n", log.notes[0].partition("\n\n")[0], log.notes[0][:-10]))
    write_checkpoint(transaction, random.choice(log.issued).size, note=made)
    return Expected(fault=Fault.CHECKPOINT_FORGED, also=_LOST)


def checkpoint_of_another_log(transaction: Connection, log: Log, random: Random) -> Expected:
    """Instead of one, besides, in the file, or handed over: genuine elsewhere, by another key or by ours."""
    origin = f"other.example.com/{random.randrange(100)}"
    other = NoteSigner(name=origin, private_key=random.choice((log.signer, signer(random))).private_key)
    return _foreign(transaction, log, random, Foreign(origin=origin, by=random.choice((other, log.signer))))


def checkpoint_by_another_key(transaction: Connection, log: Log, random: Random) -> Expected:
    """In the name of our log."""
    by = signer(random, log.signer.name)
    return _foreign(transaction, log, random, Foreign(origin=by.name, by=by))


def restamp_and_sign(transaction: Connection, log: Log, random: Random) -> Expected:
    """The log is made anew, and so are its checkpoints and the file, by another key; one was kept elsewhere."""
    kept_elsewhere = random.choice(log.issued)
    place = random.randint(1, kept_elsewhere.size)
    rows = list(log.rows)
    rows[place - 1] = with_body(rows[place - 1], detail={"status": "forged"})
    replace_all(transaction, restamped(rows))
    transaction.execute(delete(AUDIT_CHECKPOINTS))
    also = _LOST | {Fault.FOREIGN_CHECKPOINT}
    return Expected(fault=Fault.RESTAMPED, entry=1, also=also, kept=[], outside=(kept_elsewhere.note,))


def sign_another_root(transaction: Connection, log: Log, random: Random) -> Expected:
    """By our own key, for a size that a checkpoint is there for."""
    one = random.choice(log.issued)
    text = Checkpoint(origin=log.signer.name, size=one.size, root=random.randbytes(32)).text
    del transaction
    return Expected(fault=Fault.CHECKPOINT_MISMATCH, also=_LOST, outside=(log.signer.sign(text),))


def alter_actor(transaction: Connection, log: Log, random: Random) -> Expected:
    """Any column of an actor."""
    one = random.choice(log.actors)
    changes: list[dict[str, object]] = [
        {"name": "forged"},
        {"name": None},
        {"salt": None},
        {"salt": random.randbytes(32)},
        {"salt": random.randbytes(32), "name": "forged"},
        {"digest": random.randbytes(32).hex()},
        {"digest": digest_of_name(one["salt"], "forged"), "name": "forged"},
        {"id": 999},
    ]
    write_actor(transaction, one["id"], **random.choice(changes))
    return Expected(fault=Fault.ACTOR_ALTERED, entry=log.first_of_actor(one["id"]))


def delete_actor(transaction: Connection, log: Log, random: Random) -> Expected:
    """An actor that entries name."""
    one = random.choice(log.actors)
    transaction.execute(delete(ACTORS).where(ACTORS.c.id == one["id"]))
    return Expected(fault=Fault.ACTOR_ALTERED, entry=log.first_of_actor(one["id"]))


def swap_names(transaction: Connection, log: Log, random: Random) -> Expected:
    """The names of two actors."""
    first, second = random.sample(log.actors, 2)
    write_actor(transaction, first["id"], name="")
    write_actor(transaction, second["id"], name=first["name"])
    write_actor(transaction, first["id"], name=second["name"])
    entry = min(log.first_of_actor(first["id"]), log.first_of_actor(second["id"]))
    return Expected(fault=Fault.ACTOR_ALTERED, entry=entry)


def insert_actor(transaction: Connection, log: Log, random: Random) -> Expected:
    """An actor that no entry names."""
    del log
    salt = random.randbytes(32)
    row = {"id": 999, "name": "forged", "salt": salt, "digest": digest_of_name(salt, "forged")}
    transaction.execute(insert(ACTORS).values(row))
    return Expected(fault=Fault.ACTOR_ALTERED)


def _foreign(transaction: Connection, log: Log, random: Random, foreign: Foreign) -> Expected:
    size = random.randint(1, log.size + 5)
    root = random.choice((random.randbytes(32), log.issued[0].root))
    note = foreign.by.sign(Checkpoint(origin=foreign.origin, size=size, root=root).text)
    way = random.choice(("instead", "besides", "file", "outside"))
    if way == "outside":
        return Expected(fault=Fault.FOREIGN_CHECKPOINT, outside=(note,))
    if way == "file":
        return Expected(fault=Fault.FOREIGN_CHECKPOINT, kept=[*log.notes, note])
    if way == "instead":
        write_checkpoint(transaction, random.choice(log.issued).size, note=note, root=root)
        return Expected(fault=Fault.FOREIGN_CHECKPOINT, also=_LOST)
    row = {"size": log.size + 10, "root": root, "note": note, "signed_at": log.issued[0].signed_at}
    transaction.execute(insert(AUDIT_CHECKPOINTS).values(row))
    return Expected(fault=Fault.FOREIGN_CHECKPOINT)


def _forged(note: str, random: Random) -> str:
    """A note with one character altered: in its text, or in the signature behind the key's identity."""
    text, _, line = note.rpartition("\n\n")
    if random.random() < 0.5:
        at = random.randrange(len(text))
        return f"{text[:at]}{'x' if text[at] != 'x' else 'y'}{text[at + 1 :]}\n\n{line}"
    head, _, signature = line.rstrip("\n").rpartition(" ")
    at = random.randrange(6, len(signature) - 4)
    return f"{text}\n\n{head} {signature[:at]}{'A' if signature[at] != 'A' else 'B'}{signature[at + 1 :]}\n"


SEAL_EDITS: tuple[Edit, ...] = (
    drop_checkpoint,
    drop_checkpoint_everywhere,
    drop_checkpoint_of_file,
    alter_size_or_root,
    swap_notes,
    forge_note,
    garbage_for_note,
    checkpoint_of_another_log,
    checkpoint_by_another_key,
    restamp_and_sign,
    sign_another_root,
    alter_actor,
    delete_actor,
    swap_names,
    insert_actor,
)
