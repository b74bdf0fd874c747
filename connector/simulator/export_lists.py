"""The original export lists that the office knows, read once from a file into its database.

One JSON object a line, quantities as text so that no digit is lost::

    {"invt_no": "22442026E000000123", "trade_mode": "9610", "ebp_code": "4401ABCDEF", "ebc_code": "4401000001",
     "lines": [{"gnum": 1, "gcode": "6109100010", "gname": "棉制T恤衫", "gmodel": "针织|短袖", "unit": "011",
                "qty": "3", "unit1": "011", "qty1": "3"}]}

The office looks up a handful of lists per message, so they stay text in the database until one is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, delete, insert, select

from connector.errors import ConfigurationError
from connector.simulator import tables

_CHUNK = 5000
"""Lists per INSERT: memory stays flat however long the file is."""


class ExportLine(BaseModel):
    """One line of goods of an export list, as far as a return is held against it."""

    model_config = ConfigDict(frozen=True)

    gnum: int
    gcode: str
    gname: str
    gmodel: str
    unit: str
    qty: Decimal
    unit1: str | None = None
    """Compared only where the file states it, like unit2."""
    qty1: Decimal
    unit2: str | None = None
    qty2: Decimal | None = None


class ExportList(BaseModel):
    """One export list (CEB603) that was released; what else the file says about it is left alone."""

    model_config = ConfigDict(frozen=True)

    invt_no: str
    trade_mode: str
    ebp_code: str
    ebc_code: str
    lines: tuple[ExportLine, ...]


def import_file(connection: Connection, path: Path) -> None:
    """Make the database know exactly the lists of a file; nothing happens when it has been imported as it stands.

    Raises `ConfigurationError` when the file is missing or a line of it is no export list.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if connection.scalar(select(tables.imports.c.digest)) == digest:
                return
            file.seek(0)
            connection.execute(delete(tables.export_lists))
            rows = _rows(file, path)
            while chunk := list(islice(rows, _CHUNK)):
                connection.execute(insert(tables.export_lists).prefix_with("OR REPLACE"), chunk)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}",
            effect="the simulated customs office was not started",
            remedy="correct export_lists in the registry",
        ) from None
    connection.execute(delete(tables.imports))
    connection.execute(insert(tables.imports), {"digest": digest})


def find(connection: Connection, numbers: Collection[str]) -> dict[str, ExportList]:
    """The known lists among these numbers."""
    lists = tables.export_lists
    found = connection.scalars(select(lists.c.body).where(lists.c.invt_no.in_(numbers)))
    return {original.invt_no: original for original in map(ExportList.model_validate_json, found)}


def _rows(lines: Iterator[bytes], path: Path) -> Iterator[dict[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            original = ExportList.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigurationError(
                f"{path}:{number}: {'.'.join(map(str, fault['loc']))} {fault['msg']}",
                effect="the simulated customs office was not started",
                remedy="write each export list as one JSON object on one line",
            ) from None
        yield {"invt_no": original.invt_no, "body": line.decode()}
