"""``connector simulator faults``, as a user types it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from connector.simulator.admin import FAULTS_PATH
from connector.simulator.remote import call

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]


@pytest.fixture(scope="module")
def running(
    new_enterprise: Callable[[], Path], office: Callable[[Path], AbstractContextManager[None]]
) -> Iterator[Path]:
    """An enterprise with six returns to send, and its office."""
    folder = new_enterprise()
    with office(folder):
        yield folder


def test_faults_are_set_shown_and_cleared(running: Path, connector: Run, read: Read) -> None:
    arguments = ["seed=7", "drop=0.25", "services=submissions,receipts", "rate_requests=100"]
    state = read(running, "simulator", "faults", "set", *arguments)
    changed = {"seed": 7, "drop": 0.25, "services": ["submissions", "receipts"], "rate_requests": 100}
    assert changed.items() <= state["settings"].items()
    assert read(running, "simulator", "faults", "show") == state

    shown = [line.split() for line in connector(running, "simulator", "faults").stdout.splitlines()]
    assert ["set", "seed", "7"] in shown
    assert ["set", "drop", "0.25"] in shown
    assert ["set", "services", "submissions,", "receipts"] in shown
    assert "hang_seconds" not in str(shown)

    registry = ("--registry", str(running / "registry.toml"))
    assert connector(None, "simulator", "faults", "clear", *registry).stdout.startswith("no faults")


def test_ordered_fault_is_played_on_the_next_submission(running: Path, connector: Run, read: Read) -> None:
    state = read(running, "simulator", "faults", "clear", "--next", "drop", "--times", "99")
    assert state["next"] == [{"fault": "drop", "times": 99, "service": "submissions"}]

    connector(running, "run", "--once", code=6)

    played = read(running, "simulator", "faults")["played"]["drop"]
    assert 0 < played < 99
    shown = [line.split() for line in connector(running, "simulator", "faults").stdout.splitlines()]
    assert ["waits", "drop", str(99 - played), "times,", "submissions"] in shown
    assert ["played", "drop", str(played), "times"] in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "drop=2"], "drop: Input should be less than or equal to 1"),
        (["set", "dropp=0.1", "cut=much"], "dropp: is not a known key"),
        (["drop=1"], "'drop=1' is not one of"),
        (["--next", "dropp"], "fault: Input should be 'reset_on_accept', 'drop'"),
    ],
)
def test_faults_are_refused_and_stay_as_they_were_when_they_make_no_sense(
    running: Path, connector: Run, port_of: Callable[[Path], int], arguments: list[str], said: str
) -> None:
    address = ("127.0.0.1", port_of(running))
    before = call(address, FAULTS_PATH, {"empty": 0.5, "services": ["receipts"]})

    assert said in connector(running, "simulator", "faults", *arguments, code=2).stderr

    assert call(address, FAULTS_PATH) == before


def test_faults_need_a_running_office(enterprise: Path, connector: Run) -> None:
    said = connector(enterprise, "simulator", "faults", "--next", "drop", code=6).stderr

    assert "no simulated customs office answers at 127.0.0.1:" in said
    assert "remedy: start it first: connector simulator serve" in said


def test_faults_need_an_office_and_not_another_program(
    enterprise: Path, connector: Run, peer: Callable[..., int], port_of: Callable[[Path], int], tmp_path: Path
) -> None:
    other = peer(lambda _request: None)
    registry = tmp_path / "registry.toml"
    text = (enterprise / "registry.toml").read_text("utf-8")
    registry.write_text(text.replace(f":{port_of(enterprise)}", f":{other}"), "utf-8")

    said = connector(None, "simulator", "faults", "set", "drop=1", "--registry", str(registry), code=6).stderr
    assert f"no simulated customs office answers at 127.0.0.1:{other}" in said

    registry.write_text(text.replace(f":{port_of(enterprise)}", ":0"), "utf-8")
    said = connector(None, "simulator", "faults", "--registry", str(registry), code=2).stderr
    assert "listen on any free port" in said
