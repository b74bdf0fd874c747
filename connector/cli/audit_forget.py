"""``connector audit forget``: erase the name of a person, which is all that the log holds of them."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli.confirm import confirm
from connector.cli.context import USER, ActorOption, JsonOption, ReasonOption, settings_of
from connector.cli.output import print_lines, print_object, say
from connector.errors import UsageError


def forget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `audit list` shows the actor.")],
    reason: ReasonOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Erase who is behind an actor's entries, for ever; the entries stay, and the log still verifies.

    The reason must not hold the name: it stays too.
    """
    from connector.audit.queries import EntryFilter, entries
    from connector.bootstrap import open_database
    from connector.evidence.forget import forget as erase
    from connector.pipeline.wiring import ACTOR

    if name == ACTOR:
        raise UsageError(f"{name} is the program, nobody's name", effect="nothing was erased", remedy="name a person")
    database = open_database(settings_of(context))
    if not yes:
        confirm(lambda: say(f"{name} will be erased from the audit log; nobody can undo it"), remedy="add --yes")
    digest = erase(database, name, reason=reason, actor=actor)
    with database.read() as connection:
        named = len(entries(connection, EntryFilter(text=name)))
    if named:
        say(f"{named} entries have the name in their own words, e.g. in a reason; those cannot be erased")
    if as_json:
        print_object({"digest": digest, "still_named_in": named})
        return
    print_lines([f"erased; entries name {digest} instead"])
