"""``connector db archive``: move payloads that have been kept long enough into bundles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.confirm import confirm
from connector.cli.context import USER, ActorOption, JsonOption, parse_reason, settings_of
from connector.cli.output import print_lines, print_object, say

if TYPE_CHECKING:
    from connector.evidence.payloads import Amount, Payload, Policy


def archive(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the audit log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be archived.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    actor: ActorOption = USER,
    as_json: JsonOption = False,
) -> None:
    """Move payloads that were kept long enough from the database into bundles that `audit verifier`'s program checks.

    How long is said under retention in the configuration, for each kind.
    Only what customs has answered for good, so many days ago. Rows, log and digests stay, and the log verifies as
    before. Space in a SQLite file is used again, and given back by its VACUUM.
    """
    from connector.bootstrap import build_connector, retention_policy
    from connector.evidence.archive import archive as archive_all
    from connector.evidence.archive import due_now

    settings = settings_of(context)
    policy, folder = retention_policy(settings)
    connector = build_connector(settings)
    amounts = due_now(connector, policy)
    if dry_run or not any(one.count for one in amounts.values()):
        if as_json:
            print_object({"due": {kind.value: asdict(one) for kind, one in amounts.items()}, "archives": []})
        else:
            print_lines(_due(policy, amounts))
        return
    parse_reason(reason)
    if not yes:
        confirm(lambda: say("\n".join(_due(policy, amounts))), remedy="add --yes, or --dry-run to look first")
    removed: Counter[Payload] = Counter()
    done, kept = [], 0
    for one in archive_all(connector, policy, folder, reason=reason, actor=actor):
        removed.update(one.removed)
        kept += one.kept
        if one.removed:
            done.append({"file": str(one.file), "digest": one.digest})
            print_lines([] if as_json else [f"{one.digest}  {one.file}"])
    if as_json:
        counts = {kind.value: number for kind, number in removed.items()}
        print_object({"removed": counts, "archives": done, "kept": kept})
    else:
        told = ", ".join(f"{number} {_words(kind)}" for kind, number in removed.items())
        print_lines([f"{told or 'nothing'} archived"])
    if kept:
        say(f"{kept} stay in the database, because no entry of the log holds their SHA-256")


def _due(policy: Policy, amounts: Mapping[Payload, Amount]) -> Iterator[str]:
    yield "to be archived, answered for good so many days ago:"
    for kind, one in amounts.items():
        yield f"  {_words(kind):<12}{policy[kind].days:>6} days {one.count:>10,} {one.size / 1e6:>10,.1f} MB"


def _words(kind: Payload) -> str:
    return kind.value.replace("_", " ")
