"""`Offices`: the customs areas (直属海关关区), and between which of them goods may return across areas since when.

They are data that an operator can correct, ``config/offices.toml``::

    offices = load_offices(shipped("config") / "offices.toml")
    offices.allow("22", "51", at)     # may a Shanghai export return to Guangzhou?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from connector.errors import ConfigurationError
from connector.messages.catalogue import BEIJING
from connector.toml_file import TomlFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One customs area, known by the first two digits of its office codes."""

    name: str
    pilot_from: date | None
    """The day in Beijing from which on it takes part in the pilot of returns across areas; None: it does not."""
    is_confirmed: bool
    """Whether the two digits were compared with a published list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offices:
    """All customs areas."""

    by_prefix: Mapping[str, Office]
    everywhere_from: date
    """The day in Beijing from which on goods may return across any two areas."""

    def allow(self, exported: str, returned: str, at: datetime) -> bool:
        """Whether an export of one area may be declared as returned in the other at a moment; both by two digits."""
        day = at.astimezone(BEIJING).date()
        if exported == returned or day >= self.everywhere_from:
            return True
        pilots = {prefix for prefix, one in self.by_prefix.items() if one.pilot_from and one.pilot_from <= day}
        return {exported, returned} <= pilots

    def named(self, prefix: str) -> str:
        """An area for people: ``22 上海``, with a remark where its digits are unconfirmed."""
        office = self.by_prefix.get(prefix)
        if office is None:
            return f"{prefix} (not in the list of offices)"
        return f"{prefix} {office.name}" + ("" if office.is_confirmed else " (digits unconfirmed)")


def load_offices(path: Path) -> Offices:
    """Read the file of offices. Raises `ConfigurationError` that names every fault with its line."""
    file = TomlFile.read(path)
    content = None if file.faults else file.validate(_OfficesFile, file.document)
    if content is not None:
        file.add(
            (
                ("offices", prefix, "pilot_from"),
                "is later than everywhere_from, when it means nothing; correct one of them",
            )
            for prefix, one in content.offices.items()
            if one.pilot_from and one.pilot_from > content.everywhere_from
        )
    if content is None or file.faults:
        raise ConfigurationError(
            "\n".join(file.faults), effect="nothing was started", remedy="correct the lines named above and try again"
        )
    return Offices(
        by_prefix={
            prefix: Office(name=one.name, pilot_from=one.pilot_from, is_confirmed=one.confirmed)
            for prefix, one in content.offices.items()
        },
        everywhere_from=content.everywhere_from,
    )


_Day = Annotated[date, Field(strict=True)]
"""Written as a date of TOML, not as text."""


class _Office(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    pilot_from: _Day | None = None
    confirmed: Annotated[bool, Field(strict=True)]


class _OfficesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    everywhere_from: _Day
    offices: dict[Annotated[str, Field(pattern=r"^[0-9]{2}$")], _Office]
