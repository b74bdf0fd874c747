"""Transactions: whole or not at all, without lock failures, and with errors that tell what to do, on both kinds."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from connector.deeds import Deed
from connector.demo.office import free_port
from connector.errors import ConfigurationError, DatabaseUnreachable
from connector.sources import inbox
from connector.sources.interface import Cursor
from connector.storage import schema
from connector.storage.database import Database, lock, now_by_database
from connector.storage.receipts import RECEIPT_CURSORS, RECEIPT_ENVELOPES

NOBODY = 65534


def set_counter(database: Database, value: int) -> None:
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(RECEIPT_CURSORS).values(endpoint="e", sequence=value))


def counter(database: Database) -> int:
    with database.read() as connection:
        value: int = connection.execute(select(RECEIPT_CURSORS.c.sequence)).scalar_one()
        return value


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run work(0) … work(count - 1) at the same time; the first failure is raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_write_keeps_nothing_of_its_block_when_anything_in_it_fails(database: Database) -> None:
    with suppress(KeyError), database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(RECEIPT_CURSORS).values(endpoint="e", sequence=1))
        inbox.move_cursor(transaction, "returns", Cursor(changed_at="1", key="1"))
        raise KeyError
    with database.read() as connection:
        assert connection.execute(select(RECEIPT_CURSORS)).all() == []
        assert inbox.read_cursor(connection, "returns") is None


def test_write_keeps_nothing_of_its_block_when_its_last_statement_is_refused(database: Database) -> None:
    set_counter(database, 1)
    with suppress(IntegrityError), database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(RECEIPT_CURSORS).values(sequence=2))
        transaction.execute(insert(RECEIPT_CURSORS).values(endpoint="e", sequence=3))
    assert counter(database) == 1


def test_read_shows_one_state_however_much_is_committed_meanwhile(database: Database) -> None:
    set_counter(database, 1)
    query = select(RECEIPT_CURSORS.c.sequence)
    with database.read() as connection:
        before = connection.execute(query).scalar_one()
        with database.write(Deed.PREPARE) as transaction:
            transaction.execute(update(RECEIPT_CURSORS).values(sequence=2))
        assert connection.execute(query).scalar_one() == before == 1
    assert counter(database) == 2


def test_no_writer_fails_or_loses_an_update_when_eight_read_and_then_write(database: Database) -> None:
    set_counter(database, 0)

    def work(_number: int) -> None:
        for _ in range(100):
            with database.write(Deed.PREPARE) as transaction:
                lock(transaction, "counter")
                value = transaction.execute(select(RECEIPT_CURSORS.c.sequence)).scalar_one()
                transaction.execute(update(RECEIPT_CURSORS).values(sequence=value + 1))

    in_threads(8, work)
    assert counter(database) == 800


def test_lock_keeps_out_nobody_who_asks_for_another_name(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.write(Deed.PREPARE) as first, database.write(Deed.PREPARE) as second:
        lock(first, "one")
        lock(second, "two")
        second.execute(text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            lock(second, "one")
        second.rollback()
    database.close()


def test_clock_of_the_database_is_this_time_in_utc_and_goes_on_within_a_transaction(database: Database) -> None:
    with database.write(Deed.PREPARE) as transaction:
        first = now_by_database(transaction)
        threading.Event().wait(0.02)
        second = now_by_database(transaction)
    assert first.tzinfo is UTC
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=5)
    assert second - first >= timedelta(milliseconds=15)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-11, minutes=-30))])
def test_time_comes_back_as_the_same_moment_in_utc_to_the_microsecond(database: Database, zone: timezone) -> None:
    moment = datetime(2026, 6, 1, 0, 30, 0, 1, tzinfo=zone)
    envelope = {"endpoint": "e", "sequence": 2**62, "content": b"\x00\xff", "received_at": moment, "problem": ""}
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(RECEIPT_ENVELOPES).values(**envelope))
    with database.read() as connection:
        row = connection.execute(select(RECEIPT_ENVELOPES)).one()
    assert row.received_at == moment
    assert row.received_at.utcoffset() == timedelta()
    assert (row.sequence, bytes(row.content)) == (2**62, b"\x00\xff")


def test_time_without_a_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 6, 1)  # noqa: DTZ001 - that it is naive is the point
    envelope = {"endpoint": "e", "sequence": 1, "content": b"", "received_at": naive, "problem": ""}
    with pytest.raises(StatementError, match="without a zone"), database.write(Deed.PREPARE) as transaction:
        transaction.execute(insert(RECEIPT_ENVELOPES).values(**envelope))


def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write(Deed.PREPARE) as transaction:
        transaction.execute(
            text("INSERT INTO message_document (message_id, position, guid) VALUES ('none', 0, 'none')")
        )


def test_sqlite_keeps_a_write_ahead_log_and_syncs_every_commit(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/connector.db")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    database.close()


def refused(url: str) -> DatabaseUnreachable:
    """What opening and using a database comes to."""
    with pytest.raises(DatabaseUnreachable) as caught:
        schema.upgrade(Database(url, "s3cret" if url.startswith("postgresql") else None))
    assert caught.value.exit_code == 4
    assert caught.value.effect
    assert caught.value.remedy
    assert "s3cret" not in str(caught.value)
    return caught.value


def test_server_that_does_not_answer_is_told_with_its_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert address in refused(f"postgresql+psycopg://connector@{address}/customs").cause


def test_database_that_is_not_there_is_told_with_its_name(postgresql_url: str) -> None:
    assert "no_such_database" in refused(postgresql_url.rpartition("/")[0] + "/no_such_database").cause


def test_folder_that_is_missing_is_told_and_not_made(tmp_path: Path) -> None:
    assert "no such folder" in refused(f"sqlite:///{tmp_path}/missing/connector.db").cause
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "connector.db"
    file.write_bytes(b"Dear diary, this is text. " * 100)
    assert "not a database" in refused(f"sqlite:///{file}").cause
    assert file.read_bytes() == b"Dear diary, this is text. " * 100


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_file_that_may_only_be_read_is_told() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder}/connector.db")
        schema.upgrade(database)
        database.close()
        (folder / "connector.db").chmod(0o444)
        folder.chmod(0o555)
        try:
            with as_nobody():
                assert "connector.db" in refused(f"sqlite:///{folder}/connector.db").cause
        finally:
            folder.chmod(0o755)


@pytest.mark.parametrize("url", ["mysql+pymysql://root@127.0.0.1/x", "no address", "oracle://x", "sqlite+nothing:///x"])
def test_database_of_another_kind_is_refused_with_what_would_be_right(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[database\] url") as caught:
        Database(url)
    assert "postgresql+psycopg" in caught.value.remedy


def test_nothing_is_read_or_written_when_the_file_is_not_the_one_that_was_opened(tmp_path: Path) -> None:
    file = tmp_path / "connector.db"
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    set_counter(database, 1)
    away = file.rename(tmp_path / "away.db")
    for _ in range(2):
        with pytest.raises(DatabaseUnreachable, match="deleted or replaced") as caught:
            counter(database)
        with pytest.raises(DatabaseUnreachable, match="deleted or replaced"):
            set_counter(database, 2)
    assert "start it again" in caught.value.remedy
    file.write_bytes(away.read_bytes())
    with pytest.raises(DatabaseUnreachable, match="deleted or replaced"):
        counter(database)
    away.replace(file)
    assert counter(database) == 1
    database.close()


def test_commits_are_synced_whatever_the_server_is_set_to(postgresql_url: str) -> None:
    database = Database(f"{postgresql_url}?options=-csynchronous_commit%3Doff")
    with database.read() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    database.close()
    database = Database(f"{postgresql_url}?options=-csynchronous_commit%3Dremote_apply")
    with database.read() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "remote_apply"
    database.close()
