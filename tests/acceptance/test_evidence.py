"""What an auditor is handed, from the command line: a proof, the key, and the program that checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.conftest import ROOT, CheckEvidence


def test_entry_is_proved_and_checked_without_the_connector(
    played: Path, connector: Run, read: Read, check_evidence: CheckEvidence, tmp_path: Path
) -> None:
    key = read(played, "audit", "key")["verifier_key"]
    file = tmp_path / "17.tlog-proof"
    assert connector(played, "audit", "prove", "17", "--out", str(file)).stdout == ""
    assert connector(played, "audit", "prove", "17").stdout == file.read_text("utf-8")
    (entry,) = read(played, "audit", "show", "17")["entries"]
    said = check_evidence("--key", key, "--checkpoint", played / "checkpoints.txt", file)
    assert "entry 17 is in the log" in said
    assert entry["event"] in said
    assert "agrees" in said
    lines = file.read_text("utf-8").splitlines(keepends=True)
    assert sum(len(line.encode()) for line in lines if not line.startswith("extra ")) <= 1024


def test_verifier_is_handed_out_as_it_is(connector: Run, tmp_path: Path) -> None:
    program = ROOT / "connector/audit/standalone/check_evidence.py"
    file = tmp_path / "check_evidence.py"
    connector(None, "audit", "verifier", "--out", str(file))
    assert file.read_bytes() == program.read_bytes()
    assert connector(None, "audit", "verifier").stdout == program.read_text("utf-8")
    said = connector(None, "audit", "verifier", "--out", str(file), code=2).stderr
    assert "File exists" in said
    assert "name a file that does not exist yet" in said


def test_prove_says_so_when_there_is_nothing_to_prove(
    played: Path, new_enterprise: Callable[[], Path], connector: Run, edit: Edit
) -> None:
    assert "there is no audit entry 999999" in connector(played, "audit", "prove", "999999", code=2).stderr
    folder = new_enterprise()
    edit(folder / "connector.toml", "[audit]", "[audit_]")
    text = (folder / "connector.toml").read_text("utf-8")
    head, _, rest = text.partition("[audit_]\n")
    (folder / "connector.toml").write_text(head + rest[rest.index("\n[") :], "utf-8")
    assert "there is no [audit]" in connector(folder, "audit", "prove", "1", code=4).stderr
    asked = ("audit", "export", "--document", "x", "--reason", "asked for", "--out", str(folder / "evidence.zip"))
    assert "there is no [audit]" in connector(folder, *asked, code=4).stderr


def test_return_is_exported_and_checked_without_the_connector(
    sample: Path, connector: Run, read: Read, check_evidence: CheckEvidence, tmp_path: Path
) -> None:
    key = read(sample, "audit", "key")["verifier_key"]
    number = read(sample, "documents", "list", "--type", "CEB213")["documents"][0]["business_key"].rpartition("/")[2]
    story = read(sample, "documents", "show", number)["entries"]
    file = tmp_path / "evidence.zip"
    asked = ("audit", "export", "--document", number, "--out", str(file))
    exported = read(sample, *asked, "--reason", "a question of customs", "--actor", "wang")
    assert exported["entries"] == len(story)
    assert exported["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    (entry,) = read(sample, "audit", "list", "--event", "exported", "--actor", "wang")["entries"]
    assert entry["detail"]["digest"] == exported["digest"]
    said = check_evidence("--key", key, "--checkpoint", sample / "checkpoints.txt", file)
    assert f"{len(story)} entries are in the log" in said
    assert "agrees" in said
    assert "File exists" in connector(sample, *asked, "--reason", "again", code=2).stderr
    assert hashlib.sha256(file.read_bytes()).hexdigest() == exported["digest"]
    period = ("audit", "export", "--from", "2020-01-01", "--to", "2100-01-01", "--reason", "asked for")
    everything = read(sample, *period, "--out", str(tmp_path / "all.zip"))
    assert f"{everything['entries']} entries are" in check_evidence("--key", key, tmp_path / "all.zip")
    for wrong in ((), ("--document", number, "--to", "2100-01-01"), ("--from", "2020-01-01")):
        rest = ("--out", str(tmp_path / "x.zip"), "--reason", "asked for")
        assert "name what to export" in connector(sample, "audit", "export", *wrong, *rest, code=2).stderr
    assert "--reason is empty" in connector(sample, *asked, "--reason", " ", code=2).stderr


def test_altered_entry_is_not_proved(sample: Path, connector: Run, query: Query) -> None:
    for (trigger,) in query(sample / "connector.db", "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        query(sample / "connector.db", f"DROP TRIGGER {trigger}")
    query(sample / "connector.db", "UPDATE audit_entry SET body = hashes WHERE sequence = 17")
    said = connector(sample, "audit", "prove", "17", code=9)
    assert "audit entry 17 cannot be proved" in said.stderr
    assert said.stdout == ""
    connector(sample, "audit", "prove", "18")
