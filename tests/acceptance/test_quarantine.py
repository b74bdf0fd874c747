"""`connector quarantine` as a clerk and whoever keeps the mappings use it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Query, Read, Run
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
    sample: Path, office: Office, connector: Run, read: Read
) -> None:
    waiting = read(sample, "quarantine", "list")["quarantine"]
    held = [one for one in waiting if one["reason"] == "control_character"]
    assert held
    mapping = mappings_of(sample) / "CEB213.toml"
    line = 'gname  = { field = "export_line.gname" }'
    text = mapping.read_text("utf-8")
    assert text.count(line) == 2  # what is declared, and what the rules hold it against
    mapping.write_text(text.replace(line, line.replace(" }", ', text = { control = "strip" } }')), "utf-8")
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


def _changed_after_acceptance(folder: Path, query: Query, read: Read) -> dict[str, Any]:
    """A released return application whose row was changed afterwards, as it waits."""
    query(
        folder / "archive.db",
        "UPDATE return_transport SET voyage_no = 'CORRECTED' WHERE waybill IN "
        "(SELECT waybill FROM return_transport ORDER BY waybill LIMIT 1)",
    )
    ((waybill,),) = query(folder / "archive.db", "SELECT waybill FROM return_transport WHERE voyage_no = 'CORRECTED'")
    query(
        folder / "warehouse.db",
        "UPDATE wms_receipt_order SET total_amount = '9.99', update_time = '2026-10-08 09:00:00.000' WHERE remark = ?",
        waybill,
    )
    read(folder, "run", "--once", code=3)
    waiting = read(folder, "quarantine", "list", "--waybill", waybill, "--type", "CEB213")["quarantine"]
    (held,) = [one for one in waiting if one["reason"] == "changed_after_acceptance"]
    return dict(held)


@pytest.mark.parametrize("option", ["", "--void"])
def test_release_changes_or_deletes_what_customs_accepted(
    sample: Path, office: Office, connector: Run, read: Read, query: Query, option: str
) -> None:
    released_as, app_type = ("delete", "3") if option else ("change", "2")
    with office(sample):
        held = _changed_after_acceptance(sample, query, read)
        release = ["quarantine", "release", held["key"], "--type", "CEB213", "--reason", "wrong carrier"]
        release += [option] if option else []
        assert "nobody is there to confirm" in connector(sample, *release, code=2).stderr
        (freed,) = read(sample, *release, "--yes", "--actor", "wang")["released"]
        assert freed["released_as"] == released_as
        for _ in range(3):  # through all stages of the office
            read(sample, "run", "--once")
        documents = read(sample, "documents", "list", "--key", held["business_key"], "--type", "CEB213")["documents"]
    assert [(one["revision"], one["app_type"]) for one in documents] == [(1, "1"), (2, app_type)]
    assert [one["customs_status"] for one in documents] == ["released", "released"]
    waiting = read(sample, "quarantine", "list", "--type", "CEB213")["quarantine"]
    assert held["key"] not in {one["key"] for one in waiting}
    (entry,) = read(sample, "audit", "list", "--event", "released", "--actor", "wang")["entries"]
    assert entry["detail"] == {"reason": "wrong carrier", "waited_for": "changed_after_acceptance", "as": released_as}


def test_release_counts_no_more_when_the_row_changed_again(
    sample: Path, office: Office, connector: Run, read: Read, query: Query
) -> None:
    with office(sample):
        held = _changed_after_acceptance(sample, query, read)
        connector(sample, "quarantine", "release", held["key"], "--type", "CEB213", "--reason", "x", "--yes")
        query(
            sample / "warehouse.db",
            "UPDATE wms_receipt_order SET total_amount = '8.88', update_time = '2026-10-08 10:00:00.000' "
            "WHERE order_no = ?",
            held["key"],
        )
        run = read(sample, "run", "--once", code=0)
    assert run["documents"] == 0
    (again,) = read(sample, "quarantine", "list", "--key", held["key"], "--type", "CEB213")["quarantine"]
    assert again["reason"] == "changed_after_acceptance"


def test_release_is_refused_when_there_is_nothing_that_could_go_out(played: Path, connector: Run, read: Read) -> None:
    waiting = read(played, "quarantine", "list")["quarantine"]
    held = next(one for one in waiting if one["reason"] == "required_missing")
    refused = connector(played, "quarantine", "release", held["key"], "--reason", "x", "--yes", code=2).stderr
    assert "cannot be released" in refused
    assert "quarantine retry" in refused
    assert (
        "nothing in quarantine has the key"
        in connector(played, "quarantine", "release", "nobody", "--reason", "x", "--yes", code=2).stderr
    )
