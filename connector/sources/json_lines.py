"""JSON Lines: one object a line; numbers as they are written, what is nested as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from connector.sources.rows import BadRow, FileRow, column_names
from connector.sources.values import is_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def rows(lines: Iterator[str]) -> Iterator[FileRow | BadRow]:
    """Each line's row; empty lines are none."""
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            values = _object(text)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"it is no row: {error}"
            yield BadRow(line=number, reason=reason, row=text)
        else:
            yield FileRow(line=number, values=values)


def _object(text: str) -> Mapping[str, str | None]:
    found = json.loads(
        text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse, object_pairs_hook=_once_each
    )
    if not isinstance(found, dict):
        raise ValueError("it is JSON, but no object")  # noqa: TRY004 - to the caller, both are a line that is no row
    values = dict(zip(column_names(list(found)), map(_text, found.values()), strict=True))
    if not all(is_unicode(part) for pair in values.items() for part in pair if part):
        raise ValueError("it holds half of a character")
    if "\0" in "".join(values):
        raise ValueError("a name holds a zero character")
    return values


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _text(value: object) -> str | None:
    return value if value is None or type(value) is str else _json(value)


def _json(value: object) -> str:
    """JSON again, with numbers as they were written."""
    match value:
        case _Number():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{_json(name)}: {_json(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
