"""A lookup: rows of another table, perhaps in another database, for a whole page of records at once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from connector.errors import SourceChanged
from connector.sources.query import Query
from connector.sources.values import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connector.messages.records import Row, SourceRecord, Value
    from connector.sources.database import SourceDatabase
    from connector.sources.query import ReadRow
    from connector.sources.records_file import LookupPart


class Lookup:
    """One ``[lookups.NAME]`` of a records file, bound to its database."""

    def __init__(self, name: str, part: LookupPart, database: SourceDatabase) -> None:
        self._part = part
        self._database = database
        self._query = Query(f"lookups.{name}", part.query, part.columns, database.zone)
        self._name = name

    def find(self, records: Sequence[SourceRecord]) -> Mapping[tuple[str, ...], Sequence[Row]]:
        """Rows by matched values, as text and in the order of ``match``. An empty value matches nothing."""
        wanted = {key for record in records for key in self._keys(record)}
        found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        if self._database.lacks(self._part.query):
            return {}
        with self._database.reading() as connection:
            for read in self._query.rows_for(connection, self._query.select(), self._asked(wanted)):
                self._refuse_numbers(read)
                key = tuple(str(read.row[column]) for column in self._part.match)
                if key in wanted:
                    found[key].append(read.row)
        return dict(found)

    def probe(self) -> None:
        """Ask for no rows, so that what is wrong with the query shows."""
        if self._database.lacks(self._part.query):
            return
        with self._database.reading() as connection:
            self._query.probe(connection)

    def _keys(self, record: SourceRecord) -> Iterator[tuple[str, ...]]:
        references = [reference.split(".") for reference in self._part.match.values()]
        of_lines = any(part == "line" for part, _ in references)
        for line in record.lines if of_lines else ({},):
            values = [(line if part == "line" else record.row)[column] for part, column in references]
            if None not in values:
                yield tuple(str(value) for value in values)

    def _asked(self, wanted: set[tuple[str, ...]]) -> list[Value]:
        """What ``:keys`` holds, of the type of its column; what that type cannot hold is not there to be found."""
        keys = sorted({key[0] for key in wanted})
        if self._part.columns[next(iter(self._part.match))] is ColumnType.INTEGER:
            return [int(key) for key in keys if key.isascii() and key.removeprefix("-").isdigit()]
        return [key for key in keys if "\0" not in key]

    def _refuse_numbers(self, read: ReadRow) -> None:
        for column, misfit in read.misfits.items():
            if self._part.columns[column] is ColumnType.TEXT and not isinstance(read.raw[column], str | bytes):
                raise SourceChanged(
                    f"lookups.{self._name}: {misfit}",
                    effect="nothing that needs this lookup was prepared; leading zeros of a code may be lost",
                    remedy="declare the column as it is, or make it text in the query",
                )
