"""``connector audit``: read the log of everything that happened."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from connector.cli.audit_export import export
from connector.cli.audit_forget import forget
from connector.cli.audit_list import list_
from connector.cli.audit_trace import trace
from connector.cli.audit_verify import verify
from connector.cli.context import (
    JsonOption,
    OutOption,
    settings_of,
)
from connector.cli.output import print_json, print_lines, print_object, shown, write_bytes
from connector.errors import UsageError

_MOST = 2**63 - 1

SequenceArgument = Annotated[int, typer.Argument(metavar="NO", min=1, max=_MOST, help="Number of the entry.")]

app = typer.Typer(help="The log of everything that happened.", no_args_is_help=True)
app.command("list")(list_)
app.command("trace")(trace)
app.command("verify")(verify)
app.command("export")(export)
app.command("forget")(forget)


@app.command()
def show(context: typer.Context, sequence: SequenceArgument, as_json: JsonOption = False) -> None:
    """Show one entry whole."""
    from connector.audit.queries import entry
    from connector.bootstrap import open_database

    with open_database(settings_of(context)).read() as connection:
        found = entry(connection, sequence)
    if found is None:
        raise UsageError(f"there is no audit entry {sequence}", remedy="`connector audit list` shows those there are")
    if as_json:
        print_json("entries", [asdict(found)])
        return
    fields = asdict(found)
    detail = fields.pop("detail")
    print_lines(f"{name:<14} {shown(value)}" for name, value in fields.items() if value)
    print_lines([json.dumps(detail, ensure_ascii=False, indent=2)])


@app.command()
def key(
    context: typer.Context,
    new: Annotated[
        bool, typer.Option("--new", help="Make the key first; a file that exists is never touched.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the public key that checkpoints verify with; hand it to the auditor on a way of its own."""
    from connector.bootstrap import checkpoint_policy
    from connector.pipeline.checkpoint import require_policy
    from connector.secret_file import secret
    from connector.signing.notes import new_note_key

    settings = settings_of(context)
    if new and settings.audit is not None:
        new_note_key(settings.audit.key_file, secret(settings.audit.passphrase, settings.audit.passphrase_file))
    verifier_key = require_policy(checkpoint_policy(settings)).signer.verifier.key
    if as_json:
        print_object({"verifier_key": verifier_key})
        return
    print_lines([verifier_key])


@app.command()
def prove(
    context: typer.Context,
    sequence: SequenceArgument,
    out: OutOption = None,
) -> None:
    """Write the proof that an entry is in the log; `audit verifier` gives the program that checks it."""
    from connector.bootstrap import checkpoint_policy, open_database
    from connector.evidence.prove import prove as proof_of
    from connector.pipeline.checkpoint import agree, newest_outside, require_policy

    settings = settings_of(context)
    policy = require_policy(checkpoint_policy(settings))
    outside = newest_outside(policy)
    with open_database(settings).read() as connection:
        agree(connection, outside)
        proof = proof_of(connection, sequence, policy.trusted)
    write_bytes(proof.text.encode(), out)


@app.command()
def verifier(out: OutOption = None) -> None:
    """Write the program that checks proofs and bundles without the connector; docs/evidence.md says how."""
    from importlib.resources import files

    write_bytes(files("connector.audit.standalone").joinpath("check_evidence.py").read_bytes(), out)
