"""The command line of the campaigns: ``python -m tests.campaigns --help``.

Exit codes: 0 no violation and demands met (with ``--plant``: every bug was caught), 1 anything else that a campaign
found, 2 it could not run as asked, 130 interrupted.
"""

from __future__ import annotations

import argparse
import secrets
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns import planting, report, runner
from tests.campaigns.campaign import Campaign, Plant
from tests.campaigns.journal import JournalInUse
from tests.campaigns.listing import NoSuchCampaign, find, missing, names
from tests.campaigns.planting import PlantRefused
from tests.campaigns.runner import Job

_FOLDER = report.ROOT / "build" / "campaigns"
_CANNOT = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        sys.stdout.writelines(f"{_described(name, find(name))}\n" for name in given.names or names())
        return 0
    chosen = given.names or names()
    try:
        campaigns = {name: find(name) for name in chosen}
        plants = {name: _plants(campaign, given.plant) for name, campaign in campaigns.items()}
    except NoSuchCampaign as error:
        parser.error(str(error))
    if given.plant and not any(plants.values()):
        parser.error(f"there is no plant {given.plant} in {', '.join(chosen)}")
    given.seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    codes = [0]
    try:
        for name, campaign in campaigns.items():
            codes += _campaign(name, campaign, plants[name], given)
    except (JournalInUse, PlantRefused) as error:
        sys.stderr.write(f"error: {error}\n")
        return _CANNOT
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the command above goes on from here\n")
        return _INTERRUPTED
    return max(codes)


def _campaign(name: str, campaign: Campaign, plants: Sequence[Plant], given: argparse.Namespace) -> list[int]:
    if given.plant and not plants:
        return []
    lacking = missing(name)
    if lacking:
        sys.stderr.write(f"{name}: not run: {lacking}\n")
        return [_CANNOT]
    if given.planted_in:
        planting.require_copy(given.planted_in, plants[0])
        return [_run(name, campaign, given)]
    if given.only is not None:
        return [_replay(campaign, given)]
    if plants:
        return [_run_planted(name, plant, given) for plant in plants]
    return [_run(name, campaign, given)]


def _run(name: str, campaign: Campaign, given: argparse.Namespace) -> int:
    job = _job(campaign, given)
    command = _command(name, given)
    sys.stderr.write(f"{job.name}: {job.trials:,} trials, seed {job.seed}; to repeat or go on:\n  {command}\n")
    watch = report.Progress(job.name, job.trials)
    if job.plant:  # one violation is all there is to find, and nothing to go on from
        job.journal.unlink(missing_ok=True)
        run = runner.run(job, watch=watch, until=lambda record: bool(record.violations))
    else:
        run = runner.run(job, watch=watch)
    watch.end()
    line = report.row(run, command)
    sys.stdout.write(f"{report.summary(run)}\n\n{line}\n\n")
    sys.stdout.flush()
    if given.record:
        with report.RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"{line}\n")
    return 0 if report.is_good(run) else 1


def _run_planted(name: str, plant: Plant, given: argparse.Namespace) -> int:
    with planting.planted(plant) as folder, tempfile.TemporaryDirectory(prefix="campaign-trials-") as scratch:
        arguments = _arguments(name, given, plant.name)
        if given.dir is None:
            arguments += ["--dir", scratch]
        if given.record:
            arguments.append("--record")
        code = planting.run_in(folder, arguments)
    if code not in {0, 1}:
        raise PlantRefused(f"{name}, planted {plant.name}: the campaign did not run (exit code {code})")
    return code


def _replay(campaign: Campaign, given: argparse.Namespace) -> int:
    job = _job(campaign, given)
    record = runner.replay(job, given.only)
    sys.stdout.write(f"{job.name}, trial {record.number}: {dict(record.figures)}, {record.seconds} s\n")
    sys.stdout.writelines(f"{sentence}\n" for sentence in record.violations)
    sys.stdout.write(f"what it left is in {job.folder / job.name / f'{given.only}-again'}\n")
    return 1 if record.violations else 0


def _described(name: str, campaign: Campaign) -> str:
    lacking = missing(name)
    demands = ", ".join(f"{what} {least:,}" for what, least in campaign.demands.items())
    plants = ", ".join(plant.name for plant in campaign.plants) or "none"
    lines = [f"{campaign.proves}", f"{campaign.full:,} trials; at least {demands or 'nothing'}; plants: {plants}"]
    return "\n  ".join([name, *lines, *([lacking] if lacking else [])])


def _job(campaign: Campaign, given: argparse.Namespace) -> Job:
    return Job(
        campaign=campaign,
        seed=given.seed,
        trials=campaign.full if given.trials is None else given.trials,
        folder=(given.dir or _FOLDER).absolute(),
        commit=report.commit(),
        workers=given.jobs,
        plant=given.plant or "",
    )


def _plants(campaign: Campaign, wanted: str | None) -> tuple[Plant, ...]:
    return tuple(plant for plant in campaign.plants if wanted in {plant.name, "all"})


def _arguments(name: str, given: argparse.Namespace, plant: str | None) -> list[str]:
    options = {"--seed": given.seed, "--trials": given.trials, "--plant": plant, "--dir": given.dir}
    arguments = [name]
    for option, value in options.items():
        arguments += [] if value is None else [option, str(value)]
    return arguments + (["--jobs", str(given.jobs)] if given.jobs > 1 else [])


def _command(name: str, given: argparse.Namespace) -> str:
    arguments = _arguments(name, given, given.plant)
    if given.planted_in and "--dir" in arguments:  # a folder that is gone by the time somebody repeats it
        at = arguments.index("--dir")
        del arguments[at : at + 2]
    return shlex.join(["python", "-m", "tests.campaigns", *arguments])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns", description="Run campaigns; all when none is named."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names())}")
    parser.add_argument("--trials", type=_positive, metavar="N", help="only the first N trials")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed, the same trials; else a random one")
    parser.add_argument(
        "--only", type=_positive, metavar="NUMBER", help="run this trial once more, and keep its folder"
    )
    parser.add_argument("--plant", metavar="P", help="run a copy of the program with this bug, or with `all` in turn")
    parser.add_argument("--dir", type=Path, metavar="D", help="of journals and trials (build/campaigns)")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="J", help="trials at a time (1)")
    parser.add_argument("--record", action="store_true", help="add the outcome to RESULTS.md")
    parser.add_argument(
        "--list", action="store_true", help="tell what each campaign proves, demands and is planted with"
    )
    parser.add_argument("--planted-in", type=Path, help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _interrupted(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)  # so that a trial ends the processes it started
    sys.exit(main())
