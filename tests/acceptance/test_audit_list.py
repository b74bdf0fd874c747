"""``connector audit list``: page by page, and for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.cli.output import csv_cell

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]

pytestmark = pytest.mark.xdist_group("acceptance_demo")


@pytest.fixture(scope="module")
def entries(played: Path, read: Read) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(played, "audit", "list", "--limit", "100000")["entries"]
    return found


def test_audit_list_gives_every_entry_once_when_it_is_read_page_by_page(
    played: Path, read: Read, entries: list[dict[str, Any]]
) -> None:
    pages, cursor = [], ""
    while cursor is not None:
        told = read(played, "audit", "list", "--limit", "97", *(["--before", cursor] if cursor else []))
        assert len(told["entries"]) == 97 or told["next"] is None
        pages.append(told["entries"])
        cursor = told["next"]
    assert len(pages) > 2
    assert [one for page in reversed(pages) for one in page] == entries


def test_audit_list_says_how_to_go_on_when_there_is_more(played: Path, connector: Run) -> None:
    told = connector(played, "audit", "list", "--limit", "1")
    cursor = told.stderr.strip().rpartition(" ")[2]
    assert "there are earlier ones: --before" in told.stderr
    assert connector(played, "audit", "list", "--limit", "1", "--before", cursor).stdout != told.stdout
    assert connector(played, "audit", "list", "--limit", "100000").stderr == ""


def test_audit_list_is_read_by_a_spreadsheet_as_it_is(
    played: Path, connector: Run, entries: list[dict[str, Any]]
) -> None:
    told = connector(played, "audit", "list", "--limit", "100000", "--format", "csv").stdout
    assert told.startswith("\ufeffsequence,time,event,")
    rows = list(csv.DictReader(io.StringIO(told.removeprefix("\ufeff"))))
    assert [int(row["sequence"]) for row in rows] == [one["sequence"] for one in entries]
    assert [row["business_key"] for row in rows] == [one["business_key"] for one in entries]
    lists = {row["export_list"] for row in rows} - {""}
    assert lists == {f"'{one['export_list']}" for one in entries if one["export_list"]}
    assert {row["time"][-3:] for row in rows} == {"+08"}
    same = json.loads(connector(played, "audit", "list", "--limit", "5", "--format", "json").stdout)
    assert same["entries"] == entries[-5:]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+8613800000000", "'+8613800000000"),
        ("-2", "'-2"),
        ("@x", "'@x"),
        ("\tx", "\\x09x"),
        ("123456789012", "'123456789012"),
        ("007", "'007"),
        ("22442026E000000001", "'22442026E000000001"),
        ("1e5", "'1e5"),
        ("E5", "E5"),
        ("RK10000001", "RK10000001"),
        ("0", "0"),
        (17, 17),
        (None, ""),
    ],
)
def test_cell_is_text_when_a_spreadsheet_would_make_something_else_of_it(value: object, cell: object) -> None:
    assert csv_cell(value) == cell
