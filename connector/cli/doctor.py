"""``connector doctor``: whether everything is as a connector needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_lines, print_object, shown
from connector.errors import ConfigurationError

if TYPE_CHECKING:
    from connector.doctor.findings import Finding


def doctor(
    context: typer.Context,
    as_json: JsonOption = False,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connection to customs.")] = False,
) -> None:
    """Look at keys, certificates, databases, mappings and customs, and say what to do; nothing is changed or sent.

    Exit code 9 for a log that is not what its checkpoints say, 7 for a key or certificate, also for one that expires
    within 14 days, else 4, 5 or 6; 0 for warnings only.
    """
    from connector.doctor.findings import exit_code

    found = []
    for finding in _examined(context, offline):
        found.append(finding)
        if not as_json:
            print_lines([_line(finding)])
    code = exit_code(found)
    if as_json:
        print_object({"exit_code": code, "checks": [asdict(finding) for finding in found]})
    raise typer.Exit(code)


def _examined(context: typer.Context, offline: bool) -> Iterable[Finding]:
    from connector.doctor.examination import CHECKS, OFFLINE_CHECKS, examine
    from connector.doctor.findings import faults

    try:
        settings = settings_of(context)
    except ConfigurationError as error:
        return faults("configuration", error)  # nothing else can be looked at without it
    return examine(settings, OFFLINE_CHECKS if offline else CHECKS)


def _line(finding: Finding) -> str:
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    return f"{finding.level:<8} {finding.check}: {shown(finding.text)}{shown(remedy)}"
