"""Every submission as it came in, so that a test can hold what was really sent against another implementation."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, insert, select

from connector.errors import UsageError
from connector.messages.envelope import unseal
from connector.simulator import tables
from connector.simulator.answers import Mark
from connector.simulator.soap import read_call


def store_request(
    connection: Connection, *, body: bytes, received_at: int, message_id: str | None, mark: Mark, info: str
) -> None:
    """Keep one request and what was answered at the door."""
    row = {"received_at": received_at, "message_id": message_id, "body": body, "mark": mark.value, "info": info}
    connection.execute(insert(tables.requests), row)


def signed_data(connection: Connection, message_id: str) -> bytes:
    """The exact signed bytes of a message that was taken in, out of the request that first brought it."""
    requests = tables.requests
    body = connection.scalar(
        select(requests.c.body)
        .where(requests.c.message_id == message_id, requests.c.mark == Mark.TAKEN_IN.value)
        .order_by(requests.c.number)
        .limit(1)
    )
    if body is None:
        raise UsageError(f"the simulated customs office has not taken in a message {message_id}")
    return unseal(read_call(body, "").arguments["content"].encode()).data


def signed_message(database: Path, message_id: str) -> bytes:
    """The exact signed bytes of a message, straight from the office's file; the office need not run.

    Raises `UsageError` when it has not taken in such a message.
    """
    engine = tables.open_database(database)
    try:
        with tables.reading(engine).connect() as connection:
            return signed_data(connection, message_id)
    finally:
        engine.dispose()
