"""checkpoint: sign what the log is now, and keep that in the database and outside of it.

A checkpoint is never signed for a log that is not what earlier ones say: the entries since the last one are hashed
anew, and the tree is held against the last checkpoint in the database and in every sink.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from connector.audit import checkpoints
from connector.audit.checkpoints import Checkpoint, Issued
from connector.audit.nodes import StoredTree, lock_log
from connector.audit.sinks import CheckpointSink
from connector.audit.verification import rebuild
from connector.deeds import Deed
from connector.errors import AuditLogInvalid, ConfigurationError, SignatureInvalid
from connector.pipeline.wiring import CheckpointPolicy, Connector
from connector.signing.notes import open_note


def checkpoint_when_due(connector: Connector) -> None:
    """Sign a checkpoint when enough entries, or any for long enough, have none; and let sinks catch up.

    Raises `AuditLogInvalid` and signs nothing when the log is not what it was; `ConfigurationError` when a sink fails.
    """
    policy = connector.checkpoints
    if policy is None:
        return
    with connector.database.read() as connection:
        tree, last = StoredTree(connection), checkpoints.last(connection)
        grown = tree.size - (last.size if last else 0)
        waited = connector.clock(connection) - last.signed_at if last else policy.every
    if grown >= policy.every_entries or (grown > 0 and waited >= policy.every):
        _sign(connector, policy)
    _bring_outside(connector, policy)


def checkpoint_now(connector: Connector) -> None:
    """Sign a checkpoint unless the last one covers the whole log; for the end of a run. Raises as above."""
    if connector.checkpoints is not None:
        _sign(connector, connector.checkpoints)
        _bring_outside(connector, connector.checkpoints)


def require_policy(policy: CheckpointPolicy | None) -> CheckpointPolicy:
    """Who signs checkpoints. Raises `ConfigurationError` where nobody does."""
    if policy is None:
        raise ConfigurationError(
            "there is no [audit] in the configuration",
            effect="no checkpoint of the audit log is signed",
            remedy="add [audit] with origin, key_file and checkpoint_file; config/connector.toml shows it",
        )
    return policy


def _sign(connector: Connector, policy: CheckpointPolicy) -> None:
    outside = newest_outside(policy)
    with connector.database.write(Deed.CHECKPOINT) as transaction:
        lock_log(transaction)
        agree(transaction, outside)
        size = StoredTree(transaction).size
        last = checkpoints.last(transaction)
        if size == (last.size if last else 0):
            return
        checkpoint = Checkpoint(origin=policy.signer.name, size=size, root=_root(transaction, size, last))
        note, now = policy.signer.sign(checkpoint.text), connector.clock(transaction)
        checkpoints.store(transaction, Issued(size=size, root=checkpoint.root, note=note, signed_at=now))


def newest_outside(policy: CheckpointPolicy) -> list[tuple[str, Checkpoint]]:
    """The last checkpoint that each sink keeps, by its name. Raises `ConfigurationError` or `AuditLogInvalid`."""
    return [(sink.name, one) for sink in policy.sinks for one in _newest(sink, policy)]


def agree(connection: Connection, outside: Sequence[tuple[str, Checkpoint]]) -> None:
    """Raise `AuditLogInvalid` unless the log has grown from what is kept outside, and knows it."""
    tree = StoredTree(connection)
    for place, one in outside:
        if one.size > tree.size:
            raise _altered(f"a checkpoint was signed for {one.size} entries, and there are {tree.size}")
        known = checkpoints.of_size(connection, one.size)
        if known is None or known.root != one.root:
            raise _altered(f"the checkpoint of {one.size} entries in {place} is not in the database")


def _root(transaction: Connection, size: int, last: Issued | None) -> bytes:
    """The root of the log as it is, which is also what the last checkpoint says it was."""
    tree = StoredTree(transaction)
    try:
        if last is not None and last.size > size:
            raise _altered(f"a checkpoint was signed for {last.size} entries, and there are {size}")
        if last is not None and tree.root(last.size) != last.root:
            raise _altered(f"the first {last.size} entries are not what a checkpoint says they were")
        return rebuild(transaction, tree.frontier(last.size if last else 0)).root()
    except ValueError as error:
        raise _altered(str(error)) from None


def _altered(why: str) -> AuditLogInvalid:
    return AuditLogInvalid(
        f"the audit log was altered: {why}",
        effect="no checkpoint is signed any more; everything else goes on",
        remedy="keep the database and the checkpoint file as they are, and run `connector audit verify`",
    )


def _newest(sink: CheckpointSink, policy: CheckpointPolicy) -> list[Checkpoint]:
    """The last checkpoint that a sink keeps, if any."""
    note = sink.newest()
    try:
        return [Checkpoint.parse(open_note(note, policy.trusted))] if note else []
    except (SignatureInvalid, ValueError) as error:
        raise AuditLogInvalid(
            f"the last checkpoint in {sink.name} does not verify: {getattr(error, 'cause', error)}",
            effect="no checkpoint is signed any more; everything else goes on",
            remedy="where the key was replaced, add what `connector audit key` printed before to former_keys; if not, "
            "keep file and database as they are",
        ) from None


def _bring_outside(connector: Connector, policy: CheckpointPolicy) -> None:
    """Hand over what a sink lacks, also what it lacks from before it was there."""
    for sink in policy.sinks:
        newest = _newest(sink, policy)
        with connector.database.read() as connection:
            missing = [one.note for one in checkpoints.issued_after(connection, newest[0].size if newest else -1)]
        if missing:
            sink.append(missing)
