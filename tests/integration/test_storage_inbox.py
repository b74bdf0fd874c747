"""Versions of source records and the quarantine, on both kinds of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from connector.deeds import Deed
from connector.messages.records import SourceKey, SourceRecord, Value
from connector.sources import inbox, quarantine
from connector.sources.interface import Cursor
from connector.sources.quarantine import Held
from connector.storage.database import Database
from connector.storage.sources import QUARANTINE, SOURCE_RECORDS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def key(name: str = "RK1", collection: str = "returns") -> SourceKey:
    return SourceKey(collection=collection, key=name)


def record(name: str = "RK1", *, collection: str = "returns", **row: Value) -> SourceRecord:
    return SourceRecord(key=key(name, collection), changed_at=NOW, row=row)


def store(database: Database, *records: SourceRecord) -> list[tuple[str, int]]:
    with database.write(Deed.PREPARE) as transaction:
        return [(one.record.key.key, one.version) for one in inbox.store(transaction, records, now=NOW)]


def waiting(database: Database, collection: str = "returns") -> list[inbox.StoredRecord]:
    with database.read() as connection:
        return inbox.waiting(connection, collection, after=0, at_most=100)


def states(database: Database) -> list[tuple[str, int, str]]:
    with database.read() as connection:
        table = SOURCE_RECORDS.c
        rows = connection.execute(select(table.key, table.version, table.state).order_by(table.id))
        return [(row.key, row.version, row.state) for row in rows]


def test_record_comes_back_exactly_as_it_was_read(database: Database) -> None:
    row: dict[str, Value] = {
        "id": 1843920012030070785,
        "huge": 10**30,
        "quantity": Decimal("4.00"),
        "tiny": Decimal("1E-30"),
        "name": "退货\x00\x1f\U0001f600",
        "time": datetime(2026, 6, 1, 8, 0, 0, 123_456, tzinfo=UTC),
        "day": date(2026, 6, 1),
        "none": None,
        "yes": True,
        "ratio": 0.1,
    }
    kept = SourceRecord(key=key(), changed_at=NOW, row=row, lines=(row, {"sku": "A"}))
    store(database, kept)
    (found,) = waiting(database)
    assert found.record == kept
    assert (str(found.record.row["quantity"]), type(found.record.row["yes"])) == ("4.00", bool)


def test_record_is_stored_once_while_it_stays_the_same(database: Database) -> None:
    assert store(database, record(a=1), record("RK2", a=1)) == [("RK1", 1), ("RK2", 1)]
    assert store(database, record(a=1), record("RK2", a=2), record("RK3")) == [("RK2", 2), ("RK3", 1)]
    assert states(database) == [
        ("RK1", 1, "waiting"),
        ("RK2", 1, "superseded"),
        ("RK2", 2, "waiting"),
        ("RK3", 1, "waiting"),
    ]


def test_record_gets_another_version_when_it_changes_back(database: Database) -> None:
    assert [store(database, record(a=value)) for value in (1, 2, 1)] == [[("RK1", 1)], [("RK1", 2)], [("RK1", 3)]]


def test_value_of_another_type_is_a_change(database: Database) -> None:
    store(database, record(a=Decimal("1.0")))
    assert store(database, record(a=Decimal("1.00"))) == [("RK1", 2)]
    assert store(database, record(a="1.00")) == [("RK1", 3)]


def test_same_key_of_another_collection_is_another_record(database: Database) -> None:
    assert store(database, record(a=1), record(collection="tallies", a=1)) == [("RK1", 1), ("RK1", 1)]
    assert len(waiting(database)) == len(waiting(database, "tallies")) == 1


def test_records_wait_in_the_order_they_came_until_they_are_prepared(database: Database) -> None:
    store(database, *[record(f"RK{number}") for number in range(5)])
    first = waiting(database)
    assert [one.record.key.key for one in first] == [f"RK{number}" for number in range(5)]
    with database.read() as connection:
        page = inbox.waiting(connection, "returns", after=first[1].id, at_most=2)
        assert [one.record.key.key for one in page] == ["RK2", "RK3"]
        assert inbox.key_of(connection, first[3].id) == key("RK3")
    with database.write(Deed.PREPARE) as transaction:
        inbox.mark_prepared(transaction, [first[0].id, first[3].id])
    assert [one.record.key.key for one in waiting(database)] == ["RK1", "RK2", "RK4"]


def test_newest_version_alone_waits_again(database: Database) -> None:
    for value in (1, 2):
        store(database, record(a=value))
        with database.write(Deed.PREPARE) as transaction:
            inbox.mark_prepared(transaction, [one.id for one in waiting(database)])
    with database.write(Deed.PREPARE) as transaction:
        inbox.wait_again(transaction, [key(), key("unknown")])
    assert states(database) == [("RK1", 1, "prepared"), ("RK1", 2, "waiting")]


def test_more_records_are_stored_than_one_query_takes(database: Database) -> None:
    many = [record(f"RK{number}", a=1) for number in range(1203)]
    assert len(store(database, *many)) == 1203
    assert store(database, *many) == []


def test_cursor_of_each_collection_is_remembered(database: Database) -> None:
    first, second = Cursor(changed_at='"2026-06-01"', key="9007199254740993"), Cursor(changed_at="1", key='"x"')
    with database.write(Deed.PREPARE) as transaction:
        assert inbox.read_cursor(transaction, "returns") is None
        inbox.move_cursor(transaction, "returns", second)
        inbox.move_cursor(transaction, "other", second)
        inbox.move_cursor(transaction, "returns", first)
    with database.read() as connection:
        assert inbox.read_cursor(connection, "returns") == first
        assert inbox.read_cursor(connection, "other") == second


def held(name: str = "RK1", kind: str = "CEB213", reason: str = "required_missing", text: str = "空") -> Held:
    fault = {"code": reason, "field": "waybill", "text": text}
    return Held(record_id=None, key=key(name), type=kind, business_key=f"A/{name}", reason=reason, faults=[fault])


def hold(database: Database, *some: Held, now: datetime = NOW) -> None:
    with database.write(Deed.PREPARE) as transaction:
        quarantine.hold(transaction, some, now=now)


def entries(database: Database) -> list[quarantine.Waiting]:
    with database.read() as connection:
        found = quarantine.waiting_entries(connection)
        assert quarantine.count_waiting(connection) == len(found)
    return found


def test_record_is_held_once_for_each_type_with_its_newest_reason(database: Database) -> None:
    hold(database, held(), held(kind="CEB215"), held("RK2"))
    hold(database, held(reason="code_unknown"), now=LATER)
    assert [(one.key.key, one.type, one.reason, one.since) for one in entries(database)] == [
        ("RK1", "CEB215", "required_missing", NOW),
        ("RK2", "CEB213", "required_missing", NOW),
        ("RK1", "CEB213", "code_unknown", LATER),
    ]
    assert entries(database)[0].faults == [{"code": "required_missing", "field": "waybill", "text": "空"}]
    with database.read() as connection:
        ended = connection.execute(select(QUARANTINE.c.resolved_at).where(QUARANTINE.c.resolved_at.is_not(None)))
        assert ended.scalars().all() == [LATER]


def test_no_two_open_entries_of_one_record_and_type_can_exist(database: Database) -> None:
    hold(database, held())
    columns = [column.name for column in QUARANTINE.columns if column.name != "id"]
    copy = select(*[QUARANTINE.c[name] for name in columns])
    with pytest.raises(IntegrityError), database.write(Deed.PREPARE) as transaction:
        transaction.execute(QUARANTINE.insert().from_select(columns, copy))


def test_record_is_released_for_the_types_that_are_sound_and_no_other(database: Database) -> None:
    hold(database, held(), held(kind="CEB215"), held("RK2"))
    with database.write(Deed.PREPARE) as transaction:
        pairs = [(key(), "CEB213"), (key("RK9"), "CEB213")]
        assert quarantine.held_among(transaction, [key(), key("RK9")]) == {(key(), "CEB213"), (key(), "CEB215")}
        assert quarantine.release(transaction, pairs, now=LATER) == 1
        assert quarantine.release(transaction, pairs, now=LATER) == 0
        assert quarantine.release(transaction, [], now=LATER) == 0
    assert [(one.key.key, one.type) for one in entries(database)] == [("RK1", "CEB215"), ("RK2", "CEB213")]


def test_only_what_does_not_wait_for_the_very_same_reason_is_new(database: Database) -> None:
    hold(database, held(), held("RK2"))
    other = [held(text="另"), held("RK2", kind="CEB215"), held("RK3"), held(reason="code_unknown")]
    with database.write(Deed.PREPARE) as transaction:
        assert quarantine.not_yet_held(transaction, [held(), held("RK2"), *other]) == other
        quarantine.release(transaction, [(key(), "CEB213")], now=LATER)
        assert quarantine.not_yet_held(transaction, [held()]) == [held()]


def test_only_what_is_new_is_given_however_many_are_asked_about(database: Database) -> None:
    many = [held(f"RK{number}") for number in range(70_000)]  # more than either kind takes in one statement
    hold(database, many[0], many[501], many[-1])
    elsewhere = replace(held(), key=key(collection="tallies"))
    with database.write(Deed.PREPARE) as transaction:
        new = quarantine.not_yet_held(transaction, [*many, elsewhere])
        assert new == [*many[1:501], *many[502:-1], elsewhere]
        found = quarantine.held_among(transaction, [one.key for one in many] + [elsewhere.key])
        assert found == {(one.key, "CEB213") for one in (many[0], many[501], many[-1])}
        answered = [("CEB213", f"A/RK{number}") for number in range(70_000)]
        assert quarantine.held_for_answer(transaction, answered) == []


def test_newest_version_is_tried_again_when_another_row_can_end_its_reason(database: Database) -> None:
    names = ["missing", "ambiguous", "other", "released"]
    for value in (1, 2):
        store(database, *[record(name, a=value) for name in names], record("missing", collection="tallies", a=value))
        with database.write(Deed.PREPARE) as transaction:
            ids = [one.id for collection in ("returns", "tallies") for one in waiting(database, collection)]
            inbox.mark_prepared(transaction, ids)
    tallied = replace(held("missing", reason="lookup_missing"), key=key("missing", "tallies"))
    hold(database, held("missing", reason="lookup_missing"), held("ambiguous", reason="lookup_ambiguous"), tallied)
    hold(
        database,
        held("other"),
        held("released", reason="lookup_missing"),
        held("never stored", reason="lookup_missing"),
    )
    with database.write(Deed.PREPARE) as transaction:
        quarantine.release(transaction, [(key("released"), "CEB213")], now=LATER)
        assert quarantine.try_again(transaction, "returns", ["lookup_missing", "lookup_ambiguous"]) == 2
        assert quarantine.try_again(transaction, "returns", ["lookup_missing", "lookup_ambiguous"]) == 0
    assert [(one.record.key.key, one.version) for one in waiting(database)] == [("missing", 2), ("ambiguous", 2)]
    assert waiting(database, "tallies") == []
    assert len(entries(database)) == 5


def test_records_that_wait_for_an_answer_are_found_by_the_documents_answered(database: Database) -> None:
    hold(
        database,
        held(reason=quarantine.CHANGED_WHILE_OPEN),
        held("RK2", reason=quarantine.CHANGED_WHILE_OPEN),
        held("RK3", reason=quarantine.CHANGED_AFTER_ACCEPTANCE),
        held("RK4", kind="CEB215", reason=quarantine.CHANGED_WHILE_OPEN),
    )
    answered = [("CEB213", f"A/RK{number}") for number in (1, 3, 4, 5)]
    with database.write(Deed.PREPARE) as transaction:
        assert quarantine.held_for_answer(transaction, answered) == [key("RK1")]
        quarantine.release(transaction, [(key(), "CEB213")], now=LATER)
        assert quarantine.held_for_answer(transaction, answered) == []
