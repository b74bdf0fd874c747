"""A name is erased from the log: the entries stay as they were hashed, and the log says who had it done and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from connector.audit import log, queries
from connector.audit.events import Entry, Event
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.errors import UsageError
from connector.evidence.forget import forget
from connector.evidence.verify import verify_log
from connector.storage.audit import ACTORS, AUDIT_ENTRIES
from connector.storage.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def written(database: Database) -> Database:
    """One entry by a person, one by another."""
    append(database, "王芳")
    append(database, "operator")
    return database


def append(database: Database, actor: str) -> None:
    with database.write(Deed.PREPARE) as transaction:
        log.append(transaction, [Entry(event=Event.RESENT)], actor=actor, time=NOW)


def bodies(database: Database) -> list[bytes]:
    with database.read() as connection:
        return list(connection.execute(select(AUDIT_ENTRIES.c.body).order_by(AUDIT_ENTRIES.c.sequence)).scalars())


def test_name_is_erased_and_the_log_verifies_when_a_person_is_forgotten(written: Database) -> None:
    before = bodies(written)
    digest = forget(written, "王芳", reason="she asked for it", actor="operator")
    after = bodies(written)
    assert after[:2] == before
    assert "王芳".encode() not in b"".join(after)
    with written.read() as connection:
        row = connection.execute(select(ACTORS).where(ACTORS.c.digest == digest)).one()
        assert (row.name, row.salt) == (None, None)
        *_, last = queries.entries(connection, EntryFilter())
        assert [one.sequence for one in queries.entries(connection, EntryFilter(actor=digest))] == [1]
    assert verify_log(written, trusted=(), sinks=()).faults == 0
    assert (last.sequence, last.event, last.actor) == (3, "forgotten", "operator")
    assert last.detail == {"digest": digest, "reason": "she asked for it"}


def test_name_gets_another_digest_when_it_comes_again(written: Database) -> None:
    digest = forget(written, "王芳", reason="asked", actor="operator")
    append(written, "王芳")
    with written.read() as connection:
        assert connection.execute(select(ACTORS.c.digest).where(ACTORS.c.name == "王芳")).scalar_one() != digest


@pytest.mark.parametrize(
    ("name", "reason", "actor"),
    [("nobody", "asked", "operator"), ("王芳", "asked", "王芳"), ("王芳", "王芳 asked", "operator")],
    ids=["unknown", "by herself", "named in the reason"],
)
def test_nothing_is_erased_when_the_log_would_name_the_person_or_knows_none(
    written: Database, name: str, reason: str, actor: str
) -> None:
    with pytest.raises(UsageError):
        forget(written, name, reason=reason, actor=actor)
    assert len(bodies(written)) == 2
    with written.read() as connection:
        assert set(connection.execute(select(ACTORS.c.name)).scalars()) == {"王芳", "operator"}
