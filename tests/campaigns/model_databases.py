"""An empty database with our tables for each run of the machine, one after the other."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url, text
from sqlmodel import SQLModel

from connector.deeds import Deed
from connector.storage import schema
from connector.storage.database import Database
from tests.campaigns.listing import POSTGRESQL

Fresh = Callable[[], Database]


@contextmanager
def sqlite_databases(folder: Path) -> Iterator[Fresh]:
    """Files in a folder, each a copy of one that was made once. The last one stays."""
    template, file = folder / "empty.db", folder / "connector.db"
    with closing(Database(f"sqlite:///{template}")) as made:
        schema.upgrade(made)
    opened: list[Database] = []

    def fresh() -> Database:
        for database in opened:
            database.close()
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(template, file)
        opened[:] = [Database(f"sqlite:///{file}")]
        return opened[0]

    yield fresh
    for database in opened:
        database.close()


@contextmanager
def postgresql_url() -> Iterator[str]:
    """A database of our own on the server of this machine, dropped afterwards."""
    name = f"connector_campaign_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            url = make_url(POSTGRESQL).set(drivername="postgresql+psycopg", database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def postgresql_databases() -> Iterator[Fresh]:
    """One database, emptied each time: making one takes longer than most runs."""
    with postgresql_url() as url, closing(Database(url)) as database:
        schema.upgrade(database)

        def fresh() -> Database:
            with database.write(Deed.UPGRADE) as transaction:
                transaction.execute(text("SET LOCAL session_replication_role = replica"))  # past guards and keys
                for table in SQLModel.metadata.sorted_tables:
                    transaction.execute(table.delete())
            return database

        yield fresh
