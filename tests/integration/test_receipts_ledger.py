"""Receipts kept, applied once, and matched to the revision they belong to, on both kinds of database."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.documents import Document
from connector.messages.receipts import CustomsStatus, Receipt
from connector.outbox import queries, queue, turns
from connector.outbox.delivery import Step
from connector.receipts import ledger, matching
from connector.receipts import queries as receipt_queries
from connector.receipts.ledger import FetchedEnvelope, StatusChange, Taken
from connector.storage.database import Database
from connector.storage.receipts import RECEIPT_ENVELOPES, RECEIPTS

Keep = Callable[..., list[Document]]

NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
STRANGER = "00000000-0000-0000-0000-000000000000"


def receipt(digest: str, document: Document | None = None, code: str = "2", minute: int = 1, **given: Any) -> Receipt:
    """What customs says of a document, echoing its guid unless another is given."""
    return Receipt(
        type="CEB214",
        answers=given.get("answers", ("CEB213",)),
        guid=given.get("guid", document.guid if document else STRANGER),
        business_key=given.get("business_key", document.business_key if document else ""),
        message_id=MessageId(given["message_id"]) if "message_id" in given else None,
        code=code,
        time=NOW + timedelta(minutes=minute),
        info=given.get("info", ""),
        pre_no="",
        digest=digest,
    )


def refusal(digest: str, message_id: str) -> Receipt:
    return receipt(digest, code="-1", answers=(), message_id=message_id, info="报文不符合规范")


def take(database: Database, *envelopes: tuple[int, list[Receipt]], endpoint: str = "e") -> list[Taken]:
    sealed = [
        FetchedEnvelope(sequence=number, content=b"%d" % number, receipts=tuple(inside)) for number, inside in envelopes
    ]
    with database.write(Deed.PREPARE) as transaction:
        return ledger.take(transaction, endpoint, sealed, now=NOW)


def apply(database: Database, *envelopes: tuple[int, list[Receipt]]) -> list[StatusChange]:
    taken = take(database, *envelopes)
    with database.write(Deed.PREPARE) as transaction:
        return ledger.refold(transaction, [owner for one in taken for owner in one.owners])


def owners(taken: list[Taken]) -> dict[str, tuple[str, ...]]:
    return {one.receipt.digest: tuple(owner.guid for owner in one.owners) for one in taken}


def view(database: Database, document: Document) -> queries.DocumentView:
    with database.read() as connection:
        (found,) = queries.find_documents(connection, document.guid)
    return found


def test_receipt_belongs_to_the_revision_whose_guid_it_echoes(database: Database, keep: Keep) -> None:
    (old,), (new,) = keep("1"), keep("1", revision=2)
    assert owners(take(database, (1, [receipt("a", old), receipt("b", new)]))) == {"a": (old.guid,), "b": (new.guid,)}


def test_receipt_belongs_to_the_newest_revision_sent_before_it_when_its_guid_is_not_ours(
    database: Database, keep: Keep
) -> None:
    old = keep("1", at=NOW - timedelta(hours=1), message_id="m1")[0]
    new = keep("1", revision=2, at=NOW, message_id="m2")[0]
    keep("1", revision=3, at=NOW + timedelta(hours=2), message_id="m3")  # waits to be sent
    for minutes in (0, 60):
        with database.write(Deed.CLAIM) as transaction:
            queue.claim(transaction, "send", now=NOW + timedelta(minutes=minutes), lease=timedelta(hours=9))
    said = {
        digest: receipt(digest, old, minute=minute, guid=STRANGER)
        for digest, minute in {"before": -1, "at once": 0, "between": 59, "after": 61}.items()
    }
    assert owners(take(database, (1, list(said.values())))) == {
        "before": (old.guid,),  # by a clock of customs that is behind ours
        "at once": (old.guid,),
        "between": (old.guid,),
        "after": (new.guid,),
    }


def test_receipt_without_our_guid_proves_nothing_where_several_revisions_may_have_arrived(
    database: Database, keep: Keep
) -> None:
    old = keep("1", at=NOW - timedelta(hours=1), message_id="m1")[0]
    keep("1", revision=2, at=NOW, message_id="m2")
    proofs: dict[str, bool] = {}
    for digest, minutes, outcome in [("alone", 0, "in_doubt"), ("surely", 60, "not_sent"), ("perhaps", 60, "")]:
        said = receipt(digest, old, minute=90, guid=STRANGER)
        with database.write(Deed.CLAIM) as transaction:
            claim = queue.claim(transaction, "send", now=NOW + timedelta(minutes=minutes), lease=timedelta(0))
            assert claim is not None
            if outcome:
                state = DeliveryState.PENDING if outcome == "not_sent" else DeliveryState.DELIVERED
                step = Step(state=state, info="", due_at=NOW, settle_at=NOW)
                queue.record(transaction, claim, step, outcome=outcome, response=None, now=NOW)
        proofs |= {one.receipt.digest: one.is_proof for one in take(database, (minutes + len(proofs), [said]))}
    assert proofs == {"alone": True, "surely": True, "perhaps": False}


def test_receipt_never_belongs_to_a_document_of_another_type_under_the_same_key(database: Database, keep: Keep) -> None:
    (tally,) = keep("1", kind="CEB215")
    assert owners(take(database, (1, [receipt("a", tally, guid=STRANGER)]))) == {"a": ()}


def test_receipt_that_matches_nothing_is_kept_and_shown(database: Database, keep: Keep) -> None:
    (made,) = keep("1", message_id="m")
    unknown = [receipt("a", business_key="A/9"), refusal("b", "not ours")]
    taken = take(database, (7, [*unknown, receipt("c", made), refusal("d", "m")]))
    assert owners(taken) == {"a": (), "b": (), "c": (made.guid,), "d": (made.guid,)}
    with database.read() as connection:
        assert [row.digest for row in receipt_queries.unmatched(connection)] == ["a", "b"]
        assert [row.digest for row in receipt_queries.receipts_of(connection, made.guid)] == ["c", "d"]


def test_format_check_belongs_to_every_document_of_its_message(database: Database, keep: Keep) -> None:
    made = keep("1", "2", "3", message_id="m")
    other = keep("4", message_id="n")[0]
    assert owners(take(database, (1, [refusal("a", "m")]))) == {"a": tuple(document.guid for document in made)}
    with database.write(Deed.PREPARE) as transaction:
        turns.refuse_by_receipt(transaction, MessageId("m"), "format check", now=NOW)
        assert len(ledger.refold(transaction, _all_owners(made))) == 3
    assert {view(database, document).customs_status for document in made} == {"rejected"}
    assert view(database, other).customs_status == "none"


def test_format_check_counts_no_more_when_its_message_goes_again(database: Database, keep: Keep) -> None:
    made = keep("1", "2", message_id="m")
    take(database, (1, [refusal("a", "m")]))
    with database.write(Deed.PREPARE) as transaction:
        turns.refuse_by_receipt(transaction, MessageId("m"), "format check", now=NOW)
        ledger.refold(transaction, matching.owners_in(transaction, "m"))
        assert turns.requeue(transaction, MessageId("m"), info="resent", now=NOW)
        ledger.refold(transaction, matching.owners_in(transaction, "m"))
    assert {view(database, document).customs_status for document in made} == {"none"}


def _all_owners(made: list[Document]) -> list[matching.Owner]:
    return [
        matching.Owner(guid=one.guid, type=one.type, business_key=one.business_key, waybill="", export_list="")
        for one in made
    ]


def test_envelope_that_comes_again_is_taken_once(database: Database, keep: Keep) -> None:
    (made,) = keep("1")
    assert len(take(database, (1, [receipt("a", made)]))) == 1
    assert take(database, (1, [receipt("a", made)])) == []
    assert take(database, (1, [receipt("other", made)]), (2, [])) == []
    with database.read() as connection:
        assert connection.execute(select(RECEIPT_ENVELOPES.c.sequence)).scalars().all() == [1, 2]


def test_same_sequence_of_another_endpoint_is_another_envelope(database: Database, keep: Keep) -> None:
    (made,) = keep("1")
    take(database, (1, [receipt("a", made)]))
    assert len(take(database, (1, [receipt("b", made)]), endpoint="f")) == 1


def test_record_is_applied_once_however_many_envelopes_bring_it(database: Database, keep: Keep) -> None:
    (made,) = keep("1")
    first = receipt("a", made)
    taken = take(database, (1, [first, first]), (2, [first]))
    assert [(one.receipt.digest, one.sequence) for one in taken] == [("a", 1)]
    assert take(database, (3, [first])) == []
    with database.read() as connection:
        assert connection.execute(select(RECEIPTS.c.sequence)).scalars().all() == [1]
        assert len(connection.execute(select(RECEIPT_ENVELOPES)).all()) == 3


def test_envelope_that_cannot_be_read_is_kept_with_its_problem(database: Database) -> None:
    spoilt = FetchedEnvelope(sequence=3, content=b"\x00<", receipts=(), problem="it is not XML")
    with database.write(Deed.PREPARE) as transaction:
        assert ledger.take(transaction, "e", [spoilt], now=NOW) == []
    with database.read() as connection:
        row = connection.execute(select(RECEIPT_ENVELOPES)).one()
    assert (bytes(row.content), row.problem, row.received_at) == (b"\x00<", "it is not XML", NOW)


def test_more_receipts_are_taken_than_one_query_takes(database: Database, keep: Keep) -> None:
    made = keep(*[str(number) for number in range(1203)])
    inside = [receipt(document.guid, document, code="800") for document in made]
    assert len(apply(database, (1, inside))) == 1203
    with database.read() as connection:
        assert queries.count_documents(connection) == {("CEB213", "released"): 1203}


def test_status_adds_up_and_says_what_it_was_before(database: Database, keep: Keep) -> None:
    (made,) = keep("1", waybill="YT1", export_list="L1")
    (change,) = apply(database, (1, [receipt("a", made, "2", 1)]))
    assert (change.before, change.standing.status) == (CustomsStatus.NONE, CustomsStatus.DECLARING)
    assert (change.owner.waybill, change.owner.export_list) == ("YT1", "L1")
    (change,) = apply(database, (2, [receipt("b", made, "800", 3, info="放行"), receipt("c", made, "120", 9)]))
    assert (change.before, change.standing.status) == (CustomsStatus.DECLARING, CustomsStatus.RELEASED)
    found = view(database, made)
    assert (found.customs_status, found.customs_code, found.customs_info) == ("released", "800", "放行")
    assert found.customs_time == NOW + timedelta(minutes=3)


def test_nothing_changes_when_receipts_say_nothing_new(database: Database, keep: Keep) -> None:
    (made,) = keep("1")
    apply(database, (1, [receipt("a", made, "800", 5)]))
    assert apply(database, (2, [receipt("b", made, "120", 4), receipt("c", made, "2", 9, info="已经申报过")])) == []
    assert view(database, made).customs_status == "released"


SAID = [("2", 1, ""), ("100", 2, "数量超过"), ("100", 2, "数量超出"), ("777", 3, ""), ("1", 4, "该单已经申报过")]


def test_status_is_the_same_in_whatever_order_and_portions_receipts_come(database: Database, keep: Keep) -> None:
    orders = Random(3).sample(list(itertools.permutations(range(len(SAID)))), 8)
    outcomes = set()
    for number, order in enumerate(orders):
        (made,) = keep(f"RK{number}")
        for place, which in enumerate(order):
            code, minute, info = SAID[which]
            one = receipt(f"{number}-{which}", made, code, minute, info=info)
            apply(database, (100 * number + place, [one]))
        found = view(database, made)
        outcomes.add((found.customs_status, found.customs_code, found.customs_info, found.customs_time))
    (outcome,) = outcomes
    assert outcome[:2] == ("rejected", "100")


@pytest.mark.parametrize("first", ["format check", "acceptance"])
def test_revision_that_went_again_alone_is_accepted_when_customs_says_so_later(
    database: Database, keep: Keep, first: str
) -> None:
    (made,) = keep("1", message_id="m")
    envelopes = [(1, [refusal("a", "m")]), (2, [receipt("b", made, "800", 9)])]
    for envelope in envelopes if first == "format check" else reversed(envelopes):
        apply(database, envelope)
    assert view(database, made).customs_status == "released"


def test_cursor_of_each_endpoint_is_remembered(database: Database) -> None:
    with database.write(Deed.PREPARE) as transaction:
        assert ledger.read_cursor(transaction, "e") == 0
        ledger.move_cursor(transaction, "e", 2**40)
        ledger.move_cursor(transaction, "f", 7)
        ledger.move_cursor(transaction, "e", 2**40 + 1)
    with database.read() as connection:
        assert (ledger.read_cursor(connection, "e"), ledger.read_cursor(connection, "f")) == (2**40 + 1, 7)
