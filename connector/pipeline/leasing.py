"""What only one process may do at a time is done under a lease."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connector.deeds import Deed
from connector.outbox import endpoints, queue
from connector.pipeline.wiring import Connector
from connector.storage import leases
from connector.storage.leases import Lease, Overtaken


@contextmanager
def held(connector: Connector, name: str, length: timedelta) -> Iterator[Lease | None]:
    """Hold a lease as long as the block lasts; None while another process has it: the work is done there.

    A block that finds itself overtaken ends, and whoever overtook it goes on from what was committed.
    """
    with connector.database.write(Deed.LEASE) as transaction:
        now = connector.clock(transaction)
        lease = leases.take(transaction, name, connector.holder, now=now, length=length)
    try:
        yield lease
    except Overtaken:
        return
    except Exception:
        _give_back(connector, lease)
        raise
    _give_back(connector, lease)


def end_all(connector: Connector) -> None:
    """End every lease and probe; for the only process that works on the database: whoever held one is gone."""
    with connector.database.write(Deed.LEASE) as transaction:
        leases.end_all(transaction)
        endpoints.end_probes(transaction)
        queue.end_leases(transaction, now=connector.clock(transaction))


def _give_back(connector: Connector, lease: Lease | None) -> None:
    if lease is not None:
        with connector.database.write(Deed.LEASE) as transaction:
            leases.give_back(transaction, lease, now=connector.clock(transaction))
