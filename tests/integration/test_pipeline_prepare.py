"""collect and prepare with the sample enterprise: what comes out, that it comes out once, and after a crash as well."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from math import ceil
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import func, select

from connector.audit.queries import EntryFilter, entries
from connector.deeds import Deed, Moment, Watch, unwatched
from connector.mapping.compiler import Rows
from connector.mapping.engine import DocumentMapping
from connector.messages.deliveries import DeliveryState
from connector.messages.parser import parse, validate
from connector.outbox import queries
from connector.outbox.queries import Filter
from connector.pipeline.cycle import Cycle, collect_and_prepare
from connector.pipeline.leasing import end_all
from connector.pipeline.wiring import Connector
from connector.sources import quarantine
from connector.storage.database import Database
from connector.storage.sources import QUARANTINE, SOURCE_RECORDS

Wire = Callable[..., Connector]


class Killed(BaseException):
    """The end of a process, as near as one can come to it inside another."""


def figures(connector: Connector) -> dict[str, object]:
    """Everything that must be the same however the road to it was."""
    with connector.database.read() as connection:
        documents = queries.documents(connection, Filter())
        messages = queries.messages(connection, Filter())
        log = entries(connection, EntryFilter())
        held = quarantine.waiting_entries(connection)
        records = connection.execute(select(func.count()).select_from(SOURCE_RECORDS)).scalar_one()
        contents = {view.guid: str(queries.content(connection, view.guid)) for view in documents}
    assert [entry.sequence for entry in log] == list(range(1, len(log) + 1))
    assert all(len(view.message_ids) == 1 for view in documents)
    assert sorted(guid for message in messages for guid in message.guids) == sorted(contents)
    return {
        "documents": sorted((view.type, view.business_key, view.revision, contents[view.guid]) for view in documents),
        "messages": sorted((message.type, len(message.documents)) for message in messages),
        "held": sorted((one.key.key, one.type, one.reason) for one in held),
        "records": records,
        "events": Counter(entry.event for entry in log),
    }


def test_sample_becomes_documents_in_messages_and_every_wrong_row_is_held(enterprise: Wire, database: Database) -> None:
    connector = replace(enterprise(60), database=database)
    cycle = collect_and_prepare(connector)
    assert (cycle.collected.changed, cycle.collected.unreadable, cycle.failures) == (60, 0, [])
    assert (cycle.prepared.documents, cycle.prepared.messages, cycle.prepared.quarantined) == (114, 2, 6)
    assert cycle.exit_code == 3
    found = figures(connector)
    assert found["messages"] == [("CEB213", 55), ("CEB215", 59)]
    assert found["events"] == {"collected": 60, "mapped": 114, "signed": 2, "quarantined": 6, "window_read": 1}
    with database.read() as connection:
        assert Counter((one.type, one.reason) for one in quarantine.waiting_entries(connection)) == {
            ("CEB213", "lookup_missing"): 1,
            ("CEB213", "control_character"): 1,
            ("CEB213", "code_unknown"): 1,
            ("CEB213", "rule"): 1,
            ("CEB213", "required_missing"): 1,
            ("CEB215", "required_missing"): 1,
        }


def test_second_run_does_nothing(enterprise: Wire, database: Database) -> None:
    connector = replace(enterprise(60), database=database)
    collect_and_prepare(connector)
    before = figures(connector)
    for _ in range(2):
        cycle = collect_and_prepare(connector)
        assert cycle == Cycle()
        assert cycle.exit_code == 0
    assert figures(connector) == before


def test_messages_are_valid_and_wait_to_be_sent(enterprise: Wire) -> None:
    connector = enterprise(60)
    collect_and_prepare(connector)
    with connector.database.read() as connection:
        for message in queries.messages(connection, Filter()):
            assert message.delivery_state == DeliveryState.PENDING
            xml = queries.signed_bytes(connection, message.id)
            assert xml is not None
            validate(parse(xml), message.type.lower())


def test_nothing_is_lost_or_doubled_whenever_the_process_ends(enterprise: Wire, tmp_path: Path) -> None:
    left = 10**6

    def kill(_deed: Deed, _moment: Moment) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Killed

    whole = in_small_pages(enterprise, tmp_path, "whole", kill)
    collect_and_prepare(whole)
    expected = figures(whole)
    places = 10**6 - left
    assert places > 20
    for place in range(1, places + 1):
        name = f"killed at {place}"
        connector = in_small_pages(enterprise, tmp_path, name, kill)
        left = place
        with pytest.raises(Killed):
            collect_and_prepare(connector)
        again = enterprise(60, name=name)
        end_all(again)
        collect_and_prepare(again)
        assert figures(again) == expected, name
        again.database.close()
        shutil.rmtree(tmp_path / name)


def in_small_pages(enterprise: Wire, tmp_path: Path, name: str, watch: Watch = unwatched) -> Connector:
    """The sample read ten rows at a time, so that collecting has many commits."""
    enterprise(60, name=name).database.close()
    file = tmp_path / name / "mappings" / "returns.toml"
    text = file.read_text("utf-8")
    small = re.sub(r"^page_size = \d+$", "page_size = 10", text, flags=re.MULTILINE)
    assert small != text
    file.write_text(small, "utf-8")
    return enterprise(60, name=name, watch=watch)


def test_messages_fill_up_across_pages(enterprise: Wire) -> None:
    connector = enterprise(1250)
    cycle = collect_and_prepare(connector)
    with connector.database.read() as connection:
        documents = Counter(view.type for view in queries.documents(connection, Filter()))
        messages = Counter(message.type for message in queries.messages(connection, Filter()))
    assert documents.total() == 2500 - cycle.prepared.quarantined
    assert messages == {kind: ceil(count / 100) for kind, count in documents.items()}
    assert collect_and_prepare(connector) == Cycle()


def spoilt(connector: Connector, order_no: str) -> Connector:
    """The connector with a CEB213 mapping that makes, of one record, what no schema takes."""

    def wrong(mapping: DocumentMapping) -> DocumentMapping:
        def port_of(rows: Rows) -> str:
            return "TOO LONG" if rows["record"]["order_no"] == order_no else "5141"

        head = [replace(one, text=port_of) if one.name == "portCode" else one for one in mapping.head]
        return replace(mapping, head=tuple(head))

    (collection,) = connector.collections
    mappings = [wrong(one) if one.message_type.name == "CEB213" else one for one in collection.mappings]
    return replace(connector, collections=(replace(collection, mappings=tuple(mappings)),))


@pytest.mark.parametrize(("returns", "position"), [(60, 30), (1250, 999)])
def test_draft_that_the_schema_refuses_is_held_once_and_the_others_go_out(
    enterprise: Wire, tmp_path: Path, returns: int, position: int
) -> None:
    """Position 999 of 1,250: the draft is left over from the first page and refused with the second."""
    sound = enterprise(returns, name="sound")
    usual = collect_and_prepare(sound).prepared
    with sound.database.read() as connection:
        made = {view.business_key.rpartition("/")[2] for view in queries.documents(connection, Filter(type="CEB213"))}
    with closing(sqlite3.connect(tmp_path / "sound" / "warehouse.db")) as warehouse:
        rows = warehouse.execute(
            "SELECT order_no FROM wms_receipt_order WHERE opt_type = 3 AND order_status = 1 ORDER BY update_time, id"
        ).fetchall()
    order_no = next(number for (number,) in reversed(rows[:position]) if number in made)
    connector = spoilt(enterprise(returns, name="spoilt"), order_no)
    prepared = collect_and_prepare(connector).prepared
    assert (prepared.documents, prepared.quarantined) == (usual.documents - 1, usual.quarantined + 1)
    with connector.database.read() as connection:
        (held,) = [one for one in quarantine.waiting_entries(connection) if one.reason == "schema"]
    assert (held.key.key, held.type) == (order_no, "CEB213")
    assert "portCode" in held.faults[0]["text"]
    before = figures(connector)
    assert collect_and_prepare(connector) == Cycle()
    assert figures(connector) == before
    with connector.database.read() as connection:
        kept = connection.execute(select(func.count()).select_from(QUARANTINE)).scalar_one()
    assert kept == usual.quarantined + 1


def test_two_at_once_make_every_document_once(enterprise: Wire, database: Database) -> None:
    connectors = [replace(enterprise(60), database=database) for _ in range(2)]
    cycles: list[Cycle] = []
    threads = [Thread(target=lambda one=one: cycles.append(collect_and_prepare(one))) for one in connectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cycles) == 2
    # One may look for work just before the other has collected it, and keep the lease until the other has passed it by.
    cycles.append(collect_and_prepare(connectors[0]))
    assert sum(cycle.collected.changed for cycle in cycles) == 60
    assert sum(cycle.prepared.documents for cycle in cycles) == 114
    assert figures(connectors[0])["records"] == 60
