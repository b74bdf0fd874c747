"""What verification can find: the classes, and a list that stays short whatever was done to the log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

_SHOWN = 20
"""Findings that are told one by one; the others are counted."""


class Fault(StrEnum):
    """What is wrong. Of an entry, the gravest is told; of checkpoints that the log contradicts, the first."""

    ALTERED_BODY = "altered_body"
    """The body is not what its hash says, and a checkpoint says so too."""
    ALTERED_HASH = "altered_hash"
    """A stored hash is not that of the body or of the subtree, and the body is right."""
    HASH_MISMATCH = "hash_mismatch"
    """Body and hash differ, and no checkpoint says which of them was altered."""
    ALTERED_COLUMN = "altered_column"
    """A column for queries says something else than the body."""
    NOT_CANONICAL = "not_canonical"
    """The hash is right, and the body is no entry as this program writes it."""
    ACTOR_ALTERED = "actor_altered"
    """The table of actors says something else than the body, than its own digest, or what no entry says."""
    MISSING_ENTRY = "missing_entry"
    """There are later entries, but not this one."""
    EXTRA_ENTRY = "extra_entry"
    """An entry with a number that no entry has: they count from 1."""
    DUPLICATE_ENTRY = "duplicate_entry"
    """The body of another entry, which is there as well."""
    SWAPPED_ENTRIES = "swapped_entries"
    """Two entries that each have the body of the other."""
    MISNUMBERED_ENTRY = "misnumbered_entry"
    """The body says that it has another number."""
    LOG_CUT = "log_cut"
    """A checkpoint was signed for more entries than there are."""
    RESTAMPED = "restamped"
    """The entries agree with their hashes, and contradict a checkpoint: the hashes were made anew after a change."""
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    """A checkpoint contradicts the log, as what was found in its entries explains, or another checkpoint."""
    CHECKPOINT_ALTERED = "checkpoint_altered"
    """Size or root beside a checkpoint in the database are not those that were signed."""
    CHECKPOINT_FORGED = "checkpoint_forged"
    """A checkpoint that names our key, and whose signature or form is wrong."""
    CHECKPOINT_MISSING = "checkpoint_missing"
    """A checkpoint that was issued is not in the database any more, or not in the file although a later one is."""
    FOREIGN_CHECKPOINT = "foreign_checkpoint"
    """A checkpoint of another log, or by a key that is not trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    fault: Fault
    entry: int | None = None
    """The first entry that is bad by it; None where it is about a checkpoint alone."""
    text: str


@dataclass(slots=True)
class Findings:
    """The first findings, and how many there are in all."""

    count: int = 0
    first_bad_entry: int | None = None
    shown: list[Finding] = field(default_factory=list)

    def add(self, fault: Fault, text: str, *, entry: int | None = None) -> None:
        """One more."""
        self.count += 1
        if entry is not None and (self.first_bad_entry is None or entry < self.first_bad_entry):
            self.first_bad_entry = entry
        if len(self.shown) < _SHOWN:
            self.shown.append(Finding(fault=fault, entry=entry, text=text))

    def settle(self, fault: Fault) -> None:
        """A checkpoint tells what every `Fault.HASH_MISMATCH` so far is."""
        is_open = Fault.HASH_MISMATCH
        self.shown = [replace(one, fault=fault) if one.fault is is_open else one for one in self.shown]
