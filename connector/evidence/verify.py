"""verify: the whole log, held against itself and against every checkpoint ever issued.

Checkpoints come from the database, from the sinks, and from whoever kept one elsewhere. Those whose signature verifies
say what the root was; the others are findings themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connector.audit.checkpoints import Checkpoint
from connector.audit.findings import Fault, Finding, Findings
from connector.audit.sinks import CheckpointSink
from connector.audit.stored import checkpoint_rows
from connector.audit.verification import verify_entries
from connector.errors import SignatureInvalid
from connector.signing.notes import NoteVerifier, keys_named_in
from connector.storage.database import Database

CANNOT_SHOW = (
    "Without a checkpoint from outside it cannot show that entries after the last checkpoint were cut off, or that "
    "database and checkpoint file were both set back to an earlier copy"
)
"""What no look at the log alone can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What verification came to."""

    entries: int
    checkpoints: int
    """Of the database, with a signature that verifies."""
    from_outside: int
    """Handed over for this verification, likewise."""
    uncovered: int
    """Entries after the last checkpoint that the log agrees with."""
    not_outside_yet: int
    """Checkpoints of the database that a sink has yet to get."""
    unverifiable: int
    """Checkpoints of the database that there is no key for."""
    first_bad_entry: int | None
    faults: int
    findings: Sequence[Finding]
    """The first of the faults."""


def verify_log(
    database: Database,
    *,
    trusted: Sequence[NoteVerifier],
    sinks: Sequence[CheckpointSink],
    outside: Sequence[str] = (),
) -> Report:
    """Verify everything. trusted: keys that signed checkpoints of this log; outside: notes that were kept elsewhere."""
    kept = {sink.name: sink.notes() for sink in sinks}  # first: what is signed meanwhile is in the database before
    with database.read() as connection:
        return verify(connection, trusted=trusted, kept=kept, outside=outside)


def verify(
    connection: Connection,
    *,
    trusted: Sequence[NoteVerifier],
    kept: Mapping[str, Sequence[str]],
    outside: Sequence[str] = (),
) -> Report:
    """Verify through a connection; kept: the notes of each sink."""
    notes = _Notes(trusted=trusted)
    unverifiable = 0 if trusted else len(checkpoint_rows(connection))
    inside = list(notes.of_database(connection)) if trusted else []
    not_outside_yet = 0
    for place, found in kept.items() if trusted else ():
        not_outside_yet += notes.compare(inside, list(notes.opened(found, f"in {place}")), place)
    handed_over = list(notes.opened(outside, "from outside"))
    notes.require(handed_over, inside, "that was handed over from outside")
    findings = Findings()
    verified = verify_entries(connection, notes.roots, findings)
    return Report(
        entries=verified.entries,
        checkpoints=len(inside),
        from_outside=len(handed_over),
        uncovered=verified.entries - verified.covered,
        not_outside_yet=not_outside_yet,
        unverifiable=unverifiable,
        first_bad_entry=findings.first_bad_entry,
        faults=findings.count + notes.findings.count,
        findings=[*findings.shown, *notes.findings.shown],
    )


@dataclass(slots=True, kw_only=True)
class _Notes:
    """Opens notes, and remembers what they say and what is wrong with them."""

    trusted: Sequence[NoteVerifier]
    findings: Findings = field(default_factory=Findings)
    roots: dict[int, set[bytes]] = field(default_factory=dict)

    def of_database(self, connection: Connection) -> Iterable[Checkpoint]:
        """Those whose signature verifies."""
        for row in checkpoint_rows(connection):
            for checkpoint in self.opened([str(row.note)], f"of {row.size} entries in the database"):
                if (row.size, row.root) != (checkpoint.size, checkpoint.root):
                    text = f"the row of {row.size} entries in the database is not what its note says"
                    self.findings.add(Fault.CHECKPOINT_ALTERED, text)
                yield checkpoint

    def opened(self, notes: Iterable[str], place: str) -> Iterable[Checkpoint]:
        """Those whose signature verifies."""
        for note in notes:
            checkpoint = self._open(note, place)
            if checkpoint is not None:
                self.roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
                yield checkpoint

    def compare(self, inside: Sequence[Checkpoint], kept: Sequence[Checkpoint], place: str) -> int:
        """Find what database or sink has lost; how many checkpoints the sink has yet to get."""
        at_hand = set(kept)
        self.require(kept, inside, f"that stands in {place}")
        newest = max((one.size for one in kept), default=-1)
        missing = [one for one in inside if one not in at_hand]
        for one in missing:
            if one.size < newest:
                self.findings.add(
                    Fault.CHECKPOINT_MISSING, f"the checkpoint of {one.size} entries is not in {place}, later ones are"
                )
        return sum(one.size > newest for one in missing)

    def require(self, wanted: Sequence[Checkpoint], inside: Sequence[Checkpoint], which: str) -> None:
        """Find what the database has lost."""
        at_hand = set(inside)
        for one in wanted:
            if one not in at_hand:
                text = f"the checkpoint of {one.size} entries {which} is not in the database"
                self.findings.add(Fault.CHECKPOINT_MISSING, text)

    def _open(self, note: str, place: str) -> Checkpoint | None:
        for verifier in self.trusted:
            try:
                checkpoint = Checkpoint.parse(verifier.open(note))
            except SignatureInvalid:
                continue
            except ValueError as error:
                self.findings.add(Fault.CHECKPOINT_FORGED, f"the checkpoint {place}: {error}")
                return None
            if checkpoint.origin != verifier.name:
                self.findings.add(Fault.FOREIGN_CHECKPOINT, f"the checkpoint {place} is of {checkpoint.origin}")
                return None
            return checkpoint
        named, ours = keys_named_in(note), {(one.name, one.identity) for one in self.trusted}
        if named and ours.isdisjoint(named):
            names = ", ".join(f"{name} ({identity.hex()})" for name, identity in named)
            self.findings.add(Fault.FOREIGN_CHECKPOINT, f"the checkpoint {place} is signed with {names}, not trusted")
        else:
            self.findings.add(Fault.CHECKPOINT_FORGED, f"the checkpoint {place}: its signature does not verify")
        return None
