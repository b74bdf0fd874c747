"""``connector documents replay``: whether what was signed can still be made of what is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.context import JsonOption, MappingsOption, settings_with
from connector.cli.output import print_json, print_lines, shown
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.evidence.replay import Input, Replayed

_NOT_IDENTICAL = 3


def replay(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="Business key, order number, waybill, export list number, or guid of a revision."
        ),
    ],
    mappings: MappingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build each message that carried a document once more from the stored source rows, and compare every byte.

    Lookups are read again from the enterprise's databases. Where the mappings have changed, give those of then with
    --mappings. Nothing is written, sent or signed.
    """
    from connector.bootstrap import build_collections, open_database, transfer_of
    from connector.evidence.replay import replay as build_again
    from connector.outbox.queries import find_documents, message

    settings = settings_with(context, mappings)
    database = open_database(settings)
    with database.read() as connection:
        found = find_documents(connection, name)
        ids = dict.fromkeys(message_id for view in found for message_id in view.message_ids)
        carriers = [one for one in (message(connection, message_id) for message_id in ids) if one is not None]
    if not carriers:
        raise UsageError(f"no message carried {name}", remedy="`connector documents list` shows what there is")
    collections = build_collections(settings)
    replayed = [build_again(database, collections, transfer_of(settings), one) for one in carriers]
    if as_json:
        print_json("messages", [_json(one) for one in replayed])
    else:
        for one in replayed:
            _print(one, {view.business_key for view in found})
    if not all(one.is_identical for one in replayed):
        raise typer.Exit(_NOT_IDENTICAL)


def _print(one: Replayed, asked_for: set[str]) -> None:
    """The verdict, and the inputs of the message, of the documents asked for, and whatever else changed."""
    print_lines([f"{one.type} message {one.message_id}: {_verdict(one)}"])
    wanted = [it for it in one.inputs if not it.document or it.document in asked_for or it.state == "changed"]
    print_lines(line for it in wanted for line in _lines(it))
    print_lines([""])


def _lines(one: Input) -> list[str]:
    lines = [f"  {one.state:<13} {one.name:<15} {shown(one.document)}".rstrip()]
    if one.state == "changed":
        lines += [f"    then: {shown(one.then)}", f"    now:  {shown(one.now) or 'not at hand'}"]
    return lines + ([f"    {shown(one.note)}"] if one.note else [])


def _verdict(one: Replayed) -> str:
    if one.is_identical:
        although = f", although these changed: {', '.join(one.causes)}" if one.causes else ""
        return f"identical, {len(one.rebuilt)} canonical bytes{although}"
    return f"NOT IDENTICAL; what changed: {', '.join(one.causes)}"


def _json(one: Replayed) -> dict[str, Any]:
    return {
        "id": one.message_id,
        "type": one.type,
        "is_identical": one.is_identical,
        "changed": one.causes,
        "inputs": [asdict(it) | {"state": it.state} for it in one.inputs],
    }
