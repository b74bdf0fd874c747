"""The commands that only read: their JSON is a contract, their tables are for people, and filters filter."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connector.cli.output import detail_line
from connector.demo.returns import Fault, generate

Run = Callable[..., subprocess.CompletedProcess[str]]
Office = Callable[[Path], AbstractContextManager[None]]
Read = Callable[..., Any]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]

pytestmark = pytest.mark.xdist_group("acceptance_demo")

PARCELS = list(generate(60, seed=2))
THIRD = PARCELS[2]
"""The third return of the sample, with nothing amiss and an export list of its own."""
NO_WAYBILL = next(parcel for parcel in PARCELS if parcel.fault is Fault.MISSING_WAYBILL)
REFUND, TALLY = f"4401980A31/{THIRD.order_no}", f"4401660B27/{THIRD.order_no}"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def documents(played: Path, read: Read) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(played, "documents", "list")["documents"]
    return found


@pytest.fixture(scope="module")
def entries(played: Path, read: Read) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(played, "audit", "list", "--limit", "100000")["entries"]
    return found


def test_documents_have_the_fields_of_the_contract(documents: list[dict[str, Any]]) -> None:
    for one in documents:
        assert one["type"] in {"CEB213", "CEB215"}
        assert one["revision"] == 1
        assert one["customs_status"] in {"released", "finished", "rejected"}
        assert one["customs_code"] in {"800", "399", "100"}
        assert one["message_ids"] == [one["message_id"]]
        assert RFC3339.fullmatch(one["app_time"])
        assert RFC3339.fullmatch(one["customs_time"])
    assert {REFUND, TALLY} <= {one["business_key"] for one in documents}


def test_messages_have_the_fields_of_the_contract(played: Path, read: Read, documents: list[dict[str, Any]]) -> None:
    messages = read(played, "messages", "list")["messages"]
    assert {(one["type"], one["delivery_state"]) for one in messages} == {
        ("CEB213", "delivered"),
        ("CEB215", "delivered"),
    }
    carried = {(key, one["id"]) for one in messages for key in one["documents"]}
    assert carried == {(one["business_key"], one["message_id"]) for one in documents}
    assert all(RFC3339.fullmatch(one[name]) for one in messages for name in ("created_at", "state_since", "due_at"))


def test_audit_entries_have_the_fields_of_the_contract(entries: list[dict[str, Any]]) -> None:
    assert [one["sequence"] for one in entries] == list(range(1, len(entries) + 1))
    assert {one["actor"] for one in entries} == {"connector"}
    times = [one["time"] for one in entries]
    assert all(RFC3339.fullmatch(time) for time in times)
    assert times == sorted(times)
    assert {one["event"] for one in entries} == {
        "collected",
        "window_read",
        "mapped",
        "quarantined",
        "signed",
        "attempted",
        "answered",
        "receipt_taken",
        "status_changed",
    }


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--type", "CEB215"], lambda one: one["type"] == "CEB215"),
        (["--key", REFUND], lambda one: one["business_key"] == REFUND),
        (["--waybill", THIRD.waybill], lambda one: one["waybill"] == THIRD.waybill),
        (["--export-list", THIRD.order.invt_no], lambda one: one["export_list"] == THIRD.order.invt_no),
        (["--customs-status", "rejected"], lambda one: one["customs_status"] == "rejected"),
        (["--state", "parked"], lambda _: False),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_documents_list_gives_those_that_the_filter_names(
    played: Path,
    read: Read,
    documents: list[dict[str, Any]],
    options: list[str],
    holds: Callable[[dict[str, Any]], bool],
) -> None:
    expected = [one for one in documents if holds(one)]
    assert len(expected) < len(documents)
    assert read(played, "documents", "list", *options)["documents"] == expected


def test_documents_list_gives_a_time_span_when_asked(played: Path, read: Read, documents: list[dict[str, Any]]) -> None:
    first = documents[0]["app_time"]
    assert read(played, "documents", "list", "--since", first, "--until", "2099-01-01")["documents"] == documents
    assert read(played, "documents", "list", "--until", "2026-01-01T00:00:00+08:00")["documents"] == []
    assert read(played, "documents", "list", "--limit", "3")["documents"] == documents[-3:]


@pytest.mark.parametrize(
    ("options", "types"),
    [
        (["--type", "CEB213"], {"CEB213"}),
        (["--waybill", THIRD.waybill], {"CEB213", "CEB215"}),
        (["--state", "refused"], set()),
        (["--customs-status", "released"], {"CEB213"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_messages_list_gives_those_that_the_filter_names(
    played: Path, read: Read, options: list[str], types: set[str]
) -> None:
    assert {one["type"] for one in read(played, "messages", "list", *options)["messages"]} == types


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--event", "quarantined"], lambda one: one["event"] == "quarantined"),
        (["--actor", "wang"], lambda _: False),
        (["--key", REFUND], lambda one: one["business_key"] == REFUND),
        (["--waybill", THIRD.waybill], lambda one: one["waybill"] == THIRD.waybill),
        (["--export-list", THIRD.order.invt_no], lambda one: one["export_list"] == THIRD.order.invt_no),
        (["--since", "2099-01-01"], lambda _: False),
        (["--customs-status", "rejected"], lambda one: one["detail"].get("status") == "rejected"),
        (["--code", "800"], lambda one: one["detail"].get("code") == "800"),
        (["--text", THIRD.order_no], lambda one: THIRD.order_no in str(one)),
        (
            ["--code", "800", "--key", REFUND],
            lambda one: (one["detail"].get("code"), one["business_key"]) == ("800", REFUND),
        ),
        (["--state", "delivered"], lambda one: one["detail"].get("delivery_state") == "delivered"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_audit_list_gives_those_that_the_filter_names(
    played: Path,
    read: Read,
    entries: list[dict[str, Any]],
    options: list[str],
    holds: Callable[[dict[str, Any]], bool],
) -> None:
    expected = [one for one in entries if holds(one)]
    assert len(expected) < len(entries)
    assert read(played, "audit", "list", *options, "--limit", "100000")["entries"] == expected


def test_audit_list_gives_the_newest_that_match_when_only_some_are_asked_for(
    played: Path, read: Read, entries: list[dict[str, Any]]
) -> None:
    rejected = [one for one in entries if one["detail"].get("status") == "released"]
    found = read(played, "audit", "list", "--customs-status", "released", "--limit", "1")["entries"]
    assert found == rejected[-1:]
    assert found != rejected


def test_audit_details_have_the_times_of_the_contract(entries: list[dict[str, Any]]) -> None:
    times = [one["detail"][name] for one in entries for name in ("changed_at", "time") if name in one["detail"]]
    assert len(times) > len(PARCELS)
    assert all(RFC3339.fullmatch(time) for time in times)


def test_audit_list_gives_what_happened_to_a_message_when_its_id_is_named(
    played: Path, read: Read, documents: list[dict[str, Any]]
) -> None:
    number = documents[0]["message_id"]
    found = read(played, "audit", "list", "--message", number, "--limit", "2")["entries"]
    assert [one["event"] for one in found] == ["attempted", "answered"]
    assert {one["message_id"] for one in found} == {number}


def test_audit_show_gives_one_entry_whole(played: Path, read: Read, entries: list[dict[str, Any]]) -> None:
    assert read(played, "audit", "show", "5")["entries"] == [entries[4]]


def test_messages_show_gives_its_attempts(played: Path, read: Read, documents: list[dict[str, Any]]) -> None:
    (found,) = read(played, "messages", "show", documents[0]["message_id"])["messages"]
    assert [(one["number"], one["kind"], one["outcome"]) for one in found["attempts"]] == [(1, "send", "taken_in")]
    assert all(RFC3339.fullmatch(found["attempts"][0][name]) for name in ("started_at", "ended_at"))


@pytest.mark.parametrize("name", [REFUND, THIRD.order_no, THIRD.waybill], ids=["business key", "order", "waybill"])
def test_documents_show_tells_the_story_in_order(played: Path, read: Read, name: str) -> None:
    found = read(played, "documents", "show", name)
    keys = {one["business_key"] for one in found["documents"]}
    assert keys == ({REFUND} if name == REFUND else {REFUND, TALLY})
    story = found["entries"]
    assert [one["sequence"] for one in story] == sorted(one["sequence"] for one in story)
    about = [one for one in story if one["document_type"] in {"", "CEB213"}]
    carrier = next(one["message_id"] for one in found["documents"] if one["type"] == "CEB213")
    about = [one for one in about if not one["message_id"] or one["message_id"] == carrier]
    steps = [one["event"] for one in about if one["event"] != "status_changed"]
    assert steps == ["collected", "mapped", "signed", "attempted", "answered", *["receipt_taken"] * 4]
    assert [one["detail"]["code"] for one in about if one["event"] == "receipt_taken"] == ["2", "3", "120", "800"]
    assert [one["code"] for one in found["documents"][0]["receipts"]] == ["2", "3", "120", "800"]
    assert found["documents"][0]["content"]["head"]["logisticsNo"] == THIRD.waybill


def test_documents_show_tells_the_story_for_people_in_order(played: Path, connector: Run) -> None:
    told = connector(played, "documents", "show", THIRD.order_no).stdout
    story = told[told.index("the story") :]
    places = [story.index(step) for step in ("collected", "mapped", "signed", "attempted", "answered", "receipt_taken")]
    assert places == sorted(places)
    assert "released 800" in told
    assert "放行" in told


def test_documents_show_tells_why_when_nothing_of_a_return_could_be_sent(
    played: Path, connector: Run, read: Read
) -> None:
    told = connector(played, "documents", "show", NO_WAYBILL.order_no).stdout
    assert told.count("in quarantine since") == 2
    assert "logisticsNo" in told
    found = read(played, "documents", "show", NO_WAYBILL.order_no)
    waiting = read(played, "quarantine", "list")["quarantine"]
    assert found["documents"] == []
    assert found["quarantine"] == [one for one in waiting if one["key"] == NO_WAYBILL.order_no] != []
    assert [one["event"] for one in found["entries"]] == ["collected", "quarantined", "quarantined"]


def test_quarantine_list_gives_what_waits_and_why(played: Path, connector: Run, read: Read) -> None:
    waiting = read(played, "quarantine", "list")["quarantine"]
    mine = [one for one in waiting if one["key"] == NO_WAYBILL.order_no]
    assert [one["type"] for one in mine] == ["CEB213", "CEB215"]
    assert all(RFC3339.fullmatch(one["since"]) and one["faults"] for one in waiting)
    table = connector(played, "quarantine", "list").stdout
    assert all(one["key"] in table for one in waiting)
    assert "\x0b" not in table


@pytest.mark.parametrize(
    ("option", "field"),
    [("--type", "type"), ("--key", "business_key"), ("--waybill", "waybill"), ("--export-list", "export_list")],
)
def test_quarantine_list_gives_those_that_the_filter_names(played: Path, read: Read, option: str, field: str) -> None:
    waiting = read(played, "quarantine", "list")["quarantine"]
    value = next(one[field] for one in waiting if one[field])
    expected = [one for one in waiting if one[field] == value]
    assert len(expected) < len(waiting)
    assert read(played, "quarantine", "list", option, value)["quarantine"] == expected


def test_quarantine_list_gives_a_time_span_when_asked(played: Path, read: Read) -> None:
    waiting = read(played, "quarantine", "list")["quarantine"]
    first = waiting[0]["since"]
    assert read(played, "quarantine", "list", "--since", first, "--until", "2099-01-01")["quarantine"] == waiting
    assert read(played, "quarantine", "list", "--until", first)["quarantine"] == []
    assert read(played, "quarantine", "list", "--since", "2099-01-01")["quarantine"] == []


@pytest.mark.parametrize(
    "command", [("documents", "list"), ("audit", "list", "--limit", "100000"), ("status",)], ids=" ".join
)
def test_results_for_people_are_plain_text_when_they_go_into_a_pipe(
    played: Path, connector: Run, command: tuple[str, ...]
) -> None:
    result = connector(played, *command, TERM="xterm-256color")
    assert result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_colours_are_left_out_when_they_are_unwanted(connector: Run) -> None:
    coloured = re.compile(r"\x1b\[(?:\d+;)*3[0-7]")
    assert coloured.search(connector(None, "status", "--nonsense", code=2, FORCE_COLOR="1").stderr)
    said = connector(None, "status", "--nonsense", code=2, FORCE_COLOR="1", NO_COLOR="1").stderr
    assert not coloured.search(said)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("documents", "show", "RK19999999"), "nothing is known about RK19999999"),
        (("messages", "show", "1234"), "there is no message 1234"),
        (("audit", "show", "999999"), "there is no audit entry 999999"),
        (("documents", "list", "--since", "yesterday"), "write it like 2026-06-01"),
        (("documents", "list", "--limit", "0"), "--limit"),
        (("documents", "list", "--customs-status", "realeased"), "manual_review"),
        (("messages", "list", "--state", "in-doubt"), "in_doubt"),
        (("audit", "list", "--event", "anwsered"), "answered"),
        (("audit", "list", "--before", ""), "is no cursor"),
        (("audit", "list", "--before", "17"), "--before 17 is no cursor"),
        (("audit", "list", "--before", "17-2026-13-01T00:00:00Z"), "is no cursor"),
        (("audit", "list", "--format", "xlsx"), "table, json, csv"),
        (("audit", "list", "--state", "parked", "--customs-status", "none"), "leave one of them out"),
        (("quarantine", "list", "--type", "ceb213"), "CEB213"),
        (("nonsense",), "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_command_says_so_on_stderr_when_it_makes_no_sense(
    played: Path, connector: Run, command: tuple[str, ...], said: str
) -> None:
    result = connector(played, *command, code=2)
    assert said in result.stderr
    assert result.stdout == ""


def test_status_counts_what_there_is(played: Path, read: Read, documents: list[dict[str, Any]]) -> None:
    found = read(played, "status")
    counted = {(one["type"], one["customs_status"]): one["count"] for one in found["documents"]}
    assert sum(counted.values()) == len(documents)
    for (kind, status), count in counted.items():
        assert count == sum((one["type"], one["customs_status"]) == (kind, status) for one in documents)
    assert found["warnings"] == []


def test_status_says_that_rsa_signatures_are_weak(sample: Path, read: Read, connector: Run, edit: Edit) -> None:
    edit(sample / "connector.toml", 'suite = "sm2-sm3"', 'suite = "rsa-sha1"')
    assert any("SHA-1" in warning for warning in read(sample, "status")["warnings"])
    assert "SHA-1" in connector(sample, "status").stdout


def test_status_counts_receipts_that_could_not_be_read(sample: Path, read: Read, query: Query) -> None:
    assert read(sample, "status")["unreadable_receipts"] == 0
    query(
        sample / "connector.db",
        "UPDATE receipt_envelope SET problem = 'no XML' WHERE sequence = (SELECT min(sequence) FROM receipt_envelope)",
    )
    assert read(sample, "status")["unreadable_receipts"] == 1


def test_receipts_that_belong_to_nothing_of_ours_are_counted_and_shown(
    sample: Path, connector: Run, read: Read, query: Query
) -> None:
    assert read(sample, "documents", "unmatched")["receipts"] == []
    ((digest,),) = query(sample / "connector.db", "SELECT digest FROM receipt WHERE code = '800' LIMIT 1")
    query(
        sample / "connector.db",
        "UPDATE receipt SET document_guid = NULL, business_key = 'X/RK1' WHERE digest = ?",
        digest,
    )
    assert read(sample, "status")["unmatched_receipts"] == 1
    assert "is [database] url the right one?" in connector(sample, "status").stdout
    (shown,) = read(sample, "documents", "unmatched")["receipts"]
    assert (shown["digest"], shown["business_key"], shown["code"]) == (digest, "X/RK1", "800")
    assert "X/RK1" in connector(sample, "documents", "unmatched").stdout


def test_envelopes_that_are_not_applied_are_listed_with_the_reason_and_can_be_explained(
    sample: Path, connector: Run, read: Read, query: Query
) -> None:
    assert read(sample, "documents", "unreadable")["envelopes"] == []
    ((sequence, content),) = query(sample / "connector.db", "SELECT sequence, content FROM receipt_envelope LIMIT 1")
    spoil = "UPDATE receipt_envelope SET problem = 'its signature does not count' WHERE sequence = ?"
    query(sample / "connector.db", spoil, sequence)
    (shown,) = read(sample, "documents", "unreadable")["envelopes"]
    assert (shown["sequence"], shown["problem"]) == (sequence, "its signature does not count")
    assert "its signature does not count" in connector(sample, "documents", "unreadable").stdout
    written = connector(sample, "documents", "unreadable", "--xml", str(sequence)).stdout
    assert written.encode() == content
    (sample / "envelope.xml").write_text(written, "utf-8")
    assert "envelope" in connector(sample, "signature", "verify", str(sample / "envelope.xml")).stdout
    assert "documents unreadable" in connector(sample, "documents", "unreadable", "--xml", "999999", code=2).stderr


def test_audit_tells_that_a_receipt_matched_nothing_but_not_that_it_matched() -> None:
    assert detail_line({"code": "800", "matched": True}) == "code: 800"
    assert detail_line({"code": "800", "matched": False}) == "code: 800, matched: False"


def test_resend_leaves_a_document_alone_when_a_newer_revision_of_it_does_not_match(
    sample: Path, read: Read, query: Query, office: Office, declare_excess: Callable[[Path], str]
) -> None:
    ours = sample / "connector.db"
    with office(sample):
        declare_excess(sample)
    rejected = read(sample, "documents", "list", "--customs-status", "rejected")["documents"]
    columns = [row[1] for row in query(ours, "PRAGMA table_info(document)")]
    newer = {"guid": f"'{uuid4()}'", "revision": "2", "customs_status": "'released'"}
    values = ", ".join(newer.get(name, name) for name in columns)
    query(ours, f"INSERT INTO document SELECT {values} FROM document WHERE guid = ?", rejected[0]["guid"])
    resend = ("resend", "--customs-status", "rejected", "--reason", "corrected", "--dry-run")
    plans = read(sample, *resend, code=3)["resend"]
    assert [one["id"] for one in plans] == [one["business_key"] for one in rejected[1:]] != []


def test_help_needs_no_configuration(connector: Run) -> None:
    told = connector(None, "--help").stdout
    for command in [
        "demo",
        "run",
        "resend",
        "audit",
        "documents",
        "messages",
        "quarantine",
        "signature",
        "status",
        "doctor",
        "simulator",
        "db",
    ]:
        assert command in told


def test_version_is_that_of_the_package(connector: Run) -> None:
    assert connector(None, "--version").stdout == f"connector {version('customs-warehouse-connector')}\n"
