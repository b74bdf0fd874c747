"""``connector audit trace`` and ``audit forget`` as a user has them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]

pytestmark = pytest.mark.xdist_group("acceptance_demo")


def test_audit_trace_tells_the_same_whole_return_by_each_of_its_names(played: Path, read: Read) -> None:
    of_record: dict[int, list[dict[str, Any]]] = {}
    for one in read(played, "documents", "list")["documents"]:
        of_record.setdefault(one["record_id"], []).append(one)
    mine = next(some for some in of_record.values() if len(some) == 2)
    told = read(played, "audit", "trace", mine[0]["waybill"])
    assert told["source_key"].startswith("returns/")
    for name in (told["source_key"], *(one["business_key"] for one in mine)):
        assert read(played, "audit", "trace", name) == told
    entries = told["entries"]
    assert [one["sequence"] for one in entries] == sorted({one["sequence"] for one in entries})
    assert {one["document_type"] for one in entries} == {"", "CEB213", "CEB215"}
    steps = {"collected", "mapped", "signed", "attempted", "answered", "receipt_taken", "status_changed"}
    assert {one["event"] for one in entries} == steps
    assert {one["business_key"] for one in entries} == {"", *(one["business_key"] for one in mine)}


def test_audit_trace_asks_for_more_when_a_name_is_of_several_returns_or_of_none(
    played: Path, connector: Run, read: Read
) -> None:
    messages = read(played, "messages", "list")["messages"]
    several = next(one["id"] for one in messages if len(one["documents"]) > 1)
    told = connector(played, "audit", "trace", several, code=2).stderr
    assert "returns: returns/" in told
    assert "name one of these" in told
    assert "nothing is known about XX" in connector(played, "audit", "trace", "XX", code=2).stderr


def test_audit_forget_erases_the_name_when_it_is_confirmed(
    played: Path, tmp_path: Path, connector: Run, read: Read
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(played, folder)
    (held, *_) = read(folder, "quarantine", "list")["quarantine"]
    retry = ("quarantine", "retry", "--key", held["key"], "--type", held["type"], "--reason", "zhang asks", "--yes")
    connector(folder, *retry, "--actor", "zhang")
    asked = ("audit", "forget", "zhang", "--reason", "Zhangjiagang", "--actor", "somebody")
    assert "nobody is there to confirm" in connector(folder, *asked, code=2).stderr
    named = ("audit", "forget", "zhang", "--reason", "as ZHANG asked", "--actor", "somebody", "--yes")
    assert "would be named again" in connector(folder, *named, code=2).stderr
    erased = read(folder, *asked, "--yes")
    digest = erased["digest"]
    assert erased["still_named_in"] == 2  # the reason of the retry, and the town
    entries = read(folder, "audit", "list", "--limit", "100000")["entries"]
    assert [one["actor"] for one in entries[-2:]] == [digest, "somebody"]
    assert [one["event"] for one in entries[-2:]] == ["retried", "forgotten"]
    program = ("audit", "forget", "connector", "--reason", "a test", "--yes")
    assert "nobody's name" in connector(folder, *program, code=2).stderr
