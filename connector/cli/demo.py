"""``connector demo``: everything once, on a sample enterprise and a simulated customs office."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption
from connector.cli.output import print_lines, print_object, say
from connector.errors import ConnectorError

if TYPE_CHECKING:
    from connector.demo.outcome import Outcome


def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="A new folder for everything; without it, demo in this folder."),
    ] = None,
    returns: Annotated[int, typer.Option("--returns", min=1, metavar="N", help="Returned parcels.")] = 60,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed, the same enterprise.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Play the whole road on a sample enterprise; exit 0 when exactly the planted faults were caught."""
    from connector.demo.play import play

    folder = directory or _free_folder()
    begun = time.monotonic()
    with _progress() as progress:
        outcome = play(folder, returns=returns, seed=seed, progress=progress)
    if as_json:
        print_object(asdict(outcome))
    else:
        print_lines(_report(outcome, folder, time.monotonic() - begun))
    if outcome.surprises or outcome.unanswered:
        raise ConnectorError(
            f"{len(outcome.surprises)} documents came out otherwise than planted: {'; '.join(outcome.surprises[:5])}",
            effect=f"everything is left in {folder}",
            remedy=f"`connector --config {folder}/connector.toml documents show KEY` tells the story of one",
        )


def _free_folder() -> Path:
    return next(
        path for path in (Path("demo" if number == 1 else f"demo-{number}") for number in count(1)) if not path.exists()
    )


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, else a line for each new thing under way."""
    if not sys.stderr.isatty():
        last = ""

        def line(what: str, _done: int, _total: int) -> None:
            nonlocal last
            if what != last:
                say(what)
            last = what

        yield line
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _report(outcome: Outcome, folder: Path, seconds: float) -> list[str]:
    config = folder / "connector.toml"
    faults = [
        f"  {kind.replace('_', ' '):<26} {figures['caught']} of {figures['planted']} caught"
        for kind, figures in outcome.faults.items()
    ]
    return [
        f"{outcome.returns} returned parcels should become {outcome.expected} customs documents ({seconds:.0f} s):",
        f"  released 放行              {outcome.released:>6}   return applications (CEB213)",
        f"  finished 审结              {outcome.finished:>6}   tally details (CEB215)",
        f"  rejected 退单              {outcome.rejected:>6}   by customs, with a reason",
        f"  quarantined                {outcome.quarantined:>6}   not sent, with a reason",
        f"  unanswered                 {outcome.unanswered:>6}",
        f"{outcome.documents} documents went out in {outcome.messages} signed messages.",
        f"The audit log has {outcome.audit_entries} entries.",
        "Faults planted on purpose:",
        *faults,
        "",
        f"Everything is in {folder}. Try next:",
        f"  connector --config {config} documents list --customs-status rejected",
        f"  connector --config {config} quarantine list",
        f"  connector --config {config} documents show KEY      (the whole story of one return)",
        f"  connector --config {config} simulator serve &       (the customs office again)",
        f"  connector --config {config} run --once              (sends nothing twice)",
    ]
