"""The stored tree, held against itself: each hash against the two that it stands over.

Once a hash is wrong, comparing with the tree of the bodies would tell of every later subtree that holds the entry. So
each is compared with what is stored below it, and the fault is told where it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from connector.audit.tree import HASH_BYTES, node_hash, subtrees_completed_by


class Damage(Enum):
    """What is wrong with the hashes of an entry."""

    NONE = auto()
    LEAF = auto()
    """The hash of the body."""
    ABOVE = auto()
    """The hash of a subtree, or their number."""


class Above:
    """The complete subtrees as stored; None stands for one that cannot be known."""

    def __init__(self, size: int, hashes: Iterable[bytes | None]) -> None:
        self._size = size
        self._hashes = list(hashes)

    @classmethod
    def unknown(cls, size: int) -> Above:
        """After entries that are missing."""
        return cls(size, [None] * size.bit_count())

    def add(self, leaf: bytes, stored: bytes) -> Damage:
        """Take the next entry: the hash of its body, and the hashes stored with it."""
        self._size += 1
        levels = subtrees_completed_by(self._size)
        told = [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]
        damage = Damage.NONE if told[:1] == [leaf] else Damage.LEAF
        reached: bytes | None = told[0] if len(stored) >= HASH_BYTES else None
        for level in range(1, levels + 1):
            left = self._hashes.pop()
            known = node_hash(left, reached) if left is not None and reached is not None else None
            here = told[level] if level < len(told) else None
            if damage is Damage.NONE and known not in {here, None}:
                damage = Damage.ABOVE
            reached = known if known is not None else here
        if damage is Damage.NONE and len(stored) != (levels + 1) * HASH_BYTES:
            damage = Damage.ABOVE
        self._hashes.append(reached)
        return damage
