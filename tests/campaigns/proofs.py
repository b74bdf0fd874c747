"""Mutants of proofs of the audit log; none may verify, neither by the connector nor by the auditor's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from connector.audit import tree
from connector.audit.standalone import check_evidence
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.unit.rfc9162 import Hashes, PlainTree, consistency_turns, turns

_MUTANTS = 2_500
"""Of one trial, those that count; half are of inclusion, half of consistency."""
_EACH = 10
"""Mutants of one genuine proof."""
_LARGEST = 400
"""Leaves of a tree."""
_HASH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """That a leaf is at a place of a tree, and the proof."""

    leaf: bytes
    index: int
    size: int
    root: bytes
    proof: Hashes

    @property
    def shape(self) -> str:
        return turns(self.index, self.size) if 0 <= self.index < self.size else "none"

    def is_accepted_by_connector(self) -> bool:
        return tree.verify_inclusion(self.leaf, self.index, self.size, self.proof, self.root)

    def check_as_auditor(self) -> None:
        check_evidence.check_inclusion(self.leaf, self.index, self.proof, self.size, self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """That a tree begins with an older one, and the proof."""

    old: int
    size: int
    old_root: bytes
    root: bytes
    proof: Hashes

    @property
    def shape(self) -> str:
        return consistency_turns(self.old, self.size) if 0 < self.old <= self.size else "none"

    def is_accepted_by_connector(self) -> bool:
        return tree.verify_consistency(self.old, self.size, self.proof, self.old_root, self.root)

    def check_as_auditor(self) -> None:
        check_evidence.check_consistency(self.old, self.size, self.proof, self.old_root, self.root)


Statement = Inclusion | Consistency


@dataclass(slots=True, kw_only=True)
class Forger:
    """Two logs, and true and false statements about the first."""

    random: Random
    size: int
    """Leaves of each."""
    log: PlainTree = field(init=False)
    other: PlainTree = field(init=False)

    def __post_init__(self) -> None:
        self.log, self.other = (PlainTree([self.fresh() for _ in range(self.size)]) for _ in range(2))

    def fresh(self) -> bytes:
        return self.random.randbytes(_HASH)

    def inclusion(self) -> Inclusion:
        """A true one."""
        size = self.random.randint(1, self.size)
        return self.inclusion_of(self.random.randrange(size), size)

    def inclusion_of(self, index: int, size: int) -> Inclusion:
        leaf, root = self.log.mth(index, index + 1), self.log.mth(0, size)
        return Inclusion(leaf=leaf, index=index, size=size, root=root, proof=self.log.path(index, 0, size))

    def consistency(self) -> Consistency:
        """A true one."""
        size = self.random.randint(2, self.size)
        return self.consistency_of(self.random.randint(1, size), size)

    def consistency_of(self, old: int, size: int) -> Consistency:
        roots = {"old_root": self.log.mth(0, old), "root": self.log.mth(0, size)}
        return Consistency(old=old, size=size, proof=self.log.proof(old, size), **roots)

    def forged_inclusion(self, one: Inclusion) -> tuple[str, Inclusion]:
        """A mutant, and what was done."""
        random = self.random
        place, size = random.randrange(self.size), random.randint(1, self.size)
        another = self.inclusion_of(random.randrange(one.size), one.size)
        return random.choice(
            [
                ("leaf flipped", replace(one, leaf=self.flipped(one.leaf))),
                ("another leaf", replace(one, leaf=another.leaf)),
                ("leaf of another log", replace(one, leaf=self.other.mth(one.index, one.index + 1))),
                ("another index", replace(one, index=random.randint(-1, one.size + 1))),
                ("leaf and index of another", replace(one, leaf=another.leaf, index=another.index)),
                ("proof of another", replace(one, proof=another.proof)),
                ("index and proof of another", replace(one, index=another.index, proof=another.proof)),
                ("another size", replace(one, size=random.randint(0, 2 * self.size))),
                ("size and root of another", replace(one, size=size, root=self.log.mth(0, size))),
                ("another place", replace(one, index=place)),
                ("root", replace(one, root=self.spoilt_root(one.root, one.size))),
                ("proof", replace(one, proof=self.spoilt(one.proof))),
                ("proof", replace(one, proof=self.spoilt(one.proof))),
            ]
        )

    def forged_consistency(self, one: Consistency) -> tuple[str, Consistency]:
        """A mutant, and what was done."""
        random = self.random
        another = self.consistency_of(random.randint(1, one.size), one.size)
        size = random.randint(1, self.size)
        return random.choice(
            [
                ("another old size", replace(one, old=random.randint(0, one.size + 1))),
                ("old size and root of another", replace(one, old=another.old, old_root=another.old_root)),
                ("proof of another", replace(one, proof=another.proof)),
                ("old size and proof of another", replace(one, old=another.old, proof=another.proof)),
                ("another size", replace(one, size=random.randint(0, 2 * self.size))),
                ("size and root of another", replace(one, size=size, root=self.log.mth(0, size))),
                ("old root", replace(one, old_root=self.spoilt_root(one.old_root, one.old))),
                ("root", replace(one, root=self.spoilt_root(one.root, one.size))),
                ("proof", replace(one, proof=self.spoilt(one.proof))),
                ("proof", replace(one, proof=self.spoilt(one.proof))),
            ]
        )

    def flipped(self, data: bytes) -> bytes:
        """One bit of it is another."""
        return (int.from_bytes(data) ^ 1 << self.random.randrange(8 * len(data))).to_bytes(len(data))

    def spoilt_root(self, root: bytes, size: int) -> bytes:
        """Another root: one bit of it is another, or it is of another size or log."""
        another = self.log.mth(0, self.random.randint(0, self.size))
        return self.random.choice([self.flipped(root), another, self.other.mth(0, size), self.fresh()])

    def spoilt(self, proof: Sequence[bytes]) -> Hashes:
        """Another proof: a hash altered, added, dropped or moved, or the end cut off."""
        hashes, random = list(proof), self.random
        at = random.randrange(len(hashes)) if hashes else 0
        kinds = ["add", "append", "double"] + ["flip", "drop", "swap", "cut", "replace"] * bool(hashes)
        match random.choice(kinds):
            case "add":
                hashes.insert(random.choice([0, at]), self.fresh())
            case "append":
                hashes.append(self.fresh())
            case "double":
                hashes[at:at] = hashes[at : at + 1] or [self.fresh()]
            case "flip":
                hashes[at] = self.flipped(hashes[at])
            case "drop":
                del hashes[at]
            case "swap":
                to = random.randrange(len(hashes))
                hashes[at], hashes[to] = hashes[to], hashes[at]
            case "cut":
                del hashes[at:]
            case "replace":
                hashes[at] = self.other.mth(at, at + 1)
        return tuple(hashes)


def says_the_same(mutant: Statement, genuine: Statement) -> bool:
    """Whether no proof can tell them apart.

    Two sizes may lead the same way to a place, e.g. 3 and 4 to the first: there a root alone tells the size, and the
    root stands beside it in the signed checkpoint.
    """
    return replace(mutant, size=genuine.size) == genuine and mutant.shape == genuine.shape


@dataclass(slots=True, kw_only=True)
class Examiner:
    """Has statements checked by both, and remembers what it came to."""

    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def genuine(self, one: Statement) -> None:
        """A true statement must be accepted by both."""
        self.figures["genuine"] += 1
        for who in accepted_by(one, expected={"the connector", "the auditor's file"}):
            self.figures["refused"] += 1
            self.violations.append(f"{who} refuses what is true: {one}")

    def mutant(self, kind: str, mutant: Statement, genuine: Statement) -> None:
        """A false one that counts must be accepted by none."""
        if says_the_same(mutant, genuine):
            self.figures["mutants that do not count"] += 1
            return
        name = type(genuine).__name__.lower()
        self.figures["mutants"] += 1
        self.figures[f"{name}: {kind}"] += 1
        for who in accepted_by(mutant, expected=set()):
            self.figures["accepted"] += 1
            self.violations.append(f"{who} accepts a mutant of {name} ({kind}): {mutant}, of {genuine}")


def accepted_by(one: Statement, *, expected: set[str]) -> set[str]:
    """Whose answer is not the expected one; who is expected to accept is named."""
    accepting = {"the connector"} if one.is_accepted_by_connector() else set()
    try:
        one.check_as_auditor()
        accepting.add("the auditor's file")
    except check_evidence.Fault:
        pass
    return accepting ^ expected


def run(trial: Trial) -> Outcome:
    """One trial: two new logs, true statements about one, and mutants of each."""
    random = Random(trial.seed)
    forger = Forger(random=random, size=random.randint(2, _LARGEST))
    examiner = Examiner()
    examiner.figures.update(dict.fromkeys(("mutants", "genuine", "accepted", "refused"), 0))
    while examiner.figures["mutants"] < _MUTANTS:
        inclusion, consistency = forger.inclusion(), forger.consistency()
        examiner.genuine(inclusion)
        examiner.genuine(consistency)
        for _ in range(_EACH // 2):
            examiner.mutant(*forger.forged_inclusion(inclusion), inclusion)
            examiner.mutant(*forger.forged_consistency(consistency), consistency)
    return Outcome(figures=examiner.figures, violations=tuple(examiner.violations))


CAMPAIGN = Campaign(
    name="proofs",
    proves="no mutant of a proof of the log verifies, by the connector or by the auditor's file, and all genuine do",
    run=run,
    full=200,
    small=1,
    demands={"mutants": 100_000, "genuine": 10_000},
    plants=(
        # Only the newer root is looked at, so whatever is said about the older one is believed.
        Plant(
            name="believes-old-root",
            file="audit/tree.py",
            old="return second == 0 and reached_old == old_root and reached_new == new_root",
            new="return second == 0 and reached_new == new_root",
        ),
        # Hashes that are left over at the leaf are passed over.
        Plant(
            name="ignores-surplus",
            file="audit/standalone/check_evidence.py",
            old="""        if proof:
            raise Fault("the proof is too long")
        return leaf
""",
            new="        return leaf\n",
        ),
    ),
)
