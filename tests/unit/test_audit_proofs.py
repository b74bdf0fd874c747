"""Every proof of every tree up to 512 leaves, by the program and by the auditor's file, held against RFC 9162."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from connector.audit import tree
from connector.audit.standalone import check_evidence
from connector.audit.tree import EMPTY_ROOT, Span, leaf_hash
from tests.unit.rfc9162 import PlainTree
from tests.unit.test_audit_tree import INPUTS, ROOTS

MOST = 512
PLAIN = PlainTree([leaf_hash(str(number).encode()) for number in range(MOST)])
PUBLISHED = PlainTree([leaf_hash(data) for data in INPUTS])

# Hashes of subtrees of the published tree: test data of https://github.com/google/certificate-transparency.
LEAF_0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEAF_6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
NODE_01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
NODE_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_03 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
NODE_47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSIONS = [
    (0, 1, []),
    (0, 8, [LEAF_1, NODE_23, NODE_47]),
    (5, 8, [LEAF_4, NODE_67, NODE_03]),
    (2, 3, [NODE_01]),
    (1, 5, [LEAF_0, NODE_23, LEAF_4]),
]
CONSISTENCIES = [
    (1, 1, []),
    (1, 8, [LEAF_1, NODE_23, NODE_47]),
    (6, 8, [NODE_45, NODE_67, NODE_03]),
    (2, 5, [NODE_23, LEAF_4]),
    (6, 7, [NODE_45, LEAF_6, NODE_03]),
]


def roots_of(spans: Sequence[Span], plain: PlainTree) -> list[bytes]:
    return [plain.mth(span.begin, span.end) for span in spans]


def accepts(check: Callable[..., None], *arguments: object) -> bool:
    """Whether the auditor's file has nothing to say against it."""
    try:
        check(*arguments)
    except check_evidence.Fault:
        return False
    return True


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSIONS)
def test_inclusion_proof_is_that_of_the_published_test_data(index: int, size: int, proof: list[str]) -> None:
    given = [bytes.fromhex(one) for one in proof]
    leaf, root = leaf_hash(INPUTS[index]), bytes.fromhex(ROOTS[size - 1])
    assert roots_of(tree.inclusion_spans(index, size), PUBLISHED) == given
    assert tree.verify_inclusion(leaf, index, size, given, root)
    check_evidence.check_inclusion(check_evidence.leaf_hash(INPUTS[index]), index, given, size, root)


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCIES)
def test_consistency_proof_is_that_of_the_published_test_data(old: int, new: int, proof: list[str]) -> None:
    given = [bytes.fromhex(one) for one in proof]
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert roots_of(tree.consistency_spans(old, new), PUBLISHED) == given
    assert tree.verify_consistency(old, new, given, *roots)
    check_evidence.check_consistency(old, new, given, *roots)


def test_inclusion_is_proved_for_every_leaf_of_every_tree() -> None:
    for size in range(1, MOST + 1):
        root = PLAIN.mth(0, size)
        for index in range(size):
            proof, leaf = PLAIN.path(index, 0, size), PLAIN.mth(index, index + 1)
            assert tuple(roots_of(tree.inclusion_spans(index, size), PLAIN)) == proof
            assert tree.verify_inclusion(leaf, index, size, proof, root)
            check_evidence.check_inclusion(leaf, index, proof, size, root)


def test_consistency_is_proved_for_every_two_trees() -> None:
    for new in range(MOST + 1):
        new_root = PLAIN.mth(0, new)
        for old in range(new + 1):
            proof, old_root = PLAIN.proof(old, new), PLAIN.mth(0, old)
            assert tuple(roots_of(tree.consistency_spans(old, new), PLAIN)) == proof
            assert tree.verify_consistency(old, new, proof, old_root, new_root)
            if old:  # no checkpoint is signed for an empty log
                check_evidence.check_consistency(old, new, proof, old_root, new_root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_nothing_else_is_accepted_of_a_small_tree(size: int) -> None:
    """Every leaf at every place with every proof of that tree: only what belongs together verifies."""
    root, places = PLAIN.mth(0, size), range(size)
    for index in places:
        for other in places:
            for proof in {PLAIN.path(one, 0, size) for one in places}:
                leaf = PLAIN.mth(other, other + 1)
                is_true = index == other and proof == PLAIN.path(index, 0, size)
                assert tree.verify_inclusion(leaf, index, size, proof, root) == is_true
                assert accepts(check_evidence.check_inclusion, leaf, index, proof, size, root) == is_true


def test_places_and_sizes_that_cannot_be_are_refused() -> None:
    leaf = PLAIN.mth(0, 1)
    for index, size in ((-1, 3), (3, 3), (0, 0), (1, 1)):
        assert not tree.verify_inclusion(leaf, index, size, [], leaf)
        assert not accepts(check_evidence.check_inclusion, leaf, index, [], size, leaf)
    for old, new in ((-1, 3), (4, 3), (2, 1)):
        assert not tree.verify_consistency(old, new, [], leaf, leaf)
        assert not accepts(check_evidence.check_consistency, old, new, [], leaf, leaf)
    assert not tree.verify_consistency(0, 3, [], leaf, leaf)
    assert tree.verify_consistency(0, 3, [], EMPTY_ROOT, leaf)
    assert not tree.verify_consistency(3, 3, [leaf], leaf, leaf)
    assert not accepts(check_evidence.check_consistency, 3, 3, [leaf], leaf, leaf)
