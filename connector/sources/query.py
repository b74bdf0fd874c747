"""One query of a records file: wrapped in a SELECT of ours, its columns compared, its rows converted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, column, literal_column, select, text
from sqlalchemy.types import NullType

from connector.errors import SourceChanged
from connector.sources.values import Misfit, read_value
from connector.storage.limits import portions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import BindParameter, ColumnElement, Connection, Select

    from connector.messages.records import Row, Value
    from connector.sources.values import ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """One row as it came and as it was read."""

    raw: Mapping[str, Any]
    row: Row
    """The values of the declared types; one that does not fit stands as it came, as text if it is no number. Bytes that
    are no UTF-8 stand as lone surrogates, which no message can carry: never as text that looks sound."""
    misfits: Mapping[str, str]
    """Column -> why its value does not fit."""


class Query:
    """A query with its declared columns. ``name`` tells a person which one, e.g. ``lookups.export_list``."""

    def __init__(self, name: str, query: str, columns: Mapping[str, ColumnType], zone: ZoneInfo) -> None:
        self._name = name
        self._columns = columns
        self._zone = zone
        # The line end keeps a closing comment of the query from swallowing our bracket.
        inner = text(query + "\n")
        self._takes_keys = "keys" in inner.compile().params
        if self._takes_keys:
            inner = inner.bindparams(bindparam("keys", expanding=True, type_=NullType()))
        self._answer = inner.columns(*(column(name) for name in columns)).subquery("answer")

    def column(self, name: str) -> ColumnElement[Any]:
        """A column of the answer, for conditions and order."""
        return self._answer.c[name]

    def select(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """All columns the answer has, whatever was declared, where the conditions hold."""
        return select(literal_column("*")).select_from(self._answer).where(*conditions)

    def rows(self, connection: Connection, statement: Select[Any], **parameters: object) -> list[ReadRow]:
        """Run it. Raises `SourceChanged` if the answer has other columns than declared."""
        result = connection.execute(statement, parameters)
        names = tuple(result.keys())
        if sorted(names) != sorted(self._columns):
            raise SourceChanged(
                f"{self._name}: the query answers with the columns {', '.join(names)};"
                f" declared are {', '.join(self._columns)}",
                effect="nothing new was collected",
                remedy="make the query and the columns of the records file agree",
            )
        return [self._read(dict(zip(names, values, strict=True))) for values in result]

    def rows_for(self, connection: Connection, statement: Select[Any], keys: Iterable[Value]) -> Iterator[ReadRow]:
        """The rows of all keys, asked for in lists the database can take."""
        for some in portions(list(keys)):
            yield from self.rows(connection, statement, keys=some)

    def probe(self, connection: Connection) -> None:
        """Ask for no rows, so that what is wrong with the query shows. Raises as `rows` does."""
        empty = {"keys": [None]} if self._takes_keys else {}  # NULL is of every type, and equals nothing
        self.rows(connection, self.select().limit(0), **empty)

    def _read(self, raw: dict[str, Any]) -> ReadRow:
        row: dict[str, Value] = {}
        misfits: dict[str, str] = {}
        for name, kind in self._columns.items():
            try:
                row[name] = read_value(raw[name], kind, self._zone)
            except Misfit as misfit:
                row[name] = raw[name] if isinstance(raw[name], int | float | Decimal) else _text(raw[name])
                misfits[name] = f"column {name} {misfit}"
        return ReadRow(raw=raw, row=row, misfits=misfits)


def parameter(name: str) -> BindParameter[Any]:
    """A parameter whose type the database infers, so that a time written as text compares as a time."""
    return bindparam(name, type_=NullType())


def as_it_came(head: ReadRow, lines: Sequence[ReadRow]) -> str:
    """A row and its lines as JSON for a person; text that is no UTF-8 shows its bytes."""
    body = {"row": head.raw, "lines": [line.raw for line in lines]}
    return readable(json.dumps(body, default=_text, ensure_ascii=False, sort_keys=True))


def readable(value: object) -> str:
    """Text for a person, in which whatever is no UTF-8 shows escaped. Never for a message."""
    return _text(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
