"""Calls of an endpoint, as far as its circuit breaker allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from connector.deeds import Deed
from connector.errors import CustomsUnreachable
from connector.outbox import endpoints
from connector.outbox.breaker import Breaker
from connector.pipeline.wiring import Connector


@contextmanager
def breaking(connector: Connector, endpoint: str) -> Iterator[None]:
    """Make one call in the block and tell the breaker how it ended.

    Raises `CustomsUnreachable`, in the words of the last failure, when no call may be made now.
    """
    with connector.database.read() as connection:
        clean = endpoints.breaker(connection, endpoint) == Breaker()
    mark = None if clean else _begin(connector, endpoint)
    try:
        yield
    except CustomsUnreachable as error:
        _failed(connector, endpoint, error, mark)
        raise
    if not clean:
        with connector.database.write(Deed.BREAKER) as transaction:
            endpoints.turn(transaction, endpoint, lambda before: before.succeeded(connector.breaker_policy, mark))


def _begin(connector: Connector, endpoint: str) -> datetime | None:
    """Say that a call begins; the mark of the probe that it is, if it is one."""
    with connector.database.write(Deed.BREAKER) as transaction:
        now = connector.clock(transaction)
        breaker = endpoints.locked(transaction, endpoint)
        if not breaker.lets_pass(now):
            raise CustomsUnreachable(
                breaker.info,
                effect="nothing was asked: after this failure the address is left alone for a while, then probed",
                remedy="`connector status` says until when; check the network and [customs]",
            )
        called = breaker.called(now + connector.lease)
        endpoints.store(transaction, endpoint, breaker, called)
        return called.probe_until


def _failed(connector: Connector, endpoint: str, error: CustomsUnreachable, mark: datetime | None) -> None:
    policy = connector.breaker_policy
    with connector.database.write(Deed.BREAKER) as transaction:
        now = connector.clock(transaction)
        endpoints.turn(
            transaction,
            endpoint,
            lambda before: before.failed(error.cause, mark, now=now, policy=policy, retry_after=error.retry_after),
        )
