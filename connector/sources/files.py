"""Reading one file of a drop folder: CSV, XLSX or JSON Lines, row by row, every value as the exact text it stands as.

A row that cannot be read is a `BadRow` and stops no other; what is wrong with the file as a whole raises `BadFile`.
Text is UTF-8, with or without a byte order mark, and where it is not, GB18030: a text that is both is UTF-8. UTF-16 is
told by its mark. Nothing between two delimiters is no value, as an empty cell is none and as JSON's null is.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from connector.sources import json_lines, workbooks
from connector.sources.rows import BadFile, BadRow, FileRow, column_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from connector.config import FileSettings

_CHUNK = 1 << 20
_LINE_AT_MOST = 1 << 24
"""Characters of a line; a longer one is read in pieces, none of which is a row."""
_ENCODINGS = ("utf-8-sig", "gb18030")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known of the bytes of a file."""

    digest: str
    """SHA-256, hex."""
    part: str
    """The same of the part that was asked for; empty where it is shorter, or none was."""
    encoding: str
    """Empty where it is no text."""
    is_ended: bool
    """Whether nothing shows that more is to come: a text ends with a line, a workbook with its table of contents."""


def is_workbook(path: Path) -> bool:
    """Whether it is an Excel file, by its name."""
    return path.suffix.lower() in {".xlsx", ".xlsm"}


def examine(path: Path, encoding: str | None = None, *, part: int = 0) -> Examined:
    """Read a file once through, in flat memory.

    part: how many bytes from its beginning are looked at by themselves, too.
    """
    digest, of_part, read = hashlib.sha256(), "", 0
    with path.open("rb") as file:
        head = file.read(_CHUNK)
        text = _Text.beginning(head, encoding)
        chunk = head
        while chunk:
            if read < part <= read + len(chunk):
                beginning = digest.copy()
                beginning.update(chunk[: part - read])
                of_part = beginning.hexdigest()
            digest.update(chunk)
            read += len(chunk)
            text.add(chunk)
            chunk = file.read(_CHUNK)
    if is_workbook(path):
        return Examined(digest=digest.hexdigest(), part="", encoding="", is_ended=workbooks.is_whole(path))
    text.end()
    is_ended = text.last in {"", "\n", "\r"}
    return Examined(digest=digest.hexdigest(), part=of_part, encoding=text.encoding, is_ended=is_ended)


def read(path: Path, settings: FileSettings, encoding: str) -> Iterator[FileRow | BadRow]:
    """The rows of a file, by the ending of its name. Raises `BadFile`."""
    if is_workbook(path):
        return workbooks.rows(path, settings)
    if not encoding:
        wanted = settings.encoding or "UTF-8 or GB18030"
        raise BadFile(f"it is no text in {wanted}")
    return _rows_of_text(path, settings, encoding)


@dataclass(slots=True)
class _Text:
    """In which encodings the bytes so far make sense."""

    decoders: dict[str, codecs.IncrementalDecoder]
    lasts: dict[str, str] = field(default_factory=dict)
    """Encoding -> the last character."""

    @classmethod
    def beginning(cls, head: bytes, encoding: str | None) -> _Text:
        possible = [encoding] if encoding else (["utf-16"] if head.startswith(_UTF_16) else _ENCODINGS)
        return cls({name: codecs.getincrementaldecoder(name)() for name in possible})

    def add(self, chunk: bytes) -> None:
        self._decode(chunk, is_last=False)

    def end(self) -> None:
        self._decode(b"", is_last=True)

    @property
    def encoding(self) -> str:
        return next(iter(self.decoders), "")

    @property
    def last(self) -> str:
        return self.lasts.get(self.encoding, "")

    def _decode(self, chunk: bytes, *, is_last: bool) -> None:
        for name, decoder in list(self.decoders.items()):
            try:
                text = decoder.decode(chunk, is_last)
            except UnicodeError:
                del self.decoders[name]
                continue
            if "\0" in text:  # no text has it; a program or a picture does
                del self.decoders[name]
            elif text:
                self.lasts[name] = text[-1]


def _rows_of_text(path: Path, settings: FileSettings, encoding: str) -> Iterator[FileRow | BadRow]:
    with path.open(encoding=encoding, newline="") as file:
        if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
            yield from json_lines.rows(_lines(file))
        else:
            delimiter = settings.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
            yield from _csv(_lines(file), settings.columns, delimiter)


def _lines(file: TextIO) -> Iterator[str]:
    return iter(partial(file.readline, _LINE_AT_MOST), "")


@dataclass(slots=True)
class _Feed:
    """Lines for the CSV reader, which can be taken back."""

    lines: Iterator[str]
    number: int = 0
    """Of the line given last."""
    given: list[str] = field(default_factory=list)
    """Since the row began."""
    back: deque[str] = field(default_factory=deque)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self.back.popleft() if self.back else next(self.lines)
        self.number += 1
        self.given.append(line)
        return line

    def go_back(self) -> None:
        """To the second line of the row: what a stray quote swallowed are rows of their own."""
        swallowed = self.given[1:]
        self.back.extendleft(reversed(swallowed))
        self.number -= len(swallowed)
        del self.given[1:]


def _csv(lines: Iterator[str], columns: Sequence[str] | None, delimiter: str) -> Iterator[FileRow | BadRow]:
    """RFC 4180: a quoted value may hold delimiters, line breaks, and quotes written twice."""
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.given.clear()
        line = feed.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            feed.go_back()
            yield BadRow(line=line, reason=f"it is no CSV: {error}", row="".join(feed.given))
            continue
        if not fields:
            continue  # an empty line
        if columns is None:
            columns = column_names(fields)
        elif len(fields) != len(columns):
            reason = f"it has {len(fields)} fields, and there are {len(columns)} columns"
            yield BadRow(line=line, reason=reason, row="".join(feed.given))
        else:
            values = (value or None for value in fields)
            yield FileRow(line=line, values=dict(zip(columns, values, strict=True)))
