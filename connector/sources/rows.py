"""Rows of files: what a reader of any format hands over, and how columns are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

OWN = frozenset({"_id", "_file", "_line", "_taken_at", "_content"})
"""Columns of every table that say where a row comes from; no column of a file has such a name."""
_COLUMNS_AT_MOST = 1000


class BadFile(Exception):
    """A file that cannot be read at all; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One row: column -> text, or None where there is nothing."""

    line: int
    """From 1; of a row that spans several lines, the first."""
    values: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be read."""

    line: int
    reason: str
    row: str
    """What stands there."""


def column_names(header: Sequence[str]) -> list[str]:
    """A name for each column: what the header says, without blanks around it.

    A column without a name is called by its number, a second one of a name gets ``_2``, and a name of ours an
    underscore at its end, so that nothing is left out. SQLite takes names for the same that differ in case alone.

    >>> column_names([" SKU", "", "sku", "_id"])
    ['SKU', 'column_2', 'sku_2', '_id_']
    """
    if len(header) > _COLUMNS_AT_MOST:
        raise BadFile(f"it has {len(header)} columns; {_COLUMNS_AT_MOST} can be read")
    names: list[str] = []
    taken: set[str] = set()
    for number, written in enumerate(header, start=1):
        name = next(one for one in _possible(written.strip(), number) if folded(one) not in taken)
        names.append(name)
        taken.add(folded(name))
    return names


def folded(name: str) -> str:
    """What two names have in common that SQLite takes for the same: all but the case of ASCII letters."""
    return name.encode("utf-8").lower().decode("utf-8")


def _possible(written: str, number: int) -> Iterator[str]:
    name = written or f"column_{number}"
    if folded(name) in OWN:
        name += "_"
    yield name
    yield from (f"{name}_{count}" for count in range(2, _COLUMNS_AT_MOST + 2))
