"""Calls of an endpoint, as far as its circuit breaker allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    if not clean:
        _begin(connector, endpoint)
    try:
        yield
    except CustomsUnreachable as error:
        _end(connector, endpoint, error)
        raise
    if not clean:
        _end(connector, endpoint, None)


def _begin(connector: Connector, endpoint: str) -> None:
    with connector.database.write(Deed.BREAKER) as transaction:
        now = connector.clock(transaction)
        breaker = endpoints.locked(transaction, endpoint)
        if not breaker.lets_pass(now):
            raise CustomsUnreachable(
                breaker.info,
                effect=f"it failed {breaker.failures} times in a row and is left alone for a while",
                remedy="`connector status` says until when; check the network and [customs]",
            )
        endpoints.store(transaction, endpoint, breaker, breaker.called(now + connector.lease))


def _end(connector: Connector, endpoint: str, error: CustomsUnreachable | None) -> None:
    policy = connector.breaker_policy
    with connector.database.write(Deed.BREAKER) as transaction:
        before = endpoints.locked(transaction, endpoint)
        if error is None:
            after = before.succeeded(policy)
        else:
            now = connector.clock(transaction)
            after = before.failed(error.cause, now=now, policy=policy, retry_after=error.retry_after)
        endpoints.store(transaction, endpoint, before, after)
