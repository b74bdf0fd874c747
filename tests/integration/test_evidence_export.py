"""Evidence about one return, on both databases: every claim of a bundle is worked out again from what is stored."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from connector.audit import queries as audit_queries
from connector.audit.queries import EntryFilter
from connector.errors import AuditLogInvalid, ConfigurationError, UsageError
from connector.evidence.export import DocumentScope, PeriodScope, export
from connector.outbox.queries import DocumentView, Filter, documents, signed_bytes
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.wiring import Connector
from connector.storage.audit import AUDIT_ENTRIES
from tests.conftest import CheckEvidence
from tests.integration.test_audit_checkpoints import alter
from tests.unit.evidence_bundles import pack
from tests.unit.rfc9162 import PlainTree

UNBOUND = {"attempts.json", "report.html"}
OURS = {"manifest.json", "checkpoint.txt", "checkpoints.txt", "consistency.json", "digests.json", "entries.jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A connector that has declared a few returns, and one that customs let pass."""

    connector: Connector
    view: DocumentView
    folder: Path

    @property
    def key(self) -> str:
        assert self.connector.checkpoints is not None
        return self.connector.checkpoints.signer.verifier.key

    def export(self, name: str = "evidence.zip", scope: PeriodScope | None = None) -> Path:
        out = self.folder / name
        asked = scope or DocumentScope(name=self.view.business_key)
        export(self.connector, asked, out=out, reason="a question of customs", actor="wang")
        return out


@pytest.fixture
def site(has_declared: Connector, tmp_path: Path) -> Site:
    return Site(connector=has_declared, view=released(has_declared), folder=tmp_path)


def released(connector: Connector) -> DocumentView:
    with connector.database.read() as connection:
        return documents(connection, Filter(type="CEB213", customs_status="released"))[0]


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bodies_of(connector: Connector) -> list[bytes]:
    with connector.database.read() as connection:
        query = select(AUDIT_ENTRIES.c.body).order_by(AUDIT_ENTRIES.c.sequence)
        return [bytes(one) for one in connection.execute(query).scalars()]


def size_and_root(note: str) -> tuple[int, str]:
    _, size, root = note.split("\n\n", maxsplit=1)[0].split("\n")
    return int(size), root


def test_every_claim_of_a_bundle_holds(site: Site, check_evidence: CheckEvidence) -> None:
    bodies = bodies_of(site.connector)
    out = site.export()
    members = members_of(out)
    manifest = json.loads(members["manifest.json"])
    assert manifest["files"] == {name: sha256(data) for name, data in members.items() if name != "manifest.json"}
    size, root = size_and_root(members["checkpoint.txt"].decode())
    assert size == len(bodies)
    tree = PlainTree([hashlib.sha256(b"\x00" + body).digest() for body in bodies])
    assert base64.b64decode(root) == tree.mth(0, size)
    entries = [json.loads(line) for line in members["entries.jsonl"].splitlines()]
    assert manifest["entries"] == sorted(one["sequence"] for one in entries)
    for one in entries:
        assert one["body"].encode() == bodies[one["sequence"] - 1]
        assert tuple(base64.b64decode(each) for each in one["proof"]) == tree.path(one["sequence"] - 1, 0, size)
    assert_consistent(members, tree)
    assert_bound(members, {one["sequence"]: json.loads(one["body"])["detail"] for one in entries})
    with site.connector.database.read() as connection:
        (message_id,) = site.view.message_ids
        assert members[f"messages/{message_id}.xml"] == signed_bytes(connection, message_id)
    said = check_evidence("--key", site.key, out)
    assert f"{len(entries)} entries are in the log" in said
    assert "2 files are not" in said


def test_everything_of_a_time_is_handed_out(site: Site, check_evidence: CheckEvidence) -> None:
    with site.connector.database.read() as connection:
        everything = audit_queries.entries(connection, EntryFilter())
    first, last = everything[0].time, everything[-1].time
    out = site.export(scope=PeriodScope(since=first, until=last + timedelta(microseconds=1)))
    members = members_of(out)
    assert json.loads(members["manifest.json"])["entries"] == [one.sequence for one in everything]
    assert_bound(members, {one.sequence: dict(one.detail) for one in everything})
    assert len([name for name in members if name.startswith("rows/")]) == 8
    assert f"{len(everything)} entries are in the log" in check_evidence("--key", site.key, out)
    early = members_of(site.export("early.zip", PeriodScope(since=first, until=last)))
    expected = [one.sequence for one in everything if one.time < last]
    assert json.loads(early["manifest.json"])["entries"] == expected
    with pytest.raises(UsageError, match="nothing is known about from"):
        site.export("none.zip", PeriodScope(since=last, until=last))


def test_more_than_fits_into_a_bundle_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.evidence.export._AT_MOST", 5)
    with pytest.raises(UsageError, match="more than 5 entries"):
        site.export(scope=PeriodScope(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)))


def test_page_of_a_time_tells_of_documents_that_were_made_before_it(site: Site) -> None:
    with site.connector.database.read() as connection:
        answers = audit_queries.entries(connection, EntryFilter(event="receipt_taken"))
    until = answers[-1].time + timedelta(microseconds=1)
    members = members_of(site.export(scope=PeriodScope(since=answers[0].time, until=until)))
    assert site.view.app_time < answers[0].time
    assert f"<h2>CEB213 {site.view.business_key} " in members["report.html"].decode()


def test_empty_name_is_nobody_although_a_document_lacks_a_list(site: Site) -> None:
    alter(site.connector.database, "UPDATE document SET export_list = ''")
    with pytest.raises(UsageError, match="nothing is known about"):
        replace(site, view=replace(site.view, business_key="")).export()


def assert_consistent(members: dict[str, bytes], tree: PlainTree) -> None:
    notes = members["checkpoints.txt"].decode().removesuffix("\n\n").split("\n\n")
    sizes = [int(part.split("\n")[1]) for part in notes[::2]]  # each text is followed by its signatures
    steps = json.loads(members["consistency.json"])
    assert len(sizes) == 2
    assert [(one["old"], one["new"]) for one in steps] == list(pairwise(sizes))
    for one in steps:
        assert tuple(base64.b64decode(each) for each in one["proof"]) == tree.proof(one["old"], one["new"])


def assert_bound(members: dict[str, bytes], details: dict[int, dict[str, Any]]) -> None:
    bound = json.loads(members["digests.json"])
    assert set(bound) == set(members) - OURS - UNBOUND
    for path, (name, sequence) in bound.items():
        assert details[sequence][name] == sha256(members[path])
    kinds = {path.partition("/")[0] for path in bound}
    assert kinds == {
        "certificates", "documents", "mappings", "messages", "receipts", "requests", "responses", "rows",
    }  # fmt: skip


def test_one_changed_byte_in_any_file_is_noticed(site: Site, check_evidence: CheckEvidence) -> None:
    members = members_of(site.export())
    spoilt = site.folder / "spoilt.zip"
    for name, data in members.items():
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        assert "NOT GOOD" in check_evidence("--key", site.key, pack(members | {name: changed}, spoilt), code=9)
        if name in {"manifest.json", *UNBOUND}:
            continue
        manifest = json.loads(members["manifest.json"])
        manifest["files"][name] = sha256(changed)
        forged = members | {name: changed, "manifest.json": json.dumps(manifest).encode()}
        assert "NOT GOOD" in check_evidence("--key", site.key, pack(forged, spoilt), code=9)


def test_export_is_logged_with_what_was_handed_out(site: Site) -> None:
    out = site.export()
    with site.connector.database.read() as connection:
        (entry,) = audit_queries.entries(connection, EntryFilter(event="exported"))
    assert entry.actor == "wang"
    assert entry.detail == {
        "document": site.view.business_key,
        "reason": "a question of customs",
        "entries": len(json.loads(members_of(out)["manifest.json"])["entries"]),
        "digest": sha256(out.read_bytes()),
    }


def test_same_moment_gives_the_same_bytes(site: Site) -> None:
    with site.connector.database.read() as connection:
        now = site.connector.clock(connection)
    checkpoint_now(site.connector)
    still = replace(site.connector, clock=lambda _: now)
    zips = []
    for name in ("a.zip", "b.zip"):
        copy = replace(site, connector=still).export(name)
        zips.append(members_of(copy))
        infos = zipfile.ZipFile(copy).infolist()
        assert [one.filename for one in infos] == sorted(one.filename for one in infos)
        assert {one.date_time for one in infos} == {(1980, 1, 1, 0, 0, 0)}
    # the second checkpoint covers the entry about the first export as well
    moved = {"checkpoint.txt", "checkpoints.txt", "consistency.json", "entries.jsonl", "manifest.json", "report.html"}
    assert {name for name in zips[0] if zips[0][name] != zips[1][name]} <= moved


def test_nothing_is_handed_out_over_a_file_that_is_there(site: Site) -> None:
    (site.folder / "evidence.zip").write_bytes(b"mine")
    before = len(bodies_of(site.connector))
    with pytest.raises(UsageError, match="File exists"):
        site.export()
    with pytest.raises(UsageError, match="No such file"):
        site.export("nowhere/evidence.zip")
    assert (site.folder / "evidence.zip").read_bytes() == b"mine"
    assert len(bodies_of(site.connector)) == before
    assert not list(site.folder.glob(".evidence*"))


def test_file_that_appears_meanwhile_is_not_written_over(site: Site) -> None:
    out = site.folder / "evidence.zip"

    def intrude(connection: Connection) -> datetime:
        out.write_bytes(b"mine")
        return site.connector.clock(connection)

    with pytest.raises(UsageError, match="File exists"):
        replace(site, connector=replace(site.connector, clock=intrude)).export()
    assert out.read_bytes() == b"mine"
    assert not list(site.folder.glob(".evidence*"))


def test_nothing_is_handed_out_without_audit_or_about_the_unknown(site: Site) -> None:
    with pytest.raises(ConfigurationError, match=r"no \[audit\]"):
        replace(site, connector=replace(site.connector, checkpoints=None)).export()
    with pytest.raises(UsageError, match="nothing is known about"):
        replace(site, view=replace(site.view, business_key="nobody/1")).export()
    assert not (site.folder / "evidence.zip").exists()


def test_nothing_is_handed_out_when_a_file_is_not_what_was_logged(site: Site) -> None:
    other = "(SELECT root FROM audit_checkpoint LIMIT 1)"
    for statement, what in (  # the first entry that is not true is named, so the last ones are altered first
        (f"UPDATE receipt_envelope SET content = {other}", "receipts/"),
        (f"UPDATE attempt SET response = {other}", "responses/"),
        (f"UPDATE message_bytes SET body = {other}", "requests/"),
        (f"UPDATE message_bytes SET xml = {other}", "messages/"),
        ("UPDATE document SET content = '{}'", "documents/"),
        ("UPDATE source_record SET body = '{}'", "rows/"),
    ):
        alter(site.connector.database, statement)
        with pytest.raises(AuditLogInvalid, match=what):
            site.export()
    assert not (site.folder / "evidence.zip").exists()


def test_what_is_gone_is_told_and_the_rest_is_handed_out(site: Site, check_evidence: CheckEvidence) -> None:
    alter(site.connector.database, "UPDATE attempt SET response = NULL")
    with site.connector.database.read() as connection:
        mappings = connection.execute(text("SELECT mapping_digest FROM document WHERE type = 'CEB213'")).scalars().all()
    out = replace(site, connector=replace(site.connector, collections=())).export()
    page = members_of(out)["report.html"].decode()
    assert f"no longer there: <code>mappings/{mappings[0]}.json" in page
    assert "no longer there: <code>responses/" in page
    assert "good" in check_evidence("--key", site.key, out)
