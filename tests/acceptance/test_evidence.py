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


def test_entry_whose_column_was_altered_is_exported_as_its_body_says(
    sample: Path, connector: Run, query: Query, check_evidence: CheckEvidence, read: Read, tmp_path: Path
) -> None:
    for (trigger,) in query(sample / "connector.db", "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        query(sample / "connector.db", f"DROP TRIGGER {trigger}")
    query(sample / "connector.db", "UPDATE audit_entry SET event = 'answered' WHERE event = 'collected'")
    file = tmp_path / "b.zip"
    connector(sample, "audit", "export", "--document", "RK10000001", "--reason", "asked", "--out", str(file))
    assert "good" in check_evidence("--key", read(sample, "audit", "key")["verifier_key"], file)


def test_what_cannot_be_written_is_told_in_plain_words(sample: Path, connector: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file" / "b.zip", tmp_path / "nowhere" / "b.zip"):
        asked = ("audit", "export", "--document", "RK10000001", "--reason", "asked", "--out", str(out))
        assert "nothing was written there" in connector(sample, *asked, code=2).stderr
    for wrong in (("audit", "show", "9" * 20), ("audit", "prove", "0"), ("audit", "list", "--limit", "9" * 20)):
        connector(sample, *wrong, code=2)


def test_earlier_copy_of_the_database_hands_out_nothing(sample: Path, connector: Run, tmp_path: Path) -> None:
    copy = (sample / "connector.db").read_bytes()
    ask = ("audit", "export", "--document", "RK10000001", "--reason", "asked", "--out")
    connector(sample, *ask, str(tmp_path / "1.zip"))
    connector(sample, *ask, str(tmp_path / "2.zip"))
    (sample / "connector.db").write_bytes(copy)
    for left in sample.glob("connector.db-*"):
        left.unlink()
    assert "a checkpoint was signed for" in connector(sample, *ask, str(tmp_path / "3.zip"), code=9).stderr
    assert "a checkpoint was signed for" in connector(sample, "audit", "prove", "1", code=9).stderr
    assert not (tmp_path / "3.zip").exists()


def test_key_of_another_kind_is_refused_in_plain_words(sample: Path, connector: Run) -> None:
    (sample / "certs/audit.key.pem").write_bytes((sample / "certs/enterprise.key.pem").read_bytes())
    assert "Ed25519" in connector(sample, "audit", "key", code=7).stderr
