"""collect with the sample enterprise: rows of the future, text that is none, and lookups that are answered later."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed
from connector.messages.records import Lookups, RecordShape, SourceKey, SourceRecord
from connector.outbox import queries
from connector.outbox.queries import Filter
from connector.pipeline.collect import Collected, collect
from connector.pipeline.cycle import Cycle, collect_and_prepare
from connector.pipeline.wiring import Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.interface import Cursor, Page, Sweep, UnreadableRow
from connector.storage import leases
from connector.storage.leases import Lease
from connector.storage.sources import SOURCE_RECORDS

Wire = Callable[..., Connector]
BEIJING = timedelta(hours=8)


def change(database: Path, statement: str, *values: object) -> None:
    """Change a database of the enterprise."""
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


def order_no(warehouse: Path, position: int) -> str:
    """The business order number of one return, in the order they changed."""
    query = "SELECT biz_order_no FROM wms_receipt_order ORDER BY update_time, id LIMIT 1 OFFSET ?"
    with closing(sqlite3.connect(warehouse)) as connection:
        (found,) = connection.execute(query, [position]).fetchone()
    return str(found)


def in_small_pages(wire: Wire, folder: Path) -> Connector:
    """The sample, read ten rows at a time."""
    wire(60).database.close()
    file = folder / "mappings" / "returns.toml"
    text = file.read_text("utf-8")
    file.write_text(re.sub(r"^page_size = \d+$", "page_size = 10", text, flags=re.MULTILINE), "utf-8")
    return wire(60)


def held(connector: Connector) -> list[tuple[str, str, str]]:
    with connector.database.read() as connection:
        return sorted((one.key.key, one.type, one.reason) for one in quarantine.waiting_entries(connection))


@pytest.mark.parametrize("ahead", [1, 25], ids=["fewer than a page", "more than two pages"])
def test_changes_are_collected_although_rows_lie_in_the_future(enterprise: Wire, tmp_path: Path, ahead: int) -> None:
    connector = in_small_pages(enterprise, tmp_path / "enterprise")
    warehouse = tmp_path / "enterprise" / "warehouse.db"
    future = "UPDATE wms_receipt_order SET update_time = '2999-01-01 00:00:00.000' WHERE id IN"
    change(warehouse, f"{future} (SELECT id FROM wms_receipt_order ORDER BY id LIMIT ?)", ahead)
    (collection,) = connector.collections
    assert collect(connector, collection).changed == 60
    assert collect(connector, collection).changed == 0
    last = "(SELECT id FROM wms_receipt_order ORDER BY id DESC LIMIT 1)"
    now = (datetime.now(UTC) + BEIJING).strftime("%Y-%m-%d %H:%M:%S")
    change(warehouse, f"UPDATE wms_receipt_order SET remark = 'YT1', update_time = ? WHERE id = {last}", now)
    assert collect(connector, collection).changed == 1


@dataclass
class Overtaken:
    """A source of three one-row pages; while it reads the second, its collector is paused and another takes over."""

    connector: Connector
    asked: list[Cursor | None]
    shape: RecordShape
    lease: Lease | None = None
    sweep: Sweep | None = None
    only_grows: bool = True

    def refresh(self) -> None:
        """It has all there is."""

    def before(self, cursor: Cursor, back: timedelta | None = None) -> Cursor | None:
        del cursor, back
        return None  # it has no overlap

    def moment(self, cursor: Cursor) -> datetime | None:
        raise AssertionError(cursor)

    def count(self, after: Cursor | None, until: Cursor | None) -> int:
        raise AssertionError(after, until)

    def page(self, after: Cursor | None, until: Cursor | None = None) -> Page:
        assert until is None
        self.asked.append(after)
        number = int(after.key) + 1 if after else 1
        if len(self.asked) == 2:
            with self.connector.database.write(Deed.LEASE) as transaction:
                later = self.connector.clock(transaction) + self.connector.collection_lease + timedelta(seconds=1)
                self.lease = leases.take(transaction, "collect r", "another", now=later, length=timedelta(hours=1))
        key = SourceKey(collection="r", key=str(number))
        record = SourceRecord(key=key, changed_at=datetime(2026, 6, 1, tzinfo=UTC), row={})
        records = (record,) if number < 4 else ()
        here = place(number) if records else after
        return Page(records=records, cursor=here, remember=here if records else None, more=bool(records))

    def look_up(self, names: object, records: object) -> Lookups:
        raise AssertionError(names, records)

    def current(self, key: SourceKey) -> SourceRecord | UnreadableRow | None:
        raise AssertionError(key)

    def all_current(self, keys: Sequence[SourceKey]) -> Mapping[SourceKey, SourceRecord | UnreadableRow]:
        raise AssertionError(keys)

    def vanished(self, names: Sequence[SourceKey]) -> Sequence[SourceKey]:
        raise AssertionError(names)


def place(number: int) -> Cursor:
    return Cursor(changed_at="1", key=str(number))


def test_page_is_left_to_the_collector_that_took_over_meanwhile(enterprise: Wire) -> None:
    connector = enterprise(60)
    shape = RecordShape(collection="r", columns=frozenset(), line_columns=frozenset(), lookups={})
    source = Overtaken(connector=connector, asked=[], shape=shape)
    collection = Collection(source=source, mappings=())
    assert collect(connector, collection).changed == 1
    assert collect(connector, collection) == Collected(is_elsewhere=True)
    assert source.asked == [None, place(1)]
    assert source.lease is not None
    with connector.database.read() as connection:
        assert inbox.read_cursor(connection, "r") == place(1)
        assert connection.execute(select(SOURCE_RECORDS.c.key)).scalars().all() == ["1"]


@pytest.mark.parametrize("name", [b"\xe5\xb9\xbf\xff", b"\xff"])
def test_document_is_held_when_a_text_looked_up_is_no_utf8(enterprise: Wire, tmp_path: Path, name: bytes) -> None:
    connector = enterprise(60)
    change(tmp_path / "enterprise" / "archive.db", "UPDATE export_list SET ebp_name = ?", name)
    collect_and_prepare(connector)
    with connector.database.read() as connection:
        assert not queries.documents(connection, Filter(type="CEB213"))
        waits = [one for one in quarantine.waiting_entries(connection) if one.type == "CEB213"]
    spoilt = [fault for one in waits for fault in one.faults if fault["field"] == "ebpName"]
    assert len(spoilt) == len(waits) - 1  # of one return the archive has no list at all
    assert {fault["code"] for fault in spoilt} == {"control_character"}
    assert all(r"\udcff" in fault["text"] for fault in spoilt)


@pytest.mark.parametrize(
    ("reason", "spoil", "repair"),
    [
        (
            "lookup_missing",
            "UPDATE export_list SET order_no = 'x' || order_no WHERE order_no = ?",
            "UPDATE export_list SET order_no = substr(order_no, 2) WHERE order_no = 'x' || ?",
        ),
        (
            "code_unknown",
            "UPDATE export_list_line SET unit = '998' WHERE list_id = (SELECT id FROM export_list WHERE order_no = ?)",
            "UPDATE export_list_line SET unit = '011' WHERE list_id = (SELECT id FROM export_list WHERE order_no = ?)",
        ),
    ],
)
def test_record_is_prepared_when_what_it_looked_up_is_put_right(
    enterprise: Wire, tmp_path: Path, reason: str, spoil: str, repair: str
) -> None:
    sound = enterprise(60, name="sound")
    collect_and_prepare(sound)
    expected = held(sound)
    connector = replace(enterprise(60), clock=sound.clock)
    archive = tmp_path / "enterprise" / "archive.db"
    order = order_no(tmp_path / "enterprise" / "warehouse.db", 3)
    change(archive, spoil, order)
    collect_and_prepare(connector)
    added = set(held(connector)) - set(expected)
    assert added
    assert {one[1:] for one in added} == {("CEB213", reason)}
    with connector.database.read() as connection:
        written = len(entries(connection, EntryFilter()))
    assert collect_and_prepare(connector) == Cycle()
    with connector.database.read() as connection:
        assert len(entries(connection, EntryFilter())) == written
    change(archive, repair, order)
    cycle = collect_and_prepare(connector)
    assert (cycle.collected.changed, cycle.prepared.documents) == (0, len(added))
    assert [one for one in held(connector) if one[1] == "CEB213"] == [one for one in expected if one[1] == "CEB213"]
