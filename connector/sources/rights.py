"""What the account of a source needs, and whether it could write. It never will, but it should not even be able to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WRITING = re.compile(r"\b(ALL PRIVILEGES|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP)\b")

_NAME = r"(?:[\w$]+|`[^`]+`|\"[^\"]+\")"
_TABLE = re.compile(rf"\b(?:FROM|JOIN)\s+({_NAME}(?:\.{_NAME})?)", re.IGNORECASE)

_POSTGRESQL = """
    SELECT word FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS word WHERE EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\\_%' AND has_table_privilege(c.oid, word))
"""


def rights_needed(connection: Connection, queries: Iterable[str]) -> Sequence[str]:
    """The statements that give an account all it needs for these queries, and nothing else; none for SQLite.

    The tables are those that stand behind FROM and JOIN; what a view reads needs no right of its own.
    """
    tables = sorted({name for query in queries for name in _TABLE.findall(query)})
    match connection.dialect.name:
        case "postgresql":
            account = '"{}"'.format(connection.execute(text("SELECT current_user")).scalar_one())
            return [f"GRANT SELECT ON {', '.join(tables)} TO {account};"] if tables else []
        case "mysql" | "mariadb":
            user, _, host = connection.execute(text("SELECT CURRENT_USER()")).scalar_one().rpartition("@")
            return [f"GRANT SELECT ON {table} TO '{user}'@'{host}';" for table in tables]
        case _:
            return []


def rights_to_write(connection: Connection) -> Sequence[str]:
    """What else than SELECT the account may do, in the words of SQL; nothing for SQLite, which is opened read only.

    Rights that come by a role of MySQL are not seen.
    """
    match connection.dialect.name:
        case "postgresql":
            return list(connection.execute(text(_POSTGRESQL)).scalars())
        case "mysql" | "mariadb":
            grants: list[str] = list(connection.execute(text("SHOW GRANTS")).scalars())
            # Only the words before ON: what follows may hold a digest of the password.
            return sorted({word for grant in grants for word in _WRITING.findall(grant.partition(" ON ")[0])})
        case _:
            return []
