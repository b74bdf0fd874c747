"""What comes back: R5 lines and quantities of the original export list, R7 goods that come in from abroad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from connector.messages.amounts import Amounts
from connector.rules.facts import OriginalLine, RuleFacts
from connector.rules.rule import Flaw, Rule, Severity, unsupplied

_CHINA = "142"
_ALWAYS_THE_SAME = ("gcode", "gname", "gmodel", "unit")
_THE_SAME_WHERE_KNOWN = ("unit1", "unit2")
_ALWAYS_COUNTED = ("qty", "qty1")
_COUNTED_WHERE_THERE = ("qty2",)


def _are_original_goods(facts: RuleFacts) -> Iterator[Flaw]:
    second = _COUNTED_WHERE_THERE if any(line.get("qty2") for line in facts.lines) else ()
    needed = (*_ALWAYS_THE_SAME, *_ALWAYS_COUNTED, *second)
    yield from unsupplied(facts, *needed)
    if not facts.lines:
        yield Flaw(text="no goods are declared; a return names every line of goods: check the record in the warehouse")
    asked: dict[int, Amounts] = {}
    places: dict[int, str] = {}
    for number, line in enumerate(facts.lines, start=1):
        place = f"lines[{number}]"
        gnum = _whole(line.get("gnum", ""))
        yield from _bad_quantities(place, line)
        if gnum is None:
            yield Flaw(
                text=f"gnum is {line.get('gnum') or 'empty'}; it must be the number of a line of the original export "
                "list: check which line the goods are, and correct archive or mapping",
                field=f"{place}.gnum",
            )
            continue
        asked[gnum] = asked.get(gnum, Amounts()) + _amounts(line)
        places[gnum] = place
        if not facts.given.isdisjoint(needed):
            yield from _differences(place, gnum, line, facts)
    for gnum, amounts in asked.items():
        yield from _excess(places[gnum], gnum, amounts, facts)


def _bad_quantities(place: str, line: Mapping[str, str]) -> Iterator[Flaw]:
    for name in (*_ALWAYS_COUNTED, *_COUNTED_WHERE_THERE):
        text = line.get(name, "")
        if not text and name in _COUNTED_WHERE_THERE:
            continue
        amount = _number(text)
        if amount is None or amount < 0 or (amount == 0 and name in _ALWAYS_COUNTED):
            yield Flaw(
                text=f"{name} is {text or 'empty'}; a quantity must be a number above zero: correct it in the "
                "warehouse, or the mapping",
                field=f"{place}.{name}",
            )


def _differences(place: str, gnum: int, line: Mapping[str, str], facts: RuleFacts) -> Iterator[Flaw]:
    original = _original_line(gnum, facts)
    if original is None:
        yield Flaw(
            text=f"the original export list has no line {gnum} on record; goods return by the line they were "
            "exported by: check which one it is, or complete the archive",
            field=f"{place}.gnum",
        )
        return
    for name in (*_ALWAYS_THE_SAME, *_THE_SAME_WHERE_KNOWN):
        known: str | None = getattr(original, name)
        if name not in facts.given or (not known and name in _THE_SAME_WHERE_KNOWN):
            continue
        declared = line.get(name, "")
        if not known or declared != known:
            yield Flaw(
                text=f"{name} is {declared or 'empty'}; line {gnum} of the original export list has "
                f"{known or 'none on record'}: goods are declared as they were exported; correct archive or mapping",
                field=f"{place}.{name}",
            )


def _excess(place: str, gnum: int, asked: Amounts, facts: RuleFacts) -> Iterator[Flaw]:
    original = _original_line(gnum, facts)
    if original is None:
        return
    taken = facts.taken.get(gnum, Amounts())
    total = taken + asked
    for name in (*_ALWAYS_COUNTED, *_COUNTED_WHERE_THERE):
        exported: Decimal = getattr(original, name) or Decimal(0)
        if name in facts.given and getattr(total, name) > exported:
            yield Flaw(
                text=f"{_plain(getattr(asked, name))} of {name} is to return of line {gnum}; {_plain(exported)} was "
                f"exported and {_plain(getattr(taken, name))} of it is taken by other returns: correct the quantity, "
                "or take back the return that is wrong",
                field=f"{place}.{name}",
            )


def _original_line(gnum: int, facts: RuleFacts) -> OriginalLine | None:
    return facts.original.lines.get(gnum) if facts.original else None


def _amounts(line: Mapping[str, str]) -> Amounts:
    """The quantities of a line; what is no number counts as nothing and is a flaw of its own."""
    return Amounts(
        **{name: _number(line.get(name, "")) or Decimal(0) for name in (*_ALWAYS_COUNTED, *_COUNTED_WHERE_THERE)}
    )


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _come_in_from_abroad(facts: RuleFacts) -> Iterator[Flaw]:
    if (flag := facts.head.get("ieFlag", "")) != "I":
        yield Flaw(
            text=f"ieFlag is {flag or 'empty'}; returned exports come in, which is I: correct the mapping",
            field="ieFlag",
        )
    if facts.type != "CEB213":
        return  # names no country
    country = facts.head.get("country", "")
    if not country or country == _CHINA:
        yield Flaw(
            text=f"country is {country or 'empty'}; it is where the goods set out from to come back, never China "
            f"({_CHINA}): correct it where the transport of the return is on record",
            field="country",
        )


R5 = Rule(
    id="R5",
    title="The goods are those of the original line, and no more of them than are left",
    source="spec 213; 2020 No. 44",
    citation="Interface specification 202205, CEB213 InvtRefundList (与原申报清单一致，不大于原清单数量); "
    "海关总署公告2020年第44号第二条、第三条 (GACC Announcement 2020 No. 44, articles 2 and 3)",
    chinese="退货商品应为原出口商品：每项的商品编码、名称、规格型号、"
    "计量单位与原清单对应项一致；同一项累计退货数量（申报数量、法定第一数量、法定第二数量）不得大于原清单数量。",
    english="Every line names a line of the original export list (gnum) and repeats its HS code, name, model and "
    "units. All returns of that line together, this one included, take no more of each of its quantities than was "
    "exported; returns that are on their way or in doubt count.",
    breaks="a line is unknown, a description or unit differs, a quantity is not above zero, or the returns of a line "
    "together exceed the original by any of the three quantities",
    remedy="Compare the parcel with the original list: correct the line number or the quantity in the warehouse. "
    "Where an earlier return took too much, have it rejected or deleted first.",
    severity=Severity.BLOCK,
    applies_to=("CEB213",),
    look=_are_original_goods,
)

R7 = Rule(
    id="R7",
    title="The goods come in, and not from China",
    source="spec 213 and 215",
    citation="Interface specification 202205, CEB213 ieFlag and country, CEB215 ieFlag "
    "(出口退货填写I；启运国不能为中国)",
    chinese="进出口标志填I（进口）；启运国（地区）不能为中国（142）。",
    english="The flag of a return is I, for import; the country the goods set out from is not China (142). A tally "
    "detail names no country.",
    breaks="ieFlag is not I, or country is 142 or empty",
    remedy='Set ieFlag = { const = "I" } in the mapping, and take the country from the transport of the return.',
    severity=Severity.BLOCK,
    applies_to=("CEB213", "CEB215"),
    look=_come_in_from_abroad,
)
