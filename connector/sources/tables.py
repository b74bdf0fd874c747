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

_OF_TIME = re.compile(r"(time|date|_at|_on|changed|modified|updated|touched)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column."""

    name: str
    kind: ColumnType
    """As it should be declared; a guess by its name where the database knows nothing but texts."""
    comment: str
    """What the table's maker says of it; empty where that is nothing."""
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
    return [
        TableColumn(
            name=one["name"],
            kind=_kind(one["name"], one["type"]),
            comment=one.get("comment") or "",
            is_key=keys == [one["name"]],
        )
        for one in found
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
