"""What customs thinks of one document, without any input or output.

The rules are those of the specification's field tables for CEB213 and CEB215 and of Announcement 2026 No. 24:

1. the sender may declare for the declaring enterprise (213 agentCode, 215 operatorCode), else -625013;
2. the original export list is known and its supervision mode is 9610; the return's own, where given, is 9661;
3. platform and e-commerce enterprise are the original's;
4. the goods come in (ieFlag I) and not from China (142);
5. every line names a line of the original by gnum and repeats its gcode, gname, gmodel and units;
6. no quantity exceeds what is left of the original line after the documents accepted before.

A tally detail (CEB215) is held against rule 1 only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from connector.simulator.declarations import Declaration
from connector.simulator.export_lists import ExportLine, ExportList

_CHINA = "142"
_NOT_DECLARANT = "退货申请单[{key}]和证书中的“申报单位代码/名称”不一致！"
_ALREADY_DECLARED = "退货申请单[{key}]已经申报过，请勿重复申报"
_NOTHING_TO_CHANGE = "退货申请单[{key}]的申报状态不符合改单申报的条件"
_SAME_AS_ORIGINAL = {
    "gcode": "商品编码",
    "gname": "商品名称",
    "gmodel": "规格型号",
    "unit": "申报计量单位",
    "unit1": "法定计量单位",
    "unit2": "第二计量单位",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A returnStatus and its text."""

    code: str
    info: str

    @property
    def is_acceptance(self) -> bool:
        """The document was accepted."""
        return not self.code

    @property
    def is_exception(self) -> bool:
        """A processing exception: the document did not even get to a customs office."""
        return self.code.startswith("-")


ACCEPTED = Verdict(code="", info="")
"""Nothing to object to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The three quantities of a line, in its declared, first and second unit."""

    qty: Decimal = Decimal(0)
    qty1: Decimal = Decimal(0)
    qty2: Decimal = Decimal(0)

    @classmethod
    def of(cls, line: Mapping[str, str]) -> Amounts:
        """The quantities of a declared line; an absent second one is zero."""
        return cls(qty=Decimal(line["qty"]), qty1=Decimal(line["qty1"]), qty2=Decimal(line.get("qty2") or 0))

    def __add__(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(qty=self.qty + other.qty, qty1=self.qty1 + other.qty1, qty2=self.qty2 + other.qty2)


Taken = Mapping[tuple[str, int], Amounts]
"""What accepted documents have taken of original lines, by invtNo and gnum."""


def not_declarant(key: str) -> Verdict:
    """The certificate's owner may not declare for the enterprise named (rule 1)."""
    return Verdict(code="-625013", info=_NOT_DECLARANT.format(key=key))


def already_declared(key: str) -> Verdict:
    """Customs holds a document under this key that it has not rejected."""
    return Verdict(code="-625033", info=_ALREADY_DECLARED.format(key=key))


def nothing_to_change(key: str) -> Verdict:
    """A change or deletion of a document that customs has not accepted."""
    return Verdict(code="-625022", info=_NOTHING_TO_CHANGE.format(key=key))


def judge(declaration: Declaration, original: ExportList | None, taken: Taken) -> Verdict:
    """Hold a document against rules 2 to 6; the first fault found is the reason.

    original: the export list the document names, None when customs does not know it. taken: what other accepted
    documents have taken of it.
    """
    if declaration.type != "CEB213":
        return ACCEPTED
    fault = next(_faults(declaration, original, taken), None)
    return Verdict(code="100", info=f"[Code:1313;Desc:{fault}]") if fault else ACCEPTED


def _faults(declaration: Declaration, original: ExportList | None, taken: Taken) -> Iterator[str]:
    head = declaration.head
    if original is None:
        yield f"原出口清单[{head['invtNo']}]不存在"
        return
    if original.trade_mode != "9610":
        yield f"原出口清单[{original.invt_no}]的监管方式[{original.trade_mode}]不是9610"
    if head.get("tradeMode") not in {None, "", "9661"}:
        yield f"贸易方式[{head['tradeMode']}]不正确，应为9661"
    if head["ebpCode"] != original.ebp_code:
        yield f"电商平台代码[{head['ebpCode']}]与原出口清单不一致"
    if head["ebcCode"] != original.ebc_code:
        yield f"电商企业代码[{head['ebcCode']}]与原出口清单不一致"
    if head["ieFlag"] != "I":
        yield f"进出口标志[{head['ieFlag']}]不正确，出口退货应为I"
    if head["country"] == _CHINA:
        yield "启运国（地区）不能为中国"
    yield from _line_faults(declaration, original, taken)


def _line_faults(declaration: Declaration, original: ExportList, taken: Taken) -> Iterator[str]:
    originals = {line.gnum: line for line in original.lines}
    asked: dict[int, Amounts] = {}
    for line in declaration.lines:
        gnum = int(line["gnum"])
        if (match := originals.get(gnum)) is None:
            yield f"原出口清单[{original.invt_no}]中没有第[{gnum}]项商品"
            continue
        for field, name in _SAME_AS_ORIGINAL.items():
            declared, known = line.get(field, ""), getattr(match, field)
            if known is not None and declared != known:
                yield f"第[{gnum}]项{name}[{declared}]与原出口清单[{known}]不一致"
        amounts = Amounts.of(line)
        if amounts.qty <= 0 or amounts.qty1 <= 0:
            yield f"第[{gnum}]项数量应大于零"
        before = asked.get(gnum) or taken.get((original.invt_no, gnum)) or Amounts()
        asked[gnum] = before + amounts
        yield from _excess(gnum, asked[gnum], match)


def _excess(gnum: int, asked: Amounts, original: ExportLine) -> Iterator[str]:
    for name, wanted, most in (
        ("申报数量", asked.qty, original.qty),
        ("法定数量", asked.qty1, original.qty1),
        ("第二数量", asked.qty2, original.qty2 or 0),
    ):
        if wanted > most:
            yield f"第[{gnum}]项{name}累计[{wanted}]超过原出口清单[{most}]"
