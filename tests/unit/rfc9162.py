"""Roots and proofs word by word as RFC 9162 defines them, sharing nothing with the program.

A range of leaves is D[begin:end]; what was computed of it is remembered, which is all that keeps this fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

Hashes = tuple[bytes, ...]


class PlainTree:
    """The tree over a list of leaf hashes, at any size up to all of them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self.mth = cache(self._mth)
        self.path = cache(self._path)
        self.subproof = cache(self._subproof)

    def _mth(self, begin: int, end: int) -> bytes:
        """MTH(D[begin:end]), 2.1.1."""
        n = end - begin
        if n == 0:
            return hashlib.sha256().digest()
        if n == 1:
            return self._leaves[begin]
        middle = begin + largest_power_below(n)
        return hashlib.sha256(b"\x01" + self.mth(begin, middle) + self.mth(middle, end)).digest()

    def _path(self, m: int, begin: int, end: int) -> Hashes:
        """PATH(m, D[begin:end]), 2.1.3.1."""
        n = end - begin
        if n == 1:
            return ()
        k = largest_power_below(n)
        if m < k:
            return (*self.path(m, begin, begin + k), self.mth(begin + k, end))
        return (*self.path(m - k, begin + k, end), self.mth(begin, begin + k))

    def proof(self, m: int, n: int) -> Hashes:
        """PROOF(m, D_n), 2.1.4.1; empty where m is 0, which the RFC leaves out."""
        return self.subproof(m, 0, n, "true") if m else ()

    def _subproof(self, m: int, begin: int, end: int, b: str) -> Hashes:
        """SUBPROOF(m, D[begin:end], b), 2.1.4.1."""
        n = end - begin
        if m == n:
            return () if b == "true" else (self.mth(begin, end),)
        k = largest_power_below(n)
        if m <= k:
            return (*self.subproof(m, begin, begin + k, b), self.mth(begin + k, end))
        return (*self.subproof(m - k, begin + k, end, "false"), self.mth(begin, begin + k))


def largest_power_below(n: int) -> int:
    """The largest power of two smaller than n (k < n <= 2k)."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def turns(m: int, n: int) -> str:
    """Which way from the root leads to leaf m of n: proofs of two places with the same turns are worked out alike."""
    if n == 1:
        return ""
    k = largest_power_below(n)
    return "l" + turns(m, k) if m < k else "r" + turns(m - k, n - k)


def consistency_turns(m: int, n: int) -> str:
    """The same for the proof that n leaves begin with m; it ends with whether the root of m leaves is in it."""
    found = ""
    while m != n:
        k = largest_power_below(n)
        if m <= k:
            found, n = found + "l", k
        else:
            found, m, n = found + "r", m - k, n - k
    return found
