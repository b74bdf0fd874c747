"""`[audit] anchor`: what customs got holds a checkpoint of the log, and shows a log that was set back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.conftest import CheckEvidence

Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_reading")


@pytest.fixture
def anchored(enterprise: Path, office: Office, connector: Run, edit: Edit) -> Path:
    """Six returns sent while the log had a checkpoint, and taken in by customs."""
    edit(enterprise / "connector.toml", "[audit]\n", "[audit]\nanchor = true\n")
    (enterprise / "warehouse.db").rename(enterprise / "away.db")
    with office(enterprise):
        connector(enterprise, "run", "--once", code=5)  # signs the first checkpoint
        (enterprise / "away.db").rename(enterprise / "warehouse.db")
        connector(enterprise, "run", "--once")
    return enterprise


def carried(folder: Path, connector: Run, read: Read, place: Path) -> Path:
    """A message as customs has it."""
    message = read(folder, "messages", "list")["messages"][0]["id"]
    file = place / "message.xml"
    file.write_text(connector(folder, "messages", "show", message, "--xml").stdout, "utf-8")
    return file


def test_message_is_a_checkpoint_from_outside(
    anchored: Path, connector: Run, read: Read, query: Query, tmp_path: Path, check_evidence: CheckEvidence
) -> None:
    sent = carried(anchored, connector, read, tmp_path)
    assert "<ceb:name>tlog-checkpoint</ceb:name>" in sent.read_text("utf-8")
    assert read(anchored, "audit", "verify", "--checkpoint", str(sent))["from_outside"] == 1
    assert {one["delivery_state"] for one in read(anchored, "messages", "list")["messages"]} == {"delivered"}
    ((size,),) = query(anchored / "connector.db", "SELECT min(size) FROM audit_checkpoint")
    (signed, *_) = read(anchored, "audit", "list", "--event", "signed")["entries"]
    assert signed["detail"]["anchor"] == size
    bundle = tmp_path / "bundle.zip"
    connector(anchored, "audit", "export", "--document", "RK10000001", "--reason", "asked", "--out", str(bundle))
    key = connector(anchored, "audit", "key").stdout.split()[0]
    said = check_evidence("--key", key, "--checkpoint", sent, bundle)
    assert f"the checkpoint of {size} entries from outside agrees" in said


def test_message_of_a_log_that_was_made_anew_shows_it(
    anchored: Path, connector: Run, read: Read, query: Query, tmp_path: Path
) -> None:
    sent = carried(anchored, connector, read, tmp_path)
    for (name,) in query(anchored / "connector.db", "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        query(anchored / "connector.db", f"DROP TRIGGER {name}")
    query(anchored / "connector.db", "DELETE FROM audit_checkpoint")
    query(anchored / "connector.db", "DELETE FROM audit_entry WHERE sequence > 1")
    (anchored / "checkpoints.txt").unlink()
    connector(anchored, "audit", "verify")
    assert "checkpoint_missing" in connector(anchored, "audit", "verify", "--checkpoint", str(sent), code=9).stdout


def test_message_with_a_checkpoint_is_built_again_and_identical(anchored: Path, read: Read, query: Query) -> None:
    replayed = read(anchored, "documents", "replay", "RK10000001")["messages"]
    assert all(one["is_identical"] for one in replayed)
    for (name,) in query(anchored / "connector.db", "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        query(anchored / "connector.db", f"DROP TRIGGER {name}")
    for damage in ("UPDATE audit_checkpoint SET note = note || 'x'", "DELETE FROM audit_checkpoint"):
        query(anchored / "connector.db", damage)
        replayed = read(anchored, "documents", "replay", "RK10000001", code=3)["messages"]
        assert {tuple(one["changed"]) for one in replayed} == {("checkpoint",)}
