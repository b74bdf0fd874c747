"""What a table of a source looks like, for the draft of a records file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import inspect
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import Date, DateTime, Integer, Numeric

from connector.errors import UsageError
from connector.sources.values import ColumnType

if TYPE_CHECKING:
    from connector.sources.database import SourceDatabase

_OF_TIME = re.compile(r"(time|date|_at|_on|changed|modified|updated|touched|时间|日期)$", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HIDDEN = {"_taken_at", "_content"}
"""Columns of ours that a record of a file has no use for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column."""

    name: str
    """As the records file calls it: its own name, or its number where that is no plain word."""
    written: str
    """As a query writes it."""
    kind: ColumnType
    """As it should be declared; a guess by its name where the database knows nothing but texts."""
    comment: str
    """What the table's maker says of it, with its name where it is called by another; empty where that is nothing."""
    is_key: bool
    """Whether it alone is the primary key."""


def columns_of(database: SourceDatabase, table: str) -> list[TableColumn]:
    """The columns of a table, in its order. Raises `UsageError` naming the tables there are, or `SourceUnreachable`."""
    database.refresh()
    with database.reading() as connection:
        inspector = inspect(connection)
        try:
            found = inspector.get_columns(table)
        except NoSuchTableError:
            there = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
            raise UsageError(
                f"source {database.name} has no table {table}", remedy=f"choose one of {', '.join(there) or '(none)'}"
            ) from None
        keys = inspector.get_pk_constraint(table)["constrained_columns"]
        quoted = connection.dialect.identifier_preparer.quote
        return [
            TableColumn(
                name=name if _WORD.fullmatch(name) else f"column_{number}",
                written=quoted(name),
                kind=_kind(name, one["type"]),
                comment=" ".join(filter(None, ["" if _WORD.fullmatch(name) else name, one.get("comment")])),
                is_key=keys == [name],
            )
            for number, one in enumerate(found, start=1)
            for name in [one["name"]]
            if database.folder is None or name not in _HIDDEN
        ]


def _kind(name: str, type_: object) -> ColumnType:
    match type_:
        case Integer():
            return ColumnType.INTEGER
        case Numeric():
            return ColumnType.DECIMAL
        case DateTime():
            return ColumnType.TIME
        case Date():
            return ColumnType.DATE
        case _:
            return ColumnType.TIME if _OF_TIME.search(name) else ColumnType.TEXT
