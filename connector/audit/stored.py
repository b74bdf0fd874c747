"""The log as it is stored, read in one pass, and what its columns must be.

Values are as raw as the driver gives them, times as text: a million entries take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select, type_coerce
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import NullType

from connector.audit.bodies import KEY_COLUMNS, code_of, digest_of_name, frame, state_of, utf8, write
from connector.audit.findings import Fault, Findings
from connector.storage.audit import ACTORS, AUDIT_CHECKPOINTS, AUDIT_ENTRIES

_AT_ONCE = 500
_decode = json.JSONDecoder().raw_decode  # what it leaves unread is found when the body is written anew
_OTHERS = ("event", "actor_id", "code", "state", *KEY_COLUMNS)


StoredRow: TypeAlias = "Row[*tuple[Any, ...]]"


def rows(connection: Connection) -> Iterator[StoredRow]:
    """Every entry in order: sequence, body, hashes, time, event, actor_id, code, state, and the keys."""
    first, others = raw(AUDIT_ENTRIES, "sequence", "body", "hashes"), raw(AUDIT_ENTRIES, *_OTHERS)
    query = select(*first, _time_text(connection).label("time"), *others).order_by(AUDIT_ENTRIES.c.sequence)
    last = None
    try:
        for row in _in_parts(connection, query):
            last = row[0]
            yield row
    except OperationalError as error:
        if "decode" not in str(error.orig):
            raise
    else:
        return
    with _any_text(connection):
        yield from _in_parts(connection, query if last is None else query.where(AUDIT_ENTRIES.c.sequence > last))


def _in_parts(connection: Connection, query: Select[Any]) -> Iterator[StoredRow]:
    for some in connection.execute(query.execution_options(yield_per=_AT_ONCE)).partitions():
        yield from some


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """Read text that is no UTF-8 too, which an owner of a SQLite file can store; it takes longer."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, partial(str, encoding="utf-8", errors="surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def checkpoint_rows(connection: Connection) -> list[StoredRow]:
    """Every checkpoint of the database in order: size, root and note."""
    query = select(*raw(AUDIT_CHECKPOINTS, "size", "root", "note")).order_by(AUDIT_CHECKPOINTS.c.size)
    with _any_text(connection):
        return list(connection.execute(query))


def body_of(connection: Connection, sequence: int) -> bytes | None:
    """The body of one entry."""
    query = select(*raw(AUDIT_ENTRIES, "body")).where(AUDIT_ENTRIES.c.sequence == sequence)
    row = connection.execute(query).one_or_none()
    return as_bytes(row.body) if row else None


def digests_of_actors(connection: Connection, findings: Findings) -> dict[int, str]:
    """The digest of each actor by its number. What is wrong in the table by itself is found here."""
    first = select(func.min(AUDIT_ENTRIES.c.sequence)).where(AUDIT_ENTRIES.c.actor_id == ACTORS.c.id).scalar_subquery()
    digests = {}
    columns = raw(ACTORS, "id", "digest", "salt", "name")
    with _any_text(connection):
        actors = connection.execute(select(*columns, first.label("first")).order_by("first", ACTORS.c.id)).all()
    for actor in actors:
        digests[actor.id] = actor.digest
        if fault := _fault_of_actor(actor):
            findings.add(Fault.ACTOR_ALTERED, f"actor {actor.id}: {fault}", entry=actor.first)
    return digests


def agree(row: StoredRow, body: bytes, digests: Mapping[int, str]) -> bool:
    """Whether the body is what an entry with these columns says, byte for byte. Raises `ValueError` for no body."""
    number, _, _, time, event, actor, code, state, *keys = row
    try:
        head, tail = frame(number, time, event, digests[actor], keys)
    except (KeyError, TypeError):  # no such actor, or a column of another type
        return False
    text = body.decode()
    detail = _decode(text, len(head))[0] if text.startswith(head) else None
    if type(detail) is not dict:
        return False
    expected = utf8(f"{head}{write(detail)}{tail}")
    return expected == body and code == code_of(detail) and state == state_of(detail)


def columns_that_differ(row: StoredRow, body: bytes, digests: Mapping[int, str]) -> list[str]:
    """Columns that say something else than the body; ``actor_id`` last, for its name stands in another table.

    Raises `ValueError` when it is no body.
    """
    said = said_in(body)
    expected = {name: said.get(name, "") for name in ("sequence", "time", "event", *KEY_COLUMNS)}
    expected |= {"code": code_of(said["detail"]), "state": state_of(said["detail"])}
    differing = [name for name, value in expected.items() if getattr(row, name) != value]
    return differing + (["actor_id"] if digests.get(row.actor_id) != said.get("actor") else [])


def said_in(body: bytes) -> dict[str, Any]:
    """What a body says. Raises `ValueError` when it is no body."""
    try:
        said = _decode(body.decode())[0]
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if type(said) is not dict or type(said.get("detail")) is not dict:
        raise ValueError("it has no detail")
    return said


def as_bytes(value: object) -> bytes:
    """A column of bytes, which SQLite also lets hold text."""
    return value if type(value) is bytes else str(value).encode("utf-8", "surrogatepass")


def _fault_of_actor(actor: StoredRow) -> str:
    if actor.first is None:
        return "no entry names it"
    if (actor.salt is None) != (actor.name is None):
        return "its name or its salt was taken away, but not both as when a name is erased"
    if actor.name is not None and not _is_name_behind(actor):
        return "its name is not the one that its digest was made of"
    return ""


def _is_name_behind(actor: StoredRow) -> bool:
    if type(actor.salt) is not bytes or type(actor.name) is not str:
        return False
    try:
        return digest_of_name(actor.salt, actor.name) == str(actor.digest)
    except UnicodeEncodeError:  # no name is written like that
        return False


def raw(table: Table, *names: str) -> list[ColumnElement[Any]]:
    """Columns as the driver gives them: what somebody wrote into them may be of any type."""
    return [type_coerce(table.c[name], NullType()).label(name) for name in names]


def _time_text(connection: Connection) -> ColumnElement[Any]:
    """The time as bodies write it."""
    time = AUDIT_ENTRIES.c.time
    if connection.dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", time), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    return func.replace(type_coerce(time, NullType()), " ", "T").concat("Z")
