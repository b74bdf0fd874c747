"""The Merkle tree of RFC 9162 over a list of leaves: how hashes, roots and proofs are made and checked.

https://www.rfc-editor.org/rfc/rfc9162#section-2.1. No input or output happens here. Leaves count from 0. A tree of any
size is a row of complete subtrees, the largest first; a `Node` is one such subtree, a `Span` any run of leaves, and a
proof is the roots of a few spans, which `inclusion_spans` and `consistency_spans` name::

    frontier = Frontier()
    frontier.add(leaf_hash(b"first"))       # the leaf's hash, then those of the subtrees that it completes
    frontier.root()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree: the leaves from ``place << level`` on, ``1 << level`` of them."""

    level: int
    place: int

    @property
    def last(self) -> int:
        """How many leaves there are up to its end; the one that completes it has this number, counted from 1."""
        return (self.place + 1) << self.level


class Span(NamedTuple):
    """The leaves from ``begin`` to before ``end``, of a kind that RFC 9162 splits a tree into."""

    begin: int
    end: int

    def nodes(self) -> list[Node]:
        """The complete subtrees it consists of, from left to right."""
        found, begin = [], self.begin
        while begin < self.end:
            level = (self.end - begin).bit_length() - 1
            found.append(Node(level, begin >> level))
            begin += 1 << level
        return found


def leaf_hash(body: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def join(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not hashes:
        return EMPTY_ROOT
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes[:-1]), hashes[-1])


@dataclass(slots=True)
class Frontier:
    """The complete subtrees that a tree consists of: all that it takes to add leaves to it."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)
    """Largest first."""

    def add(self, leaf: bytes) -> list[bytes]:
        """Add the hash of a leaf; that hash, and those of the subtrees that it completes, the smallest first."""
        made = [leaf]
        self.size += 1
        rest = self.size
        while not rest & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            made.append(leaf)
            rest >>= 1
        self.hashes.append(leaf)
        return made

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return join(self.hashes)


def subtrees_completed_by(number: int) -> int:
    """How many subtrees of more than one leaf are complete with the leaf of this number, counted from 1."""
    return (number & -number).bit_length() - 1


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose roots prove that a leaf is in a tree, from the leaf upwards (RFC 9162, 2.1.3.1).

    Raises `ValueError` unless ``0 <= index < size``.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    spans, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The spans whose roots prove that a tree begins with an older one (RFC 9162, 2.1.4.1).

    Empty where there is nothing to prove: the older one is empty, or the same. Raises `ValueError` unless
    ``0 <= old <= new``.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not begin with one of {old}")
    if old in {0, new}:
        return []
    spans, begin, end, is_whole = [], 0, new, True
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin, is_whole = middle, False
    if not is_whole:  # the verifier knows the root of the whole older tree
        spans.append(Span(begin, end))
    return spans[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that a leaf of this hash is in the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, second, reached = index, size - 1, leaf
    for one in proof:
        if second == 0:
            return False
        if first & 1 or first == second:
            reached = node_hash(one, reached)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            reached = node_hash(reached, one)
        first, second = first >> 1, second >> 1
    return second == 0 and reached == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the proof shows that the newer tree begins with the older one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    reached_old = reached_new = path[0]
    for one in path[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            reached_old, reached_new = node_hash(one, reached_old), node_hash(one, reached_new)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            reached_new = node_hash(reached_new, one)
        first, second = first >> 1, second >> 1
    return second == 0 and reached_old == old_root and reached_new == new_root


def _split(count: int) -> int:
    """The largest power of two below a number of leaves that is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
