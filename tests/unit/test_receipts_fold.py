"""What the receipts of one revision add up to, in whatever order and however often they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.messages.receipts import CustomsStatus
from connector.receipts.fold import NOTHING_SAID, Said, fold, status_of

DAY = datetime(2026, 6, 1, tzinfo=UTC)
CODES = ["1", "2", "3", "4", "100", "120", "300", "399", "500", "505", "600", "800", "-1", "-621", "777", "X", ""]


def said(code: str, minute: int = 0, info: str = "", *, is_format_check: bool = False) -> Said:
    return Said(code=code, time=DAY + timedelta(minutes=minute), info=info, is_format_check=is_format_check)


RECEIPTS = st.lists(
    st.builds(
        said,
        st.sampled_from(CODES),
        st.integers(0, 4),
        st.sampled_from(["", "入库", "该单已经申报过，请勿重复"]),
        is_format_check=st.booleans(),
    ),
    max_size=8,
)


@given(receipts=RECEIPTS, seed=st.integers())
def test_standing_is_the_same_in_any_order_and_with_any_repetition(receipts: list[Said], seed: int) -> None:
    random = Random(seed)
    again = receipts + random.choices(receipts, k=5) if receipts else []
    random.shuffle(again)
    assert fold(again) == fold(receipts)


@given(receipts=RECEIPTS)
def test_standing_is_final_exactly_when_a_receipt_that_counts_is(receipts: list[Said]) -> None:
    counting = [one for one in receipts if "已经申报过" not in one.info]
    finals = [one for one in counting if status_of(one).is_final]
    standing = fold(receipts)
    assert standing.status.is_final == bool(finals)
    if finals:
        assert standing.time == max(one.time for one in finals)
    elif counting:
        assert standing.time == max(one.time for one in counting)
    else:
        assert standing == NOTHING_SAID


@given(receipts=RECEIPTS, code=st.sampled_from(CODES), minute=st.integers(0, 9))
def test_standing_never_changes_by_an_answer_to_a_repeat(receipts: list[Said], code: str, minute: int) -> None:
    repeat = said(code, minute, "[Code:1];该报文已经申报过")
    assert fold([*receipts, repeat]) == fold(receipts)


def test_nothing_said_is_no_status() -> None:
    assert fold([]) == NOTHING_SAID
    assert NOTHING_SAID.status is CustomsStatus.NONE


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1", "saved"),
        ("2", "declaring"),
        ("3", "forwarded"),
        ("4", "forward_failed"),
        ("100", "rejected"),
        ("120", "stored"),
        ("300", "manual_review"),
        ("399", "finished"),
        ("500", "inspection"),
        ("505", "handed_over"),
        ("600", "suspended"),
        ("800", "released"),
        ("-1", "failed"),
        ("-999999", "failed"),
        ("0", "unknown"),
        ("777", "unknown"),
        ("8OO", "unknown"),
        ("", "unknown"),
        ("٣", "unknown"),
    ],
)
def test_code_gives_its_status_and_stands_beside_it(code: str, status: str) -> None:
    standing = fold([said(code, info="说明")])
    assert (standing.status.value, standing.code, standing.info) == (status, code, "说明")


def test_final_beats_what_is_said_later() -> None:
    assert fold([said("800", 1), said("120", 2), said("777", 3)]).status is CustomsStatus.RELEASED


def test_later_final_wins_among_finals() -> None:
    assert fold([said("100", 2), said("800", 1)]).status is CustomsStatus.REJECTED
    assert fold([said("100", 1), said("800", 2)]).status is CustomsStatus.RELEASED


def test_later_stage_wins_when_two_are_said_at_one_time() -> None:
    assert fold([said("3"), said("120"), said("2")]).status is CustomsStatus.STORED


def test_standing_is_the_same_in_any_order_when_a_format_check_differs_in_nothing_else() -> None:
    pair = [said("800"), said("800", is_format_check=True)]
    assert fold(pair) == fold(reversed(pair))
    assert fold(pair).status is CustomsStatus.REJECTED


def test_format_check_rejects_whatever_its_code() -> None:
    assert fold([said("1", is_format_check=True)]).status is CustomsStatus.REJECTED
    assert fold([said("120", 1), said("X", 0, is_format_check=True)]).status is CustomsStatus.REJECTED
