"""``connector simulator``: run the simulated customs office, or read its ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_object, print_table, say
from connector.errors import UsageError

app = typer.Typer(
    help="A customs office to try things with: it takes messages in, judges them and answers with receipts.",
    no_args_is_help=True,
)

RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="Registry of the office; without it, the one that \\[simulator] of the configuration names.",
        show_default=False,
    ),
]


@app.command()
def serve(context: typer.Context, registry: RegistryOption = None) -> None:
    """Run the office until SIGTERM or Ctrl-C."""
    from connector.simulator.office import Office
    from connector.simulator.registry import load
    from connector.simulator.server import open_socket
    from connector.simulator.server import serve as answer_requests

    entries = load(_registry_file(context, registry))
    listener = open_socket(entries)
    office = Office(entries, lambda: datetime.now(UTC))
    host, port = listener.getsockname()
    line = f"the simulated customs office listens on http://{host}:{port}"
    try:
        answer_requests(office, listener, lambda: say(line))
    finally:
        office.close()


@app.command()
def ledger(context: typer.Context, registry: RegistryOption = None, as_json: JsonOption = False) -> None:
    """Show what the office holds, whether it runs or not."""
    from connector.simulator.ledger import read_ledger
    from connector.simulator.registry import load

    found = read_ledger(load(_registry_file(context, registry)).database, datetime.now(UTC))
    if as_json:
        print_object(found.to_dict())
        return
    columns = ("type", "business key", "status", "received", "accepted", "digest")
    rows = [
        (one.type, one.business_key, one.status, one.times_received, one.times_accepted, one.digest[:12])
        for one in found.documents
    ]
    print_table(f"{len(found.messages)} messages, {len(found.documents)} documents", columns, rows)


def _registry_file(context: typer.Context, named: Path | None) -> Path:
    """The registry named on the command line, else the one in the configuration."""
    if named is not None:
        return named
    simulator = settings_of(context).simulator
    if simulator is None:
        raise UsageError(
            "the configuration names no registry of a simulated customs office",
            effect="nothing was done",
            remedy="give --registry FILE, or add [simulator] with registry to the configuration",
        )
    return simulator.registry
