"""Every submission as it came in, so that a test can hold what was really sent against another implementation.

And every queryMessage, so that a campaign can tell in which order a message was sent, processed and asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, update

from connector.errors import UsageError
from connector.messages.envelope import unseal
from connector.simulator import tables
from connector.simulator.answers import Mark
from connector.simulator.soap import read_call


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a request came."""

    at: int
    """Milliseconds since 1970."""
    fault: str = ""
    """Which fault its peer gets; empty for none."""
    number: int | None = None
    """Its row, where one was written before it is processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """That something was done, and its place in the exact order of all that the office does."""

    at: int
    """Milliseconds since 1970."""
    place: int


def last_place(connection: Connection) -> int:
    """The last place that was given, 0 for none."""
    columns = (tables.requests.c.place, tables.queries.c.place)
    return max(connection.scalar(select(func.max(column))) or 0 for column in columns)


def note_request(connection: Connection, *, body: bytes, message_id: str | None, arrival: Arrival) -> int:
    """Keep a request that is not processed, or not yet; the number of its row."""
    row = {
        "received_at": arrival.at,
        "message_id": message_id,
        "body": body,
        "mark": "",
        "info": "",
        "fault": arrival.fault,
    }
    number = connection.execute(insert(tables.requests), row).inserted_primary_key
    assert number is not None
    return int(number[0])


def store_request(
    connection: Connection,
    *,
    body: bytes,
    message_id: str | None,
    arrival: Arrival,
    said: tuple[Mark, str],
    processed: Processed,
) -> None:
    """Keep one request and what was answered at the door.

    said: chkMark and resultInfo.
    """
    mark, info = said
    row: dict[str, object] = {"mark": mark.value, "info": info}
    row |= {"processed_at": processed.at, "place": processed.place}
    requests = tables.requests
    if arrival.number is not None:
        connection.execute(update(requests).where(requests.c.number == arrival.number).values(row))
        return
    row |= {"received_at": arrival.at, "message_id": message_id, "body": body, "fault": arrival.fault}
    connection.execute(insert(requests), row)


def store_query(
    connection: Connection, *, sender: str, message_id: str, arrival: Arrival, processed: Processed | None, digest: str
) -> None:
    """Keep one queryMessage.

    processed: None where it was not answered; digest: of the message as answered, empty where it is not known.
    """
    row = {"asked_at": arrival.at, "sender": sender, "message_id": message_id, "fault": arrival.fault}
    if processed:
        answered = {"answered_at": processed.at, "place": processed.place, "known": int(bool(digest))}
        row |= answered | {"digest": digest or None}
    connection.execute(insert(tables.queries), row)


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
