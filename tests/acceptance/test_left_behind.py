"""A document that customs holds although its record does not say it any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.acceptance.conftest import Edit, Query, Read, Run
from tests.acceptance.test_replay import mappings_of

Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_left_behind")

_LEFT_OUT = (
    'records = "returns"\n',
    'records = "returns"\nwhen = { field = "record.order_no", is_not = ["RK10000003"] }\n',
)
_OTHER_KEY = 'coElNo        = { field = "record.order_no" }', 'coElNo = { field = "record.waybill" }'
_KEY = "RK10000003"


def _remap(folder: Path, old: str, new: str) -> None:
    """Change the mapping of the return application."""
    mapping = mappings_of(folder) / "CEB213.toml"
    text = mapping.read_text("utf-8")
    assert text.count(old) == 1
    mapping.write_text(text.replace(old, new), "utf-8")


def _touch(folder: Path, query: Query, at: str) -> None:
    query(folder / "warehouse.db", "UPDATE wms_receipt_order SET update_time = ? WHERE order_no = ?", at, _KEY)


def _documents(folder: Path, read: Read) -> list[tuple[str, int, str, str]]:
    found = read(folder, "documents", "list", "--type", "CEB213")["documents"]
    (waybill,) = {one["waybill"] for one in found if one["business_key"].endswith(_KEY)}
    return sorted(
        (one["business_key"].rpartition("/")[2], one["revision"], one["app_type"], one["customs_status"])
        for one in found
        if one["waybill"] == waybill
    )


def _waiting(folder: Path, read: Read) -> list[str]:
    found = read(folder, "quarantine", "list", "--key", _KEY, "--type", "CEB213")["quarantine"]
    return [one["reason"] for one in found]


@pytest.mark.parametrize("change", [_LEFT_OUT, _OTHER_KEY], ids=["left out", "another key"])
def test_declared_document_waits_and_is_deleted_only_by_an_operator(
    sample: Path, office: Office, connector: Run, read: Read, query: Query, change: tuple[str, str]
) -> None:
    before = _documents(sample, read)
    assert before == [(_KEY, 1, "1", "released")]
    _remap(sample, *change)
    _touch(sample, query, "2026-10-08 09:00:00.000")
    with office(sample):
        assert read(sample, "run", "--once", code=3)["documents"] == 0
        assert _waiting(sample, read) == ["no_longer_meant"]
        refused = connector(sample, "quarantine", "release", _KEY, "--type", "CEB213", "--reason", "x", "--yes", code=2)
        assert "--void" in refused.stderr
        read(sample, "quarantine", "release", _KEY, "--type", "CEB213", "--void", "--reason", "void", "--yes")
        # Its goods are taken until customs holds the deletion; then the document under the other key goes by itself.
        connector(sample, "run", "--once", code=3 if change is _OTHER_KEY else 0)
        for _ in range(3):  # through all stages of the office
            connector(sample, "run", "--once")
    deleted = [(_KEY, 1, "1", "released"), (_KEY, 2, "3", "released")]
    after = _documents(sample, read)
    assert [one for one in after if one[0] == _KEY] == deleted
    assert [one[1:] for one in after if one[0] != _KEY] == ([(1, "1", "released")] if change is _OTHER_KEY else [])
    assert _waiting(sample, read) == []


def test_deletion_waits_for_the_answer_when_customs_has_not_given_one(
    enterprise: Path, office: Office, connector: Run, read: Read, query: Query, edit: Edit
) -> None:
    edit(enterprise / "registry.toml", "stage_seconds = 0.01", "stage_seconds = 1")
    with office(enterprise):
        connector(enterprise, "run", "--once")
    ((*declared, status),) = _documents(enterprise, read)
    assert declared == [_KEY, 1, "1"]
    assert status != "released"
    _remap(enterprise, *_LEFT_OUT)
    _touch(enterprise, query, "2026-10-08 09:00:00.000")
    connector(enterprise, "run", "--once", code=6)  # customs is not there
    read(enterprise, "quarantine", "release", _KEY, "--type", "CEB213", "--void", "--reason", "void", "--yes")
    connector(enterprise, "run", "--once", code=6)
    assert _waiting(enterprise, read) == ["no_longer_meant"]
    expected = [(_KEY, 1, "1", "released"), (_KEY, 2, "3", "released")]
    patience = time.monotonic() + 60
    with office(enterprise):
        while _documents(enterprise, read) != expected and time.monotonic() < patience:
            connector(enterprise, "run", "--once")
    assert _documents(enterprise, read) == expected
    assert _waiting(enterprise, read) == []


def test_entry_ends_when_the_record_says_it_again(sample: Path, office: Office, read: Read, query: Query) -> None:
    _remap(sample, *_LEFT_OUT)
    _touch(sample, query, "2026-10-08 09:00:00.000")
    with office(sample):
        read(sample, "run", "--once", code=3)
        _remap(sample, *reversed(_LEFT_OUT))
        read(sample, "quarantine", "retry", "--key", _KEY, "--reason", "put right", "--yes")
        read(sample, "run", "--once")
    assert _waiting(sample, read) == []
    assert _documents(sample, read) == [(_KEY, 1, "1", "released")]


def test_what_was_deleted_is_declared_anew_only_by_an_operator(
    sample: Path, office: Office, connector: Run, read: Read, query: Query
) -> None:
    def release(*options: str) -> None:
        read(sample, "quarantine", "release", _KEY, "--type", "CEB213", "--reason", "asked", "--yes", *options)

    def run(code: int = 0) -> None:
        connector(sample, "run", "--once", code=code)

    with office(sample):
        _remap(sample, *_LEFT_OUT)
        _touch(sample, query, "2026-10-08 09:00:00.000")
        run(code=3)
        release("--void")
        for _ in range(3):  # through all stages of the office
            run()
        _remap(sample, *reversed(_LEFT_OUT))
        _touch(sample, query, "2026-10-08 10:00:00.000")
        run(code=3)
        assert _waiting(sample, read) == ["deleted_at_customs"]
        release()
        for _ in range(3):
            run()
    assert _documents(sample, read)[1:] == [(_KEY, 2, "3", "released"), (_KEY, 3, "1", "released")]
    assert _waiting(sample, read) == []
