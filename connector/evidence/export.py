"""evidence: hand out all that shows what happened to a return, or at a time, in a zip that an auditor checks alone.

First a checkpoint is signed that covers every entry, then all is read and proved in one view of the database. That it
is handed out stands in the log before anybody can have it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from connector.audit import checkpoints, log, queries
from connector.audit.bundle import Bundle, steps_between
from connector.audit.checkpoints import Checkpoint
from connector.audit.events import Entry, Event
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.errors import AuditLogInvalid, SignatureInvalid, UsageError
from connector.evidence.files import files_of
from connector.evidence.prove import prove_against
from connector.evidence.report import Told, report
from connector.evidence.story import Story, tell
from connector.messages.deliveries import MessageId
from connector.messages.documents import Content
from connector.messages.records import rfc3339
from connector.outbox.attempts import attempts
from connector.outbox.queries import documents_of_keys
from connector.pipeline.checkpoint import checkpoint_now, require_policy
from connector.pipeline.wiring import CheckpointPolicy, Connector
from connector.receipts.queries import receipts_of
from connector.signing.notes import open_note

_AT_MOST = 50_000
"""Entries of a time in one bundle, which is made in memory: about 12 kB for each, with its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was handed out."""

    entries: int
    files: int
    digest: str
    """SHA-256 of the zip, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScope:
    """Everything about one return; name: as `connector.evidence.story.tell` takes it."""

    name: str

    @property
    def named(self) -> dict[str, str]:
        """For the manifest, the page and the log."""
        return {"document": self.name}

    def read(self, connection: Connection) -> Story:
        """What there is."""
        return tell(connection, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodScope:
    """Everything that was logged from one time on, before another."""

    since: datetime
    until: datetime

    @property
    def named(self) -> dict[str, str]:
        """For the manifest, the page and the log."""
        return {"from": rfc3339(self.since), "to": rfc3339(self.until)}

    def read(self, connection: Connection) -> Story:
        """What there is; of the documents, every revision of those that an entry of that time names.

        Raises `UsageError` for more than one bundle may hold.
        """
        wanted = EntryFilter(since=self.since, until=self.until)
        logged = queries.entries(connection, wanted, at_most=_AT_MOST + 1)
        if len(logged) > _AT_MOST:
            raise UsageError(
                f"more than {_AT_MOST:,} entries were logged in that time",
                effect="nothing was written",
                remedy="export it in shorter times, each into a file of its own",
            )
        keys = sorted({one.business_key for one in logged if one.business_key})
        return Story(
            source_keys=(),
            documents=documents_of_keys(connection, keys),
            waiting=(),
            entries=sorted(logged, key=lambda one: one.sequence),
        )


def export(connector: Connector, scope: DocumentScope | PeriodScope, *, out: Path, reason: str, actor: str) -> Exported:
    """Write the evidence about what is asked for.

    Raises `UsageError`, `ConfigurationError`, or `AuditLogInvalid` rather than hand out what does not verify.
    """
    policy = require_policy(connector.checkpoints)
    if out.exists():
        raise _unwritten(out, "File exists")
    checkpoint_now(connector)
    with connector.database.read() as connection:
        story = scope.read(connection)
        if not story.entries:
            raise UsageError(
                f"nothing is known about {', '.join(f'{name} {value}' for name, value in scope.named.items())}",
                effect="nothing was written",
                remedy="`connector documents list`, `quarantine list` and `audit list` show what there is",
            )
        bundle = gather(connector, connection, policy, story, scope.named)
        bundle = _with_history(connection, bundle)
    data = bundle.packed()
    exported = Exported(entries=len(bundle.proofs), files=len(bundle.files), digest=hashlib.sha256(data).hexdigest())
    with published(out, data):
        _tell_log(connector, bundle.scope, exported, reason=reason, actor=actor)
    return exported


def gather(
    connector: Connector, connection: Connection, policy: CheckpointPolicy, story: Story, scope: Mapping[str, str]
) -> Bundle:
    """All there is of a story, proved by the last checkpoint. Raises `AuditLogInvalid` for what does not verify."""
    newest = checkpoints.last(connection)
    if newest is None:
        raise AssertionError("a checkpoint was signed just before")
    try:
        checkpoint = Checkpoint.parse(open_note(newest.note, policy.trusted))
    except (SignatureInvalid, ValueError) as error:
        raise _unproved(error) from None
    entries = [one for one in story.entries if one.sequence <= checkpoint.size]  # others may have been added since
    proofs = prove_against(connection, [one.sequence for one in entries], checkpoint, newest.note)
    found = files_of(connector, connection, entries)
    made_at = connector.clock(connection)
    message_ids = sorted({one.message_id for one in entries if one.message_id})
    told = Told(
        scope=scope,
        made_at=made_at,
        checkpoint=checkpoint,
        entries=entries,
        documents=[(view, _content(found.files, view.guid)) for view in story.documents],
        receipts={view.guid: receipts_of(connection, view.guid) for view in story.documents},
        attempts={one: attempts(connection, MessageId(one)) for one in message_ids},
        found=found,
    )
    files = {**found.files, "attempts.json": told.attempts_json, "report.html": report(told)}
    return Bundle(
        checkpoint=checkpoint,
        note=newest.note,
        made_at=made_at,
        scope=scope,
        proofs=proofs,
        issued=(),
        steps=(),
        files=files,
        bound=found.bound,
    )


def _with_history(connection: Connection, bundle: Bundle) -> Bundle:
    """The bundle with every checkpoint ever signed."""
    issued = list(checkpoints.issued_after(connection))
    try:
        return replace(bundle, issued=issued, steps=steps_between(connection, issued))
    except ValueError as error:
        raise _unproved(error) from None


def _unproved(error: Exception) -> AuditLogInvalid:
    return AuditLogInvalid(
        f"the checkpoints of the audit log cannot be proved: {error}",
        effect="nothing was written",
        remedy="run `connector audit verify`; where the key of [audit] was replaced, name the old one in former_keys",
    )


def _content(files: Mapping[str, bytes], guid: str) -> Content | None:
    text = files.get(f"documents/{guid}.json")
    return None if text is None else Content.from_json(text.decode("utf-8", "surrogatepass"))


def _tell_log(connector: Connector, scope: Mapping[str, str], exported: Exported, *, reason: str, actor: str) -> None:
    detail = {**scope, "reason": reason, "entries": exported.entries, "digest": exported.digest}
    with connector.database.write(Deed.EXPORT) as transaction:
        now = connector.clock(transaction)
        log.append(transaction, [Entry(event=Event.EXPORTED, detail=detail)], actor=actor, time=now)


@contextmanager
def published(out: Path, data: bytes) -> Iterator[None]:
    """Have a file there, whole, once the block has ended well; nothing at all where it has not."""
    hidden = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        with open(hidden, "xb", opener=_for_us_alone) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield
        os.link(hidden, out)  # as renaming does, but never over a file that is there
        _sync_folder(out.parent)
    except OSError as error:
        raise _unwritten(out, error.strerror or str(error)) from None
    finally:
        with suppress(OSError):
            hidden.unlink()


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it may hold personal data


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unwritten(out: Path, why: str) -> UsageError:
    return UsageError(
        f"{out}: {why}",
        effect="nothing was written there",
        remedy="name a file that does not exist yet, in a folder that does",
    )
