"""How times and tables are written, for every table alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Table, TypeDecorator
from sqlmodel import SQLModel

BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit key. SQLite's INTEGER has 64 bits, and only that name makes it the row's own number."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond. SQLite keeps it as text that sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: it would be read back as another moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Give every time back in UTC."""
        del dialect
        moment = cast("datetime | None", value)
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def table_of(row: type[SQLModel]) -> Table:
    """The Core table of a row class: hot paths write through it."""
    return cast("Table", row.__table__)  # type: ignore[attr-defined]
