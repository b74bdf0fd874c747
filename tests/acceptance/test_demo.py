"""``connector demo``: everything once, and the figures add up."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.demo.returns import generate

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Ledger = Callable[[Path], dict[tuple[str, str], dict[str, Any]]]
Demonstration = tuple[Path, subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.xdist_group("acceptance_demo")

ROOT = Path(__file__).parents[2]

FATES = {
    "quantity_above_original": ("quarantined", "finished"),
    "list_unknown_to_customs": ("rejected", "finished"),
    "list_unknown_to_us": ("quarantined", "finished"),
    "control_character": ("quarantined", "finished"),
    "unknown_unit": ("quarantined", "finished"),
    "missing_waybill": ("quarantined", "quarantined"),
}
"""Planted fault -> what becomes of CEB213 and CEB215."""


@pytest.fixture(scope="module")
def second(connector: Run, tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    """More returns than one message takes."""
    folder = tmp_path_factory.mktemp("second") / "new" / "demo"
    return folder, connector(None, "demo", "--dir", str(folder), "--returns", "137", "--seed", "20", "--json")


@pytest.fixture(params=[("demonstration", 60, 2), ("second", 137, 20)], ids=["60 returns", "137 returns"])
def case(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any], int, int]:
    name, returns, seed = request.param
    folder, result = request.getfixturevalue(name)
    return folder, json.loads(result.stdout), returns, seed


Case = tuple[Path, dict[str, Any], int, int]


def planted(returns: int, seed: int) -> dict[str, set[str]]:
    """Kind of fault -> numbers of the receipts that have it."""
    found: dict[str, set[str]] = {kind: set() for kind in FATES}
    for parcel in generate(returns, seed):
        if parcel.fault:
            found[parcel.fault.value].add(parcel.order_no)
    return found


def test_demo_figures_add_up_when_it_is_over(case: Case) -> None:
    _, figures, returns, seed = case
    faults = planted(returns, seed)
    fates = [FATES[kind] for kind, numbers in faults.items() for _ in numbers]
    assert len(fates) == round(returns / 10)
    assert figures["schema_version"] == 1
    assert figures["returns"] == returns
    assert figures["expected"] == 2 * returns
    assert figures["unanswered"] == 0
    assert figures["rejected"] == sum(fate.count("rejected") for fate in fates)
    assert figures["quarantined"] == sum(fate.count("quarantined") for fate in fates)
    assert figures["released"] == returns - len(fates)
    assert figures["finished"] == returns - len(faults["missing_waybill"])
    assert figures["documents"] == figures["expected"] - figures["quarantined"]
    parts = ("quarantined", "released", "finished", "rejected", "unanswered")
    assert figures["expected"] == sum(figures[part] for part in parts)
    assert figures["faults"] == {
        kind: {"planted": len(numbers), "caught": len(numbers)} for kind, numbers in faults.items()
    }
    assert figures["surprises"] == []


def test_demo_sends_full_messages_when_there_are_more_documents_than_one_takes(second: Demonstration) -> None:
    figures = json.loads(second[1].stdout)
    assert figures["messages"] == 4


def test_demo_catches_each_planted_fault_by_its_kind_when_it_is_over(case: Case, read: Read) -> None:
    folder, figures, returns, seed = case
    documents = read(folder, "documents", "list")["documents"]
    waiting = read(folder, "quarantine", "list")["quarantine"]
    assert len(documents) == figures["documents"]
    assert len(waiting) == figures["quarantined"]
    found = {(one["business_key"].rpartition("/")[2], one["type"]): one["customs_status"] for one in documents}
    found |= {(one["key"], one["type"]): "quarantined" for one in waiting}
    faults = planted(returns, seed)
    fates = {number: FATES[kind] for kind, numbers in faults.items() for number in numbers}
    expected: dict[tuple[str, str], str] = {}
    for parcel in generate(returns, seed):
        refund, tally = fates.get(parcel.order_no, ("released", "finished"))
        expected |= {(parcel.order_no, "CEB213"): refund, (parcel.order_no, "CEB215"): tally}
    assert found == expected

    codes = {(one["business_key"].rpartition("/")[2], one["type"]): one["customs_code"] for one in documents}
    reasons = {(one["key"], one["type"]): " ".join(fault["text"] for fault in one["faults"]) for one in waiting}
    assert {codes[number, "CEB213"] for number in faults["list_unknown_to_customs"]} <= {"100"}
    assert all(reasons[number, "CEB213"].startswith("R5: ") for number in faults["quantity_above_original"])
    assert all("999" in reasons[number, "CEB213"] for number in faults["unknown_unit"])
    assert all("gname" in reasons[number, "CEB213"] for number in faults["control_character"])


def test_demo_brings_every_document_to_customs_once_when_it_is_over(case: Case, read: Read) -> None:
    folder, figures, _, _ = case
    held = read(folder, "simulator", "ledger")
    assert len(held["documents"]) == figures["documents"]
    assert {one["times_received"] for one in held["documents"]} == {1}
    accepted = [one["times_accepted"] for one in held["documents"]]
    assert sorted(set(accepted)) == [0, 1]
    assert accepted.count(1) == figures["released"] + figures["finished"]
    assert {one["times_received"] for one in held["messages"]} == {1}
    ours = {one["id"]: one["digest"] for one in read(folder, "messages", "list")["messages"]}
    assert {one["id"]: one["digest"] for one in held["messages"]} == ours
    assert len(ours) == figures["messages"]


def test_demo_configuration_is_usable_when_it_is_over(case: Case, read: Read) -> None:
    folder, figures, _, _ = case
    status = read(folder, "status")
    assert status["messages"] == {"delivered": figures["messages"]}
    assert status["quarantined"] == figures["quarantined"]
    assert status["audit_entries"] == figures["audit_entries"]
    assert status["unmatched_receipts"] == 0


def test_demo_tells_what_is_under_way_on_stderr_when_it_prints_json(demonstration: Demonstration) -> None:
    said = demonstration[1].stderr.splitlines()
    assert said == [
        "building the sample enterprise",
        "starting the simulated customs office",
        "waiting for customs' answers",
    ]


def test_demo_writes_nothing_when_the_folder_holds_something(connector: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = connector(None, "demo", "--dir", str(tmp_path), "--json", code=2)
    assert "is not empty" in result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_demo_stops_its_customs_office_when_it_is_told_to_end(
    environment: dict[str, str], tmp_path: Path, port_of: Callable[[Path], int]
) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "connector", "demo", "--dir", str(folder)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("waiting"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.communicate()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port_of(folder))) != 0


@pytest.mark.parametrize(
    ("path", "command"), [("bin", "connector"), ("", "bin/connector")], ids=["on the path", "not on the path"]
)
def test_demo_names_the_command_as_it_can_be_typed_when_it_is_over(
    environment: dict[str, str], tmp_path: Path, path: str, command: str
) -> None:
    program = tmp_path / "bin" / "connector"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom connector.__main__ import main\nmain()\n")
    program.chmod(0o755)
    done = subprocess.run(
        [program, "demo", "--returns", "1"],
        cwd=tmp_path,
        env=environment | {"PATH": str(tmp_path / path) if path else "/nonexistent", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    tips = [line.strip() for line in done.stdout.partition("Try next:")[2].splitlines() if line]
    assert len(tips) == 5
    assert all(tip.startswith(f"{command} --config demo/connector.toml ") for tip in tips)
