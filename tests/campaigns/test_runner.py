"""The runner, on toy campaigns: it goes on after a stop, tells every violation, and plants what it says."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns import journal, planting, report, runner
from tests.campaigns.__main__ import main
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.journal import JournalInUse, Record
from tests.campaigns.planting import PlantRefused
from tests.campaigns.runner import Job

SEED = 7
CODE = 'The configuration cannot be used; all its faults are named at once."""\n\n    exit_code = 4'
PLANT = Plant(name="other-code", file="errors.py", old=CODE, new=f"{CODE}4")


def job_of(campaign: Campaign, folder: Path, *, trials: int = 5, seed: int = SEED, workers: int = 1) -> Job:
    return Job(campaign=campaign, seed=seed, trials=trials, folder=folder, commit="c", workers=workers)


def toy(run: Callable[[Trial], Outcome], *, full: int = 5, least: int = 0) -> Campaign:
    return Campaign(name="toy", proves="", run=run, full=full, small=1, demands={"trials": least}, plants=(PLANT,))


def quiet(trial: Trial) -> Outcome:
    (trial.folder / "left").touch()
    return Outcome(figures={"trials": 1, "numbers": trial.number})


def third_is_wrong(trial: Trial) -> Outcome:
    (trial.folder / "left").touch()
    return Outcome(figures={"trials": 1}, violations=("the third is wrong",) if trial.number == 3 else ())


def third_raises(trial: Trial) -> Outcome:
    if trial.number == 3:
        raise ValueError("no third")
    return Outcome(figures={"trials": 1})


def ran(job: Job) -> runner.Run:
    return runner.run(job, watch=lambda _record, _done: None)


def start(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line; path: where modules of ours stand besides."""
    before = os.environ.get("PYTHONPATH", "")
    environment = os.environ | ({"PYTHONPATH": f"{path}{os.pathsep}{before}".rstrip(os.pathsep)} if path else {})
    command = [sys.executable, "-m", "tests.campaigns", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def toy_module(folder: Path, body: str, *, plant: str = CODE) -> str:
    """A campaign in a module of its own, for processes that start by themselves; its name."""
    (folder / "toys").mkdir()
    (folder / "toys" / "toy.py").write_text(
        "from connector.errors import ConfigurationError\n"
        "from tests.campaigns.campaign import Campaign, Outcome, Plant\n"
        f"def run(trial):\n    {body}\n"
        "CAMPAIGN = Campaign(name='toy', proves='', run=run, full=3, small=1, demands={'trials': 3}, plants=(\n"
        f"    Plant(name='other-code', file='errors.py', old={plant!r}, new={plant + '4'!r}),))\n"
    )
    return "toys.toy"


NOTICES = (
    "return Outcome(figures={'trials': 1}, violations=('wrong code',) if ConfigurationError.exit_code != 4 else ())"
)
LOOKS_AWAY = "return Outcome(figures={'trials': 1})"


def test_figures_are_added_up_and_nothing_is_left_when_no_trial_finds_a_violation(tmp_path: Path) -> None:
    run = ran(job_of(toy(quiet, least=5), tmp_path))
    assert run.figures == {"trials": 5, "numbers": 15}
    assert (run.violations, run.unmet, run.is_full) == ([], [], True)
    assert [path.name for path in tmp_path.iterdir()] == [f"toy-{SEED}.jsonl"]


def test_folder_is_kept_of_a_trial_with_a_violation_alone(tmp_path: Path) -> None:
    run = ran(job_of(toy(third_is_wrong), tmp_path))
    assert run.violations == [(3, "the third is wrong")]
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("left")] == [f"toy-{SEED}/3/left"]


def test_error_of_a_trial_is_a_violation_and_the_others_still_run(tmp_path: Path) -> None:
    run = ran(job_of(toy(third_raises), tmp_path))
    ((number, sentence),) = run.violations
    assert number == 3
    assert "ValueError: no third" in sentence
    assert run.figures == {"trials": 4}


def test_run_goes_on_after_the_last_trial_that_ended_when_it_was_stopped(tmp_path: Path) -> None:
    begun: list[int] = []

    def stopped_at_three(trial: Trial) -> Outcome:
        begun.append(trial.number)
        assert list(trial.folder.iterdir()) == []
        (trial.folder / "half").touch()
        if begun == [1, 2, 3]:
            raise KeyboardInterrupt
        return Outcome(figures={"trials": 1})

    job = job_of(toy(stopped_at_three, least=5), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ran(job)
    run = ran(job)
    assert begun == [1, 2, 3, 3, 4, 5]
    assert (run.resumed, run.figures, run.is_full, run.unmet) == (2, {"trials": 5}, True, [])


@pytest.mark.parametrize("more", [[], ["--plant", "other-code"]])
def test_trial_ends_what_it_started_when_the_run_is_stopped(more: list[str], tmp_path: Path) -> None:
    body = (
        f"import pathlib, time; folder = pathlib.Path({str(tmp_path)!r}); (folder / 'begun').touch()\n"
        "    try:\n        time.sleep(60)\n    finally:\n        (folder / 'ended').touch()"
    )
    command = [sys.executable, "-m", "tests.campaigns", toy_module(tmp_path, body), "--dir", str(tmp_path), *more]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        assert process.wait(20) == 130
    assert (tmp_path / "ended").exists()


def test_violation_found_before_a_stop_still_counts_after_it(tmp_path: Path) -> None:
    ran(job_of(toy(third_is_wrong), tmp_path, trials=3))
    assert ran(job_of(toy(third_is_wrong), tmp_path, trials=5)).violations == [(3, "the third is wrong")]


def test_last_line_of_the_journal_runs_again_when_it_was_cut_short(tmp_path: Path) -> None:
    job = job_of(toy(quiet), tmp_path)
    whole = ran(job)
    job.journal.write_bytes(job.journal.read_bytes()[:-20])
    again = ran(job)
    assert (again.resumed, again.figures) == (4, whole.figures)
    lines = job.journal.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5]


def test_journal_is_refused_while_another_run_writes_to_it(tmp_path: Path) -> None:
    job = job_of(toy(quiet), tmp_path)
    with journal.opened(job.journal), pytest.raises(JournalInUse, match="another run"):
        ran(job)


def test_record_reads_back_from_the_journal_as_it_was(tmp_path: Path) -> None:
    record = Record(number=1, seed=2**64 - 1, seconds=0.5, figures={"a": 1}, violations=("什么",), commit="c")
    with journal.opened(tmp_path / "j") as opened:
        opened.append(record)
    with journal.opened(tmp_path / "j") as opened:
        assert opened.records == {1: record}


def test_seed_of_a_trial_is_the_same_everywhere_and_another_for_each() -> None:
    assert runner.seed_of("toy", 1, 1) == 10461906008254807758
    names, seeds, numbers = ["toy", "other"], [1, 2, 12], [1, 2, 12]
    assert len({runner.seed_of(*each) for each in itertools.product(names, seeds, numbers)}) == 18


def test_trials_in_several_processes_come_to_the_same(tmp_path: Path) -> None:
    alone = ran(job_of(toy(third_is_wrong), tmp_path / "alone"))
    several = ran(job_of(toy(third_is_wrong), tmp_path / "several", workers=2))
    assert [one.seed for one in several.records] == [one.seed for one in alone.records]
    assert (several.figures, several.violations) == (alone.figures, alone.violations)


def test_demands_are_owed_by_a_full_run_alone(tmp_path: Path) -> None:
    campaign = toy(quiet, least=6)
    assert ran(job_of(campaign, tmp_path, trials=4)).unmet == []
    assert ran(job_of(campaign, tmp_path, trials=5)).unmet == ["trials is 5 of 6"]


def test_command_succeeds_and_says_how_to_repeat_it(tmp_path: Path) -> None:
    name = toy_module(tmp_path, NOTICES)
    done = start(name, "--seed", "7", "--dir", str(tmp_path), path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"python -m tests.campaigns {name} --seed 7 --dir {tmp_path}" in done.stderr
    assert "toy: holds (3 of 3 trials" in done.stdout
    assert "| 3 of 3 | 0 | trials 3 | 7 |" in done.stdout


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return Outcome(figures={'trials': 1}, violations=('it is wrong',))", "toy: VIOLATED"),
        ("raise ValueError('never')", "ValueError: never"),
        ("return Outcome()", "demand not met: trials is 0 of 3"),
    ],
)
def test_command_fails_when_a_campaign_does_not_hold(body: str, told: str, tmp_path: Path) -> None:
    done = start(toy_module(tmp_path, body), "--dir", str(tmp_path), path=tmp_path)
    assert done.returncode == 1
    assert told in done.stdout + done.stderr


def test_only_some_of_many_violations_are_told_and_the_journal_has_all(tmp_path: Path) -> None:
    name = toy_module(tmp_path, "return Outcome(violations=tuple(f'fault {n}' for n in range(50)))")
    done = start(name, "--seed", "7", "--trials", "1", "--dir", str(tmp_path), path=tmp_path)
    for told in (done.stdout, done.stderr):
        assert told.count("fault") == 10
        assert "and 40 more, in the journal" in told
    assert (tmp_path / "toy-7.jsonl").read_text().count("fault") == 50


def test_one_trial_is_run_once_more_beside_the_journal(tmp_path: Path) -> None:
    body = "(trial.folder / 'left').touch(); return Outcome(violations=(f'{trial.number} {trial.seed}',))"
    done = start(toy_module(tmp_path, body), "--seed", "7", "--only", "2", "--dir", str(tmp_path), path=tmp_path)
    assert done.returncode == 1
    assert f"2 {runner.seed_of('toy', 7, 2)}\n" in done.stdout
    assert (tmp_path / "toy-7" / "2-again" / "left").exists()
    assert not (tmp_path / "toy-7.jsonl").exists()


def test_plant_is_caught_and_the_program_itself_stays_as_it_is(tmp_path: Path) -> None:
    name = toy_module(tmp_path, NOTICES)
    done = start(name, "--plant", "all", "--seed", "7", path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "toy, planted other-code: caught (1 of 3 trials" in done.stdout
    assert start(name, "--trials", "1", "--dir", str(tmp_path), path=tmp_path).returncode == 0


def test_command_fails_when_a_plant_gets_through(tmp_path: Path) -> None:
    done = start(toy_module(tmp_path, LOOKS_AWAY), "--plant", "other-code", path=tmp_path)
    assert done.returncode == 1
    assert "toy, planted other-code: NOT CAUGHT (3 of 3 trials" in done.stdout


def test_planted_program_is_what_other_processes_run_too(tmp_path: Path) -> None:
    body = (
        "import subprocess, sys; "
        "program = 'import connector.errors as found, sys; sys.exit(found.ConfigurationError.exit_code)'; "
        f"code = subprocess.run([sys.executable, '-c', program], cwd={str(report.ROOT)!r}).returncode; "
        "return Outcome(violations=() if code == 4 else (f'ended with {code}',))"
    )
    done = start(toy_module(tmp_path, body), "--plant", "other-code", "--dir", str(tmp_path), path=tmp_path)
    assert "trial 1: ended with 44" in done.stdout


def test_command_refuses_a_plant_whose_text_does_not_stand_once(tmp_path: Path) -> None:
    done = start(toy_module(tmp_path, NOTICES, plant="no such text"), "--plant", "other-code", path=tmp_path)
    assert done.returncode == 2
    assert "'no such text' stands 0 times in errors.py" in done.stderr


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (Plant(name="p", file="some.py", old="none", new="1"), "stands 0 times"),
        (Plant(name="p", file="some.py", old="two", new="1"), "stands 2 times"),
        (Plant(name="p", file="some.py", old="once", new="once"), "changes nothing"),
        (Plant(name="p", file="other.py", old="once", new="1"), "no file other.py"),
    ],
)
def test_plant_is_refused_when_it_cannot_stand(plant: Plant, told: str, tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text("two two once")
    with pytest.raises(PlantRefused, match=told), planting.planted(plant, tmp_path):
        pass


def test_program_without_the_bug_is_not_taken_for_the_one_with_it(tmp_path: Path) -> None:
    with pytest.raises(PlantRefused, match="without the bug"):
        planting.require_copy(tmp_path, PLANT)


def test_row_has_a_cell_for_each_column_of_the_results(tmp_path: Path) -> None:
    head = next(line for line in report.RESULTS.read_text("utf-8").splitlines() if line.startswith("| Date |"))
    row = report.row(ran(job_of(toy(third_is_wrong), tmp_path)), "a | b")
    assert row.count("|") == head.count("|")
    assert "| toy | VIOLATED | 5 of 5 | 1 | trials 5 | 7 |" in row


def test_campaigns_are_listed_with_what_they_prove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "threads"]) == 0
    told = capsys.readouterr().out
    assert "never meet a lock that fails" in told
    assert "250 trials; at least transactions 100,000; plants: deferred-begin" in told


def test_campaign_that_is_not_there_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nowhere"], ["no.such.module"], ["threads", "--plant", "nothing"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    told = capsys.readouterr().err
    assert "there is no campaign nowhere" in told
    assert "there is no campaign no.such.module" in told
    assert "there is no plant nothing in threads" in told
