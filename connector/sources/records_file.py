"""The records file: which query finds the facts, what its columns hold, what else is looked up for them.

::

    records = "returns"                       # name of the collection
    database = "warehouse"                    # [sources.warehouse] of the configuration
    query = "SELECT o.id, o.order_no, o.update_time FROM wms_receipt_order o"
    key = ["order_no"]                        # the business key of a record, for ever
    changed = "update_time"                   # read in the order of this column; without it rows are only ever added
    unique = "id"                             # breaks its ties; never twice in the answer
    overlap_seconds = 300                     # each pass begins that long before, for rows that are committed late
    [columns]                                 # text | integer | decimal | time | date
    id = "integer"
    order_no = "text"
    update_time = "time"

    [sweep]                                   # changes that the time of change hides: every so often
    hours = 24                                # so much is read again
    days = 30

    [lines]                                   # the rows below a record, found by its unique column
    query = "SELECT d.order_id, d.sku_code FROM wms_receipt_order_detail d WHERE d.order_id IN :keys"
    parent = "order_id"
    columns = { order_id = "integer", sku_code = "text" }

    [lookups.export_line]                     # rows of another table; :keys are the values of the first match
    database = "archive"
    query = "SELECT l.order_no, l.item_no, l.gnum FROM lines l WHERE l.order_no IN :keys"
    match = { order_no = "record.order_no", item_no = "line.sku_code" }
    columns = { order_no = "text", item_no = "text", gnum = "integer" }

Every query is one SELECT that SQLite, MySQL/MariaDB and PostgreSQL read alike. A column that may be empty in the source
and shall order the records needs a substitute in the query: ``COALESCE(o.update_time, o.create_time) AS update_time``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy import text

from connector.errors import MappingError
from connector.messages.records import LookupShape, RecordShape
from connector.sources.values import ColumnType
from connector.toml_file import TomlFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_KEY_TYPES = {ColumnType.TEXT, ColumnType.INTEGER}
"""What joins, keys and ties may be of: types whose values have one form as text."""


def _configured(name: str, info: ValidationInfo) -> str:
    known: Collection[str] = (info.context or {})["databases"]
    if name not in known:
        raise ValueError(f"names {name!r}; the configuration has {', '.join(sorted(known)) or 'no sources'}")
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Database = Annotated[str, AfterValidator(_configured)]
Columns = Annotated[dict[Name, ColumnType], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LinesPart(_Part):
    """``[lines]``: the rows below a record."""

    columns: Columns
    query: str
    """Holds ``IN :keys``: the unique values of a page of records."""
    parent: Name
    """The column that equals the unique column of the record."""

    @field_validator("query")
    @classmethod
    def _one_list(cls, query: str) -> str:
        return _checked(query, {"keys"})

    @field_validator("parent")
    @classmethod
    def _declared(cls, parent: str, info: ValidationInfo) -> str:
        return _key_column(parent, info.data.get("columns"))


class LookupPart(_Part):
    """``[lookups.NAME]``: rows of another table, perhaps in another database."""

    database: Database
    columns: Columns
    query: str
    """Holds ``IN :keys``: the values of the first entry of ``match``."""
    match: Annotated[dict[Name, Annotated[str, Field(pattern=r"^(record|line)\.\w+$")]], Field(min_length=1)]
    """Column of the answer -> what it equals, ``record.COLUMN`` or ``line.COLUMN``; compared exactly, also where the
    database itself ignores case."""

    @field_validator("query")
    @classmethod
    def _one_list(cls, query: str) -> str:
        return _checked(query, {"keys"})

    @field_validator("match")
    @classmethod
    def _declared(cls, match: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for column in match:
            _key_column(column, info.data.get("columns"))
        return match


class SweepPart(_Part):
    """``[sweep]``: read again what was read before, for changes that the time of change does not tell."""

    days: Annotated[int, Field(ge=0, le=3660)] = 30
    """How far back, by the time of change; 0 for never."""
    hours: Annotated[float, Field(ge=0, le=8760)] = 24
    """How often; 0 for every pass."""


class RecordsFile(_Part):
    """One parsed records file."""

    records: Name
    """Name of the collection, e.g. ``returns``."""
    database: Database
    columns: Columns
    query: str
    key: Annotated[list[Name], Field(min_length=1)]
    unique: Name
    changed: Name | None = None
    """The column whose order it is read in; without it, rows are only ever added, and read by their unique column."""
    page_size: Annotated[int, Field(ge=1, le=5000)] = 500
    overlap_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    """How long before the place it has come to each pass begins, for rows that are committed late."""
    overlap_rows: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """The same where rows are only added: by how much of the unique column."""
    sweep: SweepPart = SweepPart()
    """Only where there is a time of change."""
    lines: LinesPart | None = None
    lookups: dict[Name, LookupPart] = Field(default_factory=dict)

    @field_validator("query")
    @classmethod
    def _no_parameters(cls, query: str) -> str:
        return _checked(query, set())

    @field_validator("key")
    @classmethod
    def _keys_declared(cls, key: list[str], info: ValidationInfo) -> list[str]:
        for column in key:
            _key_column(column, info.data.get("columns"))
        return key

    @field_validator("unique")
    @classmethod
    def _unique_declared(cls, unique: str, info: ValidationInfo) -> str:
        return _key_column(unique, info.data.get("columns"))

    @field_validator("changed")
    @classmethod
    def _changed_declared(cls, changed: str, info: ValidationInfo) -> str:
        columns: Mapping[str, ColumnType] | None = info.data.get("columns")
        if columns is not None and columns.get(changed) is not ColumnType.TIME:
            raise ValueError(f"names {changed!r}, which [columns] does not declare as a time")
        return changed

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.changed is None and self.columns[self.unique] is not ColumnType.INTEGER:
            raise ValueError("needs changed, or a unique column that is an integer and grows with each row added")
        return self

    @field_validator("lines")
    @classmethod
    def _lines_joined(cls, lines: LinesPart | None, info: ValidationInfo) -> LinesPart | None:
        columns: Mapping[str, ColumnType] = info.data.get("columns") or {}
        kind = columns.get(info.data.get("unique", ""))
        if lines and kind and lines.columns[lines.parent] is not kind:
            raise ValueError(f"declares parent as {lines.columns[lines.parent]}, but the unique column is {kind}")
        return lines

    @field_validator("lookups")
    @classmethod
    def _references_known(cls, lookups: dict[str, LookupPart], info: ValidationInfo) -> dict[str, LookupPart]:
        # A part with faults of its own is not there to be compared with.
        offered: dict[str, Mapping[str, ColumnType]] = {}
        if "columns" in info.data:
            offered["record"] = info.data["columns"]
        if "lines" in info.data:
            offered["line"] = info.data["lines"].columns if info.data["lines"] else {}
        wrong = [
            (name, reference)
            for name, lookup in lookups.items()
            for reference in lookup.match.values()
            for part, column in [reference.split(".")]
            if part in offered and offered[part].get(column) not in _KEY_TYPES
        ]
        if wrong:
            said = ", ".join(f"{reference} (lookup {name})" for name, reference in wrong)
            raise PydanticCustomError(
                "reference", f"names no text or integer column: {said}", {"at": (wrong[0][0], "match")}
            )
        return lookups

    def queries_of(self, database: str) -> list[str]:
        """Its queries that go to one database."""
        own = [self.query, *([self.lines.query] if self.lines else [])] if self.database == database else []
        return own + [lookup.query for lookup in self.lookups.values() if lookup.database == database]

    @property
    def needed(self) -> list[str]:
        """The columns that reading itself takes, as references: ``record.id``, ``export_line.order_no``."""
        own = [f"record.{name}" for name in (*self.key, self.changed, self.unique) if name is not None]
        joined = [f"{name}.{column}" for name, lookup in self.lookups.items() for column in lookup.match]
        return [*own, *([f"line.{self.lines.parent}"] if self.lines else []), *joined]

    @property
    def shape(self) -> RecordShape:
        """What the records offer to mappings."""
        return RecordShape(
            collection=self.records,
            columns=frozenset(self.columns),
            line_columns=frozenset(self.lines.columns if self.lines else ()),
            lookups={
                name: LookupShape(columns=frozenset(lookup.columns), match=tuple(lookup.match.values()))
                for name, lookup in self.lookups.items()
            },
        )


def load_records(folder: Path, databases: Collection[str]) -> Mapping[str, RecordsFile]:
    """Every records file of a folder, by collection; a file with the key ``message`` is a mapping of its records.

    databases: names of the ``[sources.NAME]`` tables. Raises `MappingError` naming every fault of every file.
    """
    found: dict[str, RecordsFile] = {}
    files = [TomlFile.read(path) for path in sorted(folder.glob("*.toml"))]
    for file in files:
        if "records" not in file.document or "message" in file.document:
            continue
        records = file.validate(RecordsFile, file.document, context={"databases": databases})
        if records and records.records in found:
            file.add([(("records",), f"names {records.records!r}, which another file declares too")])
        if records:
            found[records.records] = records
    faults = [fault for file in files for fault in file.faults]
    if not found and not faults:
        faults.append(f"{folder}: holds no records file, a .toml file with the key records")
    if faults:
        raise MappingError("\n".join(faults), effect="nothing was started", remedy="correct the files and try again")
    return found


def _checked(query: str, expected: set[str]) -> str:
    if query.rstrip().endswith(";"):
        raise ValueError("ends in a semicolon; leave it out, the query becomes part of a larger one")
    found = set(text(query).compile().params)
    if found != expected:
        wanted = "needs `IN :keys`, and no other parameter" if expected else "takes no parameters"
        raise ValueError(f"{wanted}; it has {', '.join(f':{name}' for name in sorted(found)) or 'none'}")
    return query


def _key_column(column: str, columns: Mapping[str, ColumnType] | None) -> str:
    if columns is not None and columns.get(column) not in _KEY_TYPES:
        raise ValueError(f"names {column!r}, which its columns do not declare as text or integer")
    return column
