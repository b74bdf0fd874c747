"""``connector audit export``: evidence about a return or a time, for whoever need not believe us."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import USER, ActorOption, JsonOption, ReasonOption, parse_time, settings_of
from connector.cli.output import print_lines, print_object
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.evidence.export import DocumentScope, PeriodScope


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="Write to a file that does not exist yet.")],
    reason: ReasonOption,
    document: Annotated[
        str | None,
        typer.Option(
            "--document",
            metavar="KEY",
            help="Business key, order number, waybill, export list number, or guid of a revision.",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", parser=parse_time, metavar="TIME", help="What was logged from this time on."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", parser=parse_time, metavar="TIME", help="Before this time.")
    ] = None,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Write everything about one return, or of a time, into one zip with proofs; `audit verifier` gives its checker."""
    from connector.bootstrap import build_connector
    from connector.evidence.export import export as export_scope

    scope = _scope(document, since, until)
    exported = export_scope(build_connector(settings_of(context)), scope, out=out, reason=reason, actor=actor)
    if as_json:
        print_object(asdict(exported))
        return
    print_lines([f"{exported.entries} entries and {exported.files} files; SHA-256 of {out}:", exported.digest])


def _scope(document: str | None, since: datetime | None, until: datetime | None) -> DocumentScope | PeriodScope:
    from connector.evidence.export import DocumentScope, PeriodScope

    if document is not None and since is None and until is None:
        return DocumentScope(name=document)
    if document is None and since is not None and until is not None:
        return PeriodScope(since=since, until=until)
    raise UsageError(
        "name what to export: either --document, or --from and --to",
        effect="nothing was done",
        remedy="see `connector audit export --help`",
    )
