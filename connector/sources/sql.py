"""`SqlSource`: records, their lines and their lookups from the enterprise's databases.

Pages follow the order of `connector.sources.order`. A row whose change time lies ahead is handed over like any other,
but only what did not change later than now is remembered, and a row whose time cannot be read never is.

What can go wrong with a row stays with it: values that do not fit, an empty key, the key of another row of the page, a
missing change time or unique column make an `UnreadableRow`. What is wrong with all of them, columns that differ or a
unique column that is not, raises `SourceChanged`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from sqlalchemy import and_, bindparam, or_
from sqlalchemy.types import NullType

from connector.errors import SourceChanged
from connector.messages.records import SourceKey, SourceRecord
from connector.sources.interface import Cursor, Page, Sweep, UnreadableRow
from connector.sources.lookups import Lookup
from connector.sources.order import Order, before
from connector.sources.query import Query, ReadRow, as_it_came, parameter, readable
from connector.sources.values import ColumnType, Misfit, is_unicode, read_value
from connector.storage.limits import portions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from connector.messages.records import Lookups, RecordShape, Value
    from connector.sources.database import SourceDatabase
    from connector.sources.records_file import RecordsFile

PLACELESS_AT_MOST = 1000
"""Rows without a place in the order that one pass names; where there are more, it says so."""
KEY_AT_MOST = 255
"""Characters of one column of a key: more would not fit an index of ours."""


def _now() -> datetime:
    return datetime.now(UTC)


def _empty(column: str) -> str:
    """The name of a row that lacks the column it would be named by."""
    return f"{column} empty"


class SqlSource:
    """One collection, read through SQL; see `connector.sources.interface.RecordSource`."""

    def __init__(
        self,
        records: RecordsFile,
        databases: Mapping[str, SourceDatabase],
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._file = records
        self._clock = clock
        self._database = databases[records.database]
        used = {records.database, *(part.database for part in records.lookups.values())}
        self._databases = [databases[name] for name in sorted(used)]
        self._heads = Query(records.records, records.query, records.columns, self._database.zone)
        self._lines = (
            Query(f"{records.records} lines", records.lines.query, records.lines.columns, self._database.zone)
            if records.lines
            else None
        )
        self._order = Order(self._heads, records.changed, records.unique)
        self._lookups = {name: Lookup(name, part, databases[part.database]) for name, part in records.lookups.items()}

    @property
    def shape(self) -> RecordShape:
        """What its records offer to mappings."""
        return self._file.shape

    @property
    def sweep(self) -> Sweep | None:
        """How far back, and how often, it is to be read again."""
        part = self._file.sweep
        if self._file.changed is None or not part.days:
            return None
        return Sweep(back=timedelta(days=part.days), every=timedelta(hours=part.hours))

    @property
    def only_grows(self) -> bool:
        """Whether rows are only ever added, so that a later row of a key is a newer version of it."""
        return self._file.changed is None

    def page(self, after: Cursor | None, until: Cursor | None = None) -> Page:
        """The next page of changed records, at most the page size of the records file."""
        size, now = self._file.page_size, self._clock()
        with self._asking() as connection:
            found = self._order.following(connection, after, until, size + 1) if connection else []
            self._refuse_repeats(found)
            heads, more = found[:size], len(found) > size
            is_last = not more and until is None
            placeless = self._placeless(connection) if is_last and connection else []
            results = self._complete(connection, heads + placeless[:PLACELESS_AT_MOST], now) if connection else []
        if len(placeless) > PLACELESS_AT_MOST:
            results.append(self._too_many_placeless())
        bad, corrected = self._problems() if is_last else ([], [])
        corrected += [self._key(_empty(name)) for name in (self._file.unique, self._file.changed) if is_last and name]
        unreadable: dict[SourceKey, UnreadableRow] = {}
        for result in results:
            if isinstance(result, UnreadableRow):  # of several without a name of their own the first is told
                unreadable.setdefault(result.key, result)
        records = tuple(result for result in results if isinstance(result, SourceRecord))
        return Page(
            records=records,
            cursor=self._order.place(heads[-1]) if heads else after,
            remember=next((self._order.place(head) for head in reversed(heads) if self._is_over(head, now)), None),
            more=more,
            rows=len(heads),
            unreadable=(*unreadable.values(), *bad),
            corrected=(*(self._key(self._name_of(head)) for head in heads), *(one.key for one in records), *corrected),
            disorder=self._disorder(after, heads),
        )

    def refresh(self) -> None:
        """Take in the files that have come since, where it reads any."""
        for database in self._databases:
            database.refresh()

    def before(self, cursor: Cursor, back: timedelta | None = None) -> Cursor | None:
        """A place so long before another one; the overlap of the records file where nothing else is said."""
        if self._file.changed is None:
            rows, key = self._file.overlap_rows, json.loads(cursor.key)
            return Cursor(changed_at="null", key=json.dumps(key - rows)) if rows and back is None else None
        back = timedelta(seconds=self._file.overlap_seconds) if back is None else back
        return before(cursor, back) if back else None

    def moment(self, cursor: Cursor) -> datetime | None:
        """The change time of a place, UTC."""
        try:
            found = read_value(json.loads(cursor.changed_at), ColumnType.TIME, self._database.zone)
        except Misfit:
            return None
        return found if isinstance(found, datetime) else None

    def count(self, after: Cursor | None, until: Cursor | None) -> int:
        """How many rows the source counts in a window."""
        with self._asking() as connection:
            return self._order.count(connection, after, until) if connection else 0

    def probe(self) -> None:
        """Run every query once, for no rows, so that what is wrong with it shows; reads no record.

        Raises `SourceUnreachable` and `SourceChanged`, as every method does.
        """
        with self._asking() as connection:
            if connection:
                self._heads.probe(connection)
            if connection and self._lines and self._file.lines and not self._database.lacks(self._file.lines.query):
                self._lines.probe(connection)
        for lookup in self._lookups.values():
            lookup.probe()

    @property
    def waits_for_files(self) -> bool:
        """Whether it names a table that no file has come for yet, of which nothing can be tried."""
        return any(
            database.lacks(query) for database in self._databases for query in self._file.queries_of(database.name)
        )

    def look_up(self, names: Sequence[str], records: Sequence[SourceRecord]) -> Lookups:
        """The named lookups for these records, one query for each lookup (one for each 500 keys).

        A value of an answer that does not fit its type is handed on as it came, for the mapping to refuse; a number in
        a text column raises `SourceChanged`, because its leading zeros are lost in every row.
        """
        return {name: self._lookups[name].find(records) for name in names}

    def current(self, key: SourceKey) -> SourceRecord | UnreadableRow | None:
        """The record as it stands in the source now; None when it is gone, unreadable where its key stands twice."""
        return self.all_current([key]).get(key)

    def all_current(self, keys: Sequence[SourceKey]) -> Mapping[SourceKey, SourceRecord | UnreadableRow]:
        """The same for many, without those that are gone."""
        wanted = {key: values for key in keys if (values := self._key_values(key.key)) is not None}
        found: dict[SourceKey, SourceRecord | UnreadableRow] = {}
        with self._asking() as connection:
            for some in portions(list(wanted) if connection else [], of=len(self._file.key)):
                assert connection, "otherwise nothing is asked for"
                heads = self._with_keys(connection, [wanted[key] for key in some])
                by_values = {tuple(wanted[key].values()): key for key in some}
                results = self._complete(connection, heads, self._clock())
                for head, result in zip(heads, results, strict=True):
                    # The database may compare without regard to case; the key is exact.
                    if key := by_values.get(tuple(head.row[name] for name in self._file.key)):
                        found[key] = result
        return found

    def vanished(self, names: Sequence[SourceKey]) -> Sequence[SourceKey]:
        """Of names under which rows wait as unreadable, those that no row bears any more."""
        unique, kind = self._file.unique, self._file.columns[self._file.unique]
        told_otherwise = {one.key for one in self._problems()[0]}
        told_otherwise |= {self._key(_empty(name)) for name in (unique, self._file.changed) if name}
        asked = [name for name in names if name not in told_otherwise and "\\" not in name.key]  # no escaped text
        numbers: dict[SourceKey, Value] = {}
        for name in asked:
            text = name.key.removeprefix(f"{unique}=")
            if text != name.key and (kind is not ColumnType.INTEGER or text.removeprefix("-").isdigit()):
                numbers[name] = int(text) if kind is ColumnType.INTEGER else text
        there = set(self.all_current([name for name in asked if name not in numbers]))
        with self._asking() as connection:
            for some in portions(list(numbers) if connection else []):
                assert connection, "otherwise nothing is asked for"
                wanted = self._heads.column(unique).in_(bindparam("wanted", expanding=True, type_=NullType()))
                rows = self._heads.rows(connection, self._heads.select(wanted), wanted=[numbers[one] for one in some])
                there |= {self._key(self._name_of(row)) for row in rows}
        return [name for name in asked if name not in there]

    def _with_keys(self, connection: Connection, keys: Sequence[Mapping[str, Value]]) -> list[ReadRow]:
        """The rows of these keys in the order of the collection; perhaps others whose keys the database finds alike."""
        names = self._file.key
        given: dict[str, object]
        same: ColumnElement[bool]
        if len(names) == 1:
            given = {"wanted": [key[names[0]] for key in keys]}
            same = self._heads.column(names[0]).in_(bindparam("wanted", expanding=True, type_=NullType()))
        else:
            given = {f"key_{number}_{name}": value for number, key in enumerate(keys) for name, value in key.items()}
            same = or_(
                *(
                    and_(*(self._heads.column(name) == parameter(f"key_{number}_{name}") for name in names))
                    for number in range(len(keys))
                )
            )
        return self._heads.rows(connection, self._heads.select(same).order_by(*self._order.columns), **given)

    def _is_over(self, head: ReadRow, now: datetime) -> bool:
        if self._file.changed is None:
            return True
        changed_at = head.row[self._file.changed]
        return isinstance(changed_at, datetime) and changed_at <= now

    def _refuse_repeats(self, heads: Sequence[ReadRow]) -> None:
        changed, unique = self._file.changed, self._file.unique
        seen: set[Value] = set()
        for head in heads:
            value = head.row[unique]
            if value in seen or unique in head.misfits:
                self._refuse(f"{unique} must name every row once and the query gives {value!a}")
            if changed is not None and not self._orders(head.raw[changed]):
                self._refuse(f"{changed} must order the rows and the query gives {head.raw[changed]!a}")
            seen.add(value)

    @staticmethod
    def _orders(value: object) -> bool:
        return isinstance(value, str | int | float | datetime) and is_unicode(str(value))

    def _refuse(self, cause: str) -> NoReturn:
        raise SourceChanged(
            f"{self._file.records}: {cause}",
            effect="nothing new was collected, because records could be lost between two pages",
            remedy="correct the query of the records file (often a join that repeats rows), or name another column",
        )

    def _complete(
        self, connection: Connection, heads: Sequence[ReadRow], now: datetime
    ) -> list[SourceRecord | UnreadableRow]:
        lines: dict[Value, list[ReadRow]] = defaultdict(list)
        if self._lines and self._file.lines and heads and not self._database.lacks(self._file.lines.query):
            parent = self._file.lines.parent
            ordered = self._lines.select().order_by(*(self._lines.column(name) for name in self._file.lines.columns))
            for line in self._lines.rows_for(connection, ordered, [head.row[self._file.unique] for head in heads]):
                lines[line.row[parent]].append(line)
        if strangers := lines.keys() - {head.row[self._file.unique] for head in heads}:
            self._refuse(
                f"lines come of {min(map(str, strangers))}, which is none of the rows asked for, letter by letter"
            )
        first: dict[SourceKey, ReadRow] = {}
        return [self._record(head, lines[head.row[self._file.unique]], first, now) for head in heads]

    def _placeless(self, connection: Connection) -> list[ReadRow]:
        """Rows without a change time or without what breaks ties, one more than are named."""
        named = [name for name in (self._file.changed, self._file.unique) if name is not None]
        is_placeless = or_(*(self._heads.column(name).is_(None) for name in named))
        statement = self._heads.select(is_placeless).order_by(self._heads.column(self._file.unique))
        return self._heads.rows(connection, statement.limit(PLACELESS_AT_MOST + 1))

    def _disorder(self, after: Cursor | None, heads: Sequence[ReadRow]) -> str:
        """Where a time is earlier than the one before, as texts in several forms are: ``T08:00`` behind `` 09:00``."""
        if self._file.changed is None:
            return ""
        last, shown = (self.moment(after), json.loads(after.changed_at)) if after else (None, None)
        for head in heads:
            moment, raw = head.row[self._file.changed], head.raw[self._file.changed]
            if isinstance(moment, datetime):
                if last is not None and moment < last:
                    return f"{self._file.changed} {readable(raw)} comes behind the later {readable(shown)}"
                last, shown = moment, raw
        return ""

    @contextmanager
    def _asking(self) -> Iterator[Connection | None]:
        """A transaction of the source; None where no file has come yet of which there would be anything to ask."""
        if self._database.lacks(self._file.query):
            yield None
            return
        with self._database.reading() as connection:
            yield connection

    def _problems(self) -> tuple[list[UnreadableRow], list[SourceKey]]:
        """Rows of files that never came into a table, which a query could not show; and those that are corrected."""
        bad: list[UnreadableRow] = []
        over: list[SourceKey] = []
        for database in self._databases:
            found, corrected = database.problems(self._file.queries_of(database.name))
            bad += [UnreadableRow(key=self._key(one.place), reason=one.reason, row=one.row) for one in found]
            over += [self._key(place) for place in corrected]
        return bad, over

    def _key(self, key: str) -> SourceKey:
        return SourceKey(collection=self._file.records, key=key)

    def _too_many_placeless(self) -> UnreadableRow:
        names = " or ".join(name for name in (self._file.changed, self._file.unique) if name)
        reason = f"more than {PLACELESS_AT_MOST} rows have no place in the order: {names} is empty; COALESCE it"
        return UnreadableRow(key=self._key(_empty(self._file.changed or self._file.unique)), reason=reason, row="{}")

    def _record(
        self, head: ReadRow, lines: Sequence[ReadRow], first: dict[SourceKey, ReadRow], now: datetime
    ) -> SourceRecord | UnreadableRow:
        """The record, or why there is none. ``first`` holds the first row of each key, and gets this one if it is.

        Where rows are only ever added, a later row with the same key is a newer version of it.
        """
        key, faults = self._key_of(head)
        known = first.setdefault(key, head)
        if known is not head and self._file.changed is not None:
            faults.append(f"the row {self._name_of(known)} has the same key {key.key}; give this one its own")
            key = SourceKey(collection=key.collection, key=self._name_of(head))
        faults += head.misfits.values()
        faults += [
            f"line {number}: {misfit}" for number, line in enumerate(lines, 1) for misfit in line.misfits.values()
        ]
        changed_at = now if self._file.changed is None else head.row[self._file.changed]
        faults += [
            f"column {name} is empty, so the row has no place in the order; COALESCE it in the query"
            for name in (self._file.changed, self._file.unique)
            if name is not None and head.row[name] is None
        ]
        if faults or not isinstance(changed_at, datetime):
            return UnreadableRow(key=key, reason="; ".join(faults), row=as_it_came(head, lines))
        return SourceRecord(key=key, changed_at=changed_at, row=head.row, lines=tuple(line.row for line in lines))

    def _key_of(self, head: ReadRow) -> tuple[SourceKey, list[str]]:
        columns = self._file.key
        faults = [f"column {name} is empty but part of the key" for name in columns if head.row[name] in {None, ""}]
        if len(columns) > 1:
            faults += [
                f"column {name} holds the / that separates key parts" for name in columns if "/" in str(head.row[name])
            ]
        faults += [
            f"column {name} is part of the key and holds more than {KEY_AT_MOST} or unprintable characters"
            for name in columns
            if len(text := str(head.row[name])) > KEY_AT_MOST or not text.isprintable()
        ]
        unreadable = faults or any(name in head.misfits for name in columns)
        key = self._name_of(head) if unreadable else "/".join(str(head.row[name]) for name in columns)
        return SourceKey(collection=self._file.records, key=key), faults

    def _name_of(self, head: ReadRow) -> str:
        value = head.row[self._file.unique]
        return _empty(self._file.unique) if value is None else f"{self._file.unique}={readable(value)}"

    def _key_values(self, key: str) -> dict[str, Value] | None:
        columns = self._file.key
        parts = [key] if len(columns) == 1 else key.split("/")
        try:
            return {
                name: int(part) if self._file.columns[name] is ColumnType.INTEGER else part
                for name, part in zip(columns, parts, strict=True)
            }
        except ValueError:
            return None
