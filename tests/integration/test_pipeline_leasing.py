"""Leases at work: what only one process may do, and what a worker that lost its lease does not do any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, select, text

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed, Moment
from connector.errors import CustomsUnreachable, DatabaseUnreachable, SourceUnreachable
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import Document
from connector.outbox import queries, queue, turns
from connector.outbox.delivery import doubt
from connector.pipeline.collect import collect
from connector.pipeline.deliver import deliver, recover
from connector.pipeline.leasing import end_all, held
from connector.pipeline.prepare import prepare
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.signing.keyfiles import FileKey
from connector.sources import inbox
from connector.storage import leases
from connector.storage.database import Database
from connector.storage.leases import LEASES, Lease
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_CURSORS, RECEIPT_ENVELOPES
from connector.storage.sources import SOURCE_RECORDS
from connector.transport.connection import Endpoint, Withheld
from tests.integration.small_office import LEASE, SETTLE, Clock, Office, connect, working_office

Keep = Callable[..., list[Document]]
Wire = Callable[..., Connector]
Act = Callable[[], object]
After = Callable[[Database, Deed, Act], Database]

LONG = timedelta(minutes=5)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def office() -> Iterator[Office]:
    with working_office() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connector(office: Office, database: Database, signing_key: FileKey, clock: Clock) -> Connector:
    return connect(office.url, database, signing_key, clock)


@pytest.fixture
def after() -> Iterator[After]:
    """Another way into a database, on which something else happens right after the first commit of a deed."""
    opened: list[Database] = []

    def open_(database: Database, deed: Deed, act: Act) -> Database:
        acted = False

        def watch(done: Deed, moment: Moment) -> None:
            nonlocal acted
            if (done, moment) == (deed, "after") and not acted:
                acted = True
                act()

        opened.append(Database(database.address, watch=watch))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def states(connector: Connector) -> dict[str, int]:
    with connector.database.read() as connection:
        return dict(queries.count_messages(connection))


def outcomes(connector: Connector) -> list[str]:
    with connector.database.read() as connection:
        return list(connection.execute(select(ATTEMPTS.c.outcome).order_by(ATTEMPTS.c.id)).scalars())


def take(connector: Connector, name: str) -> Lease | None:
    with connector.database.write(Deed.LEASE) as transaction:
        return leases.take(transaction, name, "another", now=connector.clock(transaction), length=LONG)


def test_nothing_is_sent_when_another_took_the_message_over_meanwhile(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    keep("1", message_id="m", at=clock())

    def take_over() -> None:
        clock.pass_by(LEASE + MOMENT)
        assert recover(connector).recovered == 1

    slow = replace(connector, database=after(connector.database, Deed.CLAIM, take_over))
    assert deliver(slow).outcomes == {"withdrawn": 1}
    assert office.connections <= 1
    assert office.bodies == []
    assert (states(connector), outcomes(connector)) == ({"in_doubt": 1}, ["withdrawn"])
    with connector.database.read() as connection:
        said = [entry.detail for entry in entries(connection, EntryFilter(message_id="m", event="answered"))]
    assert ["delivery_state" in one or one["unchanged"] for one in said] == ["it was settled or taken over meanwhile"]
    clock.pass_by(SETTLE)
    deliver(connector)
    assert (states(connector), len(office.bodies), office.asked) == ({"delivered": 1}, 1, ["m"])


@pytest.mark.parametrize("late", [LEASE + MOMENT, timedelta(seconds=31)])
def test_nothing_is_sent_when_the_lease_ended_or_would_end_during_the_call(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After, late: timedelta
) -> None:
    """The deadline of a call is 30 s, the lease lasts 60 s: after a pause of 31 s the answer could come too late."""
    keep("1", message_id="m", at=clock())
    slow = replace(connector, database=after(connector.database, Deed.CLAIM, lambda: clock.pass_by(late)))
    only_one = iter([False, True])
    assert deliver(replace(slow, is_stopping=lambda: next(only_one))).outcomes == {"withdrawn": 1}
    assert office.bodies == []
    assert (states(connector), outcomes(connector)) == ({"pending": 1}, ["withdrawn"])
    assert deliver(slow).outcomes == {"taken_in": 1}
    assert (states(connector), len(office.bodies)) == ({"delivered": 1}, 1)


def test_message_is_sent_when_the_pause_was_shorter_than_the_margin(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    keep("1", message_id="m", at=clock())
    pause = timedelta(seconds=29)
    slow = replace(connector, database=after(connector.database, Deed.CLAIM, lambda: clock.pass_by(pause)))
    assert deliver(slow).outcomes == {"taken_in": 1}
    assert len(office.bodies) == 1


def test_nothing_is_sent_when_an_operator_settled_the_message_meanwhile(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    (made,) = keep("1", message_id="m", at=clock())

    def receive() -> None:
        with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
            assert turns.confirm_by_receipt(transaction, [made.guid], now=clock()) == ["m"]

    slow = replace(connector, database=after(connector.database, Deed.CLAIM, receive))
    assert deliver(slow).outcomes == {"withdrawn": 1}
    assert (states(connector), office.bodies) == ({"delivered": 1}, [])


def test_nothing_is_asked_when_the_message_was_settled_or_the_lease_has_ended_meanwhile(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    (made,) = keep("1", message_id="m", at=clock())
    office.manner = "cut"
    deliver(connector)
    clock.pass_by(SETTLE)

    slow = replace(connector, database=after(connector.database, Deed.CLAIM, lambda: clock.pass_by(2 * LEASE)))
    assert deliver(slow).outcomes["withdrawn"] == 1
    assert (states(connector), office.asked) == ({"in_doubt": 1}, [])
    clock.pass_by(LONG)

    def receive() -> None:
        with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
            assert turns.confirm_by_receipt(transaction, [made.guid], now=clock()) == ["m"]

    slow = replace(connector, database=after(connector.database, Deed.CLAIM, receive))
    assert deliver(slow).outcomes == {"withdrawn": 1}
    assert (states(connector), office.asked) == ({"delivered": 1}, [])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nothing_is_sent_when_the_database_is_gone_just_before_the_first_byte(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    keep("1", message_id="m", at=clock())
    address, _, name = connector.database.address.rpartition("/")
    server = create_engine(f"{address}/postgres", poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def admit(admitted: str) -> None:
        with server.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {admitted}"))
            ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(ending), {"name": name})

    stops: list[bool] = []  # else it would try to record that for as long as the lease lasts

    def lose() -> None:
        admit("false")
        stops.append(True)

    lost = replace(connector, database=after(connector.database, Deed.CLAIM, lose), is_stopping=lambda: bool(stops))
    try:
        with pytest.raises(DatabaseUnreachable):
            deliver(lost)
    finally:
        admit("true")
    connector.database.close()  # its connections are dead
    assert office.bodies == []
    assert states(connector) == {"sending": 1}
    clock.pass_by(LEASE + MOMENT)
    assert recover(connector).recovered == 1
    clock.pass_by(SETTLE)
    deliver(connector)
    assert (states(connector), len(office.bodies), office.asked) == ({"delivered": 1}, 1, ["m"])


def test_guard_is_asked_with_what_is_left_of_the_deadline_and_withholds_every_byte(office: Office) -> None:
    endpoint = Endpoint(f"{office.url}/submit", headers={}, deadline_seconds=7)
    asked: list[float] = []

    def refuse(seconds: float) -> bool:
        asked.append(seconds)
        return False

    for _ in range(2):
        assert isinstance(endpoint.post(Deed.SUBMIT, b"body of m", refuse), Withheld)
    assert all(6 < seconds <= 7 for seconds in asked)
    assert len(asked) == 2
    assert office.bodies == []


@pytest.mark.parametrize("kept", [False, True])
def test_what_the_guard_raises_comes_through_and_nothing_is_sent(
    office: Office,
    kept: bool,  # noqa: FBT001 - a case of the table
) -> None:
    endpoint = Endpoint(f"{office.url}/submit", headers={}, deadline_seconds=7)
    if kept:
        endpoint.post(Deed.SUBMIT, b"body of first")

    def fail(_seconds: float) -> bool:
        raise DatabaseUnreachable("gone")

    with pytest.raises(DatabaseUnreachable, match="gone"):
        endpoint.post(Deed.SUBMIT, b"body of second", fail)
    endpoint.post(Deed.SUBMIT, b"body of third")
    assert office.bodies == [*([b"body of first"] if kept else []), b"body of third"]


@pytest.fixture
def site(enterprise: Wire, clock: Clock) -> Connector:
    """A connector of 20 returns, none of them collected."""
    return replace(enterprise(20, 9), clock=clock)


def count(connector: Connector, table: object) -> int:
    with connector.database.read() as connection:
        return len(connection.execute(select(table)).all())  # type: ignore[call-overload]


def test_nothing_is_collected_or_prepared_while_another_does_so(site: Connector, clock: Clock) -> None:
    (returns, *_) = site.collections
    other = take(site, f"collect {returns.name}")
    assert other is not None
    assert collect(site, returns).changed == 0
    assert count(site, SOURCE_RECORDS) == 0
    with site.database.write(Deed.LEASE) as transaction:
        leases.give_back(transaction, other, now=clock())
    assert collect(site, returns).changed == 20

    take(site, f"prepare {returns.name}")
    assert prepare(site, returns).documents == 0
    assert count(site, DOCUMENTS) == 0
    clock.pass_by(LONG)
    assert prepare(site, returns).documents > 0


def test_nothing_is_fetched_while_another_takes_receipts(connector: Connector, office: Office, clock: Clock) -> None:
    office.receipts.append("<no envelope/>")
    take(connector, f"receipts {connector.endpoint}")
    assert take_receipts(connector).unreadable == 0
    assert office.connections == 0
    clock.pass_by(LONG)
    assert take_receipts(connector).unreadable == 1


def test_page_of_receipts_is_not_kept_when_another_took_over_while_it_was_fetched(
    connector: Connector, office: Office, clock: Clock
) -> None:
    office.receipts.append("<no envelope/>")

    def take_over() -> None:
        clock.pass_by(LEASE)
        assert take(connector, f"receipts {connector.endpoint}") is not None

    office.meanwhile = take_over
    received = take_receipts(connector)
    assert (office.fetched, received.unreadable) == (1, 0)
    assert count(connector, RECEIPT_ENVELOPES) == count(connector, RECEIPT_CURSORS) == 0


def test_page_of_records_is_not_kept_when_another_took_over_while_it_was_read(
    site: Connector, clock: Clock, after: After
) -> None:
    (returns, *_) = site.collections

    def take_over() -> None:
        clock.pass_by(LONG)
        assert take(site, f"collect {returns.name}") is not None

    slow = replace(site, database=after(site.database, Deed.LEASE, take_over))
    assert collect(slow, returns).changed == 0
    with site.database.read() as connection:
        assert inbox.read_cursor(connection, returns.name) is None
    assert count(site, SOURCE_RECORDS) == 0

    clock.pass_by(LONG)
    assert collect(site, returns).changed == 20

    def take_preparing_over() -> None:
        clock.pass_by(LONG)
        assert take(site, f"prepare {returns.name}") is not None

    slow = replace(site, database=after(site.database, Deed.LEASE, take_preparing_over))
    assert prepare(slow, returns).documents == 0
    assert count(site, DOCUMENTS) == count(site, MESSAGES) == 0


def test_lease_is_given_back_when_the_source_fails(site: Connector, tmp_path: Path) -> None:
    (returns, *_) = site.collections
    warehouse = tmp_path / "enterprise" / "warehouse.db"
    shutil.move(warehouse, tmp_path / "away.db")
    with pytest.raises(SourceUnreachable):
        collect(site, returns)
    shutil.move(tmp_path / "away.db", warehouse)
    other = replace(site, holder="another")
    assert collect(other, returns).changed == 20  # at the same time by its clock: nothing is left to wait for


def test_lease_is_given_back_when_customs_fails(connector: Connector, office: Office) -> None:
    office.receipts_manner = "lose"
    with pytest.raises(CustomsUnreachable):
        take_receipts(connector)
    office.receipts_manner = "give"
    take_receipts(replace(connector, holder="another"))
    assert office.fetched == 1


def test_lease_is_not_given_back_by_one_that_was_overtaken(connector: Connector, clock: Clock) -> None:
    with held(connector, "a", LONG) as lease:
        assert lease is not None
        clock.pass_by(LONG)
        assert take(connector, "a") is not None
    with held(connector, "a", LONG) as lease:
        assert lease is None


def test_end_of_a_block_is_quiet_when_it_finds_itself_overtaken(connector: Connector, clock: Clock) -> None:
    reached = False
    with held(connector, "a", LONG) as lease:
        assert lease is not None
        clock.pass_by(LONG)
        take(connector, "a")
        with connector.database.write(Deed.COLLECT) as transaction:
            leases.extend(transaction, lease, now=clock())
        reached = True
    assert not reached


def test_everything_is_free_at_once_when_all_leases_were_ended(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    """As at the start on SQLite: whoever held a message, a collection or the receipts is gone."""
    for number in range(3):
        keep(str(number), message_id=f"m{number}", at=clock())
    with connector.database.write(Deed.CLAIM) as transaction:
        sent, lost = (queue.claim(transaction, "send", now=clock(), lease=LEASE) for _ in range(2))
    assert sent is not None
    assert lost is not None
    with connector.database.write(Deed.RECORD) as transaction:
        step = doubt("lost", now=clock() - SETTLE, policy=connector.policy)
        queue.record(transaction, lost, step, outcome="in_doubt", response=None, now=clock())
        assert queue.claim(transaction, "query", now=clock(), lease=LEASE) is not None
    take(connector, f"receipts {connector.endpoint}")
    take(connector, "collect returns")
    end_all(connector)
    assert count(connector, LEASES) == 0
    deliver(connector)
    assert states(connector) == {"in_doubt": 1, "delivered": 1, "pending": 1}  # not known, and not the first question
    assert office.asked == [lost.message_id]
    assert "abandoned" in outcomes(connector)
    with connector.database.read() as connection:
        (gone,) = queries.messages(connection, queries.Filter(delivery_state=DeliveryState.IN_DOUBT.value))
    assert (gone.id, gone.info) == (sent.message_id, "its sender ended without an outcome")
    take_receipts(connector)
    assert office.fetched == 1


def test_nothing_changes_for_messages_at_rest_when_all_leases_were_ended(
    connector: Connector, clock: Clock, keep: Keep
) -> None:
    keep("1", message_id="m", at=clock())
    deliver(connector)
    with connector.database.read() as connection:
        before = connection.execute(select(MESSAGES)).all()
    end_all(connector)
    with connector.database.read() as connection:
        assert connection.execute(select(MESSAGES)).all() == before


def test_messages_of_a_worker_that_ended_are_taken_over_while_others_are_busy(
    connector: Connector, office: Office, clock: Clock, keep: Keep, after: After
) -> None:
    """A backlog keeps one `deliver` going for hours; what another left behind must not wait for its end."""
    for number in range(8):
        keep(str(number), message_id=f"m{number}", at=clock())
    with connector.database.write(Deed.CLAIM) as transaction:
        assert queue.claim(transaction, "send", now=clock(), lease=LEASE) is not None
    office.seconds = 0.25
    passing = after(connector.database, Deed.RECORD, lambda: clock.pass_by(LEASE + MOMENT))
    deliver(replace(connector, database=passing))
    assert states(connector) == {"in_doubt": 1, "delivered": 7}
