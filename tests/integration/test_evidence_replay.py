"""A message is built again from what is stored: the same bytes, or the input that changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from connector.bootstrap import build_collections
from connector.config import load
from connector.errors import ConnectorError
from connector.evidence.replay import Input, Replayed, replay
from connector.outbox.queries import Filter, messages
from connector.pipeline.collect import collect
from connector.pipeline.prepare import prepare
from connector.pipeline.wiring import Connector
from connector.storage.database import Database
from tests.integration.test_audit_checkpoints import alter


@pytest.fixture
def prepared(enterprise: Callable[..., Connector], database: Database) -> Connector:
    """Six returns in two signed messages, on each kind of database."""
    made = replace(enterprise(6), database=database)
    for collection in made.collections:
        collect(made, collection)
        prepare(made, collection)
    return made


def again(connector: Connector, kind: str = "CEB213") -> Replayed:
    with connector.database.read() as connection:
        (message,) = messages(connection, Filter(type=kind))
    return replay(connector.database, connector.collections, connector.transfer, message)


def states(replayed: Replayed) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in replayed.inputs:
        found.setdefault(one.name, set()).add(one.state)
    return found


def test_message_is_identical_when_nothing_changed(prepared: Connector) -> None:
    for kind in ("CEB213", "CEB215"):
        found = again(prepared, kind)
        assert found.is_identical
        assert found.causes == []
        assert found.rebuilt.startswith(b"<ceb:" + kind.encode())
        assert states(found) == {
            "source row": {"same"},
            "mapping": {"same"},
            "lookups": {"not recorded"},
            "stored content": {"same"},
            "content": {"same"},
            "schema": {"same"},
            "[enterprise]": {"same"},
            "signed bytes": {"same"},
            "key": {"same"},
        }


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("UPDATE source_record SET body = REPLACE(body, 'RK', 'XK')", "source row"),
        ("UPDATE document SET content = REPLACE(content, 'RK', 'XK')", "stored content"),
    ],
)
def test_stored_text_that_was_altered_is_named(prepared: Connector, statement: str, cause: str) -> None:
    alter(prepared.database, statement)
    found = again(prepared)
    assert found.causes == [cause]
    assert found.is_identical is (cause == "stored content")  # which is not what the message is built from


def test_stored_row_that_is_no_record_any_more_is_named(prepared: Connector) -> None:
    alter(prepared.database, "UPDATE source_record SET body = '[' || body")
    with pytest.raises(ConnectorError, match=r"version 1 of returns/RK1000000. was altered"):
        again(prepared)


def test_signed_bytes_that_were_altered_are_named(prepared: Connector) -> None:
    name = "convert_to(REPLACE(convert_from(xml, 'UTF8'), '>RK', '>XK'), 'UTF8')"
    plain = "CAST(REPLACE(CAST(xml AS TEXT), '>RK', '>XK') AS BLOB)"
    alter(prepared.database, f"UPDATE message_bytes SET xml = {name if prepared.database.is_postgresql else plain}")
    found = again(prepared)
    assert not found.is_identical
    assert found.causes == ["signed bytes", "key"]
    assert "digest differs" in next(one.note for one in found.inputs if one.name == "key")


def test_mapping_that_changed_is_named_with_both_digests(prepared: Connector, tmp_path: Path) -> None:
    folder = tmp_path / "enterprise"
    settings = load(folder / "connector.toml")
    before = next(one.then for one in again(prepared).inputs if one.name == "mapping")
    changed = settings.model_copy(update={"values": settings.values | {"agent_name": "另一家公司"}})
    assert changed.values != settings.values
    found = again(replace(prepared, collections=build_collections(changed)))
    assert not found.is_identical
    assert found.causes == ["mapping"]
    mapping = next(one for one in found.inputs if one.name == "mapping")
    assert mapping.then == before != mapping.now
    assert "--mappings DIR" in mapping.note
    assert any("另一家公司" in one.note for one in found.inputs if one.name == "content")


def test_mapping_that_is_gone_is_named(prepared: Connector) -> None:
    bare = [replace(one, mappings=()) for one in prepared.collections]
    found = again(replace(prepared, collections=tuple(bare)))
    assert not found.is_identical
    assert found.rebuilt == found.signed  # of the stored content, which is not what was asked
    assert found.causes == ["mapping"]
    assert any("no mapping makes a CEB213" in one.note for one in found.inputs)


def test_rows_looked_up_that_changed_are_what_is_left(prepared: Connector, tmp_path: Path) -> None:
    sources = [one for one in (tmp_path / "enterprise").glob("*.db") if one.name == "archive.db"]
    with closing(sqlite3.connect(sources[0])) as archive, archive:
        tables = [row[0] for row in archive.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert tables
        for table in tables:
            archive.execute(f"DELETE FROM {table}")
    found = again(prepared)
    assert not found.is_identical
    assert found.causes == ["lookups or the program"]
    (first, *_) = [one for one in found.inputs if one.name == "content"]
    assert "the stored content stands in for it" in first.note


def test_account_that_changed_is_named(prepared: Connector) -> None:
    found = again(replace(prepared, transfer=replace(prepared.transfer, dxp_id="DXPENT0000099999")))
    assert not found.is_identical
    assert found.causes == ["[enterprise]"]


def test_input_of_which_nothing_was_recorded_is_not_called_the_same() -> None:
    assert Input(name="schema", then="", now="1").state == "not recorded"
    assert Input(name="schema", then="1", now="").state == "changed"
