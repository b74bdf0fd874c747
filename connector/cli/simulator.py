"""``connector simulator``: run the simulated customs office, read its ledger, or have it fail on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_object, print_table, say
from connector.errors import UsageError

app = typer.Typer(
    help=(
        "A customs office to try things with: it takes messages in, judges them and answers with receipts. "
        "It can be told to fail (faults): reset_on_accept, drop, hang, cut, empty, bad_gateway, server_fault, "
        "malformed, drip, processed_late, maintenance, rate_limit, duplicate_receipt, late_receipt, "
        "receipt_out_of_order."
    ),
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


class Action(StrEnum):
    """What is to be done about the faults of the running office."""

    SHOW = "show"
    """Print the settings that differ from none, what waits and what was played."""
    SET = "set"
    """Replace all settings."""
    CLEAR = "clear"
    """End all faults."""


_FAULTS_HELP = """Show or change what goes wrong at the running office.

\b
fault                 processed  what the peer sees
reset_on_accept       no         its connection is reset as a request comes
drop                  yes        closed without one byte
hang                  yes        silence, for hang_seconds at most
cut                   yes        the response breaks off
empty                 yes        200 without a body
bad_gateway           by seed    502 with an HTML page
server_fault          by seed    500 with a SOAP Fault soap:Server
malformed             yes        200 with XML that breaks off
drip                  yes        one byte each drip_seconds
processed_late        late       closed; processed after late_seconds
maintenance           no         503, Retry-After, for maintenance_seconds
rate_limit            no         429, Retry-After, after rate_requests
                                 within rate_seconds
duplicate_receipt     yes        a receipt comes twice
late_receipt          yes        receipts come late_receipt_seconds later
receipt_out_of_order  yes        a receipt comes after the next one

set replaces all settings: the share of requests (of messages for receipts) from 0 to 1 that get a fault, \
seed, services, and the numbers named above. --next has a fault played once, or --times N, whatever the settings.

\b
connector simulator faults set seed=7 drop=0.1 services=submissions,receipts
connector simulator faults --next processed_late --times 2
"""


@app.command(help=_FAULTS_HELP)
def faults(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help="show; set KEY=VALUE...; clear.")] = Action.SHOW,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="For set: a fault's share, or another setting.", show_default=False),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--next", metavar="FAULT", help="Have the next request get this fault.")
    ] = None,
    times: Annotated[int, typer.Option("--times", min=1, metavar="N", help="With --next: the next N.")] = 1,
    service: Annotated[
        str, typer.Option("--service", metavar="SERVICE", help="With --next: submissions or receipts.")
    ] = "submissions",
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or change what goes wrong at the running office."""
    from connector.simulator.admin import FAULTS_PATH, NEXT_PATH
    from connector.simulator.registry import load
    from connector.simulator.remote import call

    if order is None and (times != 1 or service != "submissions"):
        raise _usage("--times and --service say how --next is meant", "add --next FAULT")
    content = _settings_for(action, values or [])
    entries = load(_registry_file(context, registry))
    if entries.address[1] == 0:
        raise _usage(
            "the registry lets the office listen on any free port, so it cannot be found", "name a port in its listen"
        )
    state = call(entries.address, FAULTS_PATH, content)
    if order is not None:
        state = call(entries.address, NEXT_PATH, {"fault": order, "times": times, "service": service})
    if as_json:
        print_object(state)
        return
    _print_faults(state)


def _settings_for(action: Action, values: Iterable[str]) -> dict[str, object] | None:
    """What an action posts, None when it only looks."""
    given = dict(map(_setting, values))
    if bool(given) != (action is Action.SET):
        raise _usage(
            "set needs KEY=VALUE, show and clear take none", "write e.g.: connector simulator faults set drop=0.1"
        )
    return None if action is Action.SHOW else given


def _setting(text: str) -> tuple[str, object]:
    """One KEY=VALUE; numbers are numbers, services are separated by commas."""
    key, equals, value = text.partition("=")
    if not equals:
        raise _usage(f"{text} is not KEY=VALUE", "write e.g. drop=0.1")
    if key == "services":
        return key, value.split(",")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _print_faults(state: dict[str, Any]) -> None:
    from connector.simulator.faults import FaultSettings

    usual = FaultSettings().model_dump(mode="json")
    rows = [("set", key, _listed(value)) for key, value in state["settings"].items() if value != usual.get(key)]
    rows += [("waits", one["fault"], f"{one['times']} times, {one['service']}") for one in state["next"]]
    rows += [("played", fault, f"{times} times") for fault, times in state["played"].items()]
    if state["held"]:
        rows.append(("held", "processed_late", f"{state['held']} requests read, not processed yet"))
    print_table("faults" if rows else "no faults", ("", "name", "value"), rows)


def _listed(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _usage(cause: str, remedy: str) -> UsageError:
    return UsageError(cause, effect="nothing was done", remedy=remedy)


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
