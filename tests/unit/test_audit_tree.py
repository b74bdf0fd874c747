"""The Merkle tree, held against the known roots of RFC 6962's test data and against its definition."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from connector.audit import tree
from connector.audit.tree import Frontier, Span, leaf_hash

INPUTS = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the first so many inputs; test data of https://github.com/google/certificate-transparency (RFC 6962)."""
MOST = 512
LEAVES = [leaf_hash(str(number).encode()) for number in range(MOST)]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word by word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01", plain_root(leaves[:k]), plain_root(leaves[k:]))


def grown(leaves: Sequence[bytes]) -> Frontier:
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier


def proof_of(spans: Sequence[Span]) -> list[bytes]:
    return [plain_root(LEAVES[span.begin : span.end]) for span in spans]


def test_roots_are_those_of_the_published_test_data() -> None:
    frontier = Frontier()
    assert frontier.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for data, root in zip(INPUTS, ROOTS, strict=True):
        frontier.add(leaf_hash(data))
        assert frontier.root().hex() == root


def test_root_is_that_of_the_definition_at_every_size() -> None:
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES):
        assert frontier.root() == plain_root(LEAVES[:size])
        made = frontier.add(leaf)
        assert len(made) == 1 + tree.subtrees_completed_by(size + 1)
        for level, one in enumerate(made):
            assert one == plain_root(LEAVES[size + 1 - (1 << level) : size + 1])


def test_nodes_of_a_span_are_its_complete_subtrees() -> None:
    for size in range(1, 130):
        nodes = Span(0, size).nodes()
        assert [node.last for node in nodes] == sorted({node.last for node in nodes})
        assert sum(1 << node.level for node in nodes) == size
        assert tree.join([plain_root(LEAVES[node.last - (1 << node.level) : node.last]) for node in nodes]) == (
            plain_root(LEAVES[:size])
        )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 100, 511, 512])
def test_inclusion_is_proved_for_every_leaf(size: int) -> None:
    root = plain_root(LEAVES[:size])
    for index in range(size):
        proof = proof_of(tree.inclusion_spans(index, size))
        assert tree.verify_inclusion(LEAVES[index], index, size, proof, root)
        assert not tree.verify_inclusion(LEAVES[index - 1], index, size, proof, root) or size == 1


def test_places_that_are_not_there_are_refused() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(ValueError, match="has no leaf"):
            tree.inclusion_spans(index, size)
        assert not tree.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    for old, new in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="does not begin"):
            tree.consistency_spans(old, new)
        assert not tree.verify_consistency(old, new, [], LEAVES[0], LEAVES[0])
