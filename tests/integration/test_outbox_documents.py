"""Revisions kept for ever, and reading documents and messages by what people know of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import literal, select, update
from sqlalchemy.exc import IntegrityError

from connector.deeds import Deed
from connector.errors import PayloadArchived
from connector.messages.deliveries import DeliveryState
from connector.messages.documents import AppType, Document
from connector.messages.receipts import CustomsStatus
from connector.outbox import documents, queries
from connector.outbox.queries import Filter
from connector.outbox.revisions import Revision
from connector.storage.database import Database
from connector.storage.outbox import DOCUMENTS, MESSAGE_DOCUMENTS, MESSAGES

Keep = Callable[..., list[Document]]

NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def set_status(database: Database, guid: str, status: CustomsStatus) -> None:
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(DOCUMENTS).where(DOCUMENTS.c.guid == guid).values(customs_status=status))


def set_state(database: Database, message_id: str, state: DeliveryState) -> None:
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).where(MESSAGES.c.id == message_id).values(state=state))


def test_newest_revision_is_found_of_each_key_that_has_one(database: Database, keep: Keep) -> None:
    (old,) = keep("1", revision=1)
    (new,) = keep("1", revision=2, message_id="m")
    (tally,) = keep("1", kind="CEB215")
    set_status(database, old.guid, CustomsStatus.REJECTED)
    with database.read() as connection:
        found = documents.newest_revisions(connection, "CEB213", ["A/1", "A/2"])
        assert documents.newest_revisions(connection, "CEB213", []) == {}
        origin = documents.origins(connection, [new.guid])[new.guid]
    newest = Revision(
        app_type=AppType.NEW,
        guid=new.guid,
        number=2,
        content_digest=new.content.digest(),
        status=CustomsStatus.NONE,
        is_carried=True,
        record_id=origin.record_id,
    )
    assert found == {"A/1": newest}
    assert tally.guid != old.guid != new.guid


def test_newest_revisions_are_found_of_more_keys_than_one_query_takes(database: Database, keep: Keep) -> None:
    numbers = [str(number) for number in range(1203)]
    keep(*numbers)
    with database.read() as connection:
        assert len(documents.newest_revisions(connection, "CEB213", [f"A/{number}" for number in numbers])) == 1203


def test_identity_of_a_revision_is_never_given_twice(database: Database, keep: Keep) -> None:
    (made,) = keep("1")
    with pytest.raises(IntegrityError):
        keep("1")
    columns = [column if column.name != "guid" else literal("another") for column in DOCUMENTS.columns]
    copy = select(*columns).where(DOCUMENTS.c.guid == made.guid)
    with pytest.raises(IntegrityError), database.write(Deed.PREPARE) as transaction:  # nor with a guid of its own
        transaction.execute(DOCUMENTS.insert().from_select([column.name for column in DOCUMENTS.columns], copy))


def test_documents_are_loaded_as_they_were_made_in_the_order_asked_for(database: Database, keep: Keep) -> None:
    made = keep("1", "2", "3")
    wanted = [made[2], made[0]]
    with database.read() as connection:
        assert documents.load(connection, [document.guid for document in wanted]) == wanted


@pytest.fixture
def road(database: Database, keep: Keep) -> dict[str, str]:
    """Five documents in three messages; their names -> their guids."""
    made = {
        "first": keep("1", message_id="m1", at=NOW, waybill="YT1", export_list="L1")[0],
        "second": keep("2", message_id="m2", at=NOW + HOUR, waybill="YT2", export_list="L1")[0],
        "corrected": keep("2", message_id="m3", at=NOW + 2 * HOUR, revision=2, waybill="YT3", export_list="L2")[0],
        "tally": keep("1", message_id="m4", at=NOW + 3 * HOUR, kind="CEB215", waybill="YT1", export_list="L1")[0],
    }
    set_status(database, made["second"].guid, CustomsStatus.REJECTED)
    set_state(database, "m3", DeliveryState.DELIVERED)
    return {name: document.guid for name, document in made.items()}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), "first second corrected tally"),
        (Filter(since=NOW + HOUR), "second corrected tally"),
        (Filter(until=NOW + HOUR), "first"),
        (Filter(type="CEB215"), "tally"),
        (Filter(business_key="A/2"), "second corrected"),
        (Filter(waybill="YT1"), "first tally"),
        (Filter(export_list="L2"), "corrected"),
        (Filter(delivery_state="delivered"), "corrected"),
        (Filter(customs_status="rejected"), "second"),
        (Filter(waybill="YT1", type="CEB213"), "first"),
        (Filter(waybill="YT1", customs_status="rejected"), ""),
    ],
)
def test_filter_finds_documents_and_the_messages_that_carry_them(
    database: Database, road: dict[str, str], wanted: Filter, names: str
) -> None:
    carriers = {"first": "m1", "second": "m2", "corrected": "m3", "tally": "m4"}
    with database.read() as connection:
        found = queries.documents(connection, wanted)
        messages = queries.messages(connection, wanted)
    assert [view.guid for view in found] == [road[name] for name in names.split()]
    assert [view.message_ids for view in found] == [(carriers[name],) for name in names.split()]
    assert [view.id for view in messages] == [carriers[name] for name in names.split()]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("A/1", "first tally"),
        ("1", "first tally"),
        ("2", "second corrected"),
        ("YT3", "corrected"),
        ("L1", "first second tally"),
        ("%", ""),
        ("_", ""),
        ("/1", ""),
        ("A", ""),
    ],
)
def test_document_is_found_by_whatever_a_person_knows_of_it(
    database: Database, road: dict[str, str], name: str, names: str
) -> None:
    with database.read() as connection:
        found = queries.find_documents(connection, name)
    assert [view.guid for view in found] == [road[one] for one in names.split()]


def test_document_is_found_by_its_guid_in_any_case(database: Database, road: dict[str, str]) -> None:
    for guid in (road["tally"], road["tally"].lower()):
        with database.read() as connection:
            assert [view.guid for view in queries.find_documents(connection, guid)] == [road["tally"]]


def test_newest_come_in_order_when_their_number_is_limited(database: Database, road: dict[str, str]) -> None:
    with database.read() as connection:
        found = queries.documents(connection, Filter(), at_most=2)
        messages = queries.messages(connection, Filter(), at_most=2)
    assert [view.guid for view in found] == [road["corrected"], road["tally"]]
    assert [view.id for view in messages] == ["m3", "m4"]


def test_counts_are_of_the_newest_revisions_only(database: Database, road: dict[str, str]) -> None:
    set_status(database, road["tally"], CustomsStatus.FINISHED)
    with database.read() as connection:
        assert queries.count_documents(connection) == {("CEB213", "none"): 2, ("CEB215", "finished"): 1}
        assert queries.count_messages(connection) == {"delivered": 1, "pending": 3}


def test_message_shows_what_it_carries_in_order_and_its_very_bytes(database: Database, keep: Keep) -> None:
    made = keep(*"3142", message_id="m")
    with database.read() as connection:
        view = queries.message(connection, "m")
        assert view is not None
        assert view.documents == ("A/3", "A/1", "A/4", "A/2")
        assert view.guids == tuple(document.guid for document in made)
        assert queries.signed_bytes(connection, "m") == b"<m/>"
        assert queries.content(connection, made[0].guid) == made[0].content
        assert queries.message(connection, "other") is None
        with pytest.raises(PayloadArchived):
            queries.signed_bytes(connection, "other")


@pytest.mark.parametrize("state", DeliveryState)
def test_other_carrier_counts_unless_it_was_refused_or_closed(
    database: Database, keep: Keep, state: DeliveryState
) -> None:
    first, second = keep("1", "2", message_id="m1")
    keep("3", message_id="m2")
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(MESSAGE_DOCUMENTS.insert().values(message_id="m2", position=1, guid=second.guid))
    set_state(database, "m2", state)
    expected = set() if state in {DeliveryState.REFUSED, DeliveryState.CLOSED} else {second.guid}
    with database.read() as connection:
        assert queries.other_carriers(connection, "m1") == expected
        (view,) = queries.find_documents(connection, second.guid)
        assert view.message_ids == ("m1", "m2")
        (alone,) = queries.find_documents(connection, first.guid)
        assert alone.message_ids == ("m1",)


@pytest.mark.parametrize("state", [DeliveryState.REFUSED, DeliveryState.CLOSED])
def test_revision_is_carried_no_more_when_its_only_message_was_refused_or_closed(
    database: Database, keep: Keep, state: DeliveryState
) -> None:
    keep("1", message_id="m")
    with database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=state))
        assert not documents.newest_revisions(transaction, "CEB213", ["A/1"])["A/1"].is_carried
