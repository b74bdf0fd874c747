"""``connector audit export``: evidence about one return, for whoever need not believe us."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.context import JsonOption, current_user, settings_of
from connector.cli.output import print_lines, print_object
from connector.errors import UsageError


def export(
    context: typer.Context,
    document: Annotated[
        str,
        typer.Option(
            "--document",
            metavar="KEY",
            help="Business key, order number, waybill, export list number, or guid of a revision.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="Write to a file that does not exist yet.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the audit log.")],
    actor: Annotated[str, typer.Option("--actor", metavar="NAME", help="Who asks for it.")] = current_user(),
    as_json: JsonOption = False,
) -> None:
    """Write everything about one return into one zip, with proofs; `audit verifier` gives what checks it."""
    from connector.bootstrap import build_connector
    from connector.pipeline.evidence import export_document

    if not reason.strip():
        raise UsageError("--reason is empty", effect="nothing was done", remedy="say why, for the audit log")
    connector = build_connector(settings_of(context))
    exported = export_document(connector, document, out=out, reason=reason, actor=actor)
    if as_json:
        print_object(asdict(exported))
        return
    print_lines([f"{exported.entries} entries and {exported.files} files; SHA-256 of {out}:", exported.digest])
