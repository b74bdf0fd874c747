"""The guard of the audit log, attacked on both kinds of database, and again after the schema was upgraded once more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from connector.audit import log, queries
from connector.audit.events import Entry, Event, Recorded
from connector.deeds import Deed
from connector.errors import DatabaseUnreachable
from connector.storage import schema
from connector.storage.audit import ACTORS, AUDIT_ENTRIES
from connector.storage.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLUMNS = ", ".join(column.name for column in AUDIT_ENTRIES.columns)
FORGED = COLUMNS.replace("event", "'forged'")

ATTACKS = {
    "update": "UPDATE audit_entry SET event = 'forged' WHERE sequence = 2",
    "update of a column that is not shown": "UPDATE audit_entry SET hashes = body WHERE sequence = 2",
    "update that moves an entry": "UPDATE audit_entry SET sequence = 9 WHERE sequence = 3",
    "update of all": "UPDATE audit_entry SET event = 'forged'",
    "update of nothing real": "UPDATE audit_entry SET event = event WHERE sequence = 1",
    "delete": "DELETE FROM audit_entry WHERE sequence = 3",
    "delete of all": "DELETE FROM audit_entry",
    "insert over an entry": f"INSERT INTO audit_entry ({COLUMNS}) SELECT {FORGED} FROM audit_entry WHERE sequence = 2",
    "upsert": f"INSERT INTO audit_entry ({COLUMNS}) SELECT {FORGED} FROM audit_entry WHERE sequence = 2 "
    "ON CONFLICT (sequence) DO UPDATE SET event = 'forged'",
    "upsert of many": f"INSERT INTO audit_entry ({COLUMNS}) SELECT {FORGED} FROM audit_entry WHERE true "
    "ON CONFLICT (sequence) DO UPDATE SET event = excluded.event",
    "truncate": "TRUNCATE audit_entry",
    "truncate with all that refers to it": "TRUNCATE actor CASCADE",
    "replace": f"REPLACE INTO audit_entry ({COLUMNS}) SELECT {FORGED} FROM audit_entry WHERE sequence = 2",
    "insert or replace": f"INSERT OR REPLACE INTO audit_entry ({COLUMNS}) SELECT {FORGED} FROM audit_entry",
    "replace by row number": "INSERT OR REPLACE INTO audit_entry (rowid, body, hashes, time, event, "
    "actor_id, source_key, document_type, business_key, message_id, waybill, export_list, code, state) "
    "VALUES (2, '{}', '', '2026-06-01', 'forged', 1, '', '', '', '', '', '', '', '')",
    "update or replace": "UPDATE OR REPLACE audit_entry SET sequence = 2 WHERE sequence = 3",
    "update from": "UPDATE audit_entry SET event = 'forged' FROM actor WHERE actor.id = audit_entry.actor_id",
    "merge": "MERGE INTO audit_entry USING actor ON actor.id = audit_entry.actor_id "
    "WHEN MATCHED THEN UPDATE SET event = 'forged'",
    "deletion in a query": "WITH gone AS (DELETE FROM audit_entry RETURNING *) SELECT * FROM gone",
    "deletion of its actor": "DELETE FROM actor",
}
REFUSED_ANYWAY = {"insert over an entry", "deletion of its actor"}
"""By a key of the table."""
ONLY_SQLITE = {"replace", "insert or replace", "replace by row number", "update or replace"}
ONLY_POSTGRESQL = {"truncate", "truncate with all that refers to it", "merge", "deletion in a query"}


@pytest.fixture
def guarded(database: Database) -> Database:
    """A database with three entries."""
    with database.write(Deed.PREPARE) as transaction:
        entries = [Entry(event=Event.COLLECTED, source_key=f"returns/{number}") for number in range(3)]
        log.append(transaction, entries, actor="connector", time=NOW)
    return database


def recorded(database: Database) -> list[Recorded]:
    with database.read() as connection:
        return queries.entries(connection, queries.EntryFilter())


def attacks_on(database: Database) -> dict[str, str]:
    others = ONLY_SQLITE if database.is_postgresql else ONLY_POSTGRESQL
    return {name: statement for name, statement in ATTACKS.items() if name not in others}


def fallen_to(database: Database) -> list[str]:
    """The attacks that were not refused, or changed anything."""
    before = recorded(database)
    fallen: list[str] = []
    for name, statement in attacks_on(database).items():
        try:
            with database.write(Deed.PREPARE) as transaction:
                transaction.execute(text(statement))
            fallen.append(name)
        except (DBAPIError, DatabaseUnreachable):
            if recorded(database) != before:
                fallen.append(name)
    return fallen


def test_log_stays_as_it_is_whatever_attacks_it(guarded: Database) -> None:
    assert len(recorded(guarded)) == 3
    assert len(attacks_on(guarded)) == 16
    assert fallen_to(guarded) == []


def test_log_stays_as_it_is_when_it_is_attacked_after_another_upgrade(guarded: Database) -> None:
    schema.upgrade(guarded)
    assert fallen_to(guarded) == []


def test_log_takes_entries_after_attacks(guarded: Database) -> None:
    fallen_to(guarded)
    with guarded.write(Deed.PREPARE) as transaction:
        log.append(transaction, [Entry(event=Event.MAPPED)], actor="connector", time=NOW)
    assert [one.sequence for one in recorded(guarded)] == [1, 2, 3, 4]


def test_name_of_an_actor_can_be_erased_and_the_entries_stay(guarded: Database) -> None:
    with guarded.write(Deed.PREPARE) as transaction:
        transaction.execute(ACTORS.update().values(name="erased"))
    assert {one.actor for one in recorded(guarded)} == {"erased"}


def test_every_statement_is_refused_by_the_guard_and_by_nothing_else(database_url: str) -> None:
    """The proof that the other tests can fail: the same tables without triggers."""
    database = Database(database_url)
    for name, statement in attacks_on(database).items():
        with database.write(Deed.PREPARE) as transaction:
            SQLModel.metadata.drop_all(transaction)
            SQLModel.metadata.create_all(transaction)
            log.append(transaction, [Entry(event=Event.MAPPED)] * 3, actor="a", time=NOW)
        try:
            with database.write(Deed.PREPARE) as transaction:
                transaction.execute(text(statement))
        except (DBAPIError, DatabaseUnreachable):
            assert name in REFUSED_ANYWAY, name
    database.close()
