"""The circuit breakers of the customs endpoints, kept in the database so that all processes share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from connector.outbox.breaker import Breaker
from connector.storage.breakers import BREAKERS
from connector.storage.database import lock


def breaker(connection: Connection, endpoint: str) -> Breaker:
    """What is known of an endpoint's last calls."""
    row = connection.execute(select(BREAKERS).where(BREAKERS.c.endpoint == endpoint)).one_or_none()
    if row is None:
        return Breaker()
    return Breaker(**{name: value for name, value in row._mapping.items() if name != "endpoint"})  # noqa: SLF001


def locked(transaction: Connection, endpoint: str) -> Breaker:
    """The same, and nobody else changes it before the transaction ends."""
    lock(transaction, f"breaker {endpoint}")
    return breaker(transaction, endpoint)


def turn(transaction: Connection, endpoint: str, change: Callable[[Breaker], Breaker]) -> None:
    """Change a breaker by what a call came to."""
    before = locked(transaction, endpoint)
    store(transaction, endpoint, before, change(before))


def end_probes(transaction: Connection) -> None:
    """Forget every probe that is on its way; for one who knows that nobody else is at work."""
    transaction.execute(update(BREAKERS).values(probe_until=None))


def store(transaction: Connection, endpoint: str, before: Breaker, after: Breaker) -> None:
    """Remember what a call came to; nothing is written when that changes nothing, as it mostly does."""
    if after == before:
        return
    transaction.execute(delete(BREAKERS).where(BREAKERS.c.endpoint == endpoint))
    if after != Breaker():
        transaction.execute(insert(BREAKERS).values(endpoint=endpoint, **asdict(after)))
