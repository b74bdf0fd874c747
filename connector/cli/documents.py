"""``connector documents``: what was declared, and what customs thinks of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli import quarantine, replay
from connector.cli.context import (
    ExportListOption,
    JsonOption,
    KeyOption,
    LimitOption,
    SinceOption,
    StateOption,
    StatusOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    settings_of,
)
from connector.cli.output import print_json, print_lines, print_object, print_table, shown
from connector.cli.story import print_story
from connector.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from connector.outbox.queries import DocumentView
    from connector.sources.quarantine import Waiting

app = typer.Typer(help="Documents and what customs thinks of them.", no_args_is_help=True)
app.command("replay")(replay.replay)


@app.command("list")
def list_(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    key: KeyOption = None,
    waybill: WaybillOption = None,
    export_list: ExportListOption = None,
    type_: TypeOption = None,
    state: StateOption = None,
    customs_status: StatusOption = None,
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", metavar="NAME", help='Made with this mapping, or this version of it: "CEB213 5".'),
    ] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List document revisions, oldest first."""
    from connector.bootstrap import open_database
    from connector.outbox.queries import Filter, documents

    wanted = Filter(
        since=since,
        until=until,
        type=type_,
        business_key=key,
        waybill=waybill,
        export_list=export_list,
        delivery_state=state,
        customs_status=customs_status,
        mapping=mapping,
    )
    with open_database(settings_of(context)).read() as connection:
        found = documents(connection, wanted, at_most=limit)
    if as_json:
        print_json("documents", [_json(view) for view in found])
        return
    carriers = {message_id for view in found for message_id in view.message_ids}
    print_table(
        f"{len(found)} documents in {len(carriers)} messages",
        ["type", "business key", "rev", "customs status", "code", "waybill", "export list", "what customs said"],
        [
            (
                one.type,
                one.business_key,
                one.revision,
                one.customs_status,
                one.customs_code,
                one.waybill,
                one.export_list,
                one.customs_info,
            )
            for one in found
        ],
    )


@app.command("overdue")
def overdue_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List documents that customs took in and has not finally answered for too long, the oldest first."""
    from connector.bootstrap import open_database, receipt_deadlines
    from connector.outbox.overdue import overdue
    from connector.storage.database import now_by_database

    settings = settings_of(context)
    with open_database(settings).read() as connection:
        found = overdue(connection, receipt_deadlines(settings), now=now_by_database(connection))
    if as_json:
        print_json("documents", [asdict(one) for one in found])
        return
    print_table(
        f"{len(found)} documents",
        ["type", "business key", "customs status", "waybill", "export list", "delivered"],
        [
            (one.type, one.business_key, one.customs_status, one.waybill, one.export_list, one.delivered_at)
            for one in found
        ],
    )


@app.command()
def unmatched(context: typer.Context, as_json: JsonOption = False) -> None:
    """List receipts that belong to no document of ours, the oldest first."""
    from connector.bootstrap import open_database
    from connector.receipts.queries import unmatched as find

    with open_database(settings_of(context)).read() as connection:
        found = find(connection)
    columns = ("type", "business_key", "guid", "message_id", "code", "time", "info", "sequence", "digest")
    if as_json:
        print_json("receipts", [{name: getattr(one, name) for name in columns} for one in found])
        return
    print_table(
        f"{len(found)} receipts",
        ["type", "business key", "code", "said", "what customs said"],
        [(one.type, one.business_key or one.message_id, one.code, one.time, one.info) for one in found],
    )


@app.command()
def unreadable(
    context: typer.Context,
    xml: Annotated[
        int | None,
        typer.Option("--xml", metavar="SEQUENCE", help="Write exactly the bytes of this envelope, nothing else."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the envelopes of receipts that could not be read or trusted, with the reason, the oldest first."""
    from connector.bootstrap import open_database
    from connector.receipts.queries import envelope
    from connector.receipts.queries import unreadable as find

    with open_database(settings_of(context)).read() as connection:
        found = find(connection)
        content = None if xml is None else envelope(connection, xml)
    if xml is not None:
        if content is None:
            raise UsageError(f"there is no envelope {xml}", remedy="`connector documents unreadable` lists them")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    columns = ("sequence", "received_at", "problem")
    if as_json:
        print_json("envelopes", [{name: getattr(one, name) for name in columns} for one in found])
        return
    rows = [(one.sequence, one.received_at, one.problem) for one in found]
    print_table(f"{len(found)} envelopes", ["sequence", "received", "why it is not applied"], rows)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="Business key, order number, waybill, export list number, guid, message id or source key.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of one return: collected, mapped, signed, each attempt, each receipt."""
    from connector.bootstrap import open_database
    from connector.evidence.story import tell

    with open_database(settings_of(context)).read() as connection:
        told = tell(connection, name)
        found, waiting = told.documents, told.waiting
        details = [_json(view) | _inside(connection, view) for view in found] if as_json else []
    if not found and not waiting:
        raise UsageError(
            f"nothing is known about {name}",
            remedy="`connector documents list` and `connector quarantine list` show what there is",
        )
    if as_json:
        print_object(
            {
                "documents": details,
                "quarantine": [quarantine.fields(one) for one in waiting],
                "entries": [asdict(entry) for entry in told.entries],
            }
        )
        return
    for view in found:
        print_lines(_describe(view))
    for one in waiting:
        print_lines([f"{one.type} in quarantine since {shown(one.since)}", *_reasons(one), ""])
    print_story("the story", told)


def _json(view: DocumentView) -> dict[str, Any]:
    return asdict(view) | {"message_id": view.message_ids[-1] if view.message_ids else None}


def _inside(connection: Connection, view: DocumentView) -> dict[str, Any]:
    from connector.outbox.queries import content
    from connector.receipts.queries import receipts_of

    said = content(connection, view.guid)
    receipts: Sequence[Any] = receipts_of(connection, view.guid)
    return {
        "content": said and {"head": dict(said.head), "lines": [dict(line) for line in said.lines]},
        "receipts": [
            {"type": one.type, "code": one.code, "time": one.time, "info": one.info, "received_at": one.received_at}
            for one in receipts
        ],
    }


def _describe(view: DocumentView) -> list[str]:
    return [
        f"{view.type} {view.business_key} revision {view.revision}",
        f"  customs status  {view.customs_status} {view.customs_code}  {shown(view.customs_info)}".rstrip(),
        f"  waybill         {view.waybill}",
        f"  export list     {view.export_list}",
        f"  guid            {view.guid}",
        f"  made            {shown(view.app_time)} by {view.mapping}",
        f"  messages        {', '.join(view.message_ids)}",
        "",
    ]


def _reasons(waiting: Waiting) -> list[str]:
    return [f"  {shown(fault['text'])}" for fault in waiting.faults]
