"""The schema's version: moved on by the Alembic migrations in the package, checked before anything else happens.

A migration is named by its version, so that checking needs no Alembic: loading it takes longer than most commands do.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from connector.deeds import Deed
from connector.errors import SchemaVersionError
from connector.storage.database import Database, lock

_MIGRATIONS = files("connector.storage") / "migrations"


def upgrade(database: Database) -> str:
    """Bring the schema to the version this program needs, in one transaction; the version reached."""
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with database.write(Deed.UPGRADE) as transaction:
        lock(transaction, "schema")
        _refuse_newer(current(transaction))
        config.attributes["connection"] = transaction
        command.upgrade(config, "head")
        return current(transaction)


def check(database: Database) -> None:
    """Raise `SchemaVersionError` unless the schema is exactly the one this program needs."""
    if database.is_missing:
        found = ""
    else:
        with database.read() as connection:
            found = current(connection)
    needed = versions()[-1]
    if found == needed:
        return
    _refuse_newer(found)
    if database.is_missing:
        state = "no such file"
    else:
        state = f"the database schema is {f'version {found}' if found else 'not made yet'}"
    raise SchemaVersionError(
        f"{database.address}: {state}; this program needs a database of version {needed}",
        effect="nothing was done",
        remedy="run `connector db upgrade`; but if returns were declared before, first make sure that [database] url "
        "names the database they were declared with: an empty one would declare them again",
    )


def current(connection: Connection) -> str:
    """The version the database says it has; empty when it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def versions() -> list[str]:
    """Every version this program knows, oldest first: ``0001_first_tables.py`` makes version ``0001``."""
    names = sorted(entry.name for entry in (_MIGRATIONS / "versions").iterdir() if entry.name.endswith(".py"))
    return [name.partition("_")[0] for name in names]


def _refuse_newer(found: str) -> None:
    if found and found not in versions():
        raise SchemaVersionError(
            f"the database schema is version {found}, made by a newer program",
            effect="nothing was started",
            remedy="install the newer program; the schema cannot go back",
        )
