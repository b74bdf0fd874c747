"""Checks of what belongs to the enterprise: mappings, source databases, and the queries that go to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from connector.bootstrap import read_mappings, source_database, sources_of
from connector.config import Settings
from connector.doctor.findings import Finding, faults, ok, warning
from connector.errors import ConnectorError
from connector.sources.folder import DropFolder
from connector.sources.rights import rights_needed, rights_to_write

_SHOWN = 5
"""File names that a line has room for."""


def mappings(settings: Settings) -> Iterator[Finding]:
    """The files of the mapping folder are without fault."""
    files, found = read_mappings(settings)
    types = ", ".join(mapping.message_type.name for mapping in found)
    yield ok("mappings", f"{settings.mappings} maps {', '.join(files)} to {types}")


def sources(settings: Settings) -> Iterator[Finding]:
    """Each source answers, and its account may do nothing but read; what it needs for that."""
    try:
        files, _ = read_mappings(settings)
    except ConnectorError:
        files = {}  # told by the check before
    for name in settings.sources:
        check = f"source {name}"
        try:
            with closing(source_database(settings, name)) as database:
                if database.folder is not None:
                    yield from _folder(check, database.folder)
                    continue
                with database.reading() as connection:
                    connection.exec_driver_sql("SELECT 1")
                with database.reading() as connection:
                    queries = [query for file in files.values() for query in file.queries_of(name)]
                    needed = "".join(f"\n  {grant}" for grant in rights_needed(connection, queries))
                    told = f"; all that its account needs:{needed}" if needed else ""
                yield ok(check, f"answers; it is only ever read, in read-only transactions{told}")
                with database.reading() as connection:
                    rights = rights_to_write(connection)
        except ConnectorError as error:
            yield from faults(check, error)
            continue
        if rights:
            yield warning(
                check,
                f"its account has rights it does not need: {', '.join(rights)}",
                "leave it SELECT on the tables of the records files and nothing else",
            )


def _folder(check: str, folder: DropFolder) -> Iterator[Finding]:
    unmatched = folder.unmatched()
    yield ok(check, "its folder can be read; its files are only ever read")
    if unmatched:
        shown = ", ".join(unmatched[:_SHOWN]) + (f" and {len(unmatched) - _SHOWN} more" if unmatched[_SHOWN:] else "")
        yield warning(check, f"no pattern names these files: {shown}", "add one to its files, or take them away")


def collections(settings: Settings) -> Iterator[Finding]:
    """Each query of the records files answers with the columns that are declared."""
    try:
        files, _ = read_mappings(settings)
        databases = {name: source_database(settings, name) for name in settings.sources}
    except ConnectorError:
        return  # told by the checks before
    for name, source in sources_of(files, databases).items():
        check = f"collection {name}"
        try:
            source.probe()
            if source.waits_for_files:
                yield warning(check, "no file has come yet for a table that it reads", "put one down and `run --once`")
            else:
                yield ok(check, "its queries answer with the declared columns")
        except ConnectorError as error:
            yield from faults(check, error)
    for database in databases.values():
        database.close()
