"""What the doctor says of a folder of files, before the first one came and after."""

from __future__ import annotations

from pathlib import Path

from connector.bootstrap import build_collections
from connector.config import load
from connector.doctor.enterprise import collections, sources
from connector.doctor.examination import Check, examine
from connector.doctor.findings import Finding, Level
from tests.integration.any_warehouse import EVENTS, connect

_RECORDS = """\
records = "moves"
database = "drop"
query = "SELECT g._id, g.no FROM goods g"
key = ["no"]
unique = "_id"

[columns]
_id = "integer"
no = "text"
"""


def findings(config: Path) -> dict[str, list[Finding]]:
    """What is said of source and collection."""
    found = list(examine(load(config), [Check(name="s", look=sources), Check(name="c", look=collections)]))
    return {check: [one for one in found if one.check == check] for check in ("source drop", "collection moves")}


def test_doctor_says_what_a_folder_lacks_and_makes_nothing(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    source = (
        f'[sources.drop]\nurl = "sqlite:///{tmp_path / "staging.db"}"\nfolder = "{drop}"\ntimezone = "Asia/Shanghai"\n'
        'quiet_seconds = 0\n[sources.drop.files]\n"goods-*" = "goods"\n'
    )
    config = connect(tmp_path / "site", 8610, source, {"moves.toml": _RECORDS, "events.toml": EVENTS})
    found = findings(config)
    assert [one.level for one in found["source drop"]] == [Level.OK]
    assert ["no file has come yet" in one.text for one in found["collection moves"]] == [True]
    assert not (tmp_path / "staging.db").exists()
    (drop / "good-1.csv").write_text("no\n1\n")
    (drop / "goods-1.csv").write_text("no\n1\n")
    (collection,) = build_collections(load(config))
    collection.source.refresh()
    found = findings(config)
    assert [one.level for one in found["source drop"]] == [Level.OK, Level.WARNING]
    assert "good-1.csv" in found["source drop"][1].text
    assert [one.level for one in found["collection moves"]] == [Level.OK]
    (drop / "good-1.csv").unlink()
    (drop / "goods-1.csv").unlink()
    drop.rmdir()
    (fault,) = findings(config)["source drop"]
    assert (fault.level, fault.exit_code) == (Level.FAULT, 5)
