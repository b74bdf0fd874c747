"""A mapping file held against its message type, the records it reads and the enterprise's constants.

Each check yields findings; none stops another, so that a person sees all faults of a file in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import TypeAlias

from connector.mapping.compiler import Constants, compile_text
from connector.mapping.files import ElementRule
from connector.mapping.outcomes import Refused, shown
from connector.messages.catalogue import Field, MessageType
from connector.messages.records import RecordShape

Finding: TypeAlias = tuple[tuple[str, ...], str]
"""The keys that lead to a fault in the file, and what is wrong there."""


def check_table(
    table: str, written: Collection[str], fields: Collection[Field], kind: MessageType
) -> Iterator[Finding]:
    """Elements that do not exist, are not for mappings, or are needed and have no line.

    written: all elements the table has a line for, sound or not.
    """
    names = [field.name for field in fields if field.name not in kind.own_fields]
    for name in written:
        if name in kind.own_fields:
            yield (table, name), "is set by the connector for each document; remove it"
        elif name not in names:
            yield (table, name), f"is no element here{_meant(name, names)}"
    for field in fields:
        is_found = field.name in kind.areas  # from the location, by [sites.NAME.areas]
        if field.required and field.name in names and field.name not in written and not is_found:
            yield (table, field.name), "is required by the schema and no line fills it; add one"


def check_rule(
    place: tuple[str, str], rule: ElementRule, shape: RecordShape, constants: Constants, *, of_line: bool
) -> Iterator[Finding]:
    """Columns, lookups, constants and code lists that do not exist or are out of reach.

    place: table and element; of_line: whether a line of the record is in reach there.
    """
    table, name = place
    for path, reference in rule.references():
        if problem := reference_problem(reference, shape, of_line=of_line):
            yield (table, name, *path), problem
    for path, one in rule.chain():
        if one.value is not None and one.value not in constants.values:
            known = _meant(one.value, constants.values)
            yield (table, name, *path, "value"), f"{one.value!r} is not in [values] of connector.toml; add it{known}"
        if one.codes is not None and one.codes not in constants.codes:
            known = _meant(one.codes, constants.codes)
            yield (table, name, *path, "codes"), f"there is no code list {one.codes!r}; add [codes.{one.codes}]{known}"


def check_constants(table: str, rule: ElementRule, field: Field, constants: Constants) -> Iterator[Finding]:
    """A constant that its element cannot hold: it would spoil every record that comes to it."""
    for path, one in rule.chain():
        if one.const is None and one.value is None:
            continue
        alone = one.model_copy(update={"default": None})
        try:
            text = compile_text(alone, field, constants)({})
        except Refused as refused:
            yield (
                (table, field.name, *path),
                f"{one.label} = {shown(refused.value)} {refused.problem}; {refused.remedy}",
            )
        else:
            if text is None and one.default is None and (field.required or rule.required):
                yield (table, field.name, *path), f"{one.label} is empty and the element needs a text; fill it in"


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """A sentence about a name that does not exist."""
    return f"there is no {what} {name!r}; choose one of {', '.join(sorted(known)) or '(there are none)'}"


def reference_problem(reference: str, shape: RecordShape, *, of_line: bool) -> str:
    """Why a column cannot be read there; empty where it can."""
    scope, _, name = reference.partition(".")
    lookup = shape.lookups.get(scope)
    if scope == "record":
        columns = shape.columns
    elif scope == "line" and not of_line:
        return f"{reference}: the head has no line; use record.COLUMN or a lookup"
    elif scope == "line":
        columns = shape.line_columns
    elif lookup is None:
        return f"{reference}: {shape.collection} has no lookup {scope!r}{_meant(scope, shape.lookups)}"
    elif lookup.per_line and not of_line:
        return f"{reference}: {scope} is looked up for each line, and the head has no line"
    else:
        columns = lookup.columns
    if name in columns:
        return ""
    return f"{reference}: {scope} has no column {name!r}{_meant(name, columns)}"


def _meant(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
