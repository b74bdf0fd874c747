"""What many wait for, in as few round trips as the driver of PostgreSQL can do it in.

Others use plain SQLAlchemy. Errors are those of `Connection.execute` for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Compiled, Connection, Dialect, Select, Table, insert
from sqlalchemy.exc import DBAPIError

from connector.storage.database import LOCK, lock


def lock_and_read(transaction: Connection, lock_name: str, query: Select[Any], **parameters: object) -> Sequence[Any]:
    """Wait for a lock as `lock` does, then read; rows with the columns as attributes.

    PostgreSQL gets both at once: who waits for the lock reads as soon as it is free. Each statement has a view of its
    own, so nothing is read that was there before.
    """
    if transaction.dialect.name != "postgresql":
        lock(transaction, lock_name)
        return transaction.execute(query, parameters).all()
    from psycopg.rows import namedtuple_row  # noqa: PLC0415 - only where it is the driver

    compiled = _compiled(query, transaction.dialect)
    driver: Any = transaction.connection.driver_connection
    with _errors(transaction, str(compiled)), driver.pipeline():
        driver.execute(LOCK.replace(":name", "%(name)s"), {"name": lock_name})
        cursor = driver.cursor(row_factory=namedtuple_row)
        return cursor.execute(str(compiled), compiled.construct_params(parameters)).fetchall()  # type: ignore[no-any-return]


@cache
def _compiled(query: Select[Any], dialect: Dialect) -> Compiled:
    return query.compile(dialect=dialect)


def insert_all(transaction: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name the same columns; PostgreSQL gets them by COPY, which spares it a statement for each."""
    if transaction.dialect.name != "postgresql":
        transaction.execute(insert(table), rows)
        return
    names = list(rows[0])
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    types = [table.c[name].type.compile(transaction.dialect).lower() for name in names]
    driver: Any = transaction.connection.driver_connection
    with _errors(transaction, statement), driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row([row[name] for name in names])


@contextmanager
def _errors(transaction: Connection, statement: str) -> Iterator[None]:
    errors = transaction.dialect.loaded_dbapi
    try:
        yield
    except errors.Error as error:
        raise DBAPIError.instance(statement, None, error, errors.Error, dialect=transaction.dialect) from error
