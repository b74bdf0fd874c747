from __future__ import annotations

from decimal import Decimal

import pytest

from connector.simulator.declarations import Declaration
from connector.simulator.export_lists import ExportLine, ExportList
from connector.simulator.rules import ACCEPTED, Amounts, judge

HEAD = {"invtNo": "L1", "tradeMode": "9661", "ebpCode": "P", "ebcCode": "E", "ieFlag": "I", "country": "502"}
LINE = {
    "gnum": "1",
    "gcode": "6109100010",
    "gname": "棉制T恤衫",
    "gmodel": "针织",
    "qty": "2",
    "qty1": "0.4",
    "unit": "011",
    "unit1": "035",
    "qty2": "2",
    "unit2": "011",
}
ORIGINAL = ExportList(
    invt_no="L1",
    trade_mode="9610",
    ebp_code="P",
    ebc_code="E",
    lines=(
        ExportLine(
            gnum=1,
            gcode="6109100010",
            gname="棉制T恤衫",
            gmodel="针织",
            unit="011",
            qty=Decimal(3),
            unit1="035",
            qty1=Decimal("0.6"),
            unit2="011",
            qty2=Decimal(3),
        ),
    ),
)


def declaration(head: dict[str, str] | None = None, *lines: dict[str, str], of_type: str = "CEB213") -> Declaration:
    return Declaration(
        type=of_type,
        business_key="A/1",
        declarant="A",
        digest="",
        head=HEAD | (head or {}),
        lines=tuple(LINE | line for line in lines or ({},)),
    )


def test_document_is_accepted_when_it_repeats_its_original() -> None:
    assert judge(declaration(), ORIGINAL, {}) == ACCEPTED


def test_document_is_accepted_when_it_names_no_supervision_mode() -> None:
    assert judge(declaration({"tradeMode": ""}), ORIGINAL, {}) == ACCEPTED


def test_document_is_rejected_when_its_list_is_unknown() -> None:
    assert judge(declaration(), None, {}).info == "[Code:1313;Desc:原出口清单[L1]不存在]"


def test_document_is_rejected_when_its_list_is_not_9610() -> None:
    assert "9610" in judge(declaration(), ORIGINAL.model_copy(update={"trade_mode": "1210"}), {}).info


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"tradeMode": "9610"}, "贸易方式"),
        ({"ebpCode": "X"}, "电商平台代码"),
        ({"ebcCode": "X"}, "电商企业代码"),
        ({"ieFlag": "E"}, "进出口标志"),
        ({"country": "142"}, "启运国"),
    ],
)
def test_document_is_rejected_when_its_head_is_wrong(head: dict[str, str], words: str) -> None:
    verdict = judge(declaration(head), ORIGINAL, {})

    assert verdict.code == "100"
    assert words in verdict.info


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"gnum": "2"}, "没有第[2]项"),
        ({"gcode": "6109100099"}, "商品编码"),
        ({"gname": "T恤衫"}, "商品名称"),
        ({"gmodel": "梭织"}, "规格型号"),
        ({"unit": "007"}, "申报计量单位"),
        ({"unit1": "007"}, "法定计量单位"),
        ({"unit2": "007"}, "第二计量单位"),
        ({"qty": "3.00001"}, "申报数量累计[3.00001]超过原出口清单[3]"),
        ({"qty1": "0.60001"}, "法定数量"),
        ({"qty2": "4"}, "第二数量"),
        ({"qty": "0"}, "数量应大于零"),
    ],
)
def test_document_is_rejected_when_a_line_differs_from_the_original(line: dict[str, str], words: str) -> None:
    verdict = judge(declaration({}, line), ORIGINAL, {})

    assert verdict.code == "100"
    assert words in verdict.info


def test_document_is_rejected_when_two_lines_together_exceed_the_original() -> None:
    assert "累计[4]" in judge(declaration({}, {}, {}), ORIGINAL, {}).info


@pytest.mark.parametrize(("taken", "accepted"), [("1", True), ("1.00001", False)])
def test_document_gets_only_what_is_left_when_others_have_taken_some(taken: str, accepted: bool) -> None:  # noqa: FBT001 - a column of the table
    others = {("L1", 1): Amounts(qty=Decimal(taken), qty1=Decimal("0.2"), qty2=Decimal(1))}

    assert judge(declaration(), ORIGINAL, others).is_acceptance is accepted


def test_tally_detail_is_accepted_when_its_list_is_unknown() -> None:
    assert judge(declaration({"country": "142"}, of_type="CEB215"), None, {}) == ACCEPTED
