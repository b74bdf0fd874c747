"""``connector audit list``: entries of the log by anything that they say, a page at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import (
    EventOption,
    ExportListOption,
    JsonOption,
    KeyOption,
    SinceOption,
    StateOption,
    StatusOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    parse_format,
    settings_of,
)
from connector.cli.output import detail_line, print_csv, print_object, print_table, say, shown
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.audit.events import Recorded
    from connector.audit.queries import Position

_PAGE = 100
_MOST = 10**9
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{4}-[0-9T:.-]+Z)")


def list_(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    key: KeyOption = None,
    waybill: WaybillOption = None,
    export_list: ExportListOption = None,
    type_: TypeOption = None,
    message: Annotated[str | None, typer.Option("--message", metavar="ID", help="Message id.")] = None,
    code: Annotated[str | None, typer.Option("--code", metavar="CODE", help="Code of a receipt, e.g. 800.")] = None,
    state: StateOption = None,
    customs_status: StatusOption = None,
    event: EventOption = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Who did it.")] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Anywhere in an entry; this takes longer."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MOST, metavar="N", help="Entries on a page.")] = _PAGE,
    before: Annotated[
        str | None, typer.Option("--before", metavar="CURSOR", help="The page before; the last page says which cursor.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", parser=parse_format, metavar="FORMAT", help="table, json or csv.")
    ] = "table",
    as_json: JsonOption = False,
) -> None:
    """List the newest entries in order; by state or customs status, those that say that it came to that."""
    from connector.audit.queries import EntryFilter, entries
    from connector.bootstrap import open_database

    if state and customs_status:
        raise UsageError("no entry has both a --state and a --customs-status", remedy="leave one of them out")
    wanted = EntryFilter(
        since=since,
        until=until,
        event=event,
        actor=actor,
        document_type=type_,
        business_key=key,
        message_id=message,
        waybill=waybill,
        export_list=export_list,
        code=code,
        state=state or customs_status,
        text=text,
        before=None if before is None else _position(before),
    )
    with open_database(settings_of(context)).read() as connection:
        found = entries(connection, wanted, at_most=limit + 1)
    if key and not found and "/" not in key:
        say(f"note: --key takes a whole business key; `connector audit trace {shown(key)}` also takes an order number")
    page = found[-limit:]
    cursor = _cursor(page[0]) if len(found) > limit else None
    if as_json or format_ == "json":
        print_object({"entries": [asdict(entry) for entry in page], "next": cursor})
        return
    if format_ == "csv":
        _print_csv(page)
    else:
        print_table(
            f"{len(page)} entries",
            ["no", "time", "event", "actor", "about", "detail"],
            [(one.sequence, one.time, one.event, one.actor, about(one), detail_line(one.detail)) for one in page],
        )
    if cursor:
        say(f"note: there are earlier ones: --before {cursor}")


def about(entry: Recorded) -> str:
    """Whom an entry concerns, most telling first."""
    return f"{entry.document_type} {entry.business_key}".strip() or entry.source_key or entry.message_id


def _print_csv(page: Sequence[Recorded]) -> None:
    columns = ["sequence", "time", "event", "actor", "source_key", "document_type", "business_key", "message_id"]
    columns += ["waybill", "export_list"]
    rows = [
        [*(getattr(one, name) for name in columns), json.dumps(one.detail, ensure_ascii=False, sort_keys=True)]
        for one in page
    ]
    print_csv([*columns, "detail"], rows)


def _cursor(first: Recorded) -> str:
    """Where a page begins, as one word."""
    return f"{first.sequence}-{first.time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _position(cursor: str) -> Position:
    from connector.audit.queries import Position

    parts = _CURSOR.fullmatch(cursor)
    try:
        position = parts and Position(time=datetime.fromisoformat(parts[2]), sequence=int(parts[1]))
    except ValueError:
        position = None
    if position is None:
        raise UsageError(f"--before {cursor} is no cursor", remedy="copy it whole from the page after, or leave it out")
    return position
