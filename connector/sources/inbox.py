"""Records as they were collected: every version is kept, the newest of each key waits until it has been prepared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, or_, select, update

from connector.errors import ConnectorError, PayloadArchived
from connector.messages.records import SourceKey, SourceRecord, digest
from connector.sources.interface import Cursor
from connector.sources.rows import OWN
from connector.storage.limits import portions
from connector.storage.sources import SOURCE_CURSORS, SOURCE_RECORDS, SOURCE_WINDOWS, SWEEPS

_SUPERSEDED = "superseded"
GONE = "gone"
"""State of a record that the source has no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A version of a record, with the number it has here."""

    id: int
    version: int
    record: SourceRecord


def read_cursor(connection: Connection, collection: str) -> Cursor | None:
    """How far the collection has been read; None before the first page."""
    row = connection.execute(select(SOURCE_CURSORS).where(SOURCE_CURSORS.c.collection == collection)).one_or_none()
    return Cursor(changed_at=row.changed_at, key=row.key) if row else None


def move_cursor(transaction: Connection, collection: str, cursor: Cursor) -> None:
    """Remember how far the collection has been read."""
    moved = transaction.execute(
        update(SOURCE_CURSORS)
        .where(SOURCE_CURSORS.c.collection == collection)
        .values(changed_at=cursor.changed_at, key=cursor.key)
    )
    if moved.rowcount == 0:
        transaction.execute(
            insert(SOURCE_CURSORS).values(collection=collection, changed_at=cursor.changed_at, key=cursor.key)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSoFar:
    """What a pass has read of what is new, page by page; it outlives the process."""

    begin: Cursor | None
    """None: the beginning."""
    rows: int
    stored: int
    digest: str


def window_so_far(connection: Connection, collection: str) -> WindowSoFar | None:
    """Of the pass that did not come to its end; None where the last one did."""
    row = connection.execute(select(SOURCE_WINDOWS).where(SOURCE_WINDOWS.c.collection == collection)).one_or_none()
    if row is None:
        return None
    begin = Cursor(changed_at=row.changed_at, key=row.key) if row.key is not None else None
    return WindowSoFar(begin=begin, rows=row.rows, stored=row.stored, digest=row.digest)


def keep_window(transaction: Connection, collection: str, window: WindowSoFar | None) -> None:
    """Remember how far the pass is; None: it is at its end."""
    transaction.execute(delete(SOURCE_WINDOWS).where(SOURCE_WINDOWS.c.collection == collection))
    if window is not None:
        begin = {} if window.begin is None else {"changed_at": window.begin.changed_at, "key": window.begin.key}
        counted = {"rows": window.rows, "stored": window.stored, "digest": window.digest}
        transaction.execute(insert(SOURCE_WINDOWS).values(collection=collection, **begin, **counted))


def swept_at(connection: Connection, collection: str) -> datetime | None:
    """When the collection was last swept; None for never."""
    found: datetime | None = connection.execute(
        select(SWEEPS.c.swept_at).where(SWEEPS.c.collection == collection)
    ).scalar()
    return found


def note_sweep(transaction: Connection, collection: str, *, now: datetime) -> None:
    """Remember that the collection was swept."""
    changed = update(SWEEPS).where(SWEEPS.c.collection == collection).values(swept_at=now)
    if transaction.execute(changed).rowcount == 0:
        transaction.execute(insert(SWEEPS).values(collection=collection, swept_at=now))


def content(record: SourceRecord) -> str:
    """The digest of what a record says, wherever it stands: a row of a file that comes again is the same."""
    return _content(record.to_json())


def versions(connection: Connection, records: Sequence[SourceRecord]) -> dict[SourceKey, dict[str, str]]:
    """Of each of these records that is known, content and state of every version it had, the newest last."""
    found: dict[SourceKey, dict[str, str]] = {}
    for key, row in _stored(connection, records):
        contents = found.setdefault(key, {})
        contents.pop(row.content, None)  # it comes last, if it is the newest again
        contents[row.content] = row.state
    return found


def keys_between(connection: Connection, collection: str, first: datetime, last: datetime) -> list[SourceKey]:
    """Records whose newest version changed between two moments, both included, and is not known to be gone."""
    table, newer = SOURCE_RECORDS.c, SOURCE_RECORDS.alias("newer")
    is_renewed = exists().where(
        newer.c.collection == table.collection, newer.c.key == table.key, newer.c.version > table.version
    )
    query = select(table.key).where(
        table.collection == collection,
        table.changed_at >= first,
        table.changed_at <= last,
        table.state != GONE,
        ~is_renewed,
    )
    return [SourceKey(collection=collection, key=key) for key in connection.execute(query).scalars()]


def newest_ids(connection: Connection, keys: Sequence[SourceKey]) -> dict[SourceKey, int]:
    """The number of the newest version of each of these records."""
    table, found = SOURCE_RECORDS.c, dict[SourceKey, int]()
    for some in portions(keys):
        query = select(table.collection, table.key, func.max(table.id).label("id")).where(
            table.collection.in_({key.collection for key in some}), table.key.in_([key.key for key in some])
        )
        rows = connection.execute(query.group_by(table.collection, table.key))
        found |= {SourceKey(collection=row.collection, key=row.key): row.id for row in rows}
    return found


def note_gone(transaction: Connection, keys: Sequence[SourceKey]) -> None:
    """The source has these records no longer; each is prepared again when it is back."""
    table = SOURCE_RECORDS.c
    for some in portions(keys):
        transaction.execute(
            update(SOURCE_RECORDS)
            .where(
                table.collection.in_({key.collection for key in some}),
                table.key.in_([key.key for key in some]),
                table.state != _SUPERSEDED,
            )
            .values(state=GONE)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record that was not known as it is now."""

    record: SourceRecord
    version: int
    """1 for a new key."""
    digest: str
    """SHA-256 of the row as it is stored, hex."""


def store(transaction: Connection, records: Sequence[SourceRecord], *, now: datetime) -> list[Stored]:
    """Store the records that differ from the newest version of their key; only these.

    One that was gone and is back as it was waits to be prepared again.
    """
    newest = {key: (row.version, row.content, row.state) for key, row in _stored(transaction, records)}
    returned: list[SourceKey] = []
    rows: list[dict[str, object]] = []
    stored: list[Stored] = []
    latest: dict[SourceKey, dict[str, object]] = {}
    for record in records:
        body = record.to_json()
        fingerprint, says = digest(body), _content(body)
        version, known, state = newest.get(record.key, (0, "", ""))
        if says == known:
            returned += [record.key] if state == GONE else []
            continue
        newest[record.key] = (version + 1, says, "waiting")
        if record.key in latest:
            latest[record.key]["state"] = _SUPERSEDED
        latest[record.key] = {
            "collection": record.key.collection,
            "key": record.key.key,
            "version": version + 1,
            "digest": fingerprint,
            "changed_at": record.changed_at,
            "body": body,
            "collected_at": now,
            "state": "waiting",
        }
        rows.append(latest[record.key])
        stored.append(Stored(record=record, version=version + 1, digest=fingerprint))
    if rows:
        _supersede(transaction, rows)
        transaction.execute(insert(SOURCE_RECORDS), rows)
    wait_again(transaction, returned)
    return stored


def waiting(connection: Connection, collection: str, *, after: int, at_most: int) -> list[StoredRecord]:
    """Records not prepared yet, in the order they were stored, from above the number ``after``."""
    query = (
        select(SOURCE_RECORDS)
        .where(
            SOURCE_RECORDS.c.state == "waiting",
            SOURCE_RECORDS.c.collection == collection,
            SOURCE_RECORDS.c.id > after,
        )
        .order_by(SOURCE_RECORDS.c.id)
        .limit(at_most)
    )
    return [
        StoredRecord(
            id=row.id,
            version=row.version,
            record=SourceRecord.from_json(SourceKey(collection=row.collection, key=row.key), row.changed_at, row.body),
        )
        for row in connection.execute(query)
    ]


def newest(connection: Connection, collection: str, *, at_most: int) -> list[SourceRecord]:
    """The records that were stored last, each as it was stored last; those whose content was archived are left out."""
    table, newer = SOURCE_RECORDS.c, SOURCE_RECORDS.alias("newer")
    is_renewed = exists().where(
        newer.c.collection == table.collection, newer.c.key == table.key, newer.c.version > table.version
    )
    query = (
        select(SOURCE_RECORDS)
        .where(table.collection == collection, table.body != "", ~is_renewed)
        .order_by(table.id.desc())
        .limit(at_most)
    )
    return [
        SourceRecord.from_json(SourceKey(collection=collection, key=row.key), row.changed_at, row.body)
        for row in connection.execute(query)
    ]


def count_not_prepared(connection: Connection) -> int:
    """How many records have been collected and not been prepared."""
    query = select(func.count()).select_from(SOURCE_RECORDS).where(SOURCE_RECORDS.c.state == "waiting")
    return connection.execute(query).scalar_one()


def mark_prepared(transaction: Connection, ids: Iterable[int]) -> None:
    """These versions have become documents or quarantine entries, or changed nothing."""
    chosen = [{"chosen": number} for number in ids]
    if chosen:
        statement = update(SOURCE_RECORDS).where(SOURCE_RECORDS.c.id == bindparam("chosen")).values(state="prepared")
        transaction.execute(statement, chosen)


def wait_again(transaction: Connection, keys: Iterable[SourceKey]) -> None:
    """Have the newest version of these records prepared once more."""
    for key in keys:
        this_key = and_(SOURCE_RECORDS.c.collection == key.collection, SOURCE_RECORDS.c.key == key.key)
        newest = select(func.max(SOURCE_RECORDS.c.version)).where(this_key).scalar_subquery()
        transaction.execute(
            update(SOURCE_RECORDS).where(this_key, SOURCE_RECORDS.c.version == newest).values(state="waiting")
        )


def put_back(transaction: Connection, record: SourceRecord) -> None:
    """Give the stored version that says the same as this record its content again, where that was archived."""
    body, table = record.to_json(), SOURCE_RECORDS.c
    same = (table.collection == record.key.collection, table.key == record.key.key, table.digest == digest(body))
    transaction.execute(update(SOURCE_RECORDS).where(*same, table.body == "").values(body=body))


def key_of(connection: Connection, record_id: int) -> SourceKey:
    """Which source record a stored version belongs to."""
    row = connection.execute(
        select(SOURCE_RECORDS.c.collection, SOURCE_RECORDS.c.key).where(SOURCE_RECORDS.c.id == record_id)
    ).one()
    return SourceKey(collection=row.collection, key=row.key)


def version(connection: Connection, record_id: int) -> Stored:
    """One stored version, whether or not it is the newest; its digest is made anew.

    Raises `PayloadArchived`, and `ConnectorError` where it was altered into what no record is written as.
    """
    row = connection.execute(select(SOURCE_RECORDS).where(SOURCE_RECORDS.c.id == record_id)).one()
    key = SourceKey(collection=row.collection, key=row.key)
    if not row.body:
        raise PayloadArchived(f"version {row.version} of {key}")
    try:
        record = SourceRecord.from_json(key, row.changed_at, row.body)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ConnectorError(
            f"version {row.version} of {key} was altered, it is no record any more: {error!r}",
            effect="nothing can be built from it",
            remedy="put the row of source_record back from a backup; `connector audit list` has its digest",
        ) from None
    return Stored(record=record, version=row.version, digest=digest(row.body))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    version: int
    content: str
    state: str


def _stored(connection: Connection, records: Sequence[SourceRecord]) -> Iterator[tuple[SourceKey, _Version]]:
    """Every stored version of these records, the oldest of each first."""
    ordered = sorted({record.key for record in records}, key=str)
    table = SOURCE_RECORDS.c
    is_of_files = any(not OWN.isdisjoint(record.row) for record in records[:1])  # all have the same columns
    body = [table.body] if is_of_files else []
    for some in portions(ordered):
        query = (
            select(table.collection, table.key, table.version, table.digest, table.state, *body)
            .where(table.collection.in_({key.collection for key in some}), table.key.in_([key.key for key in some]))
            .order_by(table.version)
        )
        for row in connection.execute(query):
            says = _content(row.body) if is_of_files and row.body else row.digest
            key = SourceKey(collection=row.collection, key=row.key)
            yield key, _Version(version=row.version, content=says, state=row.state)


def _content(body: str) -> str:
    if not any(f'"{name}":' in body for name in OWN):
        return digest(body)
    written = json.loads(body)
    for row in (written["row"], *written["lines"]):
        for name in OWN & row.keys():
            del row[name]
    return digest(json.dumps(written, sort_keys=True))


def _supersede(transaction: Connection, rows: Sequence[dict[str, object]]) -> None:
    renewed = [{"a": row["collection"], "b": row["key"]} for row in rows if row["version"] != 1]
    if renewed:
        table = SOURCE_RECORDS.c
        transaction.execute(
            update(SOURCE_RECORDS)
            .where(
                table.collection == bindparam("a"),
                table.key == bindparam("b"),
                or_(table.state == "waiting", table.state == GONE),
            )
            .values(state=_SUPERSEDED),
            renewed,
        )
