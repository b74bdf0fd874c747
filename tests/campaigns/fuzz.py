"""Coverage-guided fuzzing of opening envelopes and reading receipts: whatever goes in, no error but ours comes out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial

_RUNS = {"envelopes": 30_000, "receipts": 20_000}
"""Of each target, in one trial."""
_LONGEST = 2_000
"""Of what is told of a violation."""
_STATISTICS = {"number_of_executed_units": "runs", "new_units_added": "inputs with new code", "taken": "taken"}
"""Figures by the names that the worker and libFuzzer have for them; taken: read to the end without an error."""


def run(trial: Trial) -> Outcome:
    """One trial: each target in a process of its own, which starts from a few genuine inputs."""
    figures: Counter[str] = Counter()
    violations = []
    for target, runs in _RUNS.items():
        folder = trial.folder / target
        folder.mkdir()
        options = ["--runs", str(runs), "--seed", str(trial.seed), "--dir", str(folder)]
        command = [sys.executable, "-m", "tests.campaigns.fuzz_worker", target, *options]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace"
        )
        for name, figure in _STATISTICS.items():
            figures[figure] += _statistic(done.stdout, name)
        if done.returncode != 0:
            violations.append(f"{target} ended with {done.returncode}: {_told(done.stdout)}")
        elif not _statistic(done.stdout, "taken"):
            violations.append(f"{target}: nothing was read to its end, so nothing was proved")
    return Outcome(figures=figures, violations=tuple(violations))


def _statistic(said: str, name: str) -> int:
    """As it was told last."""
    return max(map(int, re.findall(rf"^stat::{name}: +(\d+)$", said, re.MULTILINE)), default=0)


def _told(said: str) -> str:
    """The exception that was not caught, or how it ended where there is none."""
    _, found, exception = said.partition("=== Uncaught Python exception: ===")
    return exception.strip()[:_LONGEST] if found else said[-_LONGEST:]


CAMPAIGN = Campaign(
    name="fuzz",
    proves="whatever envelope or receipt comes in, it is read or refused with an error of ours, in a moment",
    run=run,
    full=60,
    small=1,
    demands={"runs": 1_000_000},
    plants=(
        # What happened before fuzzing found it: the schema lets a relative namespace pass, Canonical XML does not.
        Plant(
            name="forgets-void-forms",
            file="receipts/parse.py",
            old="except etree.C14NError:",
            new="except etree.XPathError:",
        ),
        # The schema lets signs pass that Base64 does not have.
        Plant(
            name="trusts-base64",
            file="signing/verifier.py",
            old='    except ValueError:\n        raise _invalid(f"{path.',
            new='    except KeyError:\n        raise _invalid(f"{path.',
        ),
    ),
)
