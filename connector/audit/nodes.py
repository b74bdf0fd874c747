"""The tree as it is stored: each entry holds the hash of its leaf and of every subtree that it completes.

Therefore the hash of any complete subtree stands in the row of its last entry, and nothing has to be kept in step::

    with database.read() as connection:
        tree = StoredTree(connection)
        tree.root(tree.size)
        tree.inclusion_proof(index=16, size=1_000)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CTE, Connection, func, select

from connector.audit.tree import (
    HASH_BYTES,
    Frontier,
    Node,
    Span,
    consistency_spans,
    inclusion_spans,
    join,
    subtrees_completed_by,
)
from connector.storage.audit import AUDIT_ENTRIES
from connector.storage.database import lock

LOG = "audit"
"""The lock of whoever appends."""


def lock_log(transaction: Connection) -> None:
    """Be the only one that appends until the transaction ends."""
    lock(transaction, LOG)


def _peaks() -> CTE:
    """Numbers of the entries that complete the subtrees which the whole tree consists of.

    The last is that of the last entry, and each before it the one after with its lowest bit cleared: 13, 12, 8.
    """
    last = select(func.max(AUDIT_ENTRIES.c.sequence).label("sequence")).cte("peak", recursive=True)
    before = last.c.sequence.bitwise_and(last.c.sequence - 1)
    return last.union_all(select(before).where(before > 0))


PEAKS = _peaks()


def frontier_of(peaks: Sequence[Any]) -> Frontier:
    """All that it takes to add to the tree as it is now; peaks: rows of the entries in `PEAKS`, in order.

    Raises `ValueError` where the log lacks one of these entries, or one of them a hash.
    """
    for row in peaks:
        if len(row.hashes or b"") != HASH_BYTES * (1 + subtrees_completed_by(row.sequence)):
            raise _lacking(row.sequence)
    if not peaks:
        return Frontier()
    return Frontier(size=peaks[-1].sequence, hashes=[row.hashes[-HASH_BYTES:] for row in peaks])


class StoredTree:
    """The tree of the log, read through a connection. It believes what is stored; `verification` does not."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.size: int = connection.execute(select(func.max(AUDIT_ENTRIES.c.sequence))).scalar() or 0
        """How many entries there are."""

    def frontier(self, size: int) -> Frontier:
        """The complete subtrees of the tree of the first entries."""
        nodes = Span(0, size).nodes()
        hashes = self._hashes(nodes)
        return Frontier(size=size, hashes=[hashes[node] for node in nodes])

    def root(self, size: int) -> bytes:
        """The root over the first entries."""
        return self.frontier(size).root()

    def inclusion_proof(self, *, index: int, size: int) -> list[bytes]:
        """The proof that the tree of this size holds a leaf; index: counted from 0. Raises `ValueError`."""
        return self.inclusion_proofs([index], size=size)[0]

    def inclusion_proofs(self, indexes: Sequence[int], *, size: int) -> list[list[bytes]]:
        """The same for several leaves at once, in one query."""
        spans = [inclusion_spans(index, size) for index in indexes]
        hashes = self._hashes({node for inside in spans for span in inside for node in span.nodes()})
        return [[join([hashes[node] for node in span.nodes()]) for span in inside] for inside in spans]

    def consistency_proof(self, *, old: int, new: int) -> list[bytes]:
        """The proof that the newer tree begins with the older one. Raises `ValueError`."""
        return self._roots(consistency_spans(old, new))

    def _roots(self, spans: Sequence[Span]) -> list[bytes]:
        hashes = self._hashes(node for span in spans for node in span.nodes())
        return [join([hashes[node] for node in span.nodes()]) for span in spans]

    def _hashes(self, nodes: Iterable[Node]) -> dict[Node, bytes]:
        """Raises `ValueError` where the log lacks an entry, or an entry a hash."""
        wanted = list(nodes)
        rows = self._connection.execute(
            select(AUDIT_ENTRIES.c.sequence, AUDIT_ENTRIES.c.hashes).where(
                AUDIT_ENTRIES.c.sequence.in_([node.last for node in wanted])
            )
        )
        stored = {row.sequence: row.hashes for row in rows}
        found = {}
        for node in wanted:
            at = node.level * HASH_BYTES
            hash_ = stored.get(node.last, b"")[at : at + HASH_BYTES]
            if len(hash_) != HASH_BYTES:
                raise _lacking(node.last)
            found[node] = hash_
        return found


def _lacking(sequence: int) -> ValueError:
    return ValueError(f"audit entry {sequence} is missing, or lacks a hash of the tree")
