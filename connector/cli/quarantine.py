"""``connector quarantine``: source records that cannot be sent, each with its reasons."""

from __future__ import annotations

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_json, print_table

app = typer.Typer(help="Records that wait because they cannot be sent.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List what waits, oldest first: one line for each record and message type."""
    from connector.bootstrap import open_database
    from connector.sources.quarantine import waiting_entries

    with open_database(settings_of(context)).read() as connection:
        waiting = waiting_entries(connection)
    if as_json:
        print_json(
            "quarantine",
            [
                {
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
                for one in waiting
            ],
        )
        return
    print_table(
        f"{len(waiting)} in quarantine",
        ["since", "record", "type", "waybill", "why"],
        [(one.since, one.key.key, one.type, one.waybill, [fault["text"] for fault in one.faults]) for one in waiting],
    )
