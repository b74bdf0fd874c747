"""The schema of our own database: made, checked, and equal to what the table classes say, on both kinds."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, inspect, text
from sqlmodel import SQLModel

from connector.deeds import Deed
from connector.errors import SchemaVersionError
from connector.storage import audit, breakers, leases, outbox, receipts, schema, sources
from connector.storage.database import Database

TABLES = {
    table.name
    for module in (audit, breakers, leases, outbox, receipts, sources)
    for table in vars(module).values()
    if isinstance(table, Table)
}


def test_check_refuses_a_database_that_is_not_made_yet(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(SchemaVersionError, match=r"not made yet|no such file") as caught:
        schema.check(database)
    assert caught.value.exit_code == 4
    assert "connector db upgrade" in caught.value.remedy
    database.close()


def test_check_is_content_when_the_schema_is_upgraded(database: Database) -> None:
    schema.check(database)


def test_upgrade_changes_nothing_when_it_runs_again(database: Database) -> None:
    with database.read() as connection:
        before = sorted(inspect(connection).get_table_names())
        version = schema.current(connection)
    assert schema.upgrade(database) == version
    with database.read() as connection:
        assert sorted(inspect(connection).get_table_names()) == before
    assert set(before) == TABLES | {"alembic_version"}


def test_upgrade_and_check_refuse_a_schema_that_a_newer_program_made(database_url: str) -> None:
    database = Database(database_url)
    schema.upgrade(database)
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (schema.check, schema.upgrade):
        with pytest.raises(SchemaVersionError, match="version 9999, made by a newer program") as caught:
            work(database)
        assert "newer program" in caught.value.remedy
    database.close()


def test_upgrade_leaves_nothing_behind_when_it_fails(database_url: str) -> None:
    database = Database(database_url)
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(text("CREATE TABLE receipt (a INTEGER)"))
    with pytest.raises(Exception, match="receipt"):
        schema.upgrade(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["receipt"]
    database.close()


def test_upgrade_runs_once_when_two_programs_begin_it_together(database_url: str) -> None:
    database = Database(database_url)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            schema.upgrade(database)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    schema.check(database)
    database.close()


def test_migrations_make_exactly_what_the_table_classes_say(database: Database) -> None:
    options = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in TABLES}
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []
