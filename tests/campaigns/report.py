"""What a run tells: its progress, what it came to, and the row of RESULTS.md."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from connector.storage.sqlite_build import DRIVER
from tests.campaigns.journal import Record
from tests.campaigns.listing import postgresql_version
from tests.campaigns.runner import Run

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")
_ENOUGH = 10
"""Violations of one trial, or of a run, that are told; the journal has all."""
_SELDOM = 30.0
"""Seconds between two lines of progress where they all stay."""


class Progress:
    """Tells how far a run is, on standard error."""

    def __init__(self, name: str, trials: int) -> None:
        self._name = name
        self._trials = trials
        self._is_terminal = sys.stderr.isatty()
        self._told = time.monotonic()
        self._violations = 0

    def __call__(self, record: Record, done: int) -> None:
        """Tell of a trial that ended: violations at once, anything else when it is time."""
        self._violations += len(record.violations)
        start, end = ("\r", "") if self._is_terminal else ("", "\n")
        for sentence in _some(record.violations):
            sys.stderr.write(f"{start}{self._name}, trial {record.number}: {sentence}\n")
        is_time = done == self._trials or time.monotonic() - self._told >= _SELDOM
        if self._is_terminal or is_time:
            self._told = time.monotonic()
            found = f"{self._violations} violations"
            sys.stderr.write(f"{start}{self._name}: {done:,} of {self._trials:,} trials, {found}{end}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line that a terminal shows."""
        if self._is_terminal:
            sys.stderr.write("\n")


def verdict(run: Run) -> str:
    """What is to be thought of a run, in a few words."""
    if run.job.plant:
        return "caught" if run.violations else "NOT CAUGHT"
    if run.violations:
        return "VIOLATED"
    if run.unmet:
        return "DEMANDS NOT MET"
    return "holds" if run.is_full else "no violation in part of it"


def is_good(run: Run) -> bool:
    """Whether the command succeeds: no violation and demands met; of a program with a bug, a violation."""
    return bool(run.violations) if run.job.plant else not run.violations and not run.unmet


def summary(run: Run) -> str:
    """What a run came to, for people."""
    job = run.job
    planted = f", planted {job.plant}" if job.plant else ""
    lines = [f"{job.campaign.name}{planted}: {verdict(run)} ({_trials(run)} trials, {duration(run)})"]
    lines += [f"  {name}: {count:,}" for name, count in run.figures.items()]
    lines += [f"  demand not met: {sentence}" for sentence in run.unmet]
    lines += _some([f"  trial {number}: {sentence.splitlines()[0]}" for number, sentence in run.violations])
    if run.violations and not job.plant:
        lines.append(f"  what those trials left is in {job.folder / job.name}")
    return "\n".join(lines)


def row(run: Run, command: str) -> str:
    """The line of RESULTS.md; its head stands there."""
    job = run.job
    figures = "; ".join(f"{name} {count:,}" for name, count in run.figures.items())
    cells = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{job.campaign.name}, planted {job.plant}" if job.plant else job.campaign.name,
        verdict(run),
        _trials(run),
        f"{len(run.violations):,}",
        figures,
        str(job.seed),
        duration(run),
        ", ".join(dict.fromkeys(record.commit for record in run.records)),
        machine(),
        f"`{command}`",
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def duration(run: Run) -> str:
    """Wall time; of a run that was stopped and went on, what its trials took as well."""
    wall = _spell(run.seconds)
    if not run.resumed:
        return wall
    return f"{wall} after {run.resumed:,} trials done before; {_spell(sum(one.seconds for one in run.records))} in all"


def commit() -> str:
    """Of the tree the program runs from; results written down do not count as a change."""
    changed = _git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(ROOT)}")
    return (_git("rev-parse", "--short=12", "HEAD") or "unknown") + (" + changes" if changed else "")


def machine() -> str:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts: Mapping[str, str] = {
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "SQLite": DRIVER.sqlite_version,
        "PostgreSQL": postgresql_version() or "none",
    }
    cores = len(os.sched_getaffinity(0))
    return ", ".join((f"{cores} cores", f"{memory:.0f} GiB", *(f"{name} {value}" for name, value in parts.items())))


def _some(sentences: Sequence[str]) -> list[str]:
    left = len(sentences) - _ENOUGH
    return [*sentences[:_ENOUGH], *([f"  and {left:,} more, in the journal"] if left > 0 else [])]


def _trials(run: Run) -> str:
    return f"{len(run.records):,} of {run.job.campaign.full:,}"


def _spell(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
