"""`connector quarantine` as a clerk and whoever keeps the mappings use it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.acceptance.conftest import Edit, Read, Run
from tests.acceptance.test_replay import mappings_of

Office = Callable[[Path], AbstractContextManager[None]]


def test_show_tells_every_reason_and_the_row_as_it_was(played: Path, connector: Run, read: Read) -> None:
    (held, *_) = read(played, "quarantine", "list", "--type", "CEB213")["quarantine"]
    said = connector(played, "quarantine", "show", held["key"]).stdout
    for fault in held["faults"]:
        assert fault["text"] in said
    (found,) = [one for one in read(played, "quarantine", "show", held["key"])["quarantine"] if one["type"] == "CEB213"]
    assert found["record"]["row"]["order_no"] == held["key"]
    assert found["record"]["lines"]
    assert "nothing in quarantine has the key" in connector(played, "quarantine", "show", "nobody", code=2).stderr


def test_retry_declares_what_a_corrected_mapping_makes_of_it(
    sample: Path, office: Office, connector: Run, read: Read, edit: Edit
) -> None:
    waiting = read(sample, "quarantine", "list")["quarantine"]
    held = [one for one in waiting if one["reason"] == "control_character"]
    assert held
    edit(
        mappings_of(sample) / "CEB213.toml",
        'gname  = { field = "export_line.gname" }',
        'gname  = { field = "export_line.gname", clean = "strip_control" }',
    )
    keys = [one["key"] for one in held]
    retry = ("quarantine", "retry", "--key", keys[0], "--reason", "control characters are stripped now")
    with office(sample):
        connector(sample, "run", "--once")
        assert keys[0] in {one["key"] for one in read(sample, "quarantine", "list")["quarantine"]}
        assert "nobody is there to confirm" in connector(sample, *retry, code=2).stderr
        tried = read(sample, *retry, "--yes", "--actor", "wang")["retried"]
        assert [(one["key"], one["type"]) for one in tried] == [(keys[0], "CEB213")]
        connector(sample, "run", "--once")
    assert keys[0] not in {one["key"] for one in read(sample, "quarantine", "list")["quarantine"]}
    (entry,) = read(sample, "audit", "list", "--event", "retried", "--actor", "wang")["entries"]
    assert (entry["source_key"], entry["detail"]["waited_for"]) == (f"returns/{keys[0]}", "control_character")
    assert entry["detail"]["reason"] == "control characters are stripped now"


def test_retry_of_nothing_does_nothing(played: Path, connector: Run) -> None:
    retry = ("quarantine", "retry", "--key", "nobody", "--reason", "x", "--yes")
    assert connector(played, *retry).stdout == "0 of 0 in quarantine wait to be prepared again\n"
    assert "--reason is empty" in connector(played, "quarantine", "retry", "--reason", " ", code=2).stderr
