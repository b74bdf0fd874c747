"""Many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DBAPIError


def insert_all(transaction: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name the same columns; PostgreSQL gets them by COPY, which spares it a statement for each.

    Raises what `Connection.execute` raises.
    """
    if transaction.dialect.name != "postgresql":
        transaction.execute(insert(table), rows)
        return
    names = list(rows[0])
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    types = [table.c[name].type.compile(transaction.dialect).lower() for name in names]
    driver: Any = transaction.connection.driver_connection
    errors = transaction.dialect.loaded_dbapi
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row([row[name] for name in names])
    except errors.Error as error:
        raise DBAPIError.instance(statement, None, error, errors.Error, dialect=transaction.dialect) from error
