"""What is read again: rows committed late, rows changed under an old time, rows that are gone; all of it certified."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text

from connector.audit.queries import EntryFilter, entries
from connector.config import SourceSettings
from connector.deeds import Deed
from connector.errors import SourceChanged
from connector.messages.records import SourceKey
from connector.outbox import documents
from connector.pipeline.collect import collect
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.release import release
from connector.pipeline.sweep import Sweeping, sweep
from connector.pipeline.wiring import Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.database import SourceDatabase
from connector.sources.quarantine import Release
from connector.sources.records_file import RecordsFile
from connector.sources.sql import SqlSource
from connector.storage.database import Database
from connector.storage.sources import SOURCE_RECORDS

Wire = Callable[..., Connector]
Open = Callable[..., SqlSource]

_FILE: dict[str, Any] = {
    "records": "events",
    "database": "site",
    "query": "SELECT e.id, e.name, e.changed FROM event e",
    "key": ["name"],
    "changed": "changed",
    "unique": "id",
    "columns": {"id": "integer", "name": "text", "changed": "time"},
}
_APPENDED = {key: value for key, value in _FILE.items() if key != "changed"} | {
    "query": "SELECT e.id, e.name FROM event e",
    "columns": {"id": "integer", "name": "text"},
}


@pytest.fixture
def source_of() -> Iterator[Callable[..., SqlSource]]:
    """Opens sources, and closes them at the end."""
    opened: list[SourceDatabase] = []

    def open_(url: str, description: dict[str, Any] | None = None) -> SqlSource:
        file = RecordsFile.model_validate(description or _FILE, context={"databases": ["site"]})
        opened.append(SourceDatabase("site", SourceSettings(url=url, timezone="Asia/Shanghai")))
        return SqlSource(file, {"site": opened[-1]})

    yield open_
    for database in opened:
        database.close()


def wired(enterprise: Wire, database: Database, source: SqlSource) -> tuple[Connector, Collection]:
    collection = Collection(source=source, mappings=())
    return replace(enterprise(6), database=database, collections=(collection,)), collection


def wall_clock(back: float = 0.0) -> str:
    """So many seconds ago, in Beijing."""
    return f"{datetime.now(UTC) + timedelta(hours=8, seconds=-back):%Y-%m-%d %H:%M:%S.%f}"


def collected(connector: Connector) -> set[str]:
    with connector.database.read() as connection:
        return {one.source_key.removeprefix("events/") for one in entries(connection, EntryFilter(event="collected"))}


def windows(connector: Connector) -> list[dict[str, Any]]:
    with connector.database.read() as connection:
        return [dict(one.detail) for one in entries(connection, EntryFilter(event="window_read"))]


@pytest.mark.parametrize("appended", [False, True], ids=["by time", "by id"])
def test_row_is_collected_when_its_slow_transaction_stamps_early_and_commits_late(
    enterprise: Wire, database: Database, postgresql_url: str, source_of: Open, *, appended: bool
) -> None:
    """The row's time, or its id from a sequence, lies before what was collected while its transaction was open."""
    url = postgresql_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE event (id serial PRIMARY KEY, name text, changed timestamp)"))
    insert = text("INSERT INTO event (name, changed) VALUES (:name, :changed)")
    stamped, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with engine.begin() as connection:
            connection.execute(insert, {"name": "slow", "changed": wall_clock(60)})
            stamped.set()
            assert may_commit.wait(20)

    thread = threading.Thread(target=slow)
    thread.start()
    assert stamped.wait(20)
    with engine.begin() as connection:
        connection.execute(insert, {"name": "quick", "changed": wall_clock(30)})
    connector, collection = wired(enterprise, database, source_of(url, _APPENDED if appended else None))
    assert collect(connector, collection).changed == 1
    assert collected(connector) == {"quick"}
    may_commit.set()
    thread.join()
    assert collect(connector, collection).changed == 1
    assert collected(connector) == {"quick", "slow"}
    assert collect(connector, collection).changed == 0
    assert [one["window"] for one in windows(connector)] == ["new", "overlap"]
    engine.dispose()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, name TEXT, changed TEXT, note TEXT)")
        rows = [(number, f"N{number}", wall_clock(86400 * 2 - number * 600)) for number in range(1, 21)]
        connection.executemany("INSERT INTO event (id, name, changed) VALUES (?, ?, ?)", rows)
    return path


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


_WITH_NOTE = _FILE | {
    "query": "SELECT e.id, e.name, e.changed, e.note FROM event e",
    "columns": _FILE["columns"] | {"note": "text"},
    "page_size": 3,
}


def test_row_that_changed_under_an_old_time_is_found_by_the_sweep(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    assert collect(connector, collection).changed == 20
    change(site, "UPDATE event SET note = 'damaged' WHERE name = 'N7'")  # its time of change does not move
    assert collect(connector, collection).changed == 0
    assert sweep(connector, collection, Sweeping.WHEN_DUE).changed == 0  # it is not due yet
    assert sweep(connector, collection, Sweeping.NOW).changed == 1
    with connector.database.read() as connection:
        stored = inbox.waiting(connection, "events", after=0, at_most=100)
    assert [one.record.row["note"] for one in stored if one.record.key.key == "N7"] == ["damaged"]
    assert sweep(connector, collection, Sweeping.NOW).changed == 0
    *_, first, second = windows(connector)
    assert (first["window"], first["rows"], first["counted"], first["stored"], first["gone"]) == ("sweep", 20, 20, 1, 0)
    assert (second["digest"], second["stored"]) == (first["digest"], 0)


_NOTES = _APPENDED | {
    "query": "SELECT e.id, e.name, e.note FROM event e WHERE e.id > 100",
    "columns": _APPENDED["columns"] | {"note": "text"},
    "page_size": 2,
}


def notes(connector: Connector, name: str) -> list[tuple[object, str]]:
    """What every version of a record says, and its state."""
    query = select(SOURCE_RECORDS.c.body, SOURCE_RECORDS.c.state).where(SOURCE_RECORDS.c.key == name)
    with connector.database.read() as connection:
        rows = connection.execute(query.order_by(SOURCE_RECORDS.c.version)).all()
    return [(json.loads(row.body)["row"]["note"], row.state) for row in rows]


def test_versions_of_a_record_that_only_grows_are_stored_once_however_often_they_are_read(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _NOTES))
    for number, note in [(101, "in"), (102, "up"), (103, "out")]:
        change(site, "INSERT INTO event (id, name, note) VALUES (?, 'N', ?)", number, note)
    assert [collect(connector, collection).changed for _ in range(3)] == [3, 0, 0]
    change(site, "INSERT INTO event (id, name, note) VALUES (104, 'N', 'up')")
    assert [collect(connector, collection).changed for _ in range(2)] == [1, 0]
    assert [note for note, _ in notes(connector, "N")] == ["in", "up", "out", "up"]


def test_older_row_that_comes_late_does_not_take_the_place_of_the_newer_one(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _NOTES))
    for number, name, note in [(102, "M", "x"), (103, "N", "out"), (104, "M", "y")]:
        change(site, "INSERT INTO event (id, name, note) VALUES (?, ?, ?)", number, name, note)
    collect(connector, collection)
    change(site, "INSERT INTO event (id, name, note) VALUES (101, 'N', 'in')")
    assert [collect(connector, collection).changed for _ in range(2)] == [2, 0]
    assert notes(connector, "N") == [("out", "superseded"), ("in", "superseded"), ("out", "waiting")]


def test_row_of_a_file_that_grows_is_stored_again_only_where_it_says_something_else(
    enterprise: Wire, database: Database, tmp_path: Path
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    settings = {
        "url": f"sqlite:///{tmp_path / 'staging.db'}",
        "timezone": "Asia/Shanghai",
        "folder": drop,
        "files": {"*.csv": "event"},
        "quiet_seconds": 0,
    }
    names = ("_id", "_file", "_line", "name", "note")
    file = _APPENDED | {
        "query": f"SELECT {', '.join(f'e.{name}' for name in names)} FROM event e",
        "unique": "_id",
        "columns": dict.fromkeys(names, "text") | {"_id": "integer", "_line": "integer"},
    }
    opened = SourceDatabase("site", SourceSettings.model_validate(settings))
    source = SqlSource(RecordsFile.model_validate(file, context={"databases": ["site"]}), {"site": opened})
    connector, collection = wired(enterprise, database, source)
    changed = []
    for rows in ("A,1\nB,1\n", "A,1\nB,2\nC,1\n", "A,1\nB,2\nC,1\nD,1\n"):
        (drop / "events.csv").write_text(f"name,note\n{rows}")
        changed += [collect(connector, collection).changed for _ in range(2)]
    assert changed == [2, 0, 2, 0, 1, 0]
    assert [note for note, _ in notes(connector, "B")] == ["1", "2"]
    opened.close()


def test_sweep_finds_a_record_that_went_back_to_what_it_was_under_an_old_time(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    for note in ("in", "out", "in"):
        change(site, "UPDATE event SET note = ? WHERE name = 'N7'", note)
        collect(connector, collection)
        sweep(connector, collection, Sweeping.NOW)
    assert [note for note, _ in notes(connector, "N7")] == ["in", "out", "in"]


def test_second_row_of_a_key_waits_although_it_stands_in_another_page(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    collection = replace(collection, mappings=enterprise(6).collections[0].mappings[:1])
    change(site, "UPDATE event SET name = 'N1' WHERE name = 'N9'")

    def waiting() -> list[str]:
        with connector.database.read() as connection:
            return [one.key.key for one in quarantine.waiting_entries(connection)]

    held = [collect(connector, collection).unreadable + sweep(connector, collection, Sweeping.NOW).unreadable]
    held += [collect(connector, collection).unreadable + sweep(connector, collection, Sweeping.NOW).unreadable]
    assert held == [1, 0]
    assert waiting() == ["id=9"]
    assert len(notes(connector, "N1")) == 1
    change(site, "UPDATE event SET name = 'N9' WHERE id = 9")  # its time of change does not move
    sweep(connector, collection, Sweeping.NOW)
    assert waiting() == []
    assert "N9" in collected(connector)


def test_unreadable_row_waits_no_more_when_it_is_again_what_it_was(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    collection = replace(collection, mappings=enterprise(6).collections[0].mappings[:1])
    collect(connector, collection)
    change(site, "UPDATE event SET note = x'ff' WHERE id = 20")
    held = []
    for statement in ("", "UPDATE event SET note = NULL WHERE id = 20"):
        if statement:
            change(site, statement)
        collect(connector, collection)
        with connector.database.read() as connection:
            held.append([one.key.key for one in quarantine.waiting_entries(connection)])
    assert held == [["N20"], []]


def test_unreadable_row_waits_no_more_when_it_is_gone(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    collection = replace(collection, mappings=enterprise(6).collections[0].mappings[:1])
    change(site, "UPDATE event SET note = x'ff' WHERE id IN (3, 4)")
    change(site, "UPDATE event SET name = 'N' || (id - 8) WHERE id IN (9, 10)")
    change(site, "UPDATE event SET changed = NULL WHERE id = 12")
    collect(connector, collection)

    def swept() -> list[str]:
        sweep(connector, collection, Sweeping.NOW)
        with connector.database.read() as connection:
            return sorted(one.key.key for one in quarantine.waiting_entries(connection))

    assert swept() == ["N12", "N3", "N4", "id=10", "id=9"]
    change(site, "DELETE FROM event WHERE id IN (3, 9, 12)")
    assert swept() == ["N4", "id=10"]
    with connector.database.read() as connection:
        left = entries(connection, EntryFilter(event="quarantine_left"))
    assert sorted(one.source_key for one in left) == ["events/N12", "events/N3", "events/id=9"]


def test_pass_that_brings_nothing_commits_nothing_of_what_it_reads_again(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    """So that a process that dies after every commit comes to an end."""
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    change(site, "UPDATE event SET changed = '2026-06-01 08:00:00'")
    collect(connector, collection)
    deeds: list[tuple[Deed, str]] = []
    watched = Database(database.address, watch=lambda deed, moment: deeds.append((deed, moment)))
    collect(replace(connector, database=watched), collection)
    watched.close()
    assert {deed for deed, _ in deeds} == {Deed.LEASE, Deed.TRY_AGAIN}


def test_certificate_of_a_window_has_the_same_digest_when_the_same_rows_are_read_again(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    collect(connector, collection)
    sweep(connector, collection, Sweeping.NOW)
    new, swept = windows(connector)
    assert (new["rows"], new["from"], new["digest"]) == (20, "the beginning", swept["digest"])
    assert new["to"] == swept["to"]
    for _ in range(3):
        collect(connector, collection)
    assert len(windows(connector)) == 2  # silence when nothing came


def test_certificate_tells_of_the_whole_window_though_the_process_ended_in_the_middle(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    for pages in (1, 2, 3):
        answers = iter([False] * pages + [True] * 9)
        collect(replace(connector, is_stopping=partial(next, answers)), collection)
    assert 3 < len(collected(connector)) < 20
    assert windows(connector) == []
    collect(connector, collection)
    sweep(connector, collection, Sweeping.NOW)
    new, swept = windows(connector)
    assert (new["from"], new["rows"], new["stored"]) == ("the beginning", 20, 20)
    assert (new["to"], new["digest"]) == (swept["to"], swept["digest"])


def test_sweep_warns_when_the_source_counts_more_rows_than_it_gives(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    """Here because it takes two numbers for the same that are not."""
    with closing(sqlite3.connect(site)) as connection, connection:
        connection.execute("CREATE TABLE parcel (no TEXT COLLATE NOCASE, changed TEXT)")
        rows = [("a", wall_clock(60)), ("A", wall_clock(50)), ("b", wall_clock(40))]
        connection.executemany("INSERT INTO parcel VALUES (?, ?)", [(number, rows[0][1]) for number, _ in rows])
    file = _FILE | {
        "query": "SELECT p.no, p.changed FROM parcel p",
        "columns": {"no": "text", "changed": "time"},
        "key": ["no"],
        "unique": "no",
        "page_size": 1,
    }
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", file))
    assert collect(connector, collection).changed == 2
    (warning,) = sweep(connector, collection, Sweeping.NOW).warnings
    assert "read 2 rows where the source counts 3" in warning
    assert (windows(connector)[-1]["rows"], windows(connector)[-1]["counted"]) == (2, 3)


def test_row_that_is_committed_late_is_found_though_the_pass_is_long_and_ends_far_behind_it(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    pages = count()

    def is_stopping() -> bool:  # asked before each page
        if next(pages) == 4:
            late = wall_clock(86400 * 2 - 3 * 600 + 200)
            change(site, "INSERT INTO event (id, name, changed) VALUES (99, 'late', ?)", late)
        return False

    seconds = count(0, 20)
    collect(replace(connector, is_stopping=is_stopping, elapsed=lambda: next(seconds)), collection)
    assert collected(connector) == {"late", *(f"N{number}" for number in range(1, 21))}
    assert [(one["window"], one["rows"]) for one in windows(connector)] == [("overlap", 2), ("new", 20)]


@pytest.mark.parametrize("form", ["%Y%m%dT%H%M%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f+08:00", "%Y%m%d %H%M"])
def test_late_row_is_found_in_whatever_form_times_are_written(
    enterprise: Wire, database: Database, site: Path, source_of: Open, form: str
) -> None:
    change(site, "DELETE FROM event")
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    for number, minute in enumerate([3, 5, 7, 2, 4]):
        at = noon.replace(minute=minute).strftime(form)
        change(site, "INSERT INTO event (id, name, changed) VALUES (?, ?, ?)", number, f"N{number}", at)
        if number == 2:
            connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}"))
            assert collect(connector, collection).changed == 3
    assert collect(connector, collection).changed == 2


def test_pass_warns_when_times_in_several_forms_do_not_sort_as_moments(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    assert collect(connector, collection).warnings == []
    insert = "INSERT INTO event (id, name, changed) VALUES (?, ?, ?)"
    for number, at in enumerate(["2026-06-01T08:00:00", "2026-06-01 09:00:00", "2026-06-01 10:00:00"], 101):
        change(site, insert, number, f"N{number}", at)
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE | {"records": "new"}))
    (warning,) = collect(connector, collection).warnings
    assert warning.startswith("new: changed 2026-06-01T08:00:00 comes behind the later 2026-06-01 10:00:00")
    assert collect(connector, collection).warnings == []


def test_row_that_is_gone_is_told_once_and_taken_up_again_when_it_is_back(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}", _WITH_NOTE))
    collect(connector, collection)
    change(site, "DELETE FROM event WHERE name = 'N5'")
    for _ in range(2):
        sweep(connector, collection, Sweeping.NOW)

    def told() -> list[str]:
        with connector.database.read() as connection:
            return [one.source_key for one in entries(connection, EntryFilter(event="disappeared"))]

    assert told() == ["events/N5"]
    change(site, "INSERT INTO event (id, name, changed) VALUES (5, 'N5', ?)", wall_clock(86400 * 2 - 3000))
    sweep(connector, collection, Sweeping.NOW)
    change(site, "DELETE FROM event WHERE name = 'N5'")
    sweep(connector, collection, Sweeping.NOW)
    assert told() == ["events/N5"] * 2


def test_sweep_refuses_when_most_rows_are_gone_at_once(
    enterprise: Wire, database: Database, site: Path, source_of: Open
) -> None:
    with closing(sqlite3.connect(site)) as connection, connection:
        rows = [(number, f"N{number}", wall_clock(86400 * 2 - number)) for number in range(21, 300)]
        connection.executemany("INSERT INTO event (id, name, changed) VALUES (?, ?, ?)", rows)
    connector, collection = wired(enterprise, database, source_of(f"sqlite:///{site}"))
    assert collect(connector, collection).changed == 299
    change(site, "DELETE FROM event WHERE id < 200")
    with pytest.raises(SourceChanged, match="199 of 299 records"):
        sweep(connector, collection, Sweeping.NOW)
    change(site, "DELETE FROM event WHERE id < 2")


def test_entry_ends_when_its_row_is_gone_and_nothing_was_declared_from_it(
    enterprise: Wire, database: Database, tmp_path: Path
) -> None:
    connector = replace(enterprise(), database=database)
    collect_and_prepare(connector)
    with connector.database.read() as connection:
        waiting = quarantine.waiting_entries(connection)
        declared = {one.source for one in documents.standing(connection, [one.key for one in waiting])}
    key = next(one.key for one in waiting if one.key not in declared)
    warehouse = tmp_path / "enterprise" / "warehouse.db"
    recently = "UPDATE wms_receipt_order SET update_time = (SELECT max(update_time) FROM wms_receipt_order)"
    change(warehouse, f"{recently} WHERE order_no = ?", key.key)
    collect_and_prepare(connector)
    change(warehouse, "DELETE FROM wms_receipt_order WHERE order_no = ?", key.key)
    collect_and_prepare(connector, Sweeping.NOW)
    with connector.database.read() as connection:
        assert key not in {one.key for one in quarantine.waiting_entries(connection)}
        left = entries(connection, EntryFilter(event="quarantine_left"))
    assert str(key) in {one.source_key for one in left}


def test_declared_document_waits_for_an_operator_when_its_row_is_gone(
    enterprise: Wire, database: Database, tmp_path: Path
) -> None:
    connector = replace(enterprise(6), database=database)
    (collection,) = connector.collections
    collect_and_prepare(connector)
    warehouse = tmp_path / "enterprise" / "warehouse.db"
    recently = "UPDATE wms_receipt_order SET update_time = (SELECT max(update_time) FROM wms_receipt_order)"
    change(warehouse, f"{recently} WHERE order_no = 'RK10000005'")  # of this version no document is made
    collect_and_prepare(connector)
    change(warehouse, "CREATE TABLE kept AS SELECT * FROM wms_receipt_order WHERE order_no = 'RK10000005'")
    change(warehouse, "DELETE FROM wms_receipt_order WHERE order_no = 'RK10000005'")
    key = SourceKey(collection="returns", key="RK10000005")

    def waits() -> set[tuple[str, str]]:
        with connector.database.read() as connection:
            found = quarantine.waiting_entries(connection)
        return {(one.type, one.reason) for one in found if one.key == key}

    before = waits()
    cycle = collect_and_prepare(connector, Sweeping.NOW)
    assert cycle.collected.unreadable == 2
    assert waits() - before == {("CEB213", "row_disappeared"), ("CEB215", "row_disappeared")}
    with connector.database.read() as connection:
        waiting = [one for one in quarantine.waiting_entries(connection) if one.reason == "row_disappeared"]
    release(connector, waiting, release_as=Release.DELETE, reason="void", actor="wang")
    assert collect_and_prepare(connector).prepared.documents == 0  # customs has not answered yet
    assert waits() - before == {("CEB213", "row_disappeared"), ("CEB215", "row_disappeared")}
    assert collect_and_prepare(connector, Sweeping.NOW).collected.unreadable == 0
    change(warehouse, "INSERT INTO wms_receipt_order SELECT * FROM kept")
    collect_and_prepare(connector, Sweeping.NOW)
    assert waits() == before
    assert collection.source.current(key) is not None
