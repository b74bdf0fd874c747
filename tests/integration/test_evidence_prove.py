"""Proofs of single entries: complete in themselves, small, and never handed out when they do not verify."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from connector.audit import checkpoints, log
from connector.audit.checkpoints import Checkpoint
from connector.audit.events import Entry, Event
from connector.audit.proofs import EntryProof
from connector.deeds import Deed
from connector.errors import AuditLogInvalid, UsageError
from connector.evidence.prove import prove, prove_against
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.wiring import CheckpointPolicy, Connector
from connector.signing.notes import load_note_signer, new_note_key, open_note
from tests.conftest import CheckEvidence
from tests.integration.test_audit_checkpoints import alter, clock, connector, policy, signing, write

__all__ = ["clock", "connector", "policy", "signing"]  # fixtures


def proof_of(signing: Connector, sequence: int) -> EntryProof:
    assert signing.checkpoints is not None
    with signing.database.read() as connection:
        return prove(connection, sequence, signing.checkpoints.trusted)


def test_every_entry_is_proved_to_an_auditor_who_has_the_key_alone(
    signing: Connector, policy: CheckpointPolicy, check_evidence: CheckEvidence, tmp_path: Path
) -> None:
    for count in (1, 6, 13, 1):
        write(signing, count)
        checkpoint_now(signing)
    write(signing, 2)
    files = []
    for sequence in range(1, 22):
        files.append(tmp_path / f"{sequence}.tlog-proof")
        files[-1].write_text(proof_of(signing, sequence).text, "utf-8")
    outside = ("--checkpoint", tmp_path / "checkpoints.txt")
    said = check_evidence("--key", policy.signer.verifier.key, *outside, *files)
    assert said.count(": good\n") == 21
    assert "entry 8 is in the log" in said
    assert '"business_key":"A/0"' in said


def test_proofs_of_many_entries_are_those_of_each(signing: Connector, policy: CheckpointPolicy) -> None:
    write(signing, 1_101)
    checkpoint_now(signing)
    wanted = [*range(1, 1_101, 2), 1_101]
    with signing.database.read() as connection:
        newest = checkpoints.last(connection)
        assert newest is not None
        checkpoint = Checkpoint.parse(open_note(newest.note, policy.trusted))
        proofs = prove_against(connection, wanted, checkpoint, newest.note)
    assert [one.index + 1 for one in proofs] == wanted
    for place in (0, 249, 499, 500, 501, 550):  # on both sides of what one query is about
        assert proofs[place] == proof_of(signing, wanted[place])


def test_proof_is_small_in_a_large_log(signing: Connector) -> None:
    with signing.database.write(Deed.PREPARE) as transaction:
        entries = [Entry(event=Event.MAPPED)] * 5_000
        log.append(transaction, entries, actor="a", time=signing.clock(transaction))
    checkpoint_now(signing)
    proof = proof_of(signing, 4_000)
    assert len(proof.hashes) == 13
    bare = replace(proof, body=b"", hashes=[]).text.encode()
    grown = replace(proof, body=b"", hashes=[bytes(32)] * 20).text.encode()  # as of 1,000,000 entries
    assert len(grown) - len(bare) <= 1000
    assert len(grown) <= 1200


def test_entry_is_not_proved_before_a_checkpoint_covers_it(signing: Connector) -> None:
    with pytest.raises(UsageError, match="there is no audit entry 1"):
        proof_of(signing, 1)
    write(signing, 2)
    with pytest.raises(UsageError, match="no checkpoint covers audit entry 1 yet") as raised:
        proof_of(signing, 1)
    assert "run --once" in raised.value.remedy
    checkpoint_now(signing)
    write(signing, 1)
    assert proof_of(signing, 2).index == 1
    with pytest.raises(UsageError, match="no checkpoint covers audit entry 3 yet"):
        proof_of(signing, 3)
    for number in (0, -1, 4, 2**62):
        with pytest.raises(UsageError, match="there is no audit entry"):
            proof_of(signing, number)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = hashes WHERE sequence = 5",
        "UPDATE audit_entry SET hashes = body WHERE sequence = 6",
        "DELETE FROM audit_entry WHERE sequence = 6",
        "UPDATE audit_checkpoint SET note = 'x'",
    ],
)
def test_proof_that_does_not_verify_is_not_handed_out(signing: Connector, statement: str) -> None:
    write(signing, 10)
    checkpoint_now(signing)
    alter(signing.database, statement)
    with pytest.raises(AuditLogInvalid, match="audit entry 5 cannot be proved"):
        proof_of(signing, 5)


def test_proof_is_not_handed_out_when_another_key_signed_the_checkpoint(
    signing: Connector, policy: CheckpointPolicy, tmp_path: Path
) -> None:
    write(signing, 1)
    checkpoint_now(signing)
    new_note_key(tmp_path / "next.key.pem")
    following = replace(policy, signer=load_note_signer("example.com/log", tmp_path / "next.key.pem", None))
    with pytest.raises(AuditLogInvalid, match="no signature of example") as raised:
        proof_of(replace(signing, checkpoints=following), 1)
    assert "former_keys" in raised.value.remedy
    known = replace(following, former=[policy.signer.verifier])
    with signing.database.read() as connection:
        newest = checkpoints.last(connection)
    assert newest is not None
    assert proof_of(replace(signing, checkpoints=known), 1).note == newest.note


def test_body_is_exactly_what_was_hashed(signing: Connector) -> None:
    write(signing, 3)
    checkpoint_now(signing)
    with signing.database.read() as connection:
        body = connection.execute(text("SELECT body FROM audit_entry WHERE sequence = 2")).scalar()
    assert body is not None
    assert proof_of(signing, 2).body == bytes(body)
