"""How results look: tables for people, one JSON object for programs."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from connector.errors import UsageError
from connector.messages.records import rfc3339

SCHEMA_VERSION = 1


def print_json(name: str, value: object) -> None:
    """Print ``{"schema_version": 1, name: value}`` on one line."""
    print_object({name: value})


def print_object(body: Mapping[str, object]) -> None:
    """Print one JSON object with its schema version on one line."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **body}, ensure_ascii=False, default=_json_value)
    sys.stdout.write(text + "\n")


_WIDTH_OF_A_FILE = 200


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; times in Beijing time, a list as one line for each item, empty cells for None.

    The last column takes what room is left. Where the output is no terminal, the table is 200 characters wide.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1] and console.width >= _WIDTH_OF_A_FILE)
    for row in rows:
        table.add_row(*[Text("\n".join(map(shown, value if isinstance(value, list) else [value]))) for value in row])
    console.print(table)


_FOR_PROGRAMS = frozenset({"content", "digest", "guid", "key_id", "mapping_digest", "time"})
"""Details that a line leaves out; `connector audit show` and ``--json`` have them."""


_SHORT = 3
"""Items of a list that a line shows."""


def detail_line(detail: Mapping[str, object]) -> str:
    """An entry's detail on one line, without what only programs read."""
    told = [
        (name, _shortened(value))
        for name, value in detail.items()
        if name not in _FOR_PROGRAMS and value not in ("", None)
    ]
    # That a receipt matched is no news; that it did not is.
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in told if (name, value) != ("matched", True))


def _shortened(value: object) -> object:
    """A long list by its first items."""
    if not isinstance(value, list) or len(value) <= _SHORT:
        return value
    return f"{', '.join(map(str, value[:_SHORT]))} and {len(value) - _SHORT} more"


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for a spreadsheet: UTF-8 with its mark, times in Beijing time.

    What a spreadsheet would take for a formula or round as a number begins with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    write_bytes(text.getvalue().encode("utf-8-sig"), None)


_MISREAD = re.compile(r"[=+\-@]|0[0-9]+$|[0-9]{12,}$|[0-9]+[eE][0-9]+$")
"""How texts begin that a spreadsheet does not leave as they are; ``22442026E000000001`` reads as a power of ten."""


def csv_cell(value: object) -> object:
    """A value as a spreadsheet leaves it."""
    if isinstance(value, int):
        return value
    text = shown(value)
    return f"'{text}" if _MISREAD.match(text) else text


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of plain text."""
    for line in lines:
        sys.stdout.write(line + "\n")


def write_bytes(data: bytes, out: Path | None) -> None:
    """Write exactly these bytes: to a file, which must not exist yet, or to standard output."""
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(
            f"{out}: {error.strerror}",
            effect="nothing was written there",
            remedy="name a file that does not exist yet, in a folder that does",
        ) from None


def say(text: str) -> None:
    """Tell a person something that is no result."""
    sys.stderr.write(text + "\n")


def shown(value: object) -> str:
    """A value as a person reads it; control characters are shown, not sent to the terminal."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return local(value)
    text = str(value)
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def local(moment: datetime) -> str:
    """A time in Beijing with its offset, to the second, e.g. ``2026-06-01 08:30:00+08``."""
    from connector.messages.catalogue import BEIJING

    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S+08")


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
