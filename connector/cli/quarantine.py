"""``connector quarantine``: source records that cannot be sent, each with its reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from connector.cli.context import (
    ExportListOption,
    JsonOption,
    KeyOption,
    SinceOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    settings_of,
)
from connector.cli.output import print_json, print_table

if TYPE_CHECKING:
    from connector.sources.quarantine import Waiting

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
    from connector.sources.quarantine import waiting_entries

    with open_database(settings_of(context)).read() as connection:
        waiting = [
            one
            for one in waiting_entries(connection)
            if (since is None or one.since >= since)
            and (until is None or one.since < until)
            and key in {None, one.business_key or one.key.key}
            and waybill in {None, one.waybill}
            and export_list in {None, one.export_list}
            and type_ in {None, one.type}
        ]
    if as_json:
        print_json("quarantine", [fields(one) for one in waiting])
        return
    print_table(
        f"{len(waiting)} in quarantine",
        ["since", "record", "type", "waybill", "why"],
        [(one.since, one.key.key, one.type, one.waybill, [fault["text"] for fault in one.faults]) for one in waiting],
    )


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
