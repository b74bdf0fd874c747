"""Leases on cursors: one holder at a time, a token that grows, on both kinds of database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from connector.deeds import Deed
from connector.storage import leases
from connector.storage.database import Database
from connector.storage.leases import LEASES, Lease, Overtaken

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
LENGTH = timedelta(minutes=5)
MOMENT = timedelta(microseconds=1)


def take(database: Database, name: str = "a", *, holder: str = "", now: datetime = NOW) -> Lease | None:
    """Ask for a lease, as another process each time unless a holder is named."""
    with database.write(Deed.LEASE) as transaction:
        return leases.take(transaction, name, holder or str(uuid.uuid4()), now=now, length=LENGTH)


def taken(database: Database, name: str = "a", *, holder: str = "", now: datetime = NOW) -> Lease:
    lease = take(database, name, holder=holder, now=now)
    assert lease is not None
    return lease


def extend(database: Database, lease: Lease, *, now: datetime = NOW) -> None:
    with database.write(Deed.COLLECT) as transaction:
        leases.extend(transaction, lease, now=now)


def give_back(database: Database, lease: Lease, *, now: datetime = NOW) -> None:
    with database.write(Deed.LEASE) as transaction:
        leases.give_back(transaction, lease, now=now)


def test_lease_is_one_holders_until_it_ends(database: Database) -> None:
    first = taken(database)
    assert (first.token, first.length) == (1, LENGTH)
    assert take(database) is None
    assert take(database, now=NOW + LENGTH - MOMENT) is None
    assert taken(database, now=NOW + LENGTH).token == 2


def test_lease_is_taken_anew_at_once_by_the_one_who_could_not_give_it_back(database: Database) -> None:
    before = taken(database, holder="one")
    again = taken(database, holder="one", now=NOW + timedelta(minutes=1))
    assert again.token == before.token + 1
    with pytest.raises(Overtaken):
        extend(database, before)
    assert take(database, holder="two", now=NOW + timedelta(minutes=6) - MOMENT) is None
    assert taken(database, holder="two", now=NOW + timedelta(minutes=6)).token == 3


def test_lease_of_another_name_is_free(database: Database) -> None:
    taken(database)
    assert taken(database, "b").token == 1


def test_lease_is_free_at_once_when_it_was_given_back(database: Database) -> None:
    give_back(database, taken(database))
    assert taken(database).token == 2


def test_lease_lasts_its_whole_length_from_when_it_was_extended(database: Database) -> None:
    lease = taken(database)
    extend(database, lease, now=NOW + timedelta(minutes=4))
    assert take(database, now=NOW + timedelta(minutes=9) - MOMENT) is None
    assert taken(database, now=NOW + timedelta(minutes=9)).token == 2


def test_lease_that_ended_goes_on_when_nobody_took_it_over(database: Database) -> None:
    lease = taken(database)
    extend(database, lease, now=NOW + 3 * LENGTH)
    assert take(database, now=NOW + 3 * LENGTH) is None


def test_holder_that_was_overtaken_neither_extends_nor_ends_the_lease(database: Database) -> None:
    slow = taken(database)
    other = taken(database, now=NOW + LENGTH)
    with pytest.raises(Overtaken, match="a"):
        extend(database, slow, now=NOW + LENGTH)
    give_back(database, slow, now=NOW + LENGTH)
    assert take(database, now=NOW + LENGTH) is None
    extend(database, other, now=NOW + LENGTH)


def test_holder_that_was_overtaken_stays_so_when_the_other_gave_the_lease_back(database: Database) -> None:
    slow = taken(database)
    give_back(database, taken(database, now=NOW + LENGTH), now=NOW + LENGTH)
    with pytest.raises(Overtaken):
        extend(database, slow, now=NOW + LENGTH)


def test_block_that_finds_itself_overtaken_keeps_nothing(database: Database) -> None:
    slow = taken(database)
    taken(database, now=NOW + LENGTH)

    def work() -> None:
        with database.write(Deed.COLLECT) as transaction:
            leases.take(transaction, "written before", "holder", now=NOW, length=LENGTH)
            leases.extend(transaction, slow, now=NOW + LENGTH)

    with pytest.raises(Overtaken):
        work()
    with database.read() as connection:
        assert connection.execute(select(LEASES.c.name)).scalars().all() == ["a"]


def test_every_lease_is_free_when_all_were_ended(database: Database) -> None:
    holders = [taken(database, name) for name in ("a", "b")]
    with database.write(Deed.LEASE) as transaction:
        leases.end_all(transaction)
    for holder in holders:
        with pytest.raises(Overtaken):
            extend(database, holder)
        taken(database, holder.name)


@pytest.fixture
def others(database: Database) -> Iterator[list[Database]]:
    """Eight more ways into the same database, as of eight processes."""
    opened = [Database(database.address) for _ in range(8)]
    yield opened
    for one in opened:
        one.close()


def test_one_holds_it_when_eight_ask_for_it_at_once(database: Database, others: list[Database]) -> None:
    """The first time there is not even a row to lock; the second time there is one."""
    for ended in (NOW, NOW + LENGTH):
        found: list[Lease | None] = []
        start = threading.Barrier(len(others))

        def ask(
            other: Database, start: threading.Barrier = start, now: datetime = ended, found: list[Lease | None] = found
        ) -> None:
            start.wait()
            found.append(take(other, now=now))

        threads = [threading.Thread(target=ask, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == len(others)
        assert len([lease for lease in found if lease is not None]) == 1
    with database.read() as connection:
        assert connection.execute(select(LEASES.c.token)).scalars().all() == [2]
