"""``connector resend``: have something sent again, with a reason, a preview and a confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    StateOption,
    StatusOption,
    TypeOption,
    UntilOption,
    WaybillOption,
    settings_of,
)
from connector.cli.output import print_json, print_table, say
from connector.errors import ResendRefused, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from connector.outbox.queries import DocumentView, Filter, MessageView
    from connector.pipeline.resend import Plan
    from connector.pipeline.wiring import Connector


def resend(
    context: typer.Context,
    reason: ReasonOption,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Message ids, guids, business keys, order numbers or waybills."),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    key: KeyOption = None,
    waybill: WaybillOption = None,
    export_list: ExportListOption = None,
    type_: TypeOption = None,
    state: StateOption = None,
    customs_status: StatusOption = None,
    split: Annotated[bool, typer.Option("--split", help="Each document of a message alone.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Have messages or documents sent again; the daemon, or run --once, sends them."""
    from connector.bootstrap import build_connector
    from connector.outbox.queries import Filter
    from connector.pipeline.resend import Action, carry_out

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
    if bool(ids) == (wanted != Filter()):
        raise UsageError(
            "name what to resend: either ids or a filter",
            effect="nothing was done",
            remedy="see `connector resend --help`",
        )
    connector = build_connector(settings_of(context))
    plans = _named(connector, ids, split=split) if ids else _filtered(connector, wanted, split=split)
    if not plans:
        raise ResendRefused("nothing matches", effect="nothing was done", remedy="`connector messages list` shows all")
    if not dry_run and any(plan.action is not Action.REFUSE for plan in plans):
        if not yes:
            confirm(lambda: _show(plans, dry_run=True, as_json=False), remedy="add --yes, or --dry-run to look")
        plans = carry_out(connector, plans, reason=reason, actor=actor)
    _show(plans, dry_run=dry_run, as_json=as_json)
    if any(plan.action is Action.REFUSE for plan in plans):
        raise typer.Exit(ResendRefused.exit_code)


def _named(connector: Connector, ids: list[str], *, split: bool) -> list[Plan]:
    from connector.outbox.queries import find_documents, message
    from connector.pipeline.resend import plan_documents, plan_messages

    messages: dict[str, MessageView] = {}
    documents: dict[tuple[str, str], DocumentView] = {}
    for name in ids:
        with connector.database.read() as connection:
            if found := message(connection, name):
                messages[found.id] = found
                continue
            newest = {(view.type, view.business_key): view for view in find_documents(connection, name)}
        if not newest:
            raise UsageError(f"nothing is known about {name}", effect="nothing was done", remedy="check the id")
        documents |= newest
    planned = plan_documents(connector, list(documents.values()), split=split)
    carriers = {plan.message.id for plan in planned if plan.message}
    others = [found for found in messages.values() if found.id not in carriers]
    return planned + plan_messages(connector, others, split=split)


def _filtered(connector: Connector, wanted: Filter, *, split: bool) -> list[Plan]:
    """By delivery state: the messages themselves; by anything else: documents whose newest revision matches."""
    from connector.outbox.queries import documents, messages
    from connector.pipeline.resend import plan_documents, plan_messages

    with connector.database.read() as connection:
        if wanted.delivery_state is not None:
            found = messages(connection, wanted)
        else:
            newest = _newest(connection, documents(connection, wanted))
    if wanted.delivery_state is not None:
        return plan_messages(connector, found, split=split)
    return plan_documents(connector, newest, split=split)


def _newest(connection: Connection, matching: list[DocumentView]) -> list[DocumentView]:
    """Those that no newer revision has replaced; what replaced them need not match."""
    from connector.outbox.documents import newest_revisions

    keys: dict[str, list[str]] = {}
    for view in matching:
        keys.setdefault(view.type, []).append(view.business_key)
    newest = {one.guid for type_, some in keys.items() for one in newest_revisions(connection, type_, some).values()}
    return [view for view in matching if view.guid in newest]


def _show(plans: list[Plan], *, dry_run: bool, as_json: bool) -> None:
    from connector.pipeline.resend import Action

    if as_json:
        print_json(
            "resend",
            [{"id": plan.id, "state": plan.state, "action": plan.action.value, "text": plan.text} for plan in plans],
        )
        return
    refused = sum(plan.action is Action.REFUSE for plan in plans)
    title = f"{len(plans) - refused} {'would be done' if dry_run else 'done'}, {refused} refused"
    print_table(title, ["id", "state", "action", "what"], [(p.id, p.state, p.action.value, p.text) for p in plans])
    if refused < len(plans) and not dry_run:
        say("the daemon, or `connector run --once`, sends what is queued")
