"""Excel files: the first sheet, or the one that is named, as rows of text.

A number is the shortest text that gives the same number, so that 0.1 is 0.1; one that is shown with leading zeros has
them. Days and times are in ISO form, a day without a time where the cell shows none.
"""

from __future__ import annotations

import re
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from connector.sources.rows import BadFile, BadRow, FileRow, column_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from connector.config import FileSettings

_EXACT_BELOW = 10**15
"""Excel keeps 15 digits of a number."""
_SHOWN_WITH_ZEROS = re.compile("0+")
_HAS_CLOCK = re.compile(r"[hs]", re.IGNORECASE)


class MissingLibrary(Exception):
    """Reading Excel files is an extra that is not installed."""


class _BadCell(Exception):
    """A cell that holds an error such as #N/A, or a number that Excel could not keep."""


def is_whole(path: Path) -> bool:
    """Whether the file has its table of contents, which is written last."""
    return zipfile.is_zipfile(path)


def rows(path: Path, settings: FileSettings) -> Iterator[FileRow | BadRow]:
    """The rows below the header. Raises `BadFile` and `MissingLibrary`."""
    try:
        openpyxl: Any = import_module("openpyxl")  # an extra; it comes without type information
    except ModuleNotFoundError:
        raise MissingLibrary from None
    book = None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet = _sheet(book, settings.sheet)
        sheet.reset_dimensions()  # what a file says of its size may be wrong
        yield from _rows(enumerate(sheet.iter_rows(), start=1), settings.columns)
    except (BadFile, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001 - a broken archive raises whatever its parser meets
        raise BadFile(f"it is no XLSX: {str(error) or type(error).__name__}") from None
    finally:
        if book is not None:
            book.close()


def _sheet(book: Any, name: str | None) -> Any:
    if name is None:
        return book.worksheets[0]
    if name not in book.sheetnames:
        raise BadFile(f"it has no sheet {name}; it has {', '.join(book.sheetnames)}")
    return book[name]


def _rows(numbered: Iterator[tuple[int, Sequence[Any]]], columns: Sequence[str] | None) -> Iterator[FileRow | BadRow]:
    for number, cells in numbered:
        try:
            values = [_text(cell) for cell in cells]
        except _BadCell as error:
            yield BadRow(line=number, reason=str(error), row=str([cell.value for cell in cells]))
            continue
        while values and values[-1] is None:
            values.pop()
        if not values:
            continue
        if columns is None:
            columns = column_names([value or "" for value in values])
        elif len(values) > len(columns):
            yield BadRow(line=number, reason=f"it has values beyond its {len(columns)} columns", row=str(values))
        else:
            padded = [*values, *[None] * (len(columns) - len(values))]
            yield FileRow(line=number, values=dict(zip(columns, padded, strict=True)))


def _text(cell: Any) -> str | None:
    value = cell.value
    if cell.data_type == "e":
        raise _BadCell(f"the cell {cell.coordinate} holds the error {value}")
    match value:
        case None | "":
            return None
        case bool():
            return str(value).lower()
        case float() if abs(value) >= _EXACT_BELOW:
            raise _BadCell(f"the cell {cell.coordinate} holds {value}, of which Excel kept 15 digits; store it as text")
        case int() | float():
            return _number(value, cell.number_format)
        case datetime() | date() | time() | timedelta():
            return _moment(value, cell.number_format)
        case _:
            return str(value)


def _moment(value: date | time | timedelta, shown_as: str) -> str:
    match value:
        case timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        case datetime() if value.time() != time() or _HAS_CLOCK.search(shown_as):
            return value.isoformat(" ")
        case datetime():
            return value.date().isoformat()
        case _:
            return value.isoformat()


def _number(value: float, shown_as: str) -> str:
    if value != int(value):
        return format(Decimal(repr(value)), "f")
    whole = str(int(value))
    return whole.zfill(len(shown_as)) if _SHOWN_WITH_ZEROS.fullmatch(shown_as) and value >= 0 else whole
