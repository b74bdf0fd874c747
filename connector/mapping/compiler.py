"""One line of a mapping file -> one function from the rows of a record to the text of an element.

The functions are made once, when the mapping is loaded, from a rule that `checks` has found sound; a record then costs
some hundred nanoseconds an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from connector.mapping.converters import (
    as_text,
    cleaner,
    cut_element,
    is_absent,
    local_time,
    number_element,
    text_element,
    translated,
)
from connector.mapping.files import DEFAULT_TEXT, ElementRule, Fallback, Rounding, Rule, TextPolicy
from connector.mapping.outcomes import FaultCode, Refused
from connector.mapping.quantities import divided, number, roundable, rounded
from connector.messages.catalogue import Field, FieldKind
from connector.messages.records import Row, Value
from connector.messages.sites import NOWHERE, Areas

Rows: TypeAlias = Mapping[str, Row]
"""The rows in reach of an element: ``record``, ``line``, and each lookup by its name (empty where it has no row)."""

_T = TypeVar("_T")
_Origin: TypeAlias = Callable[[Rows], Value]
_Step: TypeAlias = Callable[[Value], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One line of a mapping, ready to use."""

    name: str
    required: bool
    label: str
    """Where its value comes from, for people."""
    references: tuple[str, ...]
    """The columns it comes from; the default's are not among them."""
    described: str
    """The whole rule, for people."""
    reads: frozenset[str]
    """Every column it may read."""
    text: Callable[[Rows], str | None]
    """The text of the element, None where there is none. Raises `Refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What the enterprise's configuration gives to mappings."""

    values: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str]]
    areas: Areas = NOWHERE
    text: TextPolicy = DEFAULT_TEXT
    """Of the file that is compiled."""


def compile_element(rule: ElementRule, field: Field, constants: Constants) -> Element:
    """Make one line of a mapping ready to use."""
    return Element(
        name=field.name,
        required=field.required or rule.required is True,
        label=", else ".join(one.label for _, one in rule.chain()),
        references=tuple(reference for _, reference in rule.origin()),
        described=rule.described,
        reads=frozenset(reference for _, reference in rule.references()),
        text=compile_text(rule, field, constants),
    )


def compile_text(rule: Rule, field: Field, constants: Constants) -> Callable[[Rows], str | None]:
    """The function of a rule for an element: its text, None where there is none. It raises `Refused`.

    A rule that reads no column is worked out here and now, and what it raises is raised now.
    """
    origin = _with_default(rule, constants)
    finish: Callable[[Field, Value], str | None] = number_element
    if field.kind is FieldKind.TEXT:
        is_cut = constants.text.with_line(rule.text).overlong == "cut"
        finish = cut_element if is_cut else text_element
    if not any(rule.references()):
        fixed = finish(field, origin({}))
        return lambda _rows: fixed
    return lambda rows: finish(field, origin(rows))


def value_origin(rule: Rule, constants: Constants) -> Callable[[Rows], Value]:
    """The function of a rule whose value keeps its type; it raises `Refused`."""
    return _with_default(rule, constants)


def value_of(rows: Rows, reference: str) -> Value:
    """The value of one column; NULL where its row does not have it."""
    scope, _, column = reference.partition(".")
    return rows[scope].get(column)


def _with_default(rule: Rule, constants: Constants) -> _Origin:
    converted = _converted(rule, constants)
    if rule.default is None:
        return converted
    default = _with_default(rule.default, constants)

    def first(rows: Rows) -> Value:
        value = converted(rows)
        return default(rows) if is_absent(value) else value

    return first


def _converted(rule: Rule, constants: Constants) -> _Origin:
    origin = _origin(rule, constants)
    steps = _steps(rule, constants)
    if not steps:
        return origin

    def convert(rows: Rows) -> Value:
        value = origin(rows)
        for step in steps:
            if is_absent(value):
                return None
            value = step(value)
        return value

    return convert


def _steps(rule: Rule, constants: Constants) -> tuple[_Step, ...]:
    """The conversions of a rule in their order: text, codes, then decimal or time."""
    steps: list[_Step] = []
    if rule.field is not None or rule.join is not None:
        steps.append(cleaner(constants.text.with_line(rule.text)))
    if (name := rule.codes) is not None:
        codes = constants.codes[name]
        if isinstance(rule.unmapped, Fallback):
            fallback = rule.unmapped.const
            steps.append(lambda value: codes.get(as_text(value), fallback))
        elif rule.unmapped == "keep":
            steps.append(lambda value: codes.get(as_text(value), as_text(value)))
        else:
            steps.append(lambda value: translated(value, name, codes))
    if (decimal := rule.decimal) is not None:
        places, rounding = decimal.places, decimal.rounding
        steps.append(lambda value: rounded(value, places, rounding))
        if decimal.negate:
            steps.append(lambda value: number(value).copy_negate())
    if (time := rule.time) is not None:
        zone, pattern = ZoneInfo(time.zone), time.format
        steps.append(lambda value: local_time(value, zone, pattern))
    return tuple(steps)


def _origin(rule: Rule, constants: Constants) -> _Origin:
    if rule.field is not None:
        return _column(rule.field)
    if rule.join is not None:
        return _join(rule.join.fields, rule.join.separator)
    if rule.ratio is not None and rule.places is not None and rule.rounding is not None:
        return _ratio(rule.ratio, rule.places, rule.rounding)
    text = constants.values[rule.value] if rule.value is not None else rule.const
    return lambda _rows: text


def _column(reference: str) -> _Origin:
    scope, _, column = reference.partition(".")
    return lambda rows: rows[scope].get(column)


def _join(references: tuple[str, ...], separator: str) -> _Origin:
    columns = tuple(zip(references, map(_column, references), strict=True))

    def joined(rows: Rows) -> Value:
        parts: list[str] = []
        for reference, column in columns:
            value = column(rows)
            if is_absent(value):
                return None
            parts.append(_read(as_text, value, reference))
        return separator.join(parts)

    return joined


def _ratio(references: tuple[str, str, str], places: int, rounding: Rounding) -> _Origin:
    columns = tuple(zip(references, map(_column, references), strict=True))
    read = number if rounding is Rounding.EXACT else roundable

    def ratio(rows: Rows) -> Value:
        pairs: list[tuple[int, int]] = []
        for reference, column in columns:
            value = column(rows)
            if is_absent(value):
                return None
            pairs.append(_read(read, value, reference).as_integer_ratio())
        (factor, factor_unit), (whole, whole_unit), (part, part_unit) = pairs
        if part == 0:
            raise Refused(FaultCode.OUT_OF_RANGE, 0, "cannot be divided by", source=references[2])
        numerator, denominator = factor * whole * part_unit, factor_unit * whole_unit * part
        result = divided(numerator, denominator, places, rounding)
        if result is None:
            problem = f"has more than {places} decimals"
            raise Refused(FaultCode.INEXACT, f"{numerator}/{denominator}", problem, "declare a rounding in the mapping")
        return result

    return ratio


def _read(convert: Callable[[Value], _T], value: Value, reference: str) -> _T:
    """Convert one of several columns of a rule, so that a refusal names the right one."""
    try:
        return convert(value)
    except Refused as refused:
        refused.source = reference
        raise
