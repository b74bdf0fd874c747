"""Checkpoints: signed when due, kept inside and outside, and never signed for a log that was altered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from connector.audit import checkpoints, log
from connector.audit.checkpoints import Checkpoint
from connector.audit.events import Entry, Event
from connector.audit.nodes import StoredTree
from connector.audit.sinks import CheckpointFile
from connector.audit.tree import verify_consistency
from connector.deeds import Deed
from connector.errors import AuditLogInvalid, ConfigurationError
from connector.pipeline.checkpoint import checkpoint_now, checkpoint_when_due
from connector.pipeline.wiring import CheckpointPolicy, Connector
from connector.signing.keyfiles import FileKey
from connector.signing.notes import load_note_signer, new_note_key, open_note
from connector.storage.database import Database
from tests.integration.small_office import Clock, connect

EVERY = timedelta(minutes=5)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connector(database: Database, signing_key: FileKey, clock: Clock) -> Connector:
    """A connector that calls nobody."""
    return connect("http://127.0.0.1:9", database, signing_key, clock)


@pytest.fixture
def policy(tmp_path: Path) -> CheckpointPolicy:
    new_note_key(tmp_path / "audit.key.pem")
    return CheckpointPolicy(
        signer=load_note_signer("example.com/log", tmp_path / "audit.key.pem", None),
        former=(),
        sinks=[CheckpointFile(tmp_path / "checkpoints.txt")],
        every_entries=10,
        every=EVERY,
        anchor=False,
    )


@pytest.fixture
def signing(connector: Connector, policy: CheckpointPolicy) -> Connector:
    """A connector that signs checkpoints."""
    return replace(connector, checkpoints=policy)


def write(connector: Connector, count: int) -> None:
    with connector.database.write(Deed.PREPARE) as transaction:
        entries = [Entry(event=Event.MAPPED, business_key=f"A/{number}") for number in range(count)]
        log.append(transaction, entries, actor="a", time=connector.clock(transaction))


def sizes(connector: Connector) -> tuple[list[int], list[int]]:
    """Of the checkpoints in the database, and of those outside, whose signatures verify."""
    policy = connector.checkpoints
    assert policy is not None
    with connector.database.read() as connection:
        inside = [one.size for one in checkpoints.issued_after(connection)]
    outside = [Checkpoint.parse(open_note(note, policy.trusted)) for note in policy.sinks[0].notes()]
    return inside, [one.size for one in outside]


def alter(database: Database, statement: str) -> None:
    """What an owner of the database can do."""
    with database.write(Deed.PREPARE) as transaction:
        if database.is_postgresql:
            transaction.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            triggers = (
                transaction.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            )
            for name in triggers:
                transaction.execute(text(f"DROP TRIGGER {name}"))
        transaction.execute(text(statement))


def test_nothing_is_signed_where_no_key_is_configured(connector: Connector) -> None:
    write(connector, 20)
    checkpoint_now(connector)
    checkpoint_when_due(connector)
    with connector.database.read() as connection:
        assert checkpoints.last(connection) is None


def test_checkpoint_is_signed_by_number_of_entries_by_time_and_at_the_end(signing: Connector, clock: Clock) -> None:
    checkpoint_when_due(signing)
    checkpoint_now(signing)
    assert sizes(signing) == ([], [])
    write(signing, 3)
    checkpoint_when_due(signing)  # the first one waits for nothing
    write(signing, 9)
    checkpoint_when_due(signing)
    assert sizes(signing) == ([3], [3])
    write(signing, 1)
    checkpoint_when_due(signing)
    assert sizes(signing) == ([3, 13], [3, 13])
    write(signing, 1)
    clock.pass_by(EVERY - timedelta(seconds=1))
    checkpoint_when_due(signing)
    assert sizes(signing)[0] == [3, 13]
    clock.pass_by(timedelta(seconds=1))
    checkpoint_when_due(signing)
    write(signing, 1)
    checkpoint_now(signing)
    checkpoint_now(signing)
    assert sizes(signing) == ([3, 13, 14, 15], [3, 13, 14, 15])


def test_every_checkpoint_is_consistent_with_the_one_before(signing: Connector) -> None:
    for count in (1, 5, 2, 8, 16, 1):
        write(signing, count)
        checkpoint_now(signing)
    with signing.database.read() as connection:
        issued, tree = list(checkpoints.issued_after(connection)), StoredTree(connection)
        for before, after in pairwise(issued):
            proof = tree.consistency_proof(old=before.size, new=after.size)
            assert verify_consistency(before.size, after.size, proof, before.root, after.root)
    assert [one.size for one in issued] == [1, 6, 8, 16, 32, 33]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = hashes WHERE sequence = 12",
        "DELETE FROM audit_entry WHERE sequence = 12",
        "DELETE FROM audit_entry WHERE sequence > 8",
        "UPDATE audit_entry SET hashes = body WHERE sequence = 8",
        "UPDATE audit_checkpoint SET root = note",
    ],
)
def test_nothing_is_signed_any_more_when_the_log_was_altered(signing: Connector, statement: str) -> None:
    if signing.database.is_postgresql:
        statement = statement.replace("= note", "= note::bytea")
    write(signing, 10)
    checkpoint_now(signing)
    write(signing, 10)
    alter(signing.database, statement)
    with pytest.raises(AuditLogInvalid) as raised:
        checkpoint_now(signing)
    assert "connector audit verify" in raised.value.remedy
    assert sizes(signing) == ([10], [10])
    write(signing, 1)  # everything else goes on


def test_nothing_is_signed_when_a_checkpoint_outside_knows_of_more_than_there_is(signing: Connector) -> None:
    write(signing, 10)
    checkpoint_now(signing)
    alter(signing.database, "DELETE FROM audit_checkpoint")
    alter(signing.database, "DELETE FROM audit_entry WHERE sequence > 9")
    with pytest.raises(AuditLogInvalid, match="signed for 10 entries, and there are 9"):
        checkpoint_now(signing)


def test_sink_gets_what_it_lacks_when_it_can_be_written_to_again(signing: Connector, tmp_path: Path) -> None:
    (tmp_path / "checkpoints.txt").mkdir()
    write(signing, 1)
    with pytest.raises(ConfigurationError, match="Is a directory"):
        checkpoint_now(signing)
    (tmp_path / "checkpoints.txt").rmdir()
    write(signing, 1)
    checkpoint_now(signing)
    inside, outside = sizes(signing)
    assert outside == inside
    assert inside[-1] == 2


def test_note_that_a_crash_left_incomplete_is_passed_over(signing: Connector, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    write(signing, 1)
    checkpoint_now(signing)
    whole = file.read_bytes()
    for cut in range(1, len(whole)):
        file.write_bytes(whole + whole[:cut])
        CheckpointFile(file).append([whole.decode()[:-1]])
        notes = CheckpointFile(file).notes()
        assert set(notes) == {whole.decode()[:-1]}
        assert len(notes) == 2 + (cut == len(whole) - 1)


def test_file_that_another_log_wrote_is_refused(signing: Connector, policy: CheckpointPolicy, tmp_path: Path) -> None:
    new_note_key(tmp_path / "other.key.pem")
    other = load_note_signer("example.com/log", tmp_path / "other.key.pem", None)
    policy.sinks[0].append([other.sign(Checkpoint(origin="example.com/log", size=1, root=bytes(32)).text)])
    write(signing, 1)
    with pytest.raises(AuditLogInvalid, match="does not verify"):
        checkpoint_now(signing)


def test_earlier_copy_of_the_database_is_refused_although_its_last_checkpoint_covers_all_of_it(
    signing: Connector,
) -> None:
    for _ in range(2):
        write(signing, 5)
        checkpoint_now(signing)
    alter(signing.database, "DELETE FROM audit_entry WHERE sequence > 5")
    alter(signing.database, "DELETE FROM audit_checkpoint WHERE size > 5")
    with pytest.raises(AuditLogInvalid, match="a checkpoint was signed for 10 entries, and there are 5"):
        checkpoint_now(signing)
    assert [size for size in sizes(signing)[0] if size > 5] == []


def test_checkpoint_that_the_database_has_lost_is_missed(signing: Connector) -> None:
    write(signing, 5)
    checkpoint_now(signing)
    alter(signing.database, "DELETE FROM audit_checkpoint")
    write(signing, 1)
    with pytest.raises(AuditLogInvalid, match=r"the checkpoint of 5 entries in .* is not in the database"):
        checkpoint_now(signing)
