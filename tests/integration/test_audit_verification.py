"""The whole log verified: nothing is found in a good one, and each kind of damage for what it is. The campaign `tamper`
has the random edits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from connector.audit import checkpoints, log
from connector.audit.checkpoints import Checkpoint, Issued
from connector.audit.events import Entry, Event
from connector.audit.findings import Fault, Finding
from connector.audit.nodes import StoredTree
from connector.audit.sinks import CheckpointFile
from connector.deeds import Deed
from connector.evidence.verify import Report, verify_log
from connector.signing.notes import NoteSigner, load_note_signer, new_note_key
from connector.storage.audit import ACTORS, AUDIT_CHECKPOINTS, AUDIT_ENTRIES
from connector.storage.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ODD = Entry(
    event=Event.RECEIPT_TAKEN,
    source_key='returns/"quoted\\"',
    business_key="A/空 格\u3000\x7f",
    detail={
        "info": "放行\x00\x1f\n\u2028\ud83d",
        "code": 800,
        "nested": {"b": [1, 2.5, 1e300, None, True], "a": {}},
        "big": 2**70,
    },
)


@pytest.fixture
def signer(tmp_path: Path) -> NoteSigner:
    new_note_key(tmp_path / "audit.key.pem")
    return load_note_signer("example.com/log", tmp_path / "audit.key.pem", None)


@pytest.fixture
def sink(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "checkpoints.txt")


@pytest.fixture
def signed(database: Database, signer: NoteSigner, sink: CheckpointFile) -> Database:
    """A log of 45 entries with checkpoints at 10, 20, 30 and 40."""
    for _ in range(4):
        write(database, 10)
        with database.write(Deed.CHECKPOINT) as transaction:
            tree = StoredTree(transaction)
            checkpoint = Checkpoint(origin=signer.name, size=tree.size, root=tree.root(tree.size))
            note = signer.sign(checkpoint.text)
            checkpoints.store(transaction, Issued(size=tree.size, root=checkpoint.root, note=note, signed_at=NOW))
        sink.append([note])
    write(database, 5)
    return database


def write(database: Database, count: int) -> None:
    with database.write(Deed.PREPARE) as transaction:
        entries = [Entry(event=Event.MAPPED, business_key=f"A/{number}") for number in range(count)]
        log.append(transaction, entries, actor="a", time=NOW)


def as_owner(database: Database, *statements: object) -> None:
    """What an owner of the database can do."""
    with database.write(Deed.PREPARE) as transaction:
        if database.is_postgresql:
            transaction.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            _drop_triggers(transaction)
        for statement in statements:
            transaction.execute(statement)  # type: ignore[call-overload]


def _drop_triggers(transaction: Connection) -> None:
    for name in transaction.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
        transaction.execute(text(f"DROP TRIGGER {name}"))


def verified(database: Database, signer: NoteSigner, sink: CheckpointFile, *outside: str) -> Report:
    return verify_log(database, trusted=[signer.verifier], sinks=[sink], outside=outside)


def found(report: Report) -> list[tuple[Fault, int | None]]:
    return [(one.fault, one.entry) for one in report.findings]


def test_nothing_is_found_in_a_log_that_nobody_touched(
    signed: Database, signer: NoteSigner, sink: CheckpointFile
) -> None:
    report = verified(signed, signer, sink, *sink.notes()[:2])
    assert report == Report(
        entries=45,
        checkpoints=4,
        from_outside=2,
        uncovered=5,
        not_outside_yet=0,
        unverifiable=0,
        first_bad_entry=None,
        faults=0,
        findings=[],
    )


def test_nothing_is_found_whatever_entries_say(database: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    with database.write(Deed.PREPARE) as transaction:
        log.append(transaction, [ODD], actor='wang "芳"\n', time=NOW.replace(microsecond=1))
        log.append(transaction, [ODD], actor="connector", time=NOW)
    assert verified(database, signer, sink).findings == []


def test_empty_log_verifies(database: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    report = verified(database, signer, sink)
    assert (report.entries, report.uncovered, report.faults) == (0, 0, 0)


def test_checkpoints_are_only_counted_where_no_key_is_trusted(signed: Database, sink: CheckpointFile) -> None:
    report = verify_log(signed, trusted=[], sinks=[sink])
    assert (report.checkpoints, report.unverifiable, report.uncovered, report.faults) == (0, 4, 45, 0)


def test_checkpoint_that_the_file_lacks_is_no_fault_until_it_has_a_later_one(
    signed: Database, signer: NoteSigner, sink: CheckpointFile, tmp_path: Path
) -> None:
    shorter = CheckpointFile(tmp_path / "shorter.txt")
    shorter.append(sink.notes()[:2])
    report = verified(signed, signer, shorter)
    assert (report.faults, report.not_outside_yet) == (0, 2)
    shorter.append(sink.notes()[3:])
    assert found(verified(signed, signer, shorter)) == [(Fault.CHECKPOINT_MISSING, None)]


def test_erased_name_is_no_fault(signed: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    as_owner(signed, update(ACTORS).values(name=None, salt=None))
    assert verified(signed, signer, sink).faults == 0


def test_every_fault_is_told_with_the_first_bad_entry(
    signed: Database, signer: NoteSigner, sink: CheckpointFile
) -> None:
    rows = AUDIT_ENTRIES.c
    as_owner(
        signed,
        update(AUDIT_ENTRIES).where(rows.sequence == 7).values(waybill="forged"),
        update(AUDIT_ENTRIES).where(rows.sequence == 15).values(body=b"{}"),
        delete(AUDIT_ENTRIES).where(rows.sequence == 33),
        update(AUDIT_ENTRIES).where(rows.sequence == 44).values(hashes=bytes(96)),
        update(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size == 30).values(root=bytes(32)),
    )
    report = verified(signed, signer, sink)
    assert found(report) == [
        (Fault.ALTERED_COLUMN, 7),
        (Fault.ALTERED_BODY, 15),
        (Fault.CHECKPOINT_MISMATCH, None),
        (Fault.MISSING_ENTRY, 33),
        (Fault.HASH_MISMATCH, 44),
        (Fault.CHECKPOINT_ALTERED, None),
    ]
    assert (report.first_bad_entry, report.uncovered) == (7, 35)


def test_only_the_first_faults_are_told_one_by_one(signed: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    as_owner(signed, update(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence > 3).values(state="forged"))
    report = verified(signed, signer, sink)
    assert (report.first_bad_entry, report.faults, len(report.findings)) == (4, 42, 20)


def test_cut_tail_and_roll_back_are_found_with_one_checkpoint_from_outside(
    signed: Database, signer: NoteSigner, sink: CheckpointFile, tmp_path: Path
) -> None:
    kept = sink.notes()[-1]
    as_owner(
        signed,
        delete(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence > 30),
        delete(AUDIT_CHECKPOINTS).where(AUDIT_CHECKPOINTS.c.size > 30),
    )
    earlier = CheckpointFile(tmp_path / "earlier.txt")
    earlier.append(sink.notes()[:3])
    assert verified(signed, signer, earlier).faults == 0  # nothing can show it
    report = verified(signed, signer, earlier, kept)
    assert found(report) == [(Fault.LOG_CUT, 31), (Fault.CHECKPOINT_MISSING, None)]
    assert report.first_bad_entry == 31


@pytest.mark.parametrize(
    "body",
    [
        b'{"actor":' + b"[" * 100_000,
        b'{"detail":' + b"[" * 100_000,
        b'{"detail":{},"sequence":' + b"9" * 30 + b"}",
        b'{"detail":{},"sequence":' + b"9" * 5000 + b"}",
        b'{"detail":{}}and more',
        b'["detail"]',
    ],
    ids=["deep", "deep detail", "number", "long number", "more", "list"],
)
def test_body_that_no_parser_should_be_given_is_found(
    signed: Database, signer: NoteSigner, sink: CheckpointFile, body: bytes
) -> None:
    as_owner(signed, update(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.sequence == 3).values(body=body))
    assert found(verified(signed, signer, sink))[0] == (Fault.ALTERED_BODY, 3)


def test_columns_of_another_type_are_found(database: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    if database.is_postgresql:
        pytest.skip("PostgreSQL keeps types")
    write(database, 5)
    as_owner(
        database,
        text("UPDATE audit_entry SET body = 'text', hashes = 5 WHERE sequence = 2"),
        text("UPDATE audit_entry SET time = 'never' WHERE sequence = 3"),
        text("UPDATE audit_entry SET event = x'00' WHERE sequence = 4"),
        text("UPDATE actor SET salt = 'text'"),
        text("INSERT INTO audit_checkpoint (size, root, note, signed_at) VALUES (5, 'x', x'00', 'never')"),
    )
    assert found(verified(database, signer, sink)) == [
        (Fault.ACTOR_ALTERED, 1),
        (Fault.HASH_MISMATCH, 2),
        (Fault.ALTERED_COLUMN, 3),
        (Fault.ALTERED_COLUMN, 4),
        (Fault.CHECKPOINT_FORGED, None),
    ]


def test_text_that_is_no_unicode_is_found(database: Database, signer: NoteSigner, sink: CheckpointFile) -> None:
    if database.is_postgresql:
        pytest.skip("PostgreSQL keeps text Unicode")
    write(database, 5)
    write(database, 600)  # more than is read at once
    as_owner(
        database,
        text("UPDATE audit_entry SET event = CAST(x'ff' AS TEXT) WHERE sequence IN (3, 550)"),
        text("UPDATE audit_entry SET body = CAST(x'ff' AS TEXT) WHERE sequence = 500"),
        text("UPDATE actor SET name = CAST(x'ff' AS TEXT)"),
        text(
            "INSERT INTO audit_checkpoint (size, root, note, signed_at) VALUES (5, x'', CAST(x'ff' AS TEXT), 'never')"
        ),
    )
    assert found(verified(database, signer, sink)) == [
        (Fault.ACTOR_ALTERED, 1),
        (Fault.ALTERED_COLUMN, 3),
        (Fault.HASH_MISMATCH, 500),
        (Fault.ALTERED_COLUMN, 550),
        (Fault.CHECKPOINT_FORGED, None),
    ]


def test_checkpoint_without_the_form_of_one_is_forged_although_its_signature_verifies(
    signed: Database, signer: NoteSigner, sink: CheckpointFile
) -> None:
    row = {"size": 50, "root": bytes(32), "note": signer.sign("example.com/log\nfifty\n"), "signed_at": NOW}
    as_owner(signed, insert(AUDIT_CHECKPOINTS).values(row))
    (finding,) = verified(signed, signer, sink).findings
    assert finding == Finding(fault=Fault.CHECKPOINT_FORGED, text=finding.text)
    assert "of 50 entries in the database: a checkpoint has three lines" in finding.text
