"""The schema's version: moved on by the Alembic migrations in the package, checked before anything else happens."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from connector.errors import SchemaVersionError
from connector.storage.database import lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from connector.storage.database import Database

_REMEDY = "run `connector db upgrade`"


def upgrade(database: Database) -> str:
    """Bring the schema to the version this program needs, in one transaction; the version reached."""
    config = _config()
    with database.write() as transaction:
        lock(transaction, "schema")
        _refuse_newer(current(transaction))
        config.attributes["connection"] = transaction
        command.upgrade(config, "head")
        return current(transaction)


def check(database: Database) -> None:
    """Raise `SchemaVersionError` unless the schema is exactly the one this program needs."""
    with database.read() as connection:
        found = current(connection)
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    if found == needed:
        return
    _refuse_newer(found)
    state = f"version {found}" if found else "not made yet"
    raise SchemaVersionError(
        f"the database schema is {state}; this program needs version {needed}",
        effect="nothing was started",
        remedy=_REMEDY,
    )


def current(connection: Connection) -> str:
    """The version the database says it has; empty when it has none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def _refuse_newer(found: str) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found and found not in known:
        raise SchemaVersionError(
            f"the database schema is version {found}, made by a newer program",
            effect="nothing was started",
            remedy="install the newer program; the schema cannot go back",
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("connector.storage") / "migrations"))
    return config
