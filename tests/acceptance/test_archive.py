"""`connector db archive` as an operator types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.conftest import CheckEvidence

RETENTION = """
[retention]
folder = "."
source_rows = 1
documents = 1
messages = 1
responses = 1
receipts = 1
"""


@pytest.fixture
def old(sample: Path, query: Query) -> Path:
    """A played demonstration of three days ago, with a policy of one day."""
    (sample / "connector.toml").write_text((sample / "connector.toml").read_text("utf-8") + RETENTION, "utf-8")
    times = [
        ("document", "customs_time"),
        ("receipt", "received_at"),
        ("receipt_envelope", "received_at"),
        ("source_record", "collected_at"),
    ]
    for table, column in times:
        query(
            sample / "connector.db", f"UPDATE {table} SET {column} = strftime('%Y-%m-%d %H:%M:%f', {column}, '-3 days')"
        )
    return sample


def test_payloads_are_shown_first_and_then_archived(
    old: Path, connector: Run, read: Read, check_evidence: CheckEvidence
) -> None:
    due = read(old, "db", "archive", "--dry-run")["due"]
    assert all(one["count"] and one["size"] for one in due.values())
    said = connector(old, "db", "archive", "--dry-run").stdout
    assert f"{due['documents']['count']:,}" in said
    assert not list(old.glob("archive-*"))
    assert "--reason is empty" in connector(old, "db", "archive", "--yes", code=2).stderr
    assert "nobody is there to confirm" in connector(old, "db", "archive", "--reason", "old", code=2).stderr
    assert not list(old.glob("archive-*"))
    done = read(old, "db", "archive", "--reason", "three years are over", "--yes", "--actor", "wang")
    assert done["removed"] == {kind: one["count"] for kind, one in due.items()}
    key = connector(old, "audit", "key").stdout.split()[0]
    for one in done["archives"]:
        assert "good" in check_evidence("--key", key, one["file"])
    assert [one["actor"] for one in read(old, "audit", "list", "--event", "archived")["entries"]] == ["wang"] * len(
        done["archives"]
    )
    connector(old, "audit", "verify")
    assert all(one["count"] == 0 for one in read(old, "db", "archive", "--dry-run")["due"].values())


def test_what_was_archived_is_said_to_be(old: Path, connector: Run, read: Read) -> None:
    connector(old, "db", "archive", "--reason", "old", "--yes")
    (message, *_) = read(old, "messages", "list")["messages"]
    for command in (("messages", "show", message["id"], "--xml"), ("documents", "replay", "RK10000001")):
        assert "--event archived --text KEY`" in connector(old, *command, code=2).stderr
    (document, *_) = read(old, "documents", "show", "RK10000001")["documents"]
    assert document["content"] is None
    assert document["customs_status"] == "released"
    (found, *_) = read(old, "audit", "list", "--text", document["business_key"], "--event", "archived")["entries"]
    assert (old / found["detail"]["file"]).exists()


def test_nothing_is_archived_where_nothing_says_how_long(played: Path, connector: Run) -> None:
    assert "[retention] names no payload" in connector(played, "db", "archive", "--dry-run", code=4).stderr


def test_folder_that_is_not_there_is_told_before_anything_is_done(old: Path, connector: Run, edit: Edit) -> None:
    edit(old / "connector.toml", 'folder = "."', 'folder = "nowhere"')
    assert "nowhere is no folder" in connector(old, "db", "archive", "--dry-run", code=4).stderr
