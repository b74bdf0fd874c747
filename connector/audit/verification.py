"""Verifying the log: every hash anew, every column against its body, the root at the size of every checkpoint.

What is stored is believed nowhere. One pass in the order of numbers, in flat memory; it goes on after a fault, so that
all faults are told, the first bad entry first::

    findings = Findings()
    verified = verify_entries(connection, {4711: {root}}, findings)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Result, select

from connector.audit.findings import Fault, Findings
from connector.audit.rebuilt import Above, Damage
from connector.audit.stored import (
    StoredRow,
    agree,
    as_bytes,
    body_of,
    columns_that_differ,
    digests_of_actors,
    raw,
    rows,
    said_in,
)
from connector.audit.tree import Frontier, leaf_hash
from connector.storage.audit import AUDIT_ENTRIES

_AT_ONCE = 500
_MORE_THAN_A_KEY = 1 << 63


def rebuild(connection: Connection, frontier: Frontier) -> Frontier:
    """Hash every later entry anew onto a frontier; the frontier of the whole log.

    Raises `ValueError` at the first entry that is missing, or whose stored hashes are not those of its body.
    """
    with _rows_after(connection, frontier.size) as found:
        for sequence, body, hashes in found:
            if sequence != frontier.size + 1:
                raise ValueError(f"entry {frontier.size + 1} is missing")
            if b"".join(frontier.add(leaf_hash(body))) != hashes:
                raise ValueError(f"entry {sequence} is not what its hash says")
    return frontier


def _rows_after(connection: Connection, sequence: int) -> Result[int, bytes, bytes]:
    table = AUDIT_ENTRIES.c
    query = select(*raw(AUDIT_ENTRIES, "sequence", "body", "hashes")).where(table.sequence > sequence)
    return connection.execute(query.order_by(table.sequence).execution_options(yield_per=_AT_ONCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What there is."""

    entries: int
    """The number of the last one."""
    covered: int
    """The size of the largest checkpoint that the log agrees with."""


def verify_entries(connection: Connection, roots: Mapping[int, Collection[bytes]], findings: Findings) -> Verified:
    """Verify the whole log, and add what is wrong.

    roots: for the size of each checkpoint whose signature verified, what it says that the root was.
    """
    verification = _Verification(connection, roots, findings)
    for row in rows(connection):
        verification.take(row)
    verification.end()
    return Verified(entries=verification.last, covered=verification.proven)


class _Verification:
    """The pass."""

    def __init__(self, connection: Connection, roots: Mapping[int, Collection[bytes]], findings: Findings) -> None:
        self._connection = connection
        self._roots = roots
        self._findings = findings
        self._digests = digests_of_actors(connection, findings)
        self._due = sorted(roots, reverse=True)
        self._frontier = Frontier()
        self._above: Above | None = None
        """The stored tree, once it is known to differ from that of the bodies."""
        self._lacks_entries = False
        self.proven = 0
        """The size of the largest checkpoint that agrees."""
        self._contradicted = False
        self._clue: int | None = None
        """The first bad entry since what is proven."""
        self._tree_is_bad = False
        """Whether a fault since what is proven explains a root that differs."""
        self.last = 0
        self._reach(0)

    def take(self, row: StoredRow) -> None:
        """The next entry."""
        number, body, hashes = row[0], as_bytes(row[1]), as_bytes(row[2])
        if number != self.last + 1:
            if number <= self.last:
                self._findings.add(Fault.EXTRA_ENTRY, "entries count from 1", entry=number)
                return
            self._pass_over(number)
        self.last = number
        damage = self._damage(body, hashes)
        try:
            is_right = damage is Damage.NONE and agree(row, body, self._digests)
        except (ValueError, RecursionError):
            is_right = False
        if not is_right:
            self._classify(row, body, damage)
        if self._due and self._due[-1] <= number:
            self._reach(number)

    def _damage(self, body: bytes, hashes: bytes) -> Damage:
        leaf, tree = leaf_hash(body), self._frontier
        before = list(tree.hashes) if self._above is None else []
        if b"".join(tree.add(leaf)) == hashes and self._above is None:
            return Damage.NONE
        if self._above is None:
            self._above = Above(tree.size - 1, before)
        return self._above.add(leaf, hashes)

    def end(self) -> None:
        """Checkpoints of more entries than there are."""
        if self._due:
            self._found(
                Fault.LOG_CUT,
                self.last + 1,
                f"a checkpoint was signed for {self._due[0]} entries, and there are {self.last}",
            )

    def _pass_over(self, number: int) -> None:
        missing = f"{self.last + 1}" if number == self.last + 2 else f"{self.last + 1} to {number - 1}"
        self._found(Fault.MISSING_ENTRY, self.last + 1, f"missing: {missing}")
        self._tree_is_bad = self._lacks_entries = True
        self._above = Above.unknown(number - 1)
        self._frontier = Frontier(size=number - 1, hashes=[b""] * (number - 1).bit_count())

    def _classify(self, row: StoredRow, body: bytes, damage: Damage) -> None:
        self._tree_is_bad |= damage is Damage.LEAF
        try:
            differing = columns_that_differ(row, body, self._digests)
        except ValueError as error:
            fault = Fault.NOT_CANONICAL if damage is Damage.NONE else Fault.HASH_MISMATCH
            self._found(fault, self.last, f"the body is none: {error}")
            return
        if "sequence" in differing and self._is_misnumbered(body, damage):
            return
        if damage is Damage.LEAF:
            self._found(Fault.HASH_MISMATCH, self.last, "the body is not what the stored hash says")
        elif damage is Damage.ABOVE:
            self._found(Fault.ALTERED_HASH, self.last, "a stored hash is not that of the subtree")
        elif differing == ["actor_id"]:
            self._found(Fault.ACTOR_ALTERED, self.last, "the actor is not the one that the body names")
        elif differing:
            self._found(Fault.ALTERED_COLUMN, self.last, f"not what the body says: {', '.join(differing)}")
        else:
            self._found(Fault.NOT_CANONICAL, self.last, "the body is not written as bodies are")

    def _is_misnumbered(self, body: bytes, damage: Damage) -> bool:
        said = _number_in(body)
        other = body_of(self._connection, said) if said is not None else None
        if other == body:
            self._found(Fault.DUPLICATE_ENTRY, self.last, f"it has the body of entry {said}")
        elif other is not None and _number_in(other) == self.last:
            self._found(Fault.SWAPPED_ENTRIES, self.last, f"it and entry {said} have the body of each other")
        elif damage is not Damage.LEAF:
            self._found(Fault.MISNUMBERED_ENTRY, self.last, f"its body says that it is entry {said}")
        else:
            return False
        return True

    def _reach(self, size: int) -> None:
        """Compare the root with what each checkpoint up to this size says."""
        while self._due and self._due[-1] <= size:
            due = self._due.pop()
            root = None if self._lacks_entries else self._frontier.root()
            claims = self._roots[due]
            if root in claims:
                self._findings.settle(Fault.ALTERED_HASH)
                self.proven, self._clue, self._tree_is_bad = due, None, False
                if len(claims) > 1:
                    self._findings.add(Fault.CHECKPOINT_MISMATCH, f"checkpoints of {due} entries contradict each other")
            elif not self._contradicted:
                self._contradict(due)

    def _contradict(self, size: int) -> None:
        self._contradicted = True
        first = self._clue or self.proven + 1
        text = f"not what the checkpoint of {size} entries says; the first bad entry is one of {first} to {size}"
        if self._tree_is_bad:
            self._findings.settle(Fault.ALTERED_BODY)
            self._findings.add(Fault.CHECKPOINT_MISMATCH, f"the checkpoint of {size} entries contradicts the log")
        else:
            self._findings.add(Fault.RESTAMPED, text, entry=first)

    def _found(self, fault: Fault, entry: int, text: str) -> None:
        self._clue = self._clue or entry
        self._findings.add(fault, text, entry=entry)


def _number_in(body: bytes) -> int | None:
    """The number that a body says it has, if it can be one."""
    try:
        number = said_in(body).get("sequence")
    except ValueError:
        return None
    return number if type(number) is int and 0 < number < _MORE_THAN_A_KEY else None
