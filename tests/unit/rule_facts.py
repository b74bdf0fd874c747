"""Facts for the rules, made at random from a seed: sound ones, and ones that break one rule and no other.

``sound(random)`` breaks none; ``BREAKS["R5"]`` holds the ways to break R5, each a function of a source of randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeAlias

from connector.config import shipped
from connector.messages.amounts import Amounts
from connector.messages.catalogue import BEIJING
from connector.rules.facts import LINE_FACTS, LIST_FACTS, Area, Original, OriginalLine, RuleFacts, Site, Step
from connector.rules.offices import load_offices
from connector.rules.time_limits import months_after

OFFICES = load_offices(shipped("config") / "offices.toml")
PILOTS = tuple(prefix for prefix, one in OFFICES.by_prefix.items() if one.pilot_from)
OTHERS = tuple(prefix for prefix, one in OFFICES.by_prefix.items() if not one.pilot_from)
ALL_GIVEN = frozenset({*LIST_FACTS, *LINE_FACTS})
SMALLEST = Decimal("0.00001")
SECOND = timedelta(seconds=1)

PILOT_DAY = datetime(2024, 12, 15, tzinfo=BEIJING)
EVERYWHERE_DAY = datetime(2026, 4, 1, tzinfo=BEIJING)
DUTY_FREE_FROM = datetime(2026, 1, 1, tzinfo=BEIJING)
DUTY_FREE_UNTIL = datetime(2028, 1, 1, tzinfo=BEIJING)

STEPS = ("arriving", "unpacking", "inspecting", "storing", "picking", "packing", "shipping")
_KINDS = {"arriving": "unpacking", "unpacking": "unpacking", "inspecting": "inspection", "storing": "storage"}
_STAGES = {
    "arrival": {"arriving"},
    "unpacking": {"unpacking"},
    "inspection": {"inspecting"},
    "storage": {"storing"},
    "dispatch": {"shipping"},
}

Case: TypeAlias = Callable[[Random], RuleFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When a parcel was released, came back and was declared."""

    released: datetime
    returned: datetime
    declared: datetime


def between(random: Random, first: datetime, until: datetime) -> datetime:
    """A second from the first on and before the other."""
    return first + timedelta(seconds=random.randrange(int((until - first).total_seconds())))


def times(random: Random, first: datetime, until: datetime) -> Times:
    """Declared in this span, back some days before, released less than six months before that."""
    declared = between(random, first, until)
    returned = declared - timedelta(seconds=random.randrange(3600, 20 * 86400))
    return Times(
        released=returned - timedelta(seconds=random.randrange(170 * 86400)), returned=returned, declared=declared
    )


def before_the_pilot(random: Random) -> Times:
    return times(random, datetime(2021, 6, 1, tzinfo=BEIJING), PILOT_DAY)


def in_the_pilot(random: Random) -> Times:
    return times(random, PILOT_DAY, EVERYWHERE_DAY)


def since_everywhere(random: Random) -> Times:
    """So that every rule is in force."""
    return times(random, datetime(2026, 8, 1, tzinfo=BEIJING), datetime(2027, 12, 31, tzinfo=BEIJING))


def any_times(random: Random) -> Times:
    return random.choice((before_the_pilot, in_the_pilot, since_everywhere))(random)


def areas_at(random: Random, when: datetime) -> tuple[str, str]:
    """Two customs areas, of the export and of the return, as they may be at a time."""
    everywhere = (*PILOTS, *OTHERS)
    if when >= EVERYWHERE_DAY:
        return random.choice(everywhere), random.choice(everywhere)
    if when >= PILOT_DAY and random.random() < 0.5:
        return random.choice(PILOTS), random.choice(PILOTS)
    area = random.choice(everywhere)
    return area, area


def sound(random: Random, type_: str = "CEB213", when: Times | None = None) -> RuleFacts:
    """Facts of a document of this type that breaks no rule."""
    when = when or any_times(random)
    exported, returned = areas_at(random, when.declared)
    office = f"{returned}{random.randrange(1, 99):02}"
    invt_no = f"{exported}{random.randrange(1, 99):02}{when.released.year}E{random.randrange(10**9):09}"
    site = _site(random, office, when.returned)
    steps = _steps(random, site, when)
    goods = {gnum: _original_line(random) for gnum in random.sample(range(1, 60), random.randint(1, 4))}
    lines, taken = _lines(random, goods)
    parties = {"ebpCode": f"4403{random.randrange(10**6):06}", "ebcCode": f"4401{random.randrange(10**6):06}"}
    head = {"customsCode": office, "ieFlag": "I", "invtNo": invt_no}
    if type_ == "CEB213":
        head |= parties | {"country": random.choice(("502", "110", "303", "601"))}
        head |= {"tradeMode": "9661"} if random.random() < 0.8 else {}
        head |= {"loctNo": site.code} if random.random() < 0.5 else {}
    if type_ == "WOD101":
        head = event(random.choice(steps), office)
    return RuleFacts(
        type=type_,
        head=head,
        lines=lines if type_ == "CEB213" else (),
        declared_at=when.declared.astimezone(UTC),
        returned_at=when.returned.astimezone(UTC),
        original=Original(
            trade_mode="9610",
            ebp_code=parties["ebpCode"],
            ebc_code=parties["ebcCode"],
            released_at=when.released.astimezone(UTC),
            lines=goods,
            given=ALL_GIVEN,
        ),
        taken=taken,
        steps=steps,
        sites=(site, *(_site(random, f"{area}00", when.returned) for area in random.sample(PILOTS, 2))),
        offices=OFFICES,
    )


def event(step: Step, office: str) -> dict[str, str]:
    """The operation event (WOD101) of a step."""
    end = "from" if step.step == "shipping" else "to"
    return {
        "eventId": step.event_id,
        "eventTime": step.time.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
        "customsCode": office,
        "siteCode": step.site,
        "step": step.step,
        f"{end}Location": step.location,
        f"{end}Area": step.area,
    }


def _site(random: Random, office: str, returned: datetime) -> Site:
    day = returned.astimezone(BEIJING).date()
    kinds: tuple[Any, ...] = ("unpacking", "inspection", "storage", "holding", "dispatch")
    return Site(
        code=f"S{random.randrange(10**6):06}",
        customs_code=office,
        exports_9610_from=day - timedelta(days=random.randrange(900)),
        exports_9610_until=random.choice((None, day + timedelta(days=random.randrange(900)))),
        areas={f"area {kind}": Area(name=f"area {kind}", kind=kind, returns_only=True) for kind in kinds},
    )


def _steps(random: Random, site: Site, when: Times) -> tuple[Step, ...]:
    apart = (when.declared - when.returned) / len(STEPS)
    return tuple(
        Step(
            step=step,
            time=(when.returned + apart * number).astimezone(UTC),
            area=f"area {_KINDS.get(step, 'dispatch')}",
            event_id=f"E{random.randrange(10**8):08}",
            location=f"A-{random.randrange(100):02}",
            site=site.code,
        )
        for number, step in enumerate(STEPS)
    )


def _quantity(random: Random) -> Decimal:
    return Decimal(random.randrange(2, 10**8)) * SMALLEST * random.choice((1, 10**3, 10**5))


def _original_line(random: Random) -> OriginalLine:
    has_second = random.random() < 0.5
    return OriginalLine(
        gcode=f"{random.randrange(10**9, 10**10)}",
        gname=random.choice(("骑行面罩", "手机壳", "蓝牙耳机", "连衣裙")),
        gmodel=f"型号{random.randrange(1000)}|无品牌",
        unit="011",
        unit1="035",
        unit2="007" if has_second else None,
        qty=_quantity(random),
        qty1=_quantity(random),
        qty2=_quantity(random) if has_second else None,
    )


def _part(random: Random, whole: Decimal) -> Decimal:
    """Something of it, and something left."""
    return Decimal(random.randrange(1, int(whole / SMALLEST))) * SMALLEST


def _lines(
    random: Random, goods: Mapping[int, OriginalLine]
) -> tuple[tuple[Mapping[str, str], ...], dict[int, Amounts]]:
    """Declared lines, some original lines in two of them, and what others took, up to the last unit of some."""
    lines: list[Mapping[str, str]] = []
    taken: dict[int, Amounts] = {}
    for gnum, original in goods.items():
        known = {name: getattr(original, name) for name in ("gcode", "gname", "gmodel", "unit", "unit1", "unit2")}
        told = {"gnum": str(gnum)} | {name: text for name, text in known.items() if text is not None}
        counted = {name: getattr(original, name) for name in ("qty", "qty1", "qty2") if getattr(original, name)}
        parts = {name: _part(random, whole) for name, whole in counted.items()}
        rest = {name: whole - parts[name] for name, whole in counted.items()}
        lines.append(told | _texts(parts))
        kind = random.choice(("nothing", "others", "a second line"))
        if kind == "others":
            taken[gnum] = Amounts(**rest)
        elif kind == "a second line":
            lines.append(told | _texts(rest))
    return tuple(lines), taken


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: format(amount, "f") for name, amount in amounts.items()}


def with_head(facts: RuleFacts, **values: str) -> RuleFacts:
    """The same with other values in the head."""
    return replace(facts, head={**facts.head, **values})


def with_original(facts: RuleFacts, **values: Any) -> RuleFacts:
    """The same with other facts of the original export list."""
    assert facts.original is not None
    return replace(facts, original=replace(facts.original, **values))


def with_line(facts: RuleFacts, number: int, **values: str) -> RuleFacts:
    """The same with other values in one line, counted from 0."""
    lines = [*facts.lines]
    lines[number] = {**lines[number], **values}
    return replace(facts, lines=tuple(lines))


def with_site(facts: RuleFacts, **values: Any) -> RuleFacts:
    """The same with another site of the document's office."""
    assert facts.sites
    return replace(facts, sites=(replace(facts.sites[0], **values), *facts.sites[1:]))


def original_line(facts: RuleFacts, number: int) -> tuple[int, OriginalLine]:
    """The original line of a declared one, counted from 0."""
    assert facts.original is not None
    gnum = int(facts.lines[number]["gnum"])
    return gnum, facts.original.lines[gnum]


def with_original_line(facts: RuleFacts, number: int, **values: Any) -> RuleFacts:
    """The same with other facts of the original line of a declared one."""
    assert facts.original is not None
    gnum, line = original_line(facts, number)
    return with_original(facts, lines={**facts.original.lines, gnum: replace(line, **values)})


def with_steps(facts: RuleFacts, *steps: Step) -> RuleFacts:
    """The same with another handling; an event is that of the last step."""
    facts = replace(facts, steps=steps)
    return replace(facts, head=event(steps[-1], facts.head["customsCode"])) if facts.type == "WOD101" else facts


def _with_other_mode(random: Random) -> RuleFacts:
    return with_original(sound(random), trade_mode=random.choice(("1210", "1239", "0110", "9710", "", None)))


def _with_other_return_mode(random: Random) -> RuleFacts:
    return with_head(sound(random), tradeMode=random.choice(("9610", "1261", "1210")))


def _at_no_site(random: Random) -> RuleFacts:
    facts = sound(random, _return_type(random))
    return replace(facts, sites=random.choice(((), facts.sites[1:] if facts.sites else ())))


def _at_unknown_site(random: Random) -> RuleFacts:
    return with_head(sound(random), loctNo="NOWHERE")


def _at_site_without_exports(random: Random) -> RuleFacts:
    return with_site(sound(random, _return_type(random)), exports_9610_from=None)


def _before_site_exports(random: Random) -> RuleFacts:
    facts = sound(random, _return_type(random))
    return with_site(
        facts, exports_9610_from=day_of(facts) + timedelta(days=random.randint(1, 50)), exports_9610_until=None
    )


def _after_site_exports(random: Random) -> RuleFacts:
    facts = sound(random, _return_type(random))
    until = day_of(facts) - timedelta(days=random.randint(1, 50))
    return with_site(facts, exports_9610_from=until - timedelta(days=300), exports_9610_until=until)


def day_of(facts: RuleFacts) -> date:
    """The day in Beijing on which the parcel came back."""
    return facts.returned_at.astimezone(BEIJING).date()


def _return_type(random: Random) -> str:
    return random.choice(("CEB213", "CEB215"))


def across(random: Random, exported: str, returned: str, when: Times, type_: str = "CEB213") -> RuleFacts:
    """A return from one customs area to another; but for that it is sound."""
    facts = sound(random, type_, when)
    office, number = facts.head["customsCode"], facts.head["invtNo"]
    facts = with_head(facts, customsCode=f"{returned}{office[2:]}", invtNo=f"{exported}{number[2:]}")
    return with_site(facts, customs_code=facts.head["customsCode"])


def _across_before_the_pilot(random: Random) -> RuleFacts:
    exported, returned = random.sample((*PILOTS, *OTHERS), 2)
    return across(random, exported, returned, before_the_pilot(random), _return_type(random))


def _across_to_no_pilot(random: Random) -> RuleFacts:
    exported, returned = random.choice(PILOTS), random.choice((*OTHERS, "99"))
    return across(random, exported, returned, in_the_pilot(random), _return_type(random))


def _across_from_no_pilot(random: Random) -> RuleFacts:
    exported, returned = random.choice((*OTHERS, "99")), random.choice(PILOTS)
    return across(random, exported, returned, in_the_pilot(random), _return_type(random))


def _from_nowhere(random: Random) -> RuleFacts:
    return with_head(sound(random), invtNo=random.choice(("", "E", "X2026E1", "４４2026")))


def _back_late(random: Random) -> RuleFacts:
    """Of an export for which there is no duty-free return."""
    released = between(random, datetime(2020, 3, 1, tzinfo=BEIJING), DUTY_FREE_FROM)
    returned = months_after(released, 12) + SECOND * random.choice((1, random.randrange(1, 10**8)))
    return sound(random, when=Times(released=released, returned=returned, declared=returned + timedelta(days=3)))


def _back_before_release(random: Random) -> RuleFacts:
    facts = sound(random)
    return with_original(facts, released_at=facts.returned_at + SECOND * random.randrange(1, 10**7))


def _goods_described_otherwise(random: Random) -> RuleFacts:
    return with_line(sound(random), 0, **{random.choice(("gcode", "gname", "gmodel", "unit", "unit1")): "X"})


def _goods_in_another_second_unit(random: Random) -> RuleFacts:
    return with_line(with_original_line(sound(random), 0, unit2="007"), 0, unit2="011")


def _goods_not_described_in_the_archive(random: Random) -> RuleFacts:
    return with_original_line(sound(random), 0, **{random.choice(("gcode", "gname", "gmodel", "unit")): None})


def _goods_of_no_line(random: Random) -> RuleFacts:
    return with_line(sound(random), 0, gnum=random.choice(("99", "", "one")))


def _one_too_many(random: Random) -> RuleFacts:
    """The smallest amount more than is left, in one of the quantities."""
    facts = sound(random)
    name = random.choice([name for name in ("qty", "qty1", "qty2") if name in facts.lines[0]])
    gnum, original = original_line(facts, 0)
    mine = sum(Decimal(line.get(name, "0")) for line in facts.lines if line["gnum"] == facts.lines[0]["gnum"])
    others = getattr(original, name) - mine + SMALLEST
    return replace(facts, taken={**facts.taken, gnum: replace(facts.taken.get(gnum, Amounts()), **{name: others})})


def _second_quantity_of_nothing(random: Random) -> RuleFacts:
    facts = with_original_line(sound(random), 0, unit2=None, qty2=None)
    return with_line(facts, 0, qty2="1", unit2="007")


def _quantity_of_nothing(random: Random) -> RuleFacts:
    return with_line(sound(random), 0, **{random.choice(("qty", "qty1")): random.choice(("0", "-1", "", "NaN", "1,5"))})


def _without_goods(random: Random) -> RuleFacts:
    return replace(sound(random), lines=())


def _of_another_party(random: Random) -> RuleFacts:
    return with_head(sound(random), **{random.choice(("ebpCode", "ebcCode")): random.choice(("", "4403999999"))})


def _of_no_party_in_the_archive(random: Random) -> RuleFacts:
    return with_original(sound(random), **{random.choice(("ebp_code", "ebc_code")): random.choice((None, ""))})


def _going_out(random: Random) -> RuleFacts:
    return with_head(sound(random, _return_type(random)), ieFlag=random.choice(("E", "", "i")))


def _from_china(random: Random) -> RuleFacts:
    return with_head(sound(random), country=random.choice(("142", "")))


def _any_type(random: Random) -> str:
    return random.choice(("CEB213", "CEB215", "WOD101"))


def _outside_areas(random: Random) -> RuleFacts:
    facts = sound(random, _any_type(random), since_everywhere(random))
    assert facts.steps
    last = replace(facts.steps[-1], area=random.choice(("", "area of others")))
    return with_steps(facts, *facts.steps[:-1], last)


def _at_another_site(random: Random) -> RuleFacts:
    facts = sound(random, random.choice(("CEB213", "CEB215")), since_everywhere(random))
    assert facts.steps
    return with_steps(facts, *facts.steps[:-1], replace(facts.steps[-1], site="ELSEWHERE"))


def _among_other_goods(random: Random) -> RuleFacts:
    facts = sound(random, _any_type(random), since_everywhere(random))
    assert facts.steps
    assert facts.sites
    last, areas = facts.steps[-1], facts.sites[0].areas
    facts = with_site(facts, areas={**areas, last.area: replace(areas[last.area], returns_only=False)})
    return with_steps(facts, *(facts.steps or ()))


def _dutiable(random: Random) -> RuleFacts:
    released = between(random, DUTY_FREE_FROM, DUTY_FREE_UNTIL)
    first = months_after(released, 6) + SECOND
    returned = random.choice((first, between(random, first, months_after(released, 12)), months_after(released, 12)))
    return sound(random, when=Times(released=released, returned=returned, declared=returned + timedelta(days=3)))


def _not_monitored(random: Random) -> RuleFacts:
    facts = sound(random)
    lost = _STAGES[random.choice([*_STAGES])]
    return with_steps(facts, *(step for step in facts.steps or () if step.step not in lost))


def _not_handled(random: Random) -> RuleFacts:
    return replace(sound(random), steps=())


def _shipped_unmonitored(random: Random) -> RuleFacts:
    facts = sound(random, "WOD101")
    lost = _STAGES[random.choice([*_STAGES][:-1])]
    return with_steps(facts, *(step for step in facts.steps or () if step.step not in lost))


BREAKS: Mapping[str, tuple[Case, ...]] = {
    "R1": (_with_other_mode, _with_other_return_mode),
    "R2": (_at_no_site, _at_unknown_site, _at_site_without_exports, _before_site_exports, _after_site_exports),
    "R3": (_across_before_the_pilot, _across_to_no_pilot, _across_from_no_pilot, _from_nowhere),
    "R4": (_back_late, _back_before_release),
    "R5": (
        _goods_described_otherwise,
        _goods_in_another_second_unit,
        _goods_not_described_in_the_archive,
        _goods_of_no_line,
        _one_too_many,
        _second_quantity_of_nothing,
        _quantity_of_nothing,
        _without_goods,
    ),
    "R6": (_of_another_party, _of_no_party_in_the_archive),
    "R7": (_going_out, _from_china),
    "R8": (_outside_areas, _at_another_site, _among_other_goods),
    "R9": (_dutiable,),
    "R10": (_not_monitored, _not_handled, _shipped_unmonitored),
}
"""Rule -> ways to break it and no other."""
