"""The commands, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.cli import (
    audit,
    db,
    demo,
    doctor,
    documents,
    mapping,
    messages,
    quarantine,
    resend,
    rules,
    run,
    signature,
    simulator,
    status,
)
from connector.cli.context import Given

app = typer.Typer(
    name="connector",
    help="Connects the warehouse of a 9610 return site with the customs information system.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"connector {version('customs-warehouse-connector')}")
        raise typer.Exit


@app.callback()
def given(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does all
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar="CONNECTOR_CONFIG", metavar="FILE", help="The configuration file."),
    ] = None,
) -> None:
    """Connects the warehouse of a 9610 return site with the customs information system."""
    context.obj = Given(config_path=config)


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("resend")(resend.resend)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.add_typer(documents.app, name="documents")
app.add_typer(messages.app, name="messages")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(mapping.app, name="mapping")
app.add_typer(rules.app, name="rules")
app.add_typer(audit.app, name="audit")
app.add_typer(signature.app, name="signature")
app.add_typer(db.app, name="db")
app.add_typer(simulator.app, name="simulator")
