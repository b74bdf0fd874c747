"""Leases: what only one process works on at a time, for a while, by the database's clock.

A lease is a name, a token that grows each time it is taken, and an end. Whoever comes back late finds another token
and changes nothing. Messages carry their own lease; these guard the cursors of sources and of receipt streams::

    with database.write(Deed.LEASE) as transaction:
        lease = take(transaction, "collect returns", holder, now=now, length=timedelta(minutes=5))
    with database.write(Deed.COLLECT) as transaction:
        extend(transaction, lease, now=now)          # raises Overtaken when another took it meanwhile
        ...
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, delete, insert, select, update
from sqlmodel import Field, SQLModel

from connector.storage.columns import UtcTime, table_of
from connector.storage.database import lock


class LeaseRow(SQLModel, table=True):
    """Who works on what; a row stays when its lease is given back, for its token must go on growing."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True)
    token: int
    holder: str
    """Of whom it is: a process that comes again, after a fault kept it from giving the lease back, need not wait."""
    until: datetime = Field(sa_column=Column(UtcTime, nullable=False))


LEASES = table_of(LeaseRow)


class Overtaken(Exception):
    """Another process took the lease over: what was done under it must not be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What is ours until the lease ends, or longer if nobody takes it over."""

    name: str
    token: int
    length: timedelta


def take(transaction: Connection, name: str, holder: str, *, now: datetime, length: timedelta) -> Lease | None:
    """Take a lease that nobody holds, or that has ended; None while another holds it.

    holder: a name of the process; one process never works under the same lease twice at a time.
    """
    lock(transaction, f"lease {name}")
    table = LEASES.c
    row = transaction.execute(select(LEASES).where(table.name == name)).one_or_none()
    if row is None:
        transaction.execute(insert(LEASES).values(name=name, token=1, holder=holder, until=now + length))
        return Lease(name=name, token=1, length=length)
    if row.until > now and row.holder != holder:
        return None
    taken = update(LEASES).where(table.name == name)
    transaction.execute(taken.values(token=row.token + 1, holder=holder, until=now + length))
    return Lease(name=name, token=row.token + 1, length=length)


def extend(transaction: Connection, lease: Lease, *, now: datetime) -> None:
    """Hold a lease for its whole length from now on. Raises `Overtaken`."""
    if not _move(transaction, lease, now + lease.length):
        raise Overtaken(lease.name)


def give_back(transaction: Connection, lease: Lease, *, now: datetime) -> None:
    """End a lease; nothing happens when another has taken it over."""
    _move(transaction, lease, now)


def end_all(transaction: Connection) -> None:
    """Forget every lease; for one who knows that nobody else is at work."""
    transaction.execute(delete(LEASES))


def _move(transaction: Connection, lease: Lease, until: datetime) -> bool:
    ours = update(LEASES).where(LEASES.c.name == lease.name, LEASES.c.token == lease.token)
    return transaction.execute(ours.values(until=until)).rowcount == 1
