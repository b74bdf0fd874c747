"""``connector demo``: everything once, on a sample enterprise and a simulated customs office."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
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
    operations: Annotated[
        bool,
        typer.Option("--operations", help="Report operating data too: what the warehouse did with each parcel."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play the whole road on a sample enterprise; exit 0 when exactly the planted faults were caught."""
    from connector.demo.play import play

    # The office is a process of its own: it is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    folder = directory or _free_folder()
    begun = time.monotonic()
    with _progress() as progress:
        mappings = ("ruoyi", "ruoyi-operations") if operations else ("ruoyi",)
        outcome = play(folder, returns=returns, seed=seed, mappings=mappings, progress=progress)
    if as_json:
        print_object(asdict(outcome))
    else:
        print_lines(_report(outcome, folder, time.monotonic() - begun))
    if outcome.surprises or outcome.unanswered:
        raise ConnectorError(
            f"{len(outcome.surprises)} documents came out otherwise than planted: {'; '.join(outcome.surprises[:5])}",
            effect=f"everything is left in {folder}",
            remedy=f"`{_command(folder)} documents show KEY` tells the story of one",
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
    command = _command(folder)
    told = f"  operating data             {outcome.operating:>6}   events and stock, finished"
    operating = [told] if outcome.operating else []
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
        *operating,
        f"They went out in {outcome.messages} signed messages.",
        f"The audit log has {outcome.audit_entries} entries.",
        "Faults planted on purpose:",
        *faults,
        "",
        f"Everything is in {folder}. Try next:",
        f"  {command} documents list --customs-status rejected",
        f"  {command} quarantine list",
        f"  {command} documents show KEY      (the whole story of one return)",
        f"  {command} simulator serve &       (the customs office again)",
        f"  {command} run --once              (sends nothing twice)",
    ]


def _command(folder: Path) -> str:
    """This program with the configuration in the folder, as it can be typed here."""
    return f"{_program()} --config {shlex.quote(str(folder / 'connector.toml'))}"


def _program() -> str:
    started_by = Path(sys.argv[0])
    if started_by.name == "__main__.py":
        return f"{_typed(Path(sys.executable))} -m connector"
    on_path = shutil.which("connector")
    return "connector" if on_path and started_by.exists() and started_by.samefile(on_path) else _typed(started_by)


def _typed(program: Path) -> str:
    """The path as a shell takes it: seen from the working folder where that is shorter."""
    relative = os.path.relpath(program)
    if os.sep not in relative:
        relative = f".{os.sep}{relative}"
    return shlex.quote(min(str(program), relative, key=len))
