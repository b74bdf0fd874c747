"""``connector quarantine``: source records that cannot be sent, each with its reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.confirm import confirm
from connector.cli.context import (
    USER,
    ActorOption,
    ExportListOption,
    JsonOption,
    KeyOption,
    ReasonOption,
    SinceOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    settings_of,
)
from connector.cli.output import print_json, print_lines, print_table, say, shown
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.sources.quarantine import Waiting
    from connector.storage.database import Database

app = typer.Typer(help="Records that wait because they cannot be sent.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    key: KeyOption = None,
    waybill: WaybillOption = None,
    export_list: ExportListOption = None,
    type_: TypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what waits, oldest first: one line for each record and message type.

    A record that gave no business key is found by the key it has in its source.
    """
    from connector.bootstrap import open_database

    wanted = _Wanted(since=since, until=until, key=key, waybill=waybill, export_list=export_list, type=type_)
    waiting = wanted.among(open_database(settings_of(context)))
    if as_json:
        print_json("quarantine", [fields(one) for one in waiting])
        return
    print_table(
        f"{len(waiting)} in quarantine",
        ["since", "record", "type", "waybill", "why"],
        [(one.since, one.key.key, one.type, one.waybill, [fault["text"] for fault in one.faults]) for one in waiting],
    )


@app.command()
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key in its source, or the business key.")],
    as_json: JsonOption = False,
) -> None:
    """Show one record that waits: every reason, and the row and lines as they were collected."""
    from connector.bootstrap import open_database
    from connector.sources import inbox

    database = open_database(settings_of(context))
    waiting = _Wanted(key=key).among(database)
    if not waiting:
        raise UsageError(f"nothing in quarantine has the key {key}", remedy="`connector quarantine list` shows what is")
    with database.read() as connection:
        records = [None if one.record_id is None else inbox.version(connection, one.record_id) for one in waiting]
    if as_json:
        rows = [None if it is None else json.loads(it.record.to_json()) for it in records]
        print_json("quarantine", [fields(one) | {"record": row} for one, row in zip(waiting, rows, strict=True)])
        return
    for one, it in zip(waiting, records, strict=True):
        print_lines([f"{one.type} of {one.key} waits since {shown(one.since)}: {one.reason}"])
        print_lines(f"  {shown(fault['text'])}" for fault in one.faults)
        print_lines(_row("record", it.record.row) if it else ["  the row could not be read"])
        for number, line in enumerate(it.record.lines if it else (), start=1):
            print_lines(_row(f"line {number}", line))


@app.command()
def retry(
    context: typer.Context,
    reason: ReasonOption,
    since: SinceOption = None,
    until: UntilOption = None,
    key: KeyOption = None,
    waybill: WaybillOption = None,
    export_list: ExportListOption = None,
    type_: TypeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Have what waits prepared once more, all of it or what the filters leave; the daemon, or run --once, does it.

    For after a mapping was corrected. What waits for its own row, a lookup or a code is tried again by itself.
    """
    from connector.bootstrap import build_connector
    from connector.pipeline.retry import retry as try_again

    connector = build_connector(settings_of(context))
    wanted = _Wanted(since=since, until=until, key=key, waybill=waybill, export_list=export_list, type=type_)
    waiting = wanted.among(connector.database)
    if waiting and not yes:
        confirm(lambda: say(f"{len(waiting)} in quarantine will be prepared again"), remedy="add --yes")
    tried = try_again(connector, waiting, reason=reason, actor=actor)
    if as_json:
        print_json("retried", [fields(one) for one in tried])
        return
    print_lines([f"{len(tried)} of {len(waiting)} in quarantine wait to be prepared again"])
    if len(tried) < len(waiting):
        say("rows that could not be read are tried when they are read again")


@app.command()
def release(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key in its source, or the business key.")],
    reason: ReasonOption,
    void: Annotated[bool, typer.Option("--void", help="Delete at customs what it accepted: the row is void.")] = False,
    type_: TypeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Let one record go out that waits for a decision; the daemon, or run --once, sends it.

    What changed after customs accepted it goes as a change of that (appType 2), with --void as its deletion (3).
    What was deleted there and is in the source again goes as new (1).
    What a rule forbids goes as it is: you answer for it, and the log says so. Nothing else can be released.
    """
    from connector.bootstrap import build_connector
    from connector.pipeline.release import release as let_go
    from connector.sources.quarantine import Release

    connector = build_connector(settings_of(context))
    waiting = _Wanted(key=key, type=type_).among(connector.database)
    if not waiting:
        raise UsageError(f"nothing in quarantine has the key {key}", remedy="`connector quarantine list` shows what is")
    if not yes:
        lines = [f"{one.type} of {one.key} will go out though it waits for {one.reason}" for one in waiting]
        confirm(lambda: print_lines(lines), remedy="add --yes")
    free = let_go(connector, waiting, release_as=Release.DELETE if void else None, reason=reason, actor=actor)
    if as_json:
        print_json("released", [fields(one) | {"released_as": how.value} for one, how in free])
        return
    print_lines(f"{one.type} of {one.key} goes out with the next cycle: {how.value}" for one, how in free)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which of what waits; everything given must hold."""

    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    waybill: str | None = None
    export_list: str | None = None
    type: str | None = None

    def among(self, database: Database) -> list[Waiting]:
        """Oldest first."""
        from connector.sources.quarantine import waiting_entries

        with database.read() as connection:
            return [one for one in waiting_entries(connection) if self._holds(one)]

    def _holds(self, one: Waiting) -> bool:
        return (
            (self.since is None or one.since >= self.since)
            and (self.until is None or one.since < self.until)
            and self.key in {None, one.business_key, one.key.key, str(one.key)} - {""}
            and self.waybill in {None, one.waybill}
            and self.export_list in {None, one.export_list}
            and self.type in {None, one.type}
        )


def _row(name: str, row: Mapping[str, object]) -> Iterator[str]:
    yield f"  {name}"
    yield from (f"    {column:<20} {shown(value)}" for column, value in row.items())


def fields(one: Waiting) -> dict[str, Any]:
    """What waits as ``--json`` prints it."""
    return {
        "id": one.id,
        "collection": one.key.collection,
        "key": one.key.key,
        "type": one.type,
        "business_key": one.business_key,
        "waybill": one.waybill,
        "export_list": one.export_list,
        "reason": one.reason,
        "faults": list(one.faults),
        "since": one.since,
    }
