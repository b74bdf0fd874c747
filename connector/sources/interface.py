"""What a source of facts must do; one implementation for each technology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from connector.messages.records import Lookups, RecordShape, SourceKey, SourceRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in the order that a collection is read in: behind the record with this change time and key."""

    changed_at: str
    """As the source writes it, as JSON, so that it compares there exactly; ``null`` where it has no part in this."""
    key: str
    """The unique column that breaks ties, as JSON: integers of any size and texts survive. ``null``: before everything
    of that time."""

    def __str__(self) -> str:
        """As the audit log writes it."""
        return f"{self.changed_at} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """A row that cannot become a record; it stands in quarantine with its reason and never stops the others."""

    key: SourceKey
    """Its key, or where that is what cannot be read, the unique column: ``id=1843920012030070785``."""
    reason: str
    """For a person: every column at fault, what it holds, what was expected."""
    row: str
    """The row and its lines as they came, as JSON; what JSON has no form for, as Python shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A row that never came into a table, because its file could not be read there."""

    place: str
    """``returns-06.csv line 7``."""
    reason: str
    row: str
    """As it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records in the order they changed."""

    records: tuple[SourceRecord, ...]
    cursor: Cursor | None
    """Where the next page of this pass starts; the cursor handed in when the page is empty."""
    remember: Cursor | None
    """Where the next pass starts: the place of the last row that did not change later than now; None leaves it where
    it was. A row of the future is read in every pass until its time has come, so that no real change falls behind."""
    more: bool
    """Whether another page may follow at once."""
    rows: int = 0
    """How many rows of the source it was made of: those with a place in the order."""
    unreadable: tuple[UnreadableRow, ...] = ()
    """Rows that cannot become records, among them each that has the key of an earlier row of the page. Those without a
    change time or unique column have no place in the order: every last page of a pass (``more`` is false) names them
    again."""
    corrected: tuple[SourceKey, ...] = ()
    """Names under which rows would wait as unreadable that can be read now, or are there no more."""
    disorder: str = ""
    """Where rows do not stand in the order of their change times, for a person; later rows may be passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Reading a window again, for changes that the time of change does not tell."""

    back: timedelta
    every: timedelta


class RecordSource(Protocol):
    """One collection of facts in the enterprise's systems, read only.

    Every method raises `SourceUnreachable` when the source does not answer and `SourceChanged` when it answers with
    other columns than its records file declares.
    """

    @property
    def shape(self) -> RecordShape:
        """What its records offer to mappings."""

    @property
    def sweep(self) -> Sweep | None:
        """How far back, and how often, it is to be read again; None for never."""

    @property
    def only_grows(self) -> bool:
        """Whether rows are only ever added, so that a later row of a key is a newer version of it."""

    def refresh(self) -> None:
        """Take in what has been put down for it since, where it reads files; at the beginning of each pass."""

    def page(self, after: Cursor | None, until: Cursor | None = None) -> Page:
        """The next page of changed records, at most the page size of the records file.

        until: the last place of the window that is read; None for no end.
        """

    def before(self, cursor: Cursor, back: timedelta | None = None) -> Cursor | None:
        """A place so long before another one; back: None for the overlap of the records file.

        None where there is nothing to read again.
        """

    def moment(self, cursor: Cursor) -> datetime | None:
        """The change time of a place, UTC; None where it has none."""

    def count(self, after: Cursor | None, until: Cursor | None) -> int:
        """How many rows the source counts in a window."""

    def look_up(self, names: Sequence[str], records: Sequence[SourceRecord]) -> Lookups:
        """The named lookups for these records, one query for each lookup."""

    def current(self, key: SourceKey) -> SourceRecord | UnreadableRow | None:
        """The record as it stands in the source now; None when it is gone, unreadable where its key stands twice.

        Where rows are only ever added, the newest of its rows.
        """

    def all_current(self, keys: Sequence[SourceKey]) -> Mapping[SourceKey, SourceRecord | UnreadableRow]:
        """The same for many, without those that are gone."""

    def vanished(self, names: Sequence[SourceKey]) -> Sequence[SourceKey]:
        """Of names under which rows wait as unreadable, those that no row bears any more."""
