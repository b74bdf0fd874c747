"""``connector messages``: what was signed and where it is on its way."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import (
    USER,
    ActorOption,
    ExportListOption,
    JsonOption,
    KeyOption,
    LimitOption,
    ReasonOption,
    SinceOption,
    StateOption,
    StatusOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    parse_verdict,
    settings_of,
)
from connector.cli.output import print_json, print_lines, print_table, shown
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.outbox.queries import MessageView

_WAITING = ("pending", "in_doubt")

app = typer.Typer(help="Signed messages and where they are on their way.", no_args_is_help=True)


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
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages, oldest first."""
    from connector.bootstrap import open_database
    from connector.outbox.queries import Filter, messages

    wanted = Filter(
        since=since,
        until=until,
        type=type_,
        business_key=key,
        waybill=waybill,
        export_list=export_list,
        delivery_state=state,
        customs_status=customs_status,
    )
    with open_database(settings_of(context)).read() as connection:
        found = messages(connection, wanted, at_most=limit)
    if as_json:
        print_json("messages", [asdict(view) for view in found])
        return
    print_table(
        f"{len(found)} messages",
        ["id", "type", "state", "since", "documents", "tries", "info"],
        [
            (one.id, one.type, one.delivery_state, one.state_since, len(one.documents), one.tries, one.info)
            for one in found
        ],
    )


@app.command()
def show(
    context: typer.Context,
    message_id: Annotated[str, typer.Argument(metavar="ID")],
    xml: Annotated[bool, typer.Option("--xml", help="Write exactly the stored signed bytes, nothing else.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one message: what it carries, its attempts; or its signed bytes."""
    from connector.bootstrap import open_database
    from connector.messages.deliveries import MessageId
    from connector.outbox.attempts import attempts
    from connector.outbox.queries import message, signed_bytes

    with open_database(settings_of(context)).read() as connection:
        found = message(connection, message_id)
        if found is None:
            raise UsageError(
                f"there is no message {message_id}", remedy="`connector messages list` shows those there are"
            )
        if xml:
            sys.stdout.buffer.write(signed_bytes(connection, message_id))
            sys.stdout.buffer.flush()
            return
        tries = attempts(connection, MessageId(found.id))
    if as_json:
        print_json("messages", [asdict(found) | {"attempts": [asdict(one) for one in tries]}])
        return
    print_lines(_describe(found))
    print_table(
        f"{len(tries)} attempts",
        ["no", "kind", "started", "ended", "outcome", "info"],
        [(one.number, one.kind, one.started_at, one.ended_at, one.outcome, one.info) for one in tries],
    )


@app.command()
def settle(
    context: typer.Context,
    message_id: Annotated[str, typer.Argument(metavar="ID")],
    verdict: Annotated[
        str, typer.Option("--as", parser=parse_verdict, metavar="VERDICT", help="delivered, not_received or closed.")
    ],
    reason: ReasonOption,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Say what became of a message in doubt, parked or in conflict, when customs told you by another way.

    not_received sends the same bytes again: say it only when customs has confirmed that it does not hold the message.
    """
    from connector.bootstrap import open_database
    from connector.messages.deliveries import MessageId
    from connector.pipeline.settle import Verdict
    from connector.pipeline.settle import settle as carry_out

    database = open_database(settings_of(context))
    state = carry_out(database, MessageId(message_id), Verdict(verdict), reason=reason, actor=actor)
    if as_json:
        print_json("messages", [{"id": message_id, "delivery_state": state.value}])
        return
    print_lines([f"{message_id} is now {state}"])


def _describe(message: MessageView) -> list[str]:
    return [
        f"message        {message.id}",
        f"type           {message.type}",
        f"delivery state {message.delivery_state} since {shown(message.state_since)}  {message.info}".rstrip(),
        f"made           {shown(message.created_at)}",
        *([f"next try       {shown(message.due_at)} at the earliest"] if message.delivery_state in _WAITING else []),
        f"signed         {message.suite} by key {message.key_id}",
        f"sha-256        {message.digest}",
        f"documents      {len(message.documents)}",
        *[f"  {key}" for key in message.documents],
    ]
