"""``connector audit trace``: one return end to end, as the log tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_object
from connector.cli.story import print_story
from connector.errors import UsageError

_NAMED = 20
"""Returns that an error names."""


def trace(
    context: typer.Context,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="Business key, order number, waybill, export list number, message id or source key."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell everything that happened to one return, from its source record to the last status, in order."""
    from connector.bootstrap import open_database
    from connector.evidence.story import tell

    with open_database(settings_of(context)).read() as connection:
        returns = tell(connection, key).source_keys
        if len(returns) != 1:
            raise _not_one(key, returns)
        told = tell(connection, returns[0])
    if as_json:
        print_object({"source_key": returns[0], "entries": [asdict(entry) for entry in told.entries]})
        return
    print_story(f"{returns[0]}: {len(told.entries)} entries", told)


def _not_one(key: str, returns: Sequence[str]) -> UsageError:
    if not returns:
        return UsageError(f"nothing is known about {key}", remedy="`connector audit list` shows what there is")
    more = f" and {len(returns) - _NAMED} more" if len(returns) > _NAMED else ""
    return UsageError(
        f"{key} stands for {len(returns)} returns: {', '.join(returns[:_NAMED])}{more}",
        effect="none was told about",
        remedy="name one of these",
    )
