"""``connector run``: the daemon, or one full cycle with ``--once``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_object, say
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.pipeline.cycle import Cycle


def run(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Do one full cycle: collect, prepare, send, take receipts; then exit.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=16, metavar="N", help="Deliver N messages at the same time."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Connect the warehouse with customs until SIGTERM or Ctrl-C."""
    from connector.bootstrap import build_connector
    from connector.daemon import Stop
    from connector.daemon import run as run_daemon
    from connector.pipeline.cycle import run_once
    from connector.pipeline.leasing import end_all

    if workers is not None and once:
        raise UsageError("--workers is for the daemon", remedy="leave --once or --workers out")
    if as_json and not once:
        raise UsageError("--json needs --once", remedy="a daemon has no result; ask `connector status --json`")
    settings = settings_of(context)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S%z")
    logging.getLogger("connector").setLevel(logging.INFO)
    stop = Stop()
    connector = build_connector(settings, is_stopping=stop.is_set)
    stop.on_signals()
    if connector.database.warning:
        logging.getLogger(__name__).warning("%s", connector.database.warning)
    with connector.database.held_alone() as alone:
        if alone:
            end_all(connector)
        if not once:
            run_daemon(connector, settings, stop, workers=workers or settings.schedule.workers)
            raise typer.Exit(stop.exit_code)
        cycle = run_once(connector)
    for failure in cycle.failures:
        say(f"error: {failure}")
    if as_json:
        print_object(_summary(cycle))
    elif cycle.exit_code or _is_news(cycle):
        say(_sentence(cycle))
    if cycle.is_elsewhere:
        say("note: another process was at part of this at the same time; what it does is not counted here")
    raise typer.Exit(stop.exit_code or cycle.exit_code)


def _summary(cycle: Cycle) -> dict[str, object]:
    return {
        "collected": cycle.collected.changed,
        "quarantined": cycle.collected.unreadable + cycle.prepared.quarantined,
        "documents": cycle.prepared.documents,
        "messages": cycle.prepared.messages,
        "attempts": dict(cycle.delivered.outcomes),
        "receipts": cycle.received.receipts,
        "rejected": cycle.received.rejected,
        "unreadable_receipts": cycle.received.unreadable,
        "is_elsewhere": cycle.is_elsewhere,
        "failures": [failure.cause for failure in cycle.failures],
    }


def _is_news(cycle: Cycle) -> bool:
    return bool(cycle.collected.changed or cycle.delivered.outcomes or cycle.received.receipts)


def _sentence(cycle: Cycle) -> str:
    attempts = ", ".join(f"{count} {outcome}" for outcome, count in cycle.delivered.outcomes.items()) or "none"
    return (
        f"collected {cycle.collected.changed} records; "
        f"made {cycle.prepared.documents} documents in {cycle.prepared.messages} messages, "
        f"held {cycle.collected.unreadable + cycle.prepared.quarantined} in quarantine; "
        f"attempts: {attempts}; took {cycle.received.receipts} receipts, {cycle.received.rejected} documents rejected"
    )
