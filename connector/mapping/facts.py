"""What a mapping tells the rules of the original export list: ``[original]`` and ``[original_lines]``.

Nothing of it is declared, so the values keep their types: texts, exact numbers, times::

    [original]
    trade_mode  = { field = "export_list.trade_mode" }
    released_at = { field = "export_list.release_time" }

    [original_lines]
    qty = { field = "export_line.qty" }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from connector.mapping.compiler import Constants, Rows, value_origin
from connector.mapping.converters import as_text, is_absent
from connector.mapping.files import ElementRule
from connector.mapping.outcomes import FaultCode, Refused
from connector.mapping.quantities import number
from connector.messages.records import Value


def _text(value: Value) -> str:
    return as_text(value)


def _time(value: Value) -> datetime:
    if not isinstance(value, datetime):
        raise Refused(FaultCode.NOT_A_TIME, value, "is not a time", "give the mapping a column that holds a time")
    return value


_LINE_TEXTS = ("gcode", "gname", "gmodel", "unit", "unit1", "unit2")
FACTS: Mapping[str, Mapping[str, Callable[[Value], Value]]] = MappingProxyType(
    {
        "original": {"trade_mode": _text, "ebp_code": _text, "ebc_code": _text, "released_at": _time},
        "original_lines": {
            **dict.fromkeys(_LINE_TEXTS, _text),
            **dict.fromkeys(("qty", "qty1", "qty2"), number),
        },
    }
)
"""By table, what may be told, and what a value has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of ``[original]`` or ``[original_lines]``, ready to use."""

    name: str
    label: str
    """Where its value comes from, for people."""
    described: str
    reads: frozenset[str]
    """Every column it may read."""
    value: Callable[[Rows], Value]
    """None where there is nothing. Raises `Refused`."""


def compile_fact(table: str, name: str, rule: ElementRule, constants: Constants) -> Fact:
    """Make one line ready to use."""
    origin, convert = value_origin(rule, constants), FACTS[table][name]

    def value(rows: Rows) -> Value:
        found = origin(rows)
        return None if is_absent(found) else convert(found)

    return Fact(
        name=name,
        label=", else ".join(one.label for _, one in rule.chain()),
        described=rule.described,
        reads=frozenset(reference for _, reference in rule.references()),
        value=value,
    )
