"""prove: hand out the proof that one entry is in the log, for whoever has nothing but the public key of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from connector.audit import checkpoints, queries
from connector.audit.checkpoints import Checkpoint
from connector.audit.nodes import StoredTree
from connector.audit.proofs import EntryProof
from connector.audit.tree import leaf_hash, verify_inclusion
from connector.errors import AuditLogInvalid, SignatureInvalid, UsageError
from connector.signing.notes import NoteVerifier, open_note

_AT_ONCE = 500
"""Entries that one query is about."""


def prove(connection: Connection, sequence: int, trusted: Sequence[NoteVerifier]) -> EntryProof:
    """The proof of an entry by its number, against the newest checkpoint.

    Raises `UsageError` where there is no such entry, or no checkpoint covers it yet, and `AuditLogInvalid` rather than
    hand out what does not verify.
    """
    body = queries.body(connection, sequence)
    if body is None:
        raise UsageError(f"there is no audit entry {sequence}", remedy="`connector audit list` shows those there are")
    newest = checkpoints.last(connection)
    if newest is None or newest.size < sequence:
        raise UsageError(
            f"no checkpoint covers audit entry {sequence} yet",
            effect="nothing was written",
            remedy="`connector run` signs one in time, and when it ends; `connector run --once` signs one at its end",
        )
    try:
        checkpoint = Checkpoint.parse(open_note(newest.note, trusted))
    except (SignatureInvalid, ValueError) as error:
        raise _unproved(sequence, str(error)) from None
    return prove_against(connection, [sequence], checkpoint, newest.note)[0]


def prove_against(
    connection: Connection, sequences: Sequence[int], checkpoint: Checkpoint, note: str
) -> list[EntryProof]:
    """The proofs that this checkpoint, and its note, cover the entries. Raises `AuditLogInvalid` where they do not."""
    batches = (sequences[begin : begin + _AT_ONCE] for begin in range(0, len(sequences), _AT_ONCE))
    return [proof for batch in batches for proof in _prove(connection, batch, checkpoint, note)]


def _prove(connection: Connection, sequences: Sequence[int], checkpoint: Checkpoint, note: str) -> Iterator[EntryProof]:
    bodies = queries.bodies(connection, sequences)
    try:
        proofs = StoredTree(connection).inclusion_proofs([one - 1 for one in sequences], size=checkpoint.size)
    except ValueError as error:
        raise _unproved(sequences[0], str(error)) from None
    for sequence, hashes in zip(sequences, proofs, strict=True):
        body = bodies.get(sequence, b"")
        if not verify_inclusion(leaf_hash(body), sequence - 1, checkpoint.size, hashes, checkpoint.root):
            raise _unproved(sequence, f"it is not in the log of {checkpoint.size} entries that was signed")
        yield EntryProof(index=sequence - 1, body=body, hashes=hashes, note=note)


def _unproved(sequence: int, why: str) -> AuditLogInvalid:
    return AuditLogInvalid(
        f"audit entry {sequence} cannot be proved: {why}",
        effect="no proof was written",
        remedy="run `connector audit verify`; where the key of [audit] was replaced, name the old one in former_keys",
    )
