"""``connector run``: the daemon, or one full cycle with ``--once``."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import local, print_object, say
from connector.errors import ConfigurationError, SigningError, UsageError

if TYPE_CHECKING:
    from connector.daemon import Stop
    from connector.pipeline.cycle import Cycle
    from connector.pipeline.wiring import Connector


def run(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Do one full cycle: collect, prepare, send, take receipts; then exit.")
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="With --once: read everything again that [sweep] of the records files names."),
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
    from connector.pipeline.activation import activate
    from connector.pipeline.cycle import run_once
    from connector.pipeline.leasing import end_all
    from connector.pipeline.sweep import Sweeping
    from connector.pipeline.take_receipts import read_again

    if workers is not None and once:
        raise UsageError("--workers is for the daemon", remedy="leave --once or --workers out")
    if sweep and not once:
        raise UsageError("--sweep needs --once", remedy="a daemon sweeps by itself, as its records files say")
    if as_json and not once:
        raise UsageError("--json needs --once", remedy="a daemon has no result; ask `connector status --json`")
    settings = settings_of(context)
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler])
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
            workers = workers or settings.schedule.workers
            run_daemon(connector, settings, stop, workers=workers, reload=lambda active: _reload(context, stop, active))
            raise typer.Exit(stop.exit_code)
        activate(connector)
        again = read_again(connector)
        cycle = run_once(connector, Sweeping.NOW if sweep else Sweeping.WHEN_DUE)
        cycle.received.add(again)
    _tell(cycle)
    if as_json:
        print_object(_summary(cycle))
    raise typer.Exit(stop.exit_code or cycle.exit_code)


class _LogFormatter(logging.Formatter):
    """Writes times as every other command does."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return local(datetime.fromtimestamp(record.created, UTC))


def _reload(context: typer.Context, stop: Stop, active: Connector) -> Connector:
    """The configuration as it stands now, on the database and under the leases of what is in use."""
    from connector.bootstrap import build_connector

    fresh = build_connector(settings_of(context), is_stopping=stop.is_set)
    fresh.database.close()
    if fresh.database.address != active.database.address:
        raise ConfigurationError(
            f"[database] url names another database now: {fresh.database.address}",
            effect="nothing was changed",
            remedy="stop the daemon and start it again to change the database",
        )
    _require_a_key(fresh, active)
    return replace(fresh, database=active.database, holder=active.holder)


def _require_a_key(fresh: Connector, active: Connector) -> None:
    """Raise `SigningError` where nothing could be signed any more, though now it can."""
    with active.database.read() as connection:
        now = active.clock(connection)
    try:
        active.keys.active(now)
    except SigningError:
        return  # it is no worse than before
    fresh.keys.active(now)


def _tell(cycle: Cycle) -> None:
    """Say what a person should know; nothing when there was nothing to do."""
    for failure in cycle.failures:
        say(f"error: {failure}")
    for warning in cycle.collected.warnings:
        say(f"warning: {warning}")
    if cycle.exit_code or _is_news(cycle):
        say(_sentence(cycle))
    if cycle.is_elsewhere:
        say("note: another process was at part of this at the same time; what it does is not counted here")
    if cycle.next_at is not None:
        say(f"note: {cycle.waiting} messages wait to be sent or asked about, the next at {local(cycle.next_at)}")


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
        "unmatched_receipts": cycle.received.unmatched,
        "is_elsewhere": cycle.is_elsewhere,
        "waiting": cycle.waiting,
        "next_at": cycle.next_at,
        "failures": [failure.cause for failure in cycle.failures],
        "warnings": cycle.collected.warnings,
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
        + (f", {cycle.received.unmatched} receipts of unknown documents" if cycle.received.unmatched else "")
    )
