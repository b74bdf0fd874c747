"""Runs the trials of one campaign: the seed of each, a folder of its own, its record in the journal.

What the campaign's seed repeats is the choices within each trial. A trial that raises has violated something: the
traceback says what.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.campaign import Campaign, Outcome, Trial
from tests.campaigns.journal import Record, opened

Watcher = Callable[[Record, int], None]
"""Is told of each trial that ended, and how many of the run have ended with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Which trials are to run, and where."""

    campaign: Campaign
    seed: int
    trials: int
    """Those numbered from 1 to this."""
    folder: Path
    """Of journals and trials, of any number of runs."""
    commit: str
    """Of the program that runs."""
    workers: int = 1
    """Trials at a time; above 1, each in a process apart."""
    plant: str = ""
    """The bug that the program has; empty for none."""

    @property
    def name(self) -> str:
        """Of its journal and its folder."""
        return "-".join(filter(None, (self.campaign.name, str(self.seed), self.plant)))

    @property
    def journal(self) -> Path:
        """The file that says which trials have ended."""
        return self.folder / f"{self.name}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the trials came to, those of an earlier run that was stopped included."""

    job: Job
    records: tuple[Record, ...]
    resumed: int
    """How many of them the journal held already."""
    seconds: float
    """By the clock on the wall, without the trials that the journal held."""

    @property
    def figures(self) -> Counter[str]:
        """Added up over all trials."""
        total: Counter[str] = Counter()
        for record in self.records:
            total.update(record.figures)
        return total

    @property
    def violations(self) -> list[tuple[int, str]]:
        """Each with the number of its trial."""
        return [(record.number, sentence) for record in self.records for sentence in record.violations]

    @property
    def is_full(self) -> bool:
        """Whether every trial of the full campaign has ended."""
        return len(self.records) >= self.job.campaign.full

    @property
    def unmet(self) -> list[str]:
        """Demands that the full campaign did not meet; a run of fewer trials owes nothing."""
        if not self.is_full:
            return []
        figures = self.figures
        demands = self.job.campaign.demands.items()
        return [f"{name} is {figures[name]:,} of {least:,}" for name, least in demands if figures[name] < least]


def seed_of(campaign: str, seed: int, number: int) -> int:
    """The seed of one trial: the same on every machine and in every version of Python."""
    return int.from_bytes(hashlib.sha256(f"{campaign} {seed} {number}".encode()).digest()[:8], "big")


def run(job: Job, *, watch: Watcher, until: Callable[[Record], bool] = lambda _: False) -> Run:
    """Run the trials that the journal does not hold yet, until one of them is enough. Raises `JournalInUse`."""
    began = time.monotonic()
    with opened(job.journal) as journal:
        resumed = sum(number <= job.trials for number in journal.records)
        remaining = [number for number in range(1, job.trials + 1) if number not in journal.records]
        for done, record in enumerate(_attempts(job, remaining), start=resumed + 1):
            journal.append(record)
            watch(record, done)
            if until(record):
                break
        records = tuple(record for number, record in sorted(journal.records.items()) if number <= job.trials)
    with suppress(OSError):  # it holds what trials with violations left
        (job.folder / job.name).rmdir()
    return Run(job=job, records=records, resumed=resumed, seconds=time.monotonic() - began)


def replay(job: Job, number: int) -> Record:
    """Run one trial once more; its folder stays, the journal knows nothing of it."""
    trial = _trial(job, number, f"{number}-again")
    outcome, seconds = _tried(job.campaign.run, trial)
    return _record(job, trial, outcome, seconds)


def attempt(job: Job, number: int) -> Record:
    """Run one trial; its folder stays when it found a violation."""
    trial = _trial(job, number, str(number))
    outcome, seconds = _tried(job.campaign.run, trial)
    if not outcome.violations:
        shutil.rmtree(trial.folder, ignore_errors=True)
    return _record(job, trial, outcome, seconds)


def _attempts(job: Job, numbers: Sequence[int]) -> Iterator[Record]:
    if job.workers == 1:
        yield from (attempt(job, number) for number in numbers)
        return
    # Not forked: trials start threads, and a fork takes over locks that no thread will ever give back.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=job.workers, mp_context=spawn) as pool:
        futures = [pool.submit(attempt, job, number) for number in numbers]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _trial(job: Job, number: int, name: str) -> Trial:
    folder = (job.folder / job.name / name).absolute()
    if folder.exists():  # of a run that was stopped
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return Trial(number=number, seed=seed_of(job.campaign.name, job.seed, number), folder=folder)


def _tried(play: Callable[[Trial], Outcome], trial: Trial) -> tuple[Outcome, float]:
    began = time.monotonic()
    try:
        outcome = play(trial)
    except Exception:  # noqa: BLE001 - whatever it is, it should not have happened
        outcome = Outcome(violations=(f"the trial raised an error:\n{traceback.format_exc()}",))
    return outcome, time.monotonic() - began


def _record(job: Job, trial: Trial, outcome: Outcome, seconds: float) -> Record:
    return Record(
        number=trial.number,
        seed=trial.seed,
        seconds=round(seconds, 3),
        figures=dict(outcome.figures),
        violations=tuple(outcome.violations),
        commit=job.commit,
    )
