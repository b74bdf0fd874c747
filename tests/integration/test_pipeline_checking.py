"""The rules in the pipeline: goods are taken once, whoever asks first, and what a rule forbids waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed
from connector.messages.receipts import CustomsStatus
from connector.outbox import queries
from connector.outbox.queries import DocumentView, Filter
from connector.pipeline.collect import collect
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.prepare import prepare
from connector.pipeline.release import release
from connector.pipeline.wiring import Connector
from connector.signing.keyring import KeyRing
from connector.signing.signer import Signer
from connector.sources import quarantine
from connector.sources.quarantine import Release, Waiting
from connector.storage.database import Database
from connector.storage.outbox import DOCUMENTS

Wire = Callable[..., Connector]

_FIRST = "RK10000001"
_LATER = "2026-10-08 09:00:00.000"


def declared(connector: Connector, *numbers: str) -> list[DocumentView]:
    with connector.database.read() as connection:
        found = queries.documents(connection, Filter(type="CEB213"))
    return [view for view in found if view.business_key.rpartition("/")[2] in numbers]


def forbidden(connector: Connector) -> dict[str, Waiting]:
    with connector.database.read() as connection:
        return {one.key.key: one for one in quarantine.waiting_entries(connection) if one.reason == quarantine.RULE}


def return_again(folder: Path, number: str) -> None:
    """The goods of the first return come back once more under another number."""
    with closing(sqlite3.connect(folder / "warehouse.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        head = dict(connection.execute("SELECT * FROM wms_receipt_order WHERE order_no = ?", [_FIRST]).fetchone())
        lines = [
            dict(row)
            for row in connection.execute("SELECT * FROM wms_receipt_order_detail WHERE order_id = ?", [head["id"]])
        ]
        new = head | {"id": head["id"] + int(number[-3:]) * 100, "order_no": number, "update_time": _LATER}
        _insert(connection, "wms_receipt_order", new)
        for line in lines:
            row = line | {"id": line["id"] + int(number[-3:]) * 100, "order_id": new["id"]}
            _insert(connection, "wms_receipt_order_detail", row)


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", [*row.values()])


@pytest.fixture
def site(enterprise: Wire, database: Database) -> Connector:
    return replace(enterprise(6), database=database)


def test_second_return_of_the_same_goods_waits_when_both_are_prepared_at_once(site: Connector, tmp_path: Path) -> None:
    return_again(tmp_path / "enterprise", "RK90000001")
    collect_and_prepare(site)
    assert len(declared(site, _FIRST, "RK90000001")) == 1
    (held,) = [one for number, one in forbidden(site).items() if number in {_FIRST, "RK90000001"}]
    assert held.faults[0]["code"] == "R5"
    assert "is taken by other returns" in held.faults[0]["text"]
    assert "2020年第44号" in held.faults[0]["text"]


def test_second_return_waits_until_customs_turns_the_first_one_down(site: Connector, tmp_path: Path) -> None:
    collect_and_prepare(site)
    (first,) = declared(site, _FIRST)
    return_again(tmp_path / "enterprise", "RK90000002")
    collect_and_prepare(site)
    assert set(forbidden(site)) >= {"RK90000002"}
    assert declared(site, "RK90000002") == []
    for status in (CustomsStatus.RELEASED, CustomsStatus.DECLARING):
        _say(site, first, status)
        collect_and_prepare(site)
        assert declared(site, "RK90000002") == []
    _say(site, first, CustomsStatus.REJECTED)
    collect_and_prepare(site)
    assert len(declared(site, "RK90000002")) == 1
    assert "RK90000002" not in forbidden(site)


class Interrupted(KeyRing):
    """The keys of a connector; the first time one is asked for, something else happens before."""

    def __init__(self, keys: KeyRing, happens: Callable[[], object]) -> None:
        super().__init__(keys.keys)
        self._happens: Callable[[], object] | None = happens

    def at(self, now: datetime) -> Signer:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        return super().at(now)


def test_goods_are_taken_once_when_another_collection_takes_them_between_the_rules_and_the_commit(
    enterprise: Wire, database: Database, tmp_path: Path
) -> None:
    enterprise(6)
    mappings = tmp_path / "enterprise" / "mappings"
    for name, old, new in (
        ("returns", "WHERE o.opt_type = 3", "WHERE o.order_no = 'RK90000003' AND o.opt_type = 3"),
        ("CEB213", 'records = "returns"', 'records = "others"'),
    ):
        text = (mappings / f"{name}.toml").read_text("utf-8").replace('records = "returns"', 'records = "others"')
        (mappings / f"{name}-others.toml").write_text(text.replace(old, new), "utf-8")
    text = (mappings / "returns.toml").read_text("utf-8")
    (mappings / "returns.toml").write_text(
        text.replace("WHERE o.opt_type = 3", f"WHERE o.order_no = '{_FIRST}' AND o.opt_type = 3"), "utf-8"
    )
    return_again(tmp_path / "enterprise", "RK90000003")
    site = replace(enterprise(6), database=database)
    ours, others = site.collection("returns"), site.collection("others")
    assert ours is not None
    assert others is not None
    for one in (ours, others):
        assert collect(site, one).changed == 1
    elsewhere = replace(site, holder="another process")
    interrupted = replace(site, keys=Interrupted(site.keys, lambda: prepare(elsewhere, others)))
    assert prepare(interrupted, ours).documents == 1  # the tally detail; the return application finds the goods taken
    assert [view.business_key.rpartition("/")[2] for view in declared(site, _FIRST, "RK90000003")] == ["RK90000003"]
    assert set(forbidden(site)) == {_FIRST}


def test_released_document_goes_out_against_the_rule_and_counts_for_the_next(site: Connector, tmp_path: Path) -> None:
    collect_and_prepare(site)
    return_again(tmp_path / "enterprise", "RK90000004")
    collect_and_prepare(site)
    held = forbidden(site)["RK90000004"]
    ((_, how),) = release(site, [held], release_as=None, reason="customs allowed it by letter", actor="wang")
    assert how is Release.AGAINST_RULES
    collect_and_prepare(site)
    (view,) = declared(site, "RK90000004")
    with site.database.read() as connection:
        (mapped,) = [
            one
            for one in entries(connection, EntryFilter(event="mapped", business_key=view.business_key))
            if one.document_type == "CEB213"
        ]
    assert mapped.detail["rules"]["R5"] == "block"  # type: ignore[index]
    assert collect_and_prepare(site).prepared.documents == 0


def test_released_excess_goes_out_and_those_of_the_same_pass_are_judged_with_it(
    site: Connector, tmp_path: Path
) -> None:
    """Where the rules and the last look before the commit disagree, preparing never ends."""
    folder = tmp_path / "enterprise"
    return_again(folder, "RK90000005")  # the quantity that was exported
    set_back = "UPDATE wms_receipt_order SET update_time = ? WHERE order_no = 'RK90000005'"
    take(folder, 99)
    change(folder, set_back, "2036-01-01 00:00:00.000")  # not yet
    collect_and_prepare(site)
    released = forbidden(site)[_FIRST]
    release(site, [released], release_as=None, reason="customs allowed it by letter", actor="wang")
    change(folder, set_back, _LATER)
    collect_and_prepare(site)
    (view,) = declared(site, _FIRST, "RK90000005")
    assert view.business_key.endswith(_FIRST)
    assert set(forbidden(site)) >= {"RK90000005"}
    _say(site, view, CustomsStatus.FINISHED)
    take(folder, 98)
    collect_and_prepare(site)
    with site.database.read() as connection:
        (changed,) = [
            one for one in quarantine.waiting_entries(connection) if (one.key.key, one.type) == (_FIRST, "CEB213")
        ]
    release(site, [changed], release_as=Release.DELETE, reason="it was declared in error", actor="wang")
    collect_and_prepare(site)
    assert [view.app_type for view in declared(site, _FIRST)] == ["1", "3"]


def take(folder: Path, quantity: int) -> None:
    """Have the first return say another quantity, in a later version of its row."""
    change(
        folder,
        "UPDATE wms_receipt_order SET update_time = ? WHERE order_no = ?",
        f"2026-10-09 09:00:{quantity % 60}.000",
        _FIRST,
    )
    of_first = "SELECT id FROM wms_receipt_order WHERE order_no = ?"
    change(folder, f"UPDATE wms_receipt_order_detail SET quantity = ? WHERE order_id = ({of_first})", quantity, _FIRST)


def change(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "warehouse.db")) as connection, connection:
        connection.execute(statement, values)


def test_entry_ends_when_no_document_of_its_type_is_meant_any_more(
    site: Connector, enterprise: Wire, database: Database, tmp_path: Path
) -> None:
    take(tmp_path / "enterprise", 99)
    collect_and_prepare(site)
    assert _FIRST in forbidden(site)
    mapping = tmp_path / "enterprise" / "mappings" / "CEB213.toml"
    text = mapping.read_text("utf-8")
    when = f'when = {{ field = "record.order_no", is_not = ["{_FIRST}"] }}\n\n[head]'
    mapping.write_text(text.replace("[head]", when, 1), "utf-8")
    again = replace(enterprise(6), database=database)
    collect_and_prepare(again)
    assert _FIRST not in forbidden(again)
    assert declared(again, _FIRST) == []


def test_outcomes_of_all_rules_stand_in_the_entry_of_each_document(site: Connector) -> None:
    collect_and_prepare(site)
    with site.database.read() as connection:
        found = entries(connection, EntryFilter(event="mapped"))
    assert found
    for one in found:
        rules = one.detail["rules"]
        assert isinstance(rules, dict)
        assert set(rules) >= ({"R1", "R4", "R5", "R6"} if one.document_type == "CEB213" else {"R2", "R3", "R7"})
        assert set(rules.values()) <= {"pass", "warn", "inform", "not_judged"}


def _say(connector: Connector, view: DocumentView, status: CustomsStatus) -> None:
    with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
        transaction.execute(update(DOCUMENTS).where(DOCUMENTS.c.guid == view.guid).values(customs_status=status.value))
