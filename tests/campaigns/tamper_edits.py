"""Edits of entries, each with what verification has to say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, LargeBinary, Text, cast, delete, insert, literal

from connector.audit.bodies import KEY_COLUMNS
from connector.audit.findings import Fault
from connector.storage.audit import ACTORS, AUDIT_CHECKPOINTS, AUDIT_ENTRIES
from tests.campaigns.tamper_log import Log, flipped, replace_all, restamped, with_body, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What has to be found."""

    fault: Fault
    entry: int | None = None
    """The first bad entry; None where only checkpoints or nothing but a table of names was touched."""
    also: frozenset[Fault] = frozenset()
    """What may be found besides."""
    kept: list[str] | None = None
    """The checkpoint file, where that was edited too."""
    outside: tuple[str, ...] = ()


_NO_TEXT = 0.25
"""How many of the columns altered in SQLite become text that is no UTF-8."""

Edit = Callable[[Connection, Log, Random], Expected]

_TREE = frozenset({Fault.CHECKPOINT_MISMATCH})
_GAP = _TREE | {Fault.MISNUMBERED_ENTRY, Fault.ALTERED_HASH, Fault.LOG_CUT, Fault.ACTOR_ALTERED}
_LOST = frozenset({Fault.CHECKPOINT_MISSING, Fault.ACTOR_ALTERED})


def alter_bytes_of_body(transaction: Connection, log: Log, random: Random) -> Expected:
    """Any byte of a body, its start, its end, or all of it."""
    row = random.choice(log.rows)
    body: bytes = row["body"]
    made = random.choice(
        (flipped(random, body, range(len(body))), body[:-1], body + b" ", body + b"x", b" " + body, b"", b"{}", b"\xff")
    )
    write(transaction, row["sequence"], body=made)
    return _body_altered(log, row["sequence"])


def alter_what_body_says(transaction: Connection, log: Log, random: Random) -> Expected:
    """A body that is written as bodies are, with another field."""
    row = random.choice(log.rows)
    field = random.choice(("time", "event", "actor", "detail", *KEY_COLUMNS))
    value: object = {"status": "finished"} if field == "detail" else f"forged {random.randrange(10**6)}"
    made = with_body({**row}, **{field: value})
    write(transaction, row["sequence"], **(made if random.random() < 0.5 else {"body": made["body"]}))
    return _body_altered(log, row["sequence"])


def alter_hash_of_body(transaction: Connection, log: Log, random: Random) -> Expected:
    """The hash of a leaf, or part of it cut off."""
    row = random.choice(log.rows)
    hashes: bytes = row["hashes"]
    made = random.choice((flipped(random, hashes, range(32)), hashes[: random.randrange(32)]))
    write(transaction, row["sequence"], hashes=made)
    return _hash_altered(log, row["sequence"])


def alter_hash_of_subtree(transaction: Connection, log: Log, random: Random) -> Expected:
    """A hash above a leaf, or one too many or too few."""
    row = random.choice([row for row in log.rows if row["sequence"] % 2 == 0])
    hashes: bytes = row["hashes"]
    added = hashes + random.randbytes(random.choice((1, 32)))
    made = random.choice((flipped(random, hashes, range(32, len(hashes))), hashes[:-1], hashes[:-32], added))
    write(transaction, row["sequence"], hashes=made)
    return Expected(fault=Fault.ALTERED_HASH, entry=row["sequence"], also=frozenset({Fault.ALTERED_HASH}))


def alter_column(transaction: Connection, log: Log, random: Random) -> Expected:
    """A column for queries."""
    row = random.choice(log.rows)
    name = random.choice(("time", "event", "code", "state", *KEY_COLUMNS))
    moved = random.choice((-1, 1)) * timedelta(microseconds=random.randint(1, 10**9))
    value = (
        row["time"] + moved if name == "time" else random.choice(("forged", row[name] + "\x01", row[name][1:] + "x"))
    )
    if transaction.dialect.name == "sqlite" and random.random() < _NO_TEXT:
        value = cast(literal(random.choice((b"\xff", b"forged \xed\xb3\xbf")), LargeBinary), Text)
    write(transaction, row["sequence"], **{name: value})
    return Expected(fault=Fault.ALTERED_COLUMN, entry=row["sequence"])


def alter_actor_of_entry(transaction: Connection, log: Log, random: Random) -> Expected:
    """Another actor, or one that there is not."""
    row = random.choice(log.rows)
    others = [one["id"] for one in log.actors if one["id"] != row["actor_id"]]
    write(transaction, row["sequence"], actor_id=random.choice((*others, 999)))
    return Expected(fault=Fault.ACTOR_ALTERED, entry=row["sequence"])


def alter_number(transaction: Connection, log: Log, random: Random) -> Expected:
    """An entry that is moved behind the last one, or before the first."""
    row = random.choice(log.rows)
    to = random.choice((log.size + random.randint(1, 10**9), -random.randrange(10**9)))
    write(transaction, row["sequence"], sequence=to)
    if to <= 0:
        return Expected(fault=Fault.EXTRA_ENTRY, entry=to, also=_GAP | {Fault.MISSING_ENTRY})
    if row["sequence"] == log.size and to == log.size + 1:
        return Expected(fault=Fault.MISSING_ENTRY, entry=log.size, also=_GAP)
    return Expected(fault=Fault.MISSING_ENTRY, entry=row["sequence"], also=_GAP | {Fault.MISSING_ENTRY})


def delete_entries(transaction: Connection, log: Log, random: Random) -> Expected:
    """A run of entries, not up to the end."""
    first = random.randint(1, log.size - 1)
    last = random.randint(first, min(log.size - 1, first + 5))
    transaction.execute(delete(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence.between(first, last)))
    return Expected(fault=Fault.MISSING_ENTRY, entry=first, also=_TREE | {Fault.ACTOR_ALTERED})


def delete_and_close_the_gap(transaction: Connection, log: Log, random: Random) -> Expected:
    """An entry, with the later ones moved up; their bodies stay."""
    gone = random.randint(1, log.size - 1)
    moved = [row | {"sequence": row["sequence"] - 1} for row in log.rows[gone:]]
    replace_all(transaction, [*log.rows[: gone - 1], *moved])
    return Expected(fault=Fault.MISNUMBERED_ENTRY, entry=gone, also=_GAP | {Fault.HASH_MISMATCH, Fault.RESTAMPED})


def insert_copy(transaction: Connection, log: Log, random: Random) -> Expected:
    """A copy of an entry behind the last one, or before the first."""
    row = random.choice(log.rows)
    number = random.choice((log.size + 1, -random.randrange(100)))
    transaction.execute(insert(AUDIT_ENTRIES).values(row | {"sequence": number}))
    return Expected(fault=Fault.DUPLICATE_ENTRY if number > 0 else Fault.EXTRA_ENTRY, entry=number)


def insert_forged(transaction: Connection, log: Log, random: Random) -> Expected:
    """A new entry behind the last one whose hash is made up, or behind a gap."""
    number = log.size + random.choice((1, random.randint(2, 100)))
    row = with_body({**random.choice(log.rows)}, sequence=number)
    transaction.execute(insert(AUDIT_ENTRIES).values(row | {"sequence": number, "hashes": random.randbytes(32)}))
    if number > log.size + 1:
        return Expected(fault=Fault.MISSING_ENTRY, entry=log.size + 1, also=frozenset({Fault.HASH_MISMATCH}))
    return Expected(fault=Fault.HASH_MISMATCH, entry=number)


def insert_copy_between(transaction: Connection, log: Log, random: Random) -> Expected:
    """A copy of an earlier entry, with the later ones moved down; their bodies stay."""
    place = random.randint(2, log.size)
    copy = random.choice(log.rows[: place - 1]) | {"sequence": place}
    moved = [row | {"sequence": row["sequence"] + 1} for row in log.rows[place - 1 :]]
    replace_all(transaction, [*log.rows[: place - 1], copy, *moved])
    also = _GAP | {Fault.HASH_MISMATCH, Fault.RESTAMPED, Fault.DUPLICATE_ENTRY}
    return Expected(fault=Fault.DUPLICATE_ENTRY, entry=place, also=also)


def swap_bodies(transaction: Connection, log: Log, random: Random) -> Expected:
    """The bodies of two entries."""
    first, second = _two(log, random)
    write(transaction, first["sequence"], body=second["body"])
    write(transaction, second["sequence"], body=first["body"])
    return Expected(fault=Fault.SWAPPED_ENTRIES, entry=first["sequence"], also=_TREE)


def swap_entries(transaction: Connection, log: Log, random: Random) -> Expected:
    """Two entries, all but their numbers."""
    first, second = _two(log, random)
    write(transaction, first["sequence"], **(second | {"sequence": first["sequence"]}))
    write(transaction, second["sequence"], **(first | {"sequence": second["sequence"]}))
    also = _TREE | {Fault.ALTERED_HASH, Fault.RESTAMPED}
    return Expected(fault=Fault.SWAPPED_ENTRIES, entry=first["sequence"], also=also)


def swap_columns(transaction: Connection, log: Log, random: Random) -> Expected:
    """One column of two entries."""
    first, second = _two(log, random)
    name = random.choice(("hashes", *KEY_COLUMNS, "actor_id", "event", "state"))
    if first[name] == second[name]:
        name = "message_id"
    write(transaction, first["sequence"], **{name: second[name]})
    write(transaction, second["sequence"], **{name: first[name]})
    if name == "hashes":
        return _hash_altered(log, first["sequence"])
    return Expected(fault=Fault.ACTOR_ALTERED if name == "actor_id" else Fault.ALTERED_COLUMN, entry=first["sequence"])


def cut_tail(transaction: Connection, log: Log, random: Random) -> Expected:
    """The last entries, and the checkpoints of them, here and in the file; one was kept elsewhere, or the file was."""
    largest = log.issued[-1]
    size = random.randrange(largest.size)
    transaction.execute(delete(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence > size))
    if random.random() < 0.2:
        return Expected(fault=Fault.LOG_CUT, entry=size + 1, also=_LOST)
    transaction.execute(delete(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size > size))
    if random.random() < 0.3:
        return Expected(fault=Fault.LOG_CUT, entry=size + 1, also=_LOST)
    return _rolled_back(log, random, size)


def roll_back(transaction: Connection, log: Log, random: Random) -> Expected:
    """Database and file as they were at an earlier time, actors and all; one checkpoint was kept elsewhere."""
    size = random.randrange(log.issued[-1].size)
    transaction.execute(delete(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence > size))
    transaction.execute(delete(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size > size))
    then = {row["actor_id"] for row in log.rows[:size]}
    transaction.execute(delete(ACTORS).where(ACTORS.c.id.not_in(then)))
    return _rolled_back(log, random, size)


def restamp(transaction: Connection, log: Log, random: Random) -> Expected:
    """An entry that says something else, in body and columns, with every hash made anew."""
    place = random.randint(1, log.issued[-1].size)
    rows = list(log.rows)
    rows[place - 1] = with_body(rows[place - 1], detail={"status": "forged"}, waybill="YT0")
    replace_all(transaction, restamped(rows))
    return Expected(fault=Fault.RESTAMPED, entry=log.proven_before(place) + 1)


def restamp_body_alone(transaction: Connection, log: Log, random: Random) -> Expected:
    """The same, but the columns stay, or the body is not written as bodies are: the very entry is told."""
    place = random.randint(1, log.size)
    rows = list(log.rows)
    row = rows[place - 1]
    fault, body = random.choice(
        (
            (Fault.ALTERED_COLUMN, with_body(row, waybill="YT0")["body"]),
            (Fault.NOT_CANONICAL, json.dumps(json.loads(row["body"]), ensure_ascii=False).encode()),
            (Fault.NOT_CANONICAL, row["body"][:-1] + b',"zzz":1}'),
            (Fault.NOT_CANONICAL, row["body"][:-1] + b',"actor":"a"}'),
        )
    )
    if body.endswith(b'"actor":"a"}'):
        fault = Fault.ACTOR_ALTERED
    rows[place - 1] = row | {"body": body}
    replace_all(transaction, restamped(rows))
    return Expected(fault=fault, entry=place, also=frozenset({Fault.RESTAMPED}))


def restamp_fewer(transaction: Connection, log: Log, random: Random) -> Expected:
    """An entry is gone; numbers, bodies, columns and hashes of the later ones are made anew."""
    gone = random.randint(1, log.issued[-1].size)
    replace_all(transaction, restamped([*log.rows[: gone - 1], *log.rows[gone:]]))
    if any(gone <= one.size < log.size for one in log.issued):
        also = frozenset({Fault.LOG_CUT, Fault.ACTOR_ALTERED})
        return Expected(fault=Fault.RESTAMPED, entry=log.proven_before(gone) + 1, also=also)
    return Expected(fault=Fault.LOG_CUT, entry=log.size, also=frozenset({Fault.ACTOR_ALTERED}))


def restamp_more(transaction: Connection, log: Log, random: Random) -> Expected:
    """An entry too many, with everything made anew."""
    place = random.randint(1, log.issued[-1].size)
    forged = with_body(random.choice(log.rows), detail={"status": "forged"})
    replace_all(transaction, restamped([*log.rows[: place - 1], forged, *log.rows[place - 1 :]]))
    return Expected(fault=Fault.RESTAMPED, entry=log.proven_before(place) + 1)


def restamp_other_order(transaction: Connection, log: Log, random: Random) -> Expected:
    """Two entries change places, with everything made anew."""
    first, second = _two(log, random)
    if first["sequence"] > log.issued[-1].size:
        first = log.rows[0]
    rows = list(log.rows)
    a, b = first["sequence"] - 1, second["sequence"] - 1
    rows[a], rows[b] = rows[b], rows[a]
    replace_all(transaction, restamped(rows))
    return Expected(fault=Fault.RESTAMPED, entry=log.proven_before(first["sequence"]) + 1)


def _two(log: Log, random: Random) -> list[dict[str, Any]]:
    return [log.rows[at] for at in sorted(random.sample(range(log.size), 2))]


def _body_altered(log: Log, entry: int) -> Expected:
    if log.checkpoints_from(entry):
        return Expected(fault=Fault.ALTERED_BODY, entry=entry, also=_TREE)
    return Expected(fault=Fault.HASH_MISMATCH, entry=entry)


def _hash_altered(log: Log, entry: int) -> Expected:
    fault = Fault.ALTERED_HASH if log.checkpoints_from(entry) else Fault.HASH_MISMATCH
    return Expected(fault=fault, entry=entry, also=frozenset({Fault.ALTERED_HASH, Fault.HASH_MISMATCH}))


def _rolled_back(log: Log, random: Random, size: int) -> Expected:
    kept = [one.note for one in log.issued if one.size <= size]
    outside = random.choice([one.note for one in log.issued if one.size > size])
    return Expected(fault=Fault.LOG_CUT, entry=size + 1, also=_LOST, kept=kept, outside=(outside,))


ENTRY_EDITS: tuple[Edit, ...] = (
    alter_bytes_of_body,
    alter_what_body_says,
    alter_hash_of_body,
    alter_hash_of_subtree,
    alter_column,
    alter_actor_of_entry,
    alter_number,
    delete_entries,
    delete_and_close_the_gap,
    insert_copy,
    insert_forged,
    insert_copy_between,
    swap_bodies,
    swap_entries,
    swap_columns,
    cut_tail,
    roll_back,
    restamp,
    restamp_body_alone,
    restamp_fewer,
    restamp_more,
    restamp_other_order,
)
