"""Payloads leave the database for bundles, on both databases: only what customs has answered, and nothing is lost."""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from connector.audit import queries as audit_queries
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.errors import AuditLogInvalid, PayloadArchived, UsageError
from connector.evidence import payloads
from connector.evidence.archive import Archived, archive, due_now
from connector.evidence.export import DocumentScope, export
from connector.evidence.payloads import Payload, Policy
from connector.evidence.verify import verify_log
from connector.messages.records import SourceRecord
from connector.outbox import queries
from connector.outbox.documents import load
from connector.outbox.queries import Filter, documents, signed_bytes
from connector.pipeline.collect import collect
from connector.pipeline.prepare import prepare
from connector.pipeline.resend import Action, Plan, carry_out, plan_messages
from connector.pipeline.wiring import Connector
from connector.receipts.queries import envelope
from connector.sources import inbox
from connector.sources.quarantine import waiting_entries
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGE_BYTES
from connector.storage.receipts import RECEIPT_ENVELOPES
from connector.storage.sources import SOURCE_RECORDS
from tests.conftest import CheckEvidence
from tests.integration.test_audit_checkpoints import alter

MONTH = timedelta(days=30)
EVERYTHING: Policy = dict.fromkeys(Payload, MONTH)
COLUMNS = {
    Payload.SOURCE_ROWS: [SOURCE_RECORDS.c.body],
    Payload.DOCUMENTS: [DOCUMENTS.c.content],
    Payload.MESSAGES: [MESSAGE_BYTES.c.xml, MESSAGE_BYTES.c.body],
    Payload.RESPONSES: [ATTEMPTS.c.response],
    Payload.RECEIPTS: [RECEIPT_ENVELOPES.c.content],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Eight returns, whatever was sent of them answered; 31 days later."""

    connector: Connector
    folder: Path

    def archive(self, policy: Policy = EVERYTHING) -> list[Archived]:
        return list(archive(self.connector, policy, self.folder, reason="a month", actor="wang"))

    def left(self) -> dict[Payload, set[str]]:
        """SHA-256 of every payload in the database."""
        with self.connector.database.read() as connection:
            return {kind: digests(connection, kind) for kind in Payload}

    def archived(self) -> set[str]:
        """SHA-256 of every file in every archive."""
        found = set()
        for file in self.folder.glob("archive-*.zip"):
            with zipfile.ZipFile(file) as opened:
                found |= {hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}
        return found


def digests(connection: Connection, kind: Payload) -> set[str]:
    values = [value for column in COLUMNS[kind] for value in connection.execute(select(column)).scalars()]
    parts = [value.encode() if isinstance(value, str) else bytes(value) for value in values if value]
    return {hashlib.sha256(part).hexdigest() for part in parts}


@pytest.fixture
def site(has_declared: Connector, tmp_path: Path) -> Site:
    clock = has_declared.clock
    return Site(connector=replace(has_declared, clock=lambda it: clock(it) + timedelta(days=31)), folder=tmp_path)


def first_message(connector: Connector) -> queries.MessageView:
    with connector.database.read() as connection:
        return queries.messages(connection, Filter())[0]


def test_everything_answered_leaves_and_the_log_still_verifies(site: Site, check_evidence: CheckEvidence) -> None:
    before = site.left()
    assert all(before.values())
    with site.connector.database.read() as connection:
        views = documents(connection, Filter())
    due = due_now(site.connector, EVERYTHING)
    (done,) = site.archive()
    assert {kind: one.count for kind, one in due.items()} == done.removed
    left = site.left()
    for kind in Payload:
        assert before[kind] - left[kind] <= site.archived()
    assert [left[kind] for kind in (Payload.DOCUMENTS, Payload.MESSAGES, Payload.RESPONSES)] == [set()] * 3
    assert hashlib.sha256(done.file.read_bytes()).hexdigest() == done.digest
    assert done.file.stat().st_mode & 0o077 == 0
    assert site.connector.checkpoints is not None
    assert ": good" in check_evidence("--key", site.connector.checkpoints.signer.verifier.key, done.file)
    report = verify_log(
        site.connector.database,
        trusted=site.connector.checkpoints.trusted,
        sinks=site.connector.checkpoints.sinks,
    )
    assert report.faults == 0
    with site.connector.database.read() as connection:
        (entry,) = audit_queries.entries(connection, EntryFilter(event="archived"))
        assert documents(connection, Filter()) == views
    assert (entry.actor, entry.detail["file"], entry.detail["digest"]) == ("wang", done.file.name, done.digest)
    assert entry.detail["payloads"] == {kind.value: count for kind, count in done.removed.items()}
    assert site.archive() == []


def test_rows_in_quarantine_stay(site: Site) -> None:
    site.archive()
    with site.connector.database.read() as connection:
        held = {(one.key.collection, one.key.key) for one in waiting_entries(connection)}
        kept = connection.execute(select(SOURCE_RECORDS).where(SOURCE_RECORDS.c.body != "")).all()
    assert {(one.collection, one.key) for one in kept} == held
    assert held


NOT_DONE_WITH = {
    "UPDATE document SET customs_status = 'stored'": set(Payload),
    "UPDATE document SET customs_time = '2100-01-01'": set(Payload),
    "UPDATE receipt SET received_at = '2100-01-01'": set(Payload),
    "UPDATE message SET state = 'refused'": set(Payload),
    "UPDATE message SET state = 'conflict'": {Payload.MESSAGES, Payload.RESPONSES},
    "UPDATE message SET state = 'in_doubt'": {Payload.MESSAGES, Payload.RESPONSES},
    "UPDATE attempt SET ended_at = NULL": {Payload.RESPONSES},
    "UPDATE source_record SET state = 'waiting'": {Payload.SOURCE_ROWS},
    "UPDATE source_record SET collected_at = '2100-01-01'": {Payload.SOURCE_ROWS},
    "UPDATE receipt_envelope SET problem = 'x'": {Payload.RECEIPTS},
    "UPDATE receipt SET document_guid = NULL": {Payload.RECEIPTS},
    "UPDATE receipt_envelope SET received_at = '2100-01-01'": {Payload.RECEIPTS},
}


class Undone(Exception):
    """Rolls a transaction back."""


def due_after(site: Site, statement: str) -> set[Payload]:
    due: set[Payload] = set()
    with suppress(Undone), site.connector.database.write(Deed.ARCHIVE) as transaction:
        transaction.exec_driver_sql(statement)
        before = site.connector.clock(transaction) - MONTH
        due |= {kind for kind in Payload if payloads.amount(transaction, kind, before=before).count}
        raise Undone
    return due


def test_what_is_not_done_with_is_not_due(site: Site) -> None:
    for statement, stays in NOT_DONE_WITH.items():
        assert due_after(site, statement) == set(Payload) - stays, statement


def test_one_unanswered_document_keeps_what_it_shares_with_others(site: Site) -> None:
    with site.connector.database.read() as connection:
        view = documents(connection, Filter(type="CEB213"))[0]
        row = inbox.version(connection, view.record_id)
        everything = connection.execute(select(func.count()).select_from(DOCUMENTS)).scalar_one()
    alter(site.connector.database, f"UPDATE document SET customs_status = 'stored' WHERE guid = '{view.guid}'")
    (done,) = site.archive()
    assert done.removed[Payload.DOCUMENTS] == everything - 1
    with site.connector.database.read() as connection:
        assert load(connection, [view.guid])
        assert signed_bytes(connection, view.message_ids[0])
        assert inbox.version(connection, view.record_id) == row
        kept = set(connection.execute(select(MESSAGE_BYTES.c.message_id)).scalars())
        receipts = len(site.left()[Payload.RECEIPTS])
    assert kept == set(view.message_ids)
    assert receipts


def test_revision_that_waits_for_an_answer_keeps_the_one_before(site: Site) -> None:
    with site.connector.database.read() as connection:
        view = documents(connection, Filter(type="CEB213"))[0]
    columns = ", ".join(column.name for column in DOCUMENTS.c if column.name not in {"guid", "revision"})
    values = columns.replace("customs_status", "'none'")
    alter(
        site.connector.database,
        f"INSERT INTO document (guid, revision, {columns}) SELECT 'new', 2, {values} FROM document "
        f"WHERE guid = '{view.guid}'",
    )
    site.archive()
    with site.connector.database.read() as connection:
        assert load(connection, [view.guid])
        assert signed_bytes(connection, view.message_ids[0])


def test_only_the_kinds_in_the_policy_leave(site: Site) -> None:
    assert site.archive(dict.fromkeys(Payload, timedelta(days=1000))) == []
    for kind in Payload:
        before = site.left()
        site.archive({kind: MONTH})
        after = site.left()
        assert {one for one in Payload if after[one] != before[one]} == {kind}


def test_nothing_leaves_that_is_not_what_the_log_says_it_was(site: Site) -> None:
    alter(site.connector.database, f"UPDATE attempt SET response = CAST('forged' AS {blob(site)})")
    before = site.left()
    with pytest.raises(AuditLogInvalid, match="is not what audit entry"):
        site.archive()
    assert site.left() == before


def blob(site: Site) -> str:
    return "BYTEA" if site.connector.database.is_postgresql else "BLOB"


def test_what_no_entry_vouches_for_stays_and_is_told(site: Site) -> None:
    alter(
        site.connector.database,
        "INSERT INTO receipt_envelope (endpoint, sequence, content, received_at, problem) "
        f"SELECT 'elsewhere', 1, CAST('x' AS {blob(site)}), received_at, problem FROM receipt_envelope LIMIT 1",
    )
    done = site.archive()
    assert sum(one.kept for one in done) == 1
    assert len(site.left()[Payload.RECEIPTS]) == 1
    (again,) = site.archive()
    assert (again.removed, again.kept) == ({}, 1)
    assert len(list(site.folder.glob("archive-*"))) == len(done)


def test_nothing_leaves_when_the_archive_cannot_be_written(site: Site) -> None:
    before = site.left()
    nowhere = replace(site, folder=site.folder / "nowhere")
    with pytest.raises(UsageError, match="nowhere"):
        nowhere.archive()
    assert site.left() == before


def test_what_becomes_unanswered_meanwhile_stays(site: Site) -> None:
    """Between the bundle and the deed, customs takes an answer back."""
    clock = site.connector.clock

    def intrude(connection: Connection) -> datetime:
        if list(site.folder.glob("archive-*.zip")):  # the bundle is there: the deed begins
            connection.exec_driver_sql("UPDATE document SET customs_status = 'stored'")
        return clock(connection)

    before = site.left()
    (done,) = replace(site, connector=replace(site.connector, clock=intrude)).archive()
    assert done.removed == {}
    assert site.left() == before
    with site.connector.database.read() as connection:
        assert audit_queries.entries(connection, EntryFilter(event="archived")) == []
    assert not list(site.folder.glob("archive-*"))


def test_everything_else_goes_on_without_payloads(site: Site) -> None:
    message = first_message(site.connector)
    site.archive()
    connector = site.connector
    (collection,) = connector.collections
    alter(connector.database, "DELETE FROM source_cursor")
    assert collect(connector, collection).changed == 0
    prepared = prepare(connector, collection)
    assert (prepared.documents, prepared.messages) == (0, 0)
    with connector.database.read() as connection:
        with pytest.raises(PayloadArchived):
            signed_bytes(connection, message.id)
        with pytest.raises(PayloadArchived):
            load(connection, message.guids)
        assert queries.content(connection, message.guids[0]) is None
    alter(connector.database, f"UPDATE message SET state = 'refused' WHERE id = '{message.id}'")
    alter(connector.database, "UPDATE receipt SET document_guid = NULL")
    alter(connector.database, "UPDATE document SET customs_status = 'none'")
    for split in (True, False):
        (plan,) = plan_messages(connector, [replace(message, delivery_state="refused")], split=split)
        assert plan.action is Action.REFUSE
        assert "archived" in plan.text


def test_row_that_was_archived_is_put_back_when_an_operator_declares_it_again(site: Site) -> None:
    connector = site.connector
    with connector.database.read() as connection:
        view = documents(connection, Filter(type="CEB213"))[0]
        key = inbox.key_of(connection, view.record_id)
        before = inbox.version(connection, view.record_id)
    site.archive()
    (collection,) = connector.collections
    record = collection.source.current(key)
    assert isinstance(record, SourceRecord)
    plan = Plan(action=Action.REVISE, text="", state="", document=view, record=record)
    (done,) = carry_out(connector, [plan], reason="corrected", actor="wang")
    assert done.action is Action.REVISE
    with connector.database.read() as connection:
        assert inbox.version(connection, view.record_id) == before
    assert prepare(connector, collection).quarantined == 0


def test_envelope_of_another_address_is_not_taken_for_one_that_was_archived(site: Site) -> None:
    alter(
        site.connector.database,
        "INSERT INTO receipt_envelope (endpoint, sequence, content, received_at, problem) "
        f"SELECT 'elsewhere', sequence, CAST('x' AS {blob(site)}), received_at, 'unreadable' FROM receipt_envelope",
    )
    with site.connector.database.read() as connection:
        name = documents(connection, Filter(type="CEB213", customs_status="released"))[0].business_key
    for out in ("before.zip", "after.zip"):
        export(site.connector, DocumentScope(name=name), out=site.folder / out, reason="asked", actor="wang")
        site.archive()


def test_envelope_that_was_archived_is_said_to_be_gone(site: Site) -> None:
    site.archive()
    with site.connector.database.read() as connection, pytest.raises(PayloadArchived):
        envelope(connection, 1)
