"""Checks of our own database and its audit log, and of the clock that it shares with us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from connector.audit.checkpoints import uncovered
from connector.bootstrap import checkpoint_policy, unchecked_database
from connector.config import Settings
from connector.doctor.findings import Finding, Level, faults, ok, warning
from connector.errors import AuditLogInvalid, ConfigurationError, ConnectorError, DatabaseUnreachable
from connector.pipeline.checkpoint import agree, newest_outside, require_policy
from connector.storage import schema
from connector.storage.database import Database, now_by_database

_CLOCKS_APART = timedelta(seconds=2)
"""How far the clocks may be apart without a word."""


def database(settings: Settings) -> Iterator[Finding]:
    """It can be written, answers, has the schema this program needs, and a clock that agrees with ours."""
    with closing(unchecked_database(settings)) as ours:
        if ours.warning:
            yield warning("database", ours.warning, "see README, Connect your own warehouse")
        yield from _unwritable(ours)
        schema.check(ours)
        yield ok("database", f"{ours.address} answers; its schema is version {schema.versions()[-1]}, as needed")
        yield clock(*_times(ours))


def audit_log(settings: Settings) -> Iterator[Finding]:
    """Whether checkpoints of the log are signed, and what none covers yet; `connector audit verify` looks closer."""
    if settings.audit is None:
        yield warning(
            "audit log",
            "no checkpoints are signed: whoever owns the database can rewrite the log unseen",
            "add [audit] to the configuration, see config/connector.toml",
        )
        return
    with closing(unchecked_database(settings)) as ours:
        try:
            schema.check(ours)
        except ConnectorError:
            return  # told by the check before
        policy = require_policy(checkpoint_policy(settings))
        try:
            outside = newest_outside(policy)
            with ours.read() as connection:
                found = uncovered(connection)
                agree(connection, outside)
        except (AuditLogInvalid, ConfigurationError) as error:
            yield from faults("audit log", error)
            return
    since = f", the first of {found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else ""
    yield ok("audit log", f"checkpoints are signed; {found.entries} entries are not covered by one yet{since}")


def _unwritable(ours: Database) -> Iterator[Finding]:
    """What a SQLite file needs: SQLite writes its log beside it."""
    if ours.file is None:
        return
    for path in (ours.file, ours.file.parent):
        if path.exists() and not os.access(path, os.W_OK):
            yield Finding(
                check="database",
                level=Level.FAULT,
                text=f"{path} is not writable to this user",
                remedy=f"chown or chmod {path}",
                exit_code=DatabaseUnreachable.exit_code,
            )


def _times(ours: Database) -> tuple[datetime, datetime, datetime]:
    with ours.read() as connection:
        now_by_database(connection)  # the first statement takes longer than the others
        before = datetime.now(UTC)
        theirs = now_by_database(connection)
        return before, theirs, datetime.now(UTC)


def clock(before: datetime, theirs: datetime, after: datetime) -> Finding:
    """How far the database's clock is from ours, which said ``before`` and ``after`` around the question."""
    apart = max(before - theirs, theirs - after, timedelta())
    if apart <= _CLOCKS_APART:
        return ok("clock", "this machine and the database agree on the time")
    return warning(
        "clock",
        f"the clocks of this machine and of the database are {apart.total_seconds():.1f} s apart",
        "have both set by NTP: the database's says which key signs and when a message goes again",
    )
