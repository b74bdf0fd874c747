"""A mapping as a table that a customs officer can read: each element, what it is made of, what is done to it. Pure.

Markdown, because it is read as it stands and in a browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.mapping.compiler import Element
from connector.mapping.engine import DocumentMapping
from connector.messages.catalogue import Field, FieldKind, MessageType
from connector.messages.names import CHINESE

_HEADING = ("要素 element", "名称 name", "格式 format", "必填 required", "来源 made of")


def describe(mapping: DocumentMapping) -> str:
    """The page of one mapping."""
    kind = mapping.message_type
    parts = [
        f"# {kind.name}: {mapping.name}, version {mapping.version}\n",
        f"Records `{mapping.collection}`; SHA-256 of the mapping with its values and code lists: `{mapping.digest}`\n",
        "## 表头 head\n",
        *_table(kind, kind.head_fields, mapping.head),
    ]
    if kind.line_fields:
        parts += ["\n## 表体 lines\n", *_table(kind, kind.line_fields, mapping.lines)]
    for heading, facts in (
        ("原出口清单 original", mapping.original),
        ("原清单项 original lines", mapping.original_lines),
    ):
        if facts:
            parts += [
                f"\n## {heading}: not declared, for the rules\n",
                _row("fact", "来源 made of"),
                _row("---", "---"),
            ]
            parts += [_row(f"`{fact.name}`", fact.described) for fact in facts]
    return "\n".join(parts) + "\n"


def _table(kind: MessageType, fields: Sequence[Field], elements: Sequence[Element]) -> Iterator[str]:
    made = {element.name: element for element in elements}
    yield _row(*_HEADING)
    yield _row(*("---" for _ in _HEADING))
    for field in fields:
        element = made.get(field.name)
        if field.name in kind.own_fields:
            origin = "set by the connector"
        elif field.name in kind.areas and field.name not in made:
            origin = f"functional area of {kind.areas[field.name]}"
        else:
            origin = element.described if element else "left out"
        required = field.required or (element is not None and element.required)
        name = CHINESE.get(field.name, "")
        yield _row(f"`{field.name}`", name, field_format(field), "是 yes" if required else "", origin)


def field_format(field: Field) -> str:
    """As field tables write it: C..18, C4, N19,5."""
    if field.kind is FieldKind.TEXT:
        low, high = field.min_length or 0, field.max_length
        return "C" if high is None else f"C{high}" if low == high else f"C..{high}"
    return f"N{field.total_digits or ''}" + (f",{field.fraction_digits}" if field.fraction_digits else "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
