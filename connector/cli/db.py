"""``connector db``: make our own database, or bring it to the version this program needs."""

from __future__ import annotations

import typer

from connector.cli.archive import archive
from connector.cli.context import settings_of
from connector.cli.output import print_lines

app = typer.Typer(help="Our own database.", no_args_is_help=True)
app.command("archive")(archive)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Make the tables, or bring them to the version this program needs."""
    from connector.bootstrap import unchecked_database
    from connector.storage import schema

    database = unchecked_database(settings_of(context))
    made = " in a new, empty database" if database.is_missing else ""
    with database.held_alone():
        version = schema.upgrade(database)
    print_lines([f"the database schema is version {version}{made}"])


@app.command()
def check(context: typer.Context) -> None:
    """Say whether the tables are of the version this program needs; exit code 4 when not."""
    from connector.bootstrap import open_database

    open_database(settings_of(context))
    print_lines(["the database schema is up to date"])
