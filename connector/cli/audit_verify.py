"""``connector audit verify``: whether the log is what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_lines, print_object, say, shown
from connector.errors import AuditLogInvalid, UsageError

if TYPE_CHECKING:
    from connector.config import Settings
    from connector.evidence.verify import Report
    from connector.signing.notes import NoteVerifier


def verify(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Signed checkpoints that were kept elsewhere: one, a copy of the checkpoint file, a message with one.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="NAME+ID+KEY", help="Trust this key in place of the one in the configuration."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the whole log and every checkpoint ever issued; exit code 9 and the first bad entry if anything is wrong.

    Every hash is made anew, every column held against the entry's body. Without --checkpoint it cannot show that
    entries after the last checkpoint were cut off, or that database and checkpoint file were both set back to an
    earlier copy. When a checkpoint was signed is not itself signed, and entries that none covers yet can be rewritten
    unseen by whoever owns the database.
    """
    from connector.audit.sinks import CheckpointFile
    from connector.bootstrap import open_database
    from connector.evidence.verify import CANNOT_SHOW, verify_log

    settings = settings_of(context)
    trusted = _trusted(settings, key)
    notes = [note for file in files or [] for note in _notes(file)]
    if notes and not trusted:
        raise UsageError(
            "there is no key to verify the checkpoints with",
            effect="nothing was verified",
            remedy="give --key with what `connector audit key` printed, or configure [audit]",
        )
    sinks = [CheckpointFile(settings.audit.checkpoint_file)] if settings.audit else []
    report = verify_log(open_database(settings), trusted=trusted, sinks=sinks, outside=notes)
    if as_json:
        print_object({"verifies": report.faults == 0, **asdict(report)})
    else:
        print_lines(_lines(report))
    if report.faults:
        raise _invalid(report)
    if not trusted:
        say("no checkpoints are signed: there is no [audit] in the configuration, and no --key")
    if not notes:
        say(CANNOT_SHOW)


def _trusted(settings: Settings, key: str | None) -> Sequence[NoteVerifier]:
    from connector.bootstrap import checkpoint_policy
    from connector.signing.notes import NoteVerifier

    if key is not None:
        former = settings.audit.former_keys if settings.audit else ()
        return [NoteVerifier.parse(one) for one in (key, *former)]
    policy = checkpoint_policy(settings)
    return policy.trusted if policy else ()


def _notes(file: Path) -> list[str]:
    from connector.audit.sinks import CheckpointFile

    notes = CheckpointFile(file).notes()
    if not notes:
        raise UsageError(
            f"{file}: there is no signed checkpoint in it",
            effect="nothing was verified",
            remedy="give a copy of the checkpoint file, or one note from it, byte for byte to its last line end",
        )
    return notes


def _lines(report: Report) -> Iterator[str]:
    if report.faults:
        for one in report.findings:
            yield shown(f"{one.fault:<19} {'' if one.entry is None else f'entry {one.entry}: '}{one.text}")
        if report.faults > len(report.findings):
            yield f"and {report.faults - len(report.findings)} more"
        return
    told = [
        f"the log verifies: {report.entries} entries, {report.checkpoints} checkpoints",
        f"{report.from_outside} from outside" if report.from_outside else "",
        f"{report.uncovered} entries are not covered by a checkpoint yet",
        f"{report.not_outside_yet} checkpoints are not in the checkpoint file: it was cut, replaced or not writable"
        if report.not_outside_yet
        else "",
        f"{report.unverifiable} checkpoints not verified for want of a key" if report.unverifiable else "",
    ]
    yield ", ".join(filter(None, told))


def _invalid(report: Report) -> AuditLogInvalid:
    first = "" if report.first_bad_entry is None else f"; the first bad entry is {report.first_bad_entry}"
    return AuditLogInvalid(
        f"the audit log is not what it was: {report.faults} faults{first}",
        effect="nothing was changed",
        remedy="keep database, checkpoint file and all copies as they are, and find out who could write to them",
    )
