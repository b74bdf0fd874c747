"""The audit log: numbered without gaps in the order of commits, whoever writes at the same time; read by filters."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from connector.audit import log, queries
from connector.audit.events import Entry, Event
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.storage.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def append(database: Database, *entries: Entry, actor: str = "connector", time: datetime = NOW) -> None:
    with database.write(Deed.PREPARE) as transaction:
        log.append(transaction, entries, actor=actor, time=time)


def append_and_roll_back(database: Database, entries: list[Entry], *, actor: str) -> None:
    with suppress(KeyError), database.write(Deed.PREPARE) as transaction:
        log.append(transaction, entries, actor=actor, time=NOW)
        raise KeyError


def numbers(database: Database, wanted: EntryFilter | None = None, at_most: int | None = None) -> list[int]:
    with database.read() as connection:
        return [one.sequence for one in queries.entries(connection, wanted or EntryFilter(), at_most=at_most)]


def test_entry_is_read_back_as_it_was_written(database: Database) -> None:
    entry = Entry(
        event=Event.RECEIPT_TAKEN,
        source_key="returns/RK1",
        document_type="CEB213",
        business_key="A/RK1",
        message_id="m",
        waybill="YT1",
        export_list="L1",
        detail={"info": "放行\x00\x1f", "guids": ["a", "b"], "matched": True, "sequence": 2**60, "none": None},
    )
    append(database, entry, actor="王芳")
    with database.read() as connection:
        read = queries.entry(connection, 1)
        assert queries.entry(connection, 2) is None
    assert read is not None
    for name in ("source_key", "document_type", "business_key", "message_id", "waybill", "export_list", "detail"):
        assert getattr(read, name) == getattr(entry, name)
    assert (read.sequence, read.event, read.actor, read.time) == (1, "receipt_taken", "王芳", NOW)


def test_numbers_have_no_gap_when_transactions_before_were_rolled_back(database: Database) -> None:
    append(database, Entry(event=Event.COLLECTED))
    for _ in range(3):
        append_and_roll_back(database, [Entry(event=Event.MAPPED)] * 5, actor="another")
    append(database, Entry(event=Event.SIGNED), Entry(event=Event.SIGNED), actor="another")
    assert numbers(database) == [1, 2, 3]


def test_numbers_follow_the_order_of_commits_when_four_write_at_once(database: Database) -> None:
    seen: list[list[int]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def write(name: str) -> None:
        try:
            for number in range(25):
                entries = [Entry(event=Event.MAPPED, source_key=f"{name}/{number}")] * (1 + number % 3)
                if number % 5 == 4:
                    append_and_roll_back(database, entries, actor=name)
                append(database, *entries, actor=name)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            failures.append(error)

    def watch() -> None:
        while not done.is_set():
            seen.append(numbers(database))

    writers = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
    watcher = threading.Thread(target=watch)
    for thread in [*writers, watcher]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    watcher.join()
    assert not failures
    total = 4 * sum(1 + number % 3 for number in range(25))
    # Never a hole, at no moment: an entry with a smaller number was committed earlier.
    assert all(view == list(range(1, len(view) + 1)) for view in seen)
    assert numbers(database) == list(range(1, total + 1))
    with database.read() as connection:
        whole = queries.entries(connection, EntryFilter())
    for name in ("w0", "w1", "w2", "w3"):
        own = [int(one.source_key.partition("/")[2]) for one in whole if one.actor == name]
        assert own == sorted(own)


def test_each_filter_alone_finds_what_it_names(database: Database) -> None:
    one = Entry(
        event=Event.MAPPED,
        source_key="s/1",
        document_type="CEB213",
        business_key="A/1",
        message_id="m1",
        waybill="w1",
        export_list="l1",
    )
    append(database, one, actor="a")
    later = NOW + timedelta(hours=1)
    append(database, Entry(event=Event.SIGNED, source_key="s/2", message_id="m2", waybill="w2"), actor="b", time=later)
    append(database, Entry(event=Event.SIGNED, business_key="A/1"), actor="b", time=later + timedelta(hours=1))
    for wanted, expected in [
        (EntryFilter(), [1, 2, 3]),
        (EntryFilter(since=later), [2, 3]),
        (EntryFilter(until=later), [1]),
        (EntryFilter(event="signed"), [2, 3]),
        (EntryFilter(actor="a"), [1]),
        (EntryFilter(source_key="s/2"), [2]),
        (EntryFilter(document_type="CEB213"), [1]),
        (EntryFilter(business_key="A/1"), [1, 3]),
        (EntryFilter(message_id="m2"), [2]),
        (EntryFilter(waybill="w1"), [1]),
        (EntryFilter(export_list="l1"), [1]),
        (EntryFilter(business_key="A/1", actor="b"), [3]),
        (EntryFilter(actor="nobody"), []),
    ]:
        assert numbers(database, wanted) == expected, wanted


def test_newest_entries_come_in_order_when_their_number_is_limited(database: Database) -> None:
    append(database, *[Entry(event=Event.MAPPED)] * 7)
    assert numbers(database, at_most=3) == [5, 6, 7]
    with database.read() as connection:
        assert queries.count(connection) == 7


def test_story_leaves_out_what_happened_to_others_in_the_same_message(database: Database) -> None:
    append(
        database,
        Entry(event=Event.COLLECTED, source_key="s/1"),
        Entry(event=Event.COLLECTED, source_key="s/2"),
        Entry(event=Event.MAPPED, business_key="A/1", message_id="m"),
        Entry(event=Event.MAPPED, business_key="A/2", message_id="m"),
        Entry(event=Event.SIGNED, message_id="m"),
        Entry(event=Event.SIGNED, message_id="other"),
        Entry(event=Event.STATUS_CHANGED, business_key="A/1"),
    )
    with database.read() as connection:
        story = queries.story(connection, source_keys=["s/1"], business_keys=["A/1"], message_ids=["m"])
    assert [one.sequence for one in story] == [1, 3, 5, 7]


def test_story_of_more_keys_than_a_statement_takes_has_each_entry_once_in_order(database: Database) -> None:
    told = [
        Entry(event=Event.MAPPED, source_key=f"returns/{number}", business_key=f"A/{number}") for number in range(1200)
    ]
    with database.write(Deed.PREPARE) as transaction:
        log.append(transaction, told, actor="a", time=datetime(2026, 6, 1, tzinfo=UTC))
    with database.read() as connection:
        found = queries.story(
            connection,
            source_keys=[one.source_key for one in told],
            business_keys=[one.business_key for one in reversed(told)],
            message_ids=(),
        )
    assert [one.sequence for one in found] == list(range(1, 1201))
