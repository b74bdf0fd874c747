"""`connector audit verify` as a user has it: exit codes, words, and checkpoints from outside."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Query = Callable[..., list[Any]]

pytestmark = pytest.mark.xdist_group("acceptance_reading")


@pytest.fixture
def copy(played: Path, tmp_path: Path) -> Path:
    """A copy of the played demonstration without the guard of its log."""
    folder = tmp_path / "demo"
    shutil.copytree(played, folder)
    return folder


@pytest.fixture
def alter(copy: Path, query: Query) -> Callable[[str], None]:
    """Runs a statement that the guard would refuse."""

    def run(statement: str) -> None:
        for (name,) in query(copy / "connector.db", "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            query(copy / "connector.db", f"DROP TRIGGER {name}")
        query(copy / "connector.db", statement)

    return run


def checkpoint_file(folder: Path) -> Path:
    """Where the sample enterprise keeps its checkpoints."""
    line = next(
        line for line in (folder / "connector.toml").read_text("utf-8").splitlines() if "checkpoint_file" in line
    )
    return folder / line.partition('"')[2].rstrip('"')


def without_audit(folder: Path) -> None:
    """Take [audit] out of the configuration."""
    head, _, rest = (folder / "connector.toml").read_text("utf-8").partition("[audit]")
    (folder / "connector.toml").write_text(head + rest[rest.index("\n[") :], "utf-8")


def test_verify_says_in_one_line_that_all_is_well(played: Path, connector: Run, read: Read, query: Query) -> None:
    ((entries,),) = query(played / "connector.db", "SELECT count(*) FROM audit_entry")
    ((checkpoints,),) = query(played / "connector.db", "SELECT count(*) FROM audit_checkpoint")
    assert checkpoints
    done = connector(played, "audit", "verify")
    verifies = f"the log verifies: {entries} entries, {checkpoints} checkpoints"
    assert done.stdout == f"{verifies}, 0 entries are not covered by a checkpoint yet\n"
    assert "cut off" in done.stderr
    found = read(played, "audit", "verify", "--checkpoint", str(checkpoint_file(played)))
    assert (found["verifies"], found["entries"], found["findings"]) == (True, entries, [])
    assert found["from_outside"] == checkpoints
    assert (
        "Without a checkpoint"
        not in connector(played, "audit", "verify", "--checkpoint", str(checkpoint_file(played))).stderr
    )


def test_verify_ends_with_9_and_names_the_first_bad_entry(
    copy: Path, alter: Callable[[str], None], connector: Run, read: Read
) -> None:
    alter("UPDATE audit_entry SET event = 'forged' WHERE sequence IN (17, 20)")
    alter("UPDATE audit_entry SET body = replace(body, 'a', 'b') WHERE sequence = 9")
    done = connector(copy, "audit", "verify", code=9)
    assert done.stdout.split()[:3] == ["altered_body", "entry", "9:"]
    assert "the first bad entry is 9" in done.stderr
    found = read(copy, "audit", "verify", code=9)
    assert (found["verifies"], found["first_bad_entry"]) == (False, 9)
    assert {"fault": "altered_column", "entry": 17, "text": "not what the body says: event"} in found["findings"]


def test_verify_needs_a_checkpoint_from_outside_to_see_a_cut_tail(
    copy: Path, alter: Callable[[str], None], connector: Run, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    shutil.copyfile(checkpoint_file(copy), kept)
    alter("DELETE FROM audit_entry WHERE sequence > 50")
    alter("DELETE FROM audit_checkpoint WHERE size > 50")
    checkpoint_file(copy).write_bytes(b"")
    connector(copy, "audit", "verify")
    done = connector(copy, "audit", "verify", "--checkpoint", str(kept), code=9)
    assert "log_cut" in done.stdout
    assert "the first bad entry is 51" in done.stderr


def test_verify_takes_the_key_from_the_command_line_where_none_is_configured(
    copy: Path, connector: Run, tmp_path: Path
) -> None:
    key = connector(copy, "audit", "key").stdout.strip()
    kept = tmp_path / "kept.txt"
    shutil.copyfile(checkpoint_file(copy), kept)
    without_audit(copy)
    done = connector(copy, "audit", "verify")
    assert "no checkpoints are signed" in done.stderr
    assert "checkpoints not verified for want of a key" in done.stdout
    assert "--key" in connector(copy, "audit", "verify", "--checkpoint", str(kept), code=2).stderr
    done = connector(copy, "audit", "verify", "--checkpoint", str(kept), "--key", key)
    assert "from outside" in done.stdout
    assert "not covered" in done.stdout
    connector(copy, "audit", "verify", "--key", key[:-4], code=4)


def test_verify_refuses_a_file_without_a_checkpoint(played: Path, connector: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("nothing\n")
    done = connector(played, "audit", "verify", "--checkpoint", str(tmp_path / "empty.txt"), code=2)
    assert "no signed checkpoint" in done.stderr
    connector(played, "audit", "verify", "--checkpoint", str(tmp_path / "none.txt"), code=2)


def test_help_says_what_cannot_be_shown(connector: Run) -> None:
    told = " ".join(connector(None, "audit", "verify", "--help", COLUMNS="200").stdout.replace("│", " ").split())
    assert "set back to an earlier copy" in told
    assert "not itself signed" in told


def test_status_and_doctor_tell_what_no_checkpoint_covers(
    copy: Path, alter: Callable[[str], None], connector: Run, read: Read
) -> None:
    entries = read(copy, "status")["audit_entries"]
    assert read(copy, "status")["audit_uncovered"] == {"entries": 0, "since": None}
    assert "no checkpoint covers" not in connector(copy, "status").stdout
    alter("DELETE FROM audit_checkpoint")
    found = read(copy, "status")["audit_uncovered"]
    assert found["entries"] == entries
    assert (
        f"audit entries that no checkpoint covers yet: {entries}, the first of 20" in connector(copy, "status").stdout
    )
    (check,) = [one for one in read(copy, "doctor", "--offline", code=9)["checks"] if one["check"] == "audit log"]
    assert check["level"] == "fault"
    assert "is not in the database" in check["text"]
    checkpoint_file(copy).unlink()
    (check,) = [one for one in read(copy, "doctor", "--offline")["checks"] if one["check"] == "audit log"]
    assert check["level"] == "ok"
    assert f"{entries} entries are not covered by one yet, the first of 20" in check["text"]


def test_doctor_warns_where_no_checkpoints_are_signed(copy: Path, read: Read) -> None:
    without_audit(copy)
    (check,) = [one for one in read(copy, "doctor", "--offline")["checks"] if one["check"] == "audit log"]
    assert check["level"] == "warning"
    assert "[audit]" in check["remedy"]
