"""What was signed is built again, from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.conftest import Edit, Read, Run


def test_message_of_a_return_is_built_again_and_identical(played: Path, connector: Run, read: Read) -> None:
    said = connector(played, "documents", "replay", "RK10000001").stdout
    assert said.count(": identical, ") == 2
    assert "what was read is not stored" in said
    found = read(played, "documents", "replay", "RK10000001")["messages"]
    assert {(one["type"], one["is_identical"]) for one in found} == {("CEB213", True), ("CEB215", True)}
    assert all(one["changed"] == [] for one in found)


def test_key_that_no_message_carried_is_refused(played: Path, connector: Run) -> None:
    assert "no message carried RK0" in connector(played, "documents", "replay", "RK0", code=2).stderr


def test_mapping_that_changed_is_named_and_the_old_one_can_be_given(
    sample: Path, connector: Run, read: Read, edit: Edit, tmp_path: Path
) -> None:
    before = mappings_of(sample)
    shutil.copytree(before, tmp_path / "then")
    edit(before / "CEB213.toml", "agentName     = { value = ", 'agentName     = { const = "某" } # { value = ')
    found = read(sample, "documents", "replay", "RK10000001", code=3)["messages"]
    assert {one["type"]: one["changed"] for one in found} == {"CEB213": ["mapping"], "CEB215": []}
    said = connector(sample, "documents", "replay", "RK10000001", code=3).stdout
    assert "NOT IDENTICAL; what changed: mapping" in said
    assert "--mappings DIR" in said
    connector(sample, "documents", "replay", "RK10000001", "--mappings", str(tmp_path / "then"))


def test_archive_that_cannot_be_asked_is_no_difference(sample: Path, connector: Run) -> None:
    (sample / "archive.db").rename(sample / "away.db")
    assert "error: " in connector(sample, "documents", "replay", "RK10000001", code=5).stderr


def mappings_of(folder: Path) -> Path:
    """The mapping folder of a configuration."""
    (line,) = [one for one in (folder / "connector.toml").read_text("utf-8").splitlines() if one.startswith("mappings")]
    return folder / line.split('"')[1]
