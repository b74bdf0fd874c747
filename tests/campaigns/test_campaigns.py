"""Each campaign in small, and each of its plants caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns import listing, runner
from tests.campaigns.__main__ import main
from tests.campaigns.runner import Job

SEED = 20260401


def one_group(name: str) -> pytest.MarkDecorator:
    """One worker runs all of a campaign: two at a time would disturb each other's timing."""
    return pytest.mark.xdist_group(f"campaign {name}")


def require(name: str) -> None:
    lacking = listing.missing(name)
    if lacking:
        pytest.skip(lacking)


def small() -> list[object]:
    return [pytest.param(name, marks=one_group(name)) for name in listing.names()]


def plants() -> list[object]:
    return [
        pytest.param(name, plant.name, marks=one_group(name), id=f"{name}-{plant.name}")
        for name in listing.names()
        for plant in listing.find(name).plants
    ]


@pytest.mark.parametrize("name", small())
def test_small_campaign_finds_no_violation(name: str, tmp_path: Path) -> None:
    require(name)
    campaign = listing.find(name)
    job = Job(campaign=campaign, seed=SEED, trials=campaign.small, folder=tmp_path, commit="")
    run = runner.run(job, watch=lambda _record, _done: None)
    assert run.violations == []
    assert len(run.records) == campaign.small
    assert sum(run.figures.values()) > 0


@pytest.mark.parametrize(("name", "plant"), plants())
def test_small_campaign_catches_what_is_planted(
    name: str, plant: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    require(name)
    trials = str(listing.find(name).small)
    options = ["--seed", str(SEED), "--trials", trials, "--plant", plant, "--dir", str(tmp_path)]
    code = main([name, *options])
    told = capfd.readouterr().out
    assert code == 0
    assert f"planted {plant}: caught" in told
    assert "the trial raised an error" not in told  # a program that only breaks down is not what was looked for
