"""Migrations of a database that is in use: nothing in it is lost, on both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, select, text

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed
from connector.outbox import queries
from connector.storage import schema
from connector.storage.database import Database
from connector.storage.outbox import MESSAGES

AT = datetime(2026, 4, 15, 2, 30, 0, 123456, tzinfo=UTC)
MESSAGE = """
    INSERT INTO message (id, type, suite, key_id, digest, created_at, state, state_since, info, due_at, settle_at,
                         tries, lease_token, lease_until)
    VALUES (:id, 'CEB213', 'rsa-sha1', 'k', 'd', :at, :state, :at, '', :at, :at, 2, 3, NULL)
"""

ENTRY = """
    INSERT INTO audit_entry (sequence, time, event, actor_id, source_key, document_type, business_key, message_id,
                             waybill, export_list, body)
    VALUES (:number, :at, 'signed', 1, '', '', '', 'm', '', '', :body)
"""


@pytest.fixture
def first(database_url: str) -> Iterator[Database]:
    """A database as the first version of the program left it, with three messages and two entries of the log."""
    database = Database(database_url)
    with database.write(Deed.UPGRADE) as transaction:
        config = Config()
        config.set_main_option("script_location", "connector:storage/migrations")
        config.attributes["connection"] = transaction
        command.upgrade(config, "0001")
    with database.write(Deed.PREPARE) as transaction:
        for state in ("pending", "in_doubt", "delivered"):
            at = AT if database.is_postgresql else AT.replace(tzinfo=None).isoformat(" ")
            transaction.execute(text(MESSAGE), {"id": f"m {state}", "at": at, "state": state})
        transaction.execute(text("INSERT INTO actor (name) VALUES ('王芳')"))
        for number, detail in enumerate(['{"a":1}', '{"code":"800","status":"released"}'], start=1):
            transaction.execute(text(ENTRY), {"number": number, "at": at, "body": detail})
    yield database
    database.close()


@contextmanager
def unchanged(database: Database, *tables: str) -> Iterator[None]:
    """What was in these columns before the block is in them after it."""

    def content(connection: Connection) -> dict[str, tuple[list[str], list[tuple[object, ...]]]]:
        found = {}
        for table in tables:
            names = columns.setdefault(table, [one["name"] for one in inspect(connection).get_columns(table)])
            rows = connection.execute(text(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1"))
            found[table] = (names, [tuple(row) for row in rows])
        return found

    columns: dict[str, list[str]] = {}
    with database.read() as connection:
        before = content(connection)
    yield
    with database.read() as connection:
        assert content(connection) == before


def test_messages_and_log_are_kept_when_the_newest_version_takes_over(first: Database) -> None:
    with unchanged(first, "message"):
        assert schema.upgrade(first) == schema.versions()[-1]
    schema.check(first)
    with first.read() as connection:
        rows = connection.execute(select(MESSAGES.c.created_at, MESSAGES.c.queued_at)).all()
        assert [tuple(row) for row in rows] == [(AT, AT)] * 3
        assert queries.count_messages(connection) == {"pending": 1, "in_doubt": 1, "delivered": 1}
        told = entries(connection, EntryFilter())
        assert [(one.sequence, one.time, one.event, one.actor, one.message_id) for one in told] == [
            (number, AT, "signed", "王芳", "m") for number in (1, 2)
        ]
        assert [one.detail for one in told] == [{"a": 1}, {"code": "800", "status": "released"}]
        assert entries(connection, EntryFilter(code="800", state="released")) == told[1:]


def test_second_version_is_whole_or_absent_when_its_migration_fails(first: Database) -> None:
    with first.write(Deed.PREPARE) as transaction:
        transaction.execute(text("CREATE TABLE breaker (a INTEGER)"))
    with unchanged(first, "message", "audit_entry"), pytest.raises(Exception, match="breaker"):
        schema.upgrade(first)
    with first.read() as connection:
        assert schema.current(connection) == "0001"
        assert not inspect(connection).has_table("lease")
