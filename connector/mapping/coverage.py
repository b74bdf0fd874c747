"""What a mapping leaves open: elements it has no line for, and columns that are read and that nobody uses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.mapping.compiler import Element
from connector.mapping.engine import DocumentMapping
from connector.messages.catalogue import Field
from connector.messages.records import RecordShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One mapping. What the schema requires always has a line, or the mapping would not have been loaded."""

    mapping: str
    type: str
    records: str
    version: int
    elements: int
    """Of head and lines, those that the connector sets by itself left out."""
    open: Sequence[str]
    """Optional elements without a line, in the order of the schema: ``head.note``, ``lines.qty2``."""


def coverage(mapping: DocumentMapping) -> Coverage:
    """What a mapping covers of its message type."""
    kind = mapping.message_type
    head = [field for field in kind.head_fields if field.name not in kind.own_fields]
    return Coverage(
        mapping=mapping.name,
        type=kind.name,
        records=mapping.collection,
        version=mapping.version,
        elements=len(head) + len(kind.line_fields),
        open=[*_open("head", head, mapping.head), *_open("lines", kind.line_fields, mapping.lines)],
    )


def unused(shape: RecordShape, mappings: Iterable[DocumentMapping], needed: Iterable[str]) -> list[str]:
    """Columns of a collection that no mapping of it reads, as references.

    needed: columns that the source itself needs, for key, order and joins. What finds the row of a lookup is used.
    """
    offered = {f"record.{name}" for name in shape.columns} | {f"line.{name}" for name in shape.line_columns}
    offered |= {f"{name}.{column}" for name, lookup in shape.lookups.items() for column in lookup.columns}
    mappings = list(mappings)
    read = {reference for one in mappings for element in (*one.head, *one.lines) for reference in element.reads}
    read |= {one.each for one in mappings}
    read |= {name for one in mappings for fact in (*one.original, *one.original_lines) for name in fact.reads}
    matched = {reference for lookup in shape.lookups.values() for reference in lookup.match}
    return sorted(offered - read - matched - set(needed))


def _open(table: str, fields: Iterable[Field], elements: Iterable[Element]) -> list[str]:
    there = {element.name for element in elements}
    return [f"{table}.{field.name}" for field in fields if field.name not in there]
