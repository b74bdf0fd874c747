"""Reading one file of a drop folder: CSV, XLSX or JSON Lines, row by row, every value as the exact text it stands as.

A row that cannot be read is a `BadRow` and stops no other; what is wrong with the file as a whole raises `BadFile`.
Text is UTF-8, with or without a byte order mark, and where it is not, GB18030: a text that is both is UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from connector.config import FileSettings

_CHUNK = 1 << 20
_ENCODINGS = ("utf-8-sig", "gb18030")
_SHOWN = 2000


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
    """What stands there, at most 2000 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known of the bytes of a file."""

    digest: str
    """SHA-256, hex."""
    encoding: str
    """Empty where it is no text."""
    is_ended: bool
    """Whether its last byte ends a line."""


def examine(path: Path, encoding: str | None = None) -> Examined:
    """Read a file once through, in flat memory."""
    digest = hashlib.sha256()
    left = {name: codecs.getincrementaldecoder(name)() for name in ([encoding] if encoding else _ENCODINGS)}
    last = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            last = chunk[-1:]
            left = {name: decoder for name, decoder in left.items() if _decodes(decoder, chunk)}
    sound = [name for name, decoder in left.items() if _decodes(decoder, b"", final=True)]
    return Examined(digest=digest.hexdigest(), encoding=next(iter(sound), ""), is_ended=last in {b"\n", b"\r", b""})


def read(path: Path, settings: FileSettings, encoding: str) -> Iterator[FileRow | BadRow]:
    """The rows of a file, by the ending of its name. Raises `BadFile`."""
    match path.suffix.lower():
        case ".xlsx":
            return _xlsx(path, settings)
        case ".jsonl" | ".ndjson" | ".json":
            return _json_lines(path, _text(encoding))
        case _:
            return _csv(path, settings, _text(encoding))


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _text(encoding: str) -> str:
    if not encoding:
        raise BadFile("it is no text in UTF-8 or GB18030")
    return encoding


def _csv(path: Path, settings: FileSettings, encoding: str) -> Iterator[FileRow | BadRow]:
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=settings.delimiter, strict=True)
        columns: Sequence[str] | None = settings.columns
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(line=line, reason=f"it is no CSV: {error}", row="")
                continue
            if not fields:
                continue  # an empty line
            if columns is None:
                columns = _checked(fields)
            elif len(fields) != len(columns):
                reason = f"it has {len(fields)} fields, and the header {len(columns)}"
                yield BadRow(line=line, reason=reason, row=json.dumps(fields, ensure_ascii=False)[:_SHOWN])
            else:
                yield FileRow(line=line, values=dict(zip(columns, fields, strict=True)))


def _json_lines(path: Path, encoding: str) -> Iterator[FileRow | BadRow]:
    with path.open(encoding=encoding) as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
            except ValueError as error:
                yield BadRow(line=number, reason=f"it is no JSON: {error}", row=text[:_SHOWN])
                continue
            if isinstance(found, dict) and all(name and not name.startswith("_") for name in found):
                yield FileRow(line=number, values={name: _of_json(value) for name, value in found.items()})
            else:
                reason = "it is no object of columns; a name may not be empty or begin with _"
                yield BadRow(line=number, reason=reason, row=text[:_SHOWN])


def _xlsx(path: Path, settings: FileSettings) -> Iterator[FileRow | BadRow]:
    try:
        # An extra, imported where it is needed; it comes without type information.
        book: Any = import_module("openpyxl").load_workbook(path, read_only=True, data_only=True)
    except ModuleNotFoundError:
        raise BadFile("reading it needs the extra xlsx: pip install 'customs-warehouse-connector[xlsx]'") from None
    except Exception as error:  # noqa: BLE001 - a broken archive raises whatever its parser meets
        raise BadFile(f"it is no XLSX: {error}") from None
    try:
        rows: Iterable[tuple[object, ...]] = book.worksheets[0].iter_rows(values_only=True)
        numbered = ((number, [_of_cell(cell) for cell in row]) for number, row in enumerate(rows, start=1))
        filled = ((number, cells) for number, cells in numbered if any(cell is not None for cell in cells))
        columns: Sequence[str] | None = settings.columns
        if columns is None:
            first = next(filled, None)
            if first is None:
                return
            names = [cell or "" for cell in first[1]]
            while names and not names[-1]:
                names.pop()  # formatted cells beyond the table
            columns = _checked(names)
        for number, cells in filled:
            beyond = [cell for cell in cells[len(columns) :] if cell is not None]
            if beyond:
                shown = json.dumps(cells, ensure_ascii=False)[:_SHOWN]
                yield BadRow(line=number, reason=f"it has values beyond its {len(columns)} columns", row=shown)
                continue
            padded = chain(cells[: len(columns)], [None] * (len(columns) - len(cells)))
            yield FileRow(line=number, values=dict(zip(columns, padded, strict=True)))
    finally:
        book.close()


def _checked(columns: Sequence[str]) -> Sequence[str]:
    names = [name.strip() for name in columns]
    folded = [name.casefold() for name in names]
    if wrong := [name for name in names if not name or name.startswith("_") or folded.count(name.casefold()) > 1]:
        raise BadFile(f"its header has {wrong[0]!r}: names must be there, once each, and may not begin with _")
    return names


def _of_json(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _of_cell(value: object) -> str | None:
    """A cell as text: numbers plainly and exactly, times in ISO form."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)
