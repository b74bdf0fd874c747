"""collect: changed rows of the enterprise become stored records, page by page.

One page is one commit: its records, the cursor behind it, the audit entries. One process at a time collects a
collection, under a lease. A row that cannot even be read waits in quarantine for every message type made of it.

A pass reads what lies just before the place it has come to, for rows that were committed late, and from there on all
that is new, which alone moves the cursor. Content that is known is stored once, however often it is read. Each window
that brought something is certified in the log: how many rows, and their digest.

The cursor that is remembered never passes the present, so a pass may read rows of the future, which every later pass
reads again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.mapping.outcomes import FaultCode
from connector.messages.records import SourceKey, SourceRecord, digest, rfc3339
from connector.pipeline.entries import quarantined
from connector.pipeline.leasing import held
from connector.pipeline.wiring import ACTOR, Collection, Connector
from connector.sources import inbox, quarantine
from connector.sources.inbox import Stored, WindowSoFar
from connector.sources.interface import Cursor, Page, UnreadableRow
from connector.sources.quarantine import Held
from connector.storage import leases
from connector.storage.database import lock
from connector.storage.leases import Lease

_ENDED_ELSEWHERE = (FaultCode.LOOKUP_MISSING, FaultCode.LOOKUP_AMBIGUOUS, FaultCode.CODE_UNKNOWN, quarantine.RULE)
"""Reasons that a row looked up, a code list or another document can end although the record itself does not change."""
_AT_A_TIME = 30.0
"""Seconds after which a long pass looks again for rows that were committed late, behind the place it has come to by
then: in the next pass it may lie too far behind."""
_NEW: Literal["new"] = "new"
_OVERLAP: Literal["overlap"] = "overlap"
_SWEEP: Literal["sweep"] = "sweep"


@dataclass(slots=True, kw_only=True)
class Collected:
    """What collecting came to."""

    changed: int = 0
    """Records that are new or differ from their last version."""
    unreadable: int = 0
    """Rows newly held in quarantine because they cannot become records."""
    is_elsewhere: bool = False
    """Another process is at it; nothing was done here."""
    warnings: list[str] = field(default_factory=list)
    """What a person has to look at in the source."""

    def add(self, other: Collected) -> None:
        """Count what was collected besides."""
        self.changed += other.changed
        self.unreadable += other.unreadable
        self.is_elsewhere |= other.is_elsewhere
        self.warnings += other.warnings


@dataclass(slots=True, kw_only=True)
class Window:
    """A part of a collection that is read from one place to another, page by page."""

    kind: Literal["new", "overlap", "sweep"]
    begin: Cursor | None
    end: Cursor | None
    """None: as far as there is anything."""
    place: Cursor | None
    """How far it has been read."""
    rows: int = 0
    stored: int = 0
    keys: set[str] | None = None
    """Which records there are; None where nobody asks."""
    disorder: str = ""
    """Where its rows did not stand in the order of their times."""
    digest: str = ""
    """A chain over the records in the order they are read, each link SHA-256 of the link before, key and content."""

    def add(self, page: Page) -> None:
        """Count the rows of a page, and add its records to the digest."""
        for record in page.records:
            self.digest = digest(f"{self.digest}\n{record.key.key}\n{digest(record.to_json())}")
        self.rows += page.rows
        self.disorder = self.disorder or page.disorder
        if self.keys is not None:
            self.keys |= {one.key.key for one in page.records} | {one.key.key for one in page.unreadable}

    @property
    def so_far(self) -> WindowSoFar:
        """What is to be known of it should this process end here."""
        return WindowSoFar(begin=self.begin, rows=self.rows, stored=self.stored, digest=self.digest)

    def certificate(self, collection: str, **more: object) -> Entry:
        """What the log says of it."""
        end = self.end or self.place
        detail = {
            "window": self.kind,
            "from": str(self.begin) if self.begin else "the beginning",
            "to": str(end) if end else "the beginning",
            "rows": self.rows,
            "stored": self.stored,
            "digest": self.digest,
        }
        return Entry(event=Event.WINDOW_READ, source_key=collection, detail=detail | more)


def collect(connector: Connector, collection: Collection) -> Collected:
    """Read every page that there is now; then what waits for a row looked up waits to be prepared again.

    While another process collects the same, nothing is done. Raises `SourceUnreachable` or `SourceChanged`; pages
    committed before stay.
    """
    total = Collected()
    with held(connector, f"collect {collection.name}", connector.collection_lease) as lease:
        total.is_elsewhere = lease is None
        if lease is not None:
            _collect(connector, collection, lease, total)
    return total


def _collect(connector: Connector, collection: Collection, lease: Lease, total: Collected) -> None:
    collection.source.refresh()
    with connector.database.read() as connection:
        cursor = inbox.read_cursor(connection, collection.name)
        so_far = inbox.window_so_far(connection, collection.name)
    new = Window(kind=_NEW, begin=cursor, end=None, place=cursor)
    if so_far is not None:  # a pass that was cut off; its certificate tells of all of it
        new = Window(
            kind=_NEW,
            begin=so_far.begin,
            end=None,
            place=cursor,
            rows=so_far.rows,
            stored=so_far.stored,
            digest=so_far.digest,
        )
    is_over = False
    while not is_over and not connector.is_stopping():
        _read_again(connector, collection, lease, total)
        is_over = read_window(connector, collection, lease, new, total, seconds=_AT_A_TIME)
    with connector.database.write(Deed.TRY_AGAIN) as transaction:
        lock(transaction, "prepare")
        quarantine.try_again(transaction, collection.name, _ENDED_ELSEWHERE)


def _read_again(connector: Connector, collection: Collection, lease: Lease, total: Collected) -> None:
    """Read what lies just before the place that the collection has come to."""
    with connector.database.read() as connection:
        cursor = inbox.read_cursor(connection, collection.name)
    earlier = collection.source.before(cursor) if cursor is not None else None
    if earlier is not None:
        window = Window(kind=_OVERLAP, begin=earlier, end=cursor, place=earlier)
        read_window(connector, collection, lease, window, total)


def read_window(
    connector: Connector,
    collection: Collection,
    lease: Lease,
    window: Window,
    total: Collected,
    *,
    seconds: float = math.inf,
) -> bool:
    """Read a window to its end and certify it if it brought something; whether it came to that.

    It does not when the connector stops before, or after so many seconds. Only what is new moves the cursor.
    """
    more, begun = True, connector.elapsed()
    last = begun + seconds
    while more and not connector.is_stopping() and connector.elapsed() <= last:
        page = collection.source.page(window.place, window.end)
        window.add(page)
        news = _news(connector, collection, window, page)
        window.place, more = page.cursor, page.more
        if not (news or (not more and window.stored)):
            begun = _keep(connector, lease, begun)
            continue  # nothing came, or only what is known
        with connector.database.write(Deed.COLLECT) as transaction:
            lock(transaction, f"collect {collection.name}")
            lock(transaction, "prepare")  # the rows it marks as superseded are those that are being prepared
            now = connector.clock(transaction)
            leases.extend(transaction, lease, now=now)
            stored = inbox.store(transaction, news.records, now=now)
            window.stored += len(stored)
            if page.remember is not None and window.kind == _NEW:
                inbox.move_cursor(transaction, collection.name, page.remember)
            unreadable = quarantine.not_yet_held(transaction, news.unreadable)
            quarantine.hold(transaction, unreadable, now=now)
            over = quarantine.release_from(transaction, quarantine.ROW_DISAPPEARED, news.back, now=now)
            over += quarantine.release_from(transaction, quarantine.UNREADABLE, news.corrected, now=now)
            entries = [collected_entry(one) for one in stored] + [quarantined(one) for one in unreadable]
            entries += [
                Entry(event=Event.QUARANTINE_LEFT, source_key=str(key), document_type=kind) for key, kind in over
            ]
            if window.kind == _NEW:
                inbox.keep_window(transaction, collection.name, window.so_far if more else None)
            if not more and window.stored and window.kind != _SWEEP:
                entries.append(window.certificate(collection.name))
            log.append(transaction, entries, actor=ACTOR, time=now)
        begun = connector.elapsed()
        total.changed += len(stored)
        total.unreadable += len(unreadable)
    if window.disorder and window.kind != _OVERLAP:  # which every pass reads
        total.warnings.append(
            f"{collection.name}: {window.disorder}, so rows may be passed over until a sweep finds them; "
            "have the query write all times in one form"
        )
        window.disorder = ""
    return not more


def _keep(connector: Connector, lease: Lease, since: float) -> float:
    """Hold the lease on where pages that bring nothing take long; since when it is held."""
    if connector.elapsed() - since < lease.length.total_seconds() / 3:
        return since
    with connector.database.write(Deed.LEASE) as transaction:
        leases.extend(transaction, lease, now=connector.clock(transaction))
    return connector.elapsed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What a page brings that is not known."""

    records: Sequence[SourceRecord]
    """In order, the newest of a key last."""
    unreadable: Sequence[Held] = ()
    back: Sequence[SourceKey] = ()
    """Records that were gone."""
    corrected: Sequence[SourceKey] = ()
    """Rows that could not be read."""

    def __bool__(self) -> bool:
        return bool(self.records or self.unreadable or self.back or self.corrected)


def _news(connector: Connector, collection: Collection, window: Window, page: Page) -> _News:
    """What of a page may have to be stored.

    Of a page that is read again, content that is known as an older version is just that, where several rows have one
    key; only a sweep asks the source whether the record went back to it. Of a key with unknown content the source says
    what is the newest: a row that came late may be older than one that was read before it. Where every row is a record
    of its own, it also says of a key that is known whether it stands in two rows.
    """
    source = collection.source
    keys = [record.key for record in page.records]
    with connector.database.read() as connection:
        unreadable = quarantine.not_yet_held(connection, _unreadable(collection, page.unreadable))
        back = quarantine.waiting_for(connection, collection.name, quarantine.ROW_DISAPPEARED).intersection(keys)
        waiting = quarantine.waiting_for(connection, collection.name, quarantine.UNREADABLE)
        corrected = waiting.intersection(page.corrected) - {row.key for row in page.unreadable}
        is_asked = window.kind != _NEW or not source.only_grows
        known = inbox.versions(connection, page.records) if is_asked else {}
    if corrected:  # a row that is sound by itself may share its key with one of another page
        stand = source.all_current(keys).values()
        corrected -= {row.key for row in stand if isinstance(row, UnreadableRow)}
    fresh, doubtful = _sifted(window, page, known)
    current = source.all_current(doubtful) if doubtful else {}
    twice = {key: one for key, one in current.items() if isinstance(one, UnreadableRow)}
    if not source.only_grows:
        fresh = [one for one in fresh if one.key not in twice]
    if window.kind != _NEW:
        fresh += [one for one in current.values() if isinstance(one, SourceRecord)]
    return _News(
        records=fresh,
        unreadable=[*unreadable, *_unreadable(collection, list(twice.values()))],
        back=sorted(back, key=str),
        corrected=sorted(corrected, key=str),
    )


def _sifted(
    window: Window, page: Page, known: Mapping[SourceKey, dict[str, str]]
) -> tuple[list[SourceRecord], list[SourceKey]]:
    """The records that may have to be stored, and the keys of which the source is asked what stands there now.

    known: of each record that is known, content and state of every version, the newest last.
    """
    fresh: list[SourceRecord] = []
    doubtful: dict[SourceKey, None] = {}
    for record in page.records:
        versions = known.get(record.key)
        if not versions:
            fresh.append(record)
            continue
        content, newest = inbox.content(record), next(reversed(versions))
        is_other = content != newest if window.kind == _NEW else content not in versions
        if is_other or window.kind == _NEW or (content == newest and versions[content] == inbox.GONE):
            fresh.append(record)
        if is_other or (content != newest and window.kind == _SWEEP):
            doubtful[record.key] = None
    return fresh, list(doubtful)


def collected_entry(stored: Stored) -> Entry:
    """What the log says of a version that was stored."""
    record = stored.record
    return Entry(
        event=Event.COLLECTED,
        source_key=str(record.key),
        detail={
            "version": stored.version,
            "changed_at": rfc3339(record.changed_at),
            "lines": len(record.lines),
            "digest": stored.digest,
        },
    )


def _unreadable(collection: Collection, rows: Sequence[UnreadableRow]) -> list[Held]:
    return [
        Held(
            record_id=None,
            key=row.key,
            type=mapping.message_type.name,
            reason=quarantine.UNREADABLE,
            faults=[{"code": quarantine.UNREADABLE, "field": "", "text": row.reason, "row": row.row}],
        )
        for row in rows
        for mapping in collection.mappings
    ]
