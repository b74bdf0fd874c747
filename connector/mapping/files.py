"""The form of a mapping file: TOML, one line per target element, a closed set of converters.

Each line has exactly one origin (``const``, ``value``, ``field``, ``join``, ``ratio``), then optional conversions
(``text``, ``codes``, then ``decimal`` or ``time``), then an optional ``default``. There is no expression language::

    message = "CEB213"
    version = 1
    records = "returns"

    [head]
    coElNo = { field = "record.order_no" }

    [lines]
    qty = { field = "line.quantity", decimal = { places = 5 } }

>>> rule = ElementRule.model_validate({"field": "record.a", "default": {"const": "none"}})
>>> [reference for _, reference in rule.references()]
['record.a']
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from connector.config import ZoneName

ORIGINS = ("const", "value", "field", "join", "ratio")
"""The keys of a rule that say where its value comes from; each rule has exactly one."""


class Rounding(StrEnum):
    """How a number gets the places it is to have."""

    EXACT = "exact"
    """Not at all: a number with more places is a fault, and so is a binary float."""
    DOWN = "down"
    """Towards zero."""
    HALF_UP = "half_up"
    """To the nearest, a half away from zero (四舍五入)."""
    HALF_EVEN = "half_even"
    """To the nearest, a half to the even neighbour."""


def _known_directives(pattern: str) -> str:
    if not re.fullmatch(r"(?:%[YmdHMS%]|[^%])+", pattern):
        raise ValueError(f"{pattern!r} must be made of %Y %m %d %H %M %S and plain characters")
    return pattern


def _reference(reference: str) -> str:
    if not re.fullmatch(r"[^.\s]+\.[^.\s]+", reference):
        raise ValueError(f"{reference!r} must be record.COLUMN, line.COLUMN or LOOKUP.COLUMN")
    return reference


Reference = Annotated[str, AfterValidator(_reference)]
Places = Annotated[int, Field(strict=True, ge=0, le=20)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPolicy(_Table):
    """``[text]`` of a file, and ``text = { … }`` of a line: what becomes of texts that customs may not take.

    What a line does not say, its file says; what that does not say either, is as the defaults here.
    """

    control: Literal["refuse", "strip"] = "refuse"
    """Control characters, and what XML cannot carry."""
    blanks: Literal["refuse", "trim", "keep"] = "refuse"
    """Blanks of any width before or behind the text."""
    wide_digits: Literal["keep", "narrow", "refuse"] = "keep"
    """Full-width digits, ０ to ９."""
    beyond_bmp: Literal["keep", "refuse"] = "keep"
    """Characters of four bytes, such as 𠮷, which older systems cannot store."""
    overlong: Literal["refuse", "cut"] = "refuse"
    """More characters than the element takes; characters are counted, not bytes."""

    def with_line(self, line: TextPolicy | None) -> TextPolicy:
        """The policy of a line in a file with this one."""
        return (
            self
            if line is None
            else self.model_copy(update={name: getattr(line, name) for name in line.model_fields_set})
        )


DEFAULT_TEXT = TextPolicy()


class Join(_Table):
    """``join``: several columns in one text; absent as soon as one of them is."""

    fields: Annotated[tuple[Reference, ...], Field(min_length=1)]
    separator: str = ""


class Decimals(_Table):
    """``decimal``: a number with at most so many places."""

    places: Places
    rounding: Rounding = Rounding.EXACT
    negate: bool = False
    """With the other sign: what leaves, where the warehouse writes it without one."""


class Time(_Table):
    """``time``: an instant as local time of a zone; a date without a time keeps its day."""

    zone: ZoneName
    format: Annotated[str, AfterValidator(_known_directives)]


class Fallback(_Table):
    """``unmapped = { const = … }``: what stands for every value that a code list does not hold."""

    const: str


class Rule(_Table):
    """Where a value comes from and what is done to it."""

    const: str | None = None
    """This text."""
    value: str | None = None
    """A named constant of the enterprise: ``[values]`` of connector.toml."""
    field: Reference | None = None
    """A column."""
    join: Join | None = None
    ratio: Annotated[tuple[Reference, Reference, Reference] | None, Field()] = None
    """First x second / third, computed exactly, then rounded to ``places`` as ``rounding`` says."""
    places: Places | None = None
    rounding: Rounding | None = None
    text: TextPolicy | None = None
    """What becomes of a text that customs may not take, where it is not as the file says."""
    codes: str | None = None
    """Name of a code list: the value becomes what the list says."""
    unmapped: Literal["refuse", "keep"] | Fallback = "refuse"
    """What becomes of a value that the code list does not hold."""
    decimal: Decimals | None = None
    time: Time | None = None
    default: Rule | None = None
    """A rule of its own, used where this one gives nothing."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = [origin for origin in ORIGINS if getattr(self, origin) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(ORIGINS)}; it has {' and '.join(given) or 'none'}")
        if (self.ratio is None) != (self.places is None) or (self.ratio is None) != (self.rounding is None):
            raise ValueError("ratio, places and rounding belong together; other numbers take decimal = { places = … }")
        conversions = [name for name in ("text", "codes", "decimal", "time") if getattr(self, name) is not None]
        if conversions and self.ratio is not None:
            raise ValueError(f"a ratio is rounded already and takes no {conversions[0]}")
        if self.unmapped != "refuse" and self.codes is None:
            raise ValueError("unmapped tells about a code list, and there is none: add codes, or remove it")
        if len(conversions) > 1 and self.time is not None:
            raise ValueError(f"time takes a column as it is: remove {conversions[0]}")
        return self

    def origin(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The columns the rule itself reads, each with the key it is written under."""
        if self.field is not None:
            return ((("field",), self.field),)
        if self.join is not None:
            return tuple((("join", "fields"), reference) for reference in self.join.fields)
        return tuple((("ratio",), reference) for reference in self.ratio or ())

    def chain(self) -> Iterator[tuple[tuple[str, ...], Rule]]:
        """The rule and its defaults in turn, each with the keys that lead to it."""
        path: tuple[str, ...] = ()
        rule: Rule | None = self
        while rule is not None:
            yield path, rule
            path, rule = (*path, "default"), rule.default

    def references(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """All columns that the rule and its defaults read, each with the keys that lead to it."""
        for path, rule in self.chain():
            for key, reference in rule.origin():
                yield (*path, *key), reference

    @property
    def label(self) -> str:
        """Where the value comes from, for people."""
        if self.ratio is not None:
            return "{} × {} ÷ {}".format(*self.ratio)
        if self.value is not None:
            return f"[values] {self.value}"
        return " + ".join(reference for _, reference in self.origin()) or "const"

    @property
    def described(self) -> str:
        """The whole rule in words: origin, conversions in their order, default."""
        origin = self.label if self.const is None else f"“{self.const}”"
        done = [
            *((f"{name} {how}" for name, how in self.text.model_dump(exclude_unset=True).items()) if self.text else ()),
            f"by code list {self.codes}{_otherwise(self.unmapped)}" if self.codes is not None else "",
            _rounding(self.decimal.places, self.decimal.rounding) if self.decimal is not None else "",
            "with the other sign" if self.decimal is not None and self.decimal.negate else "",
            _rounding(self.places, self.rounding) if self.places is not None and self.rounding is not None else "",
            f"as {self.time.format} in {self.time.zone}" if self.time is not None else "",
        ]
        otherwise = f"; if there is none: {self.default.described}" if self.default is not None else ""
        return ", ".join(filter(None, (origin, *done))) + otherwise


def _otherwise(unmapped: str | Fallback) -> str:
    if isinstance(unmapped, Fallback):
        return f" (what is not in it: “{unmapped.const}”)"
    return " (what is not in it stays)" if unmapped == "keep" else ""


def _rounding(places: int, rounding: Rounding) -> str:
    return f"at most {places} places" if rounding is Rounding.EXACT else f"rounded {rounding.value} to {places} places"


class ElementRule(Rule):
    """One line of a mapping file."""

    required: Literal[True] | None = None
    """The element must have a value although the schema lets it be absent."""


class When(_Table):
    """``when``: which records a document is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    field: Reference
    is_: tuple[str, ...] | None = Field(default=None, alias="is")
    """One of these, as text."""
    is_not: tuple[str, ...] | None = None
    """None of these; an empty column is none of them."""

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.is_ is None) == (self.is_not is None):
            raise ValueError('needs one of is = ["…"] and is_not = ["…"]')
        return self


class MappingFile(_Table):
    """A mapping file. Its rules are read one by one, so that every fault of every line is found."""

    message: str
    """Name of a message type, e.g. ``CEB213``."""
    version: Annotated[int, Field(strict=True, ge=1)]
    records: str
    """Name of the records file it reads, e.g. ``returns``."""
    document: str = ""
    """Which of several documents of one type it makes of a record."""
    each: Annotated[str | None, Field(pattern=r"^line\.[^.\s]+$")] = None
    """It makes a document of each line, told apart by this column; without it, one of the record."""
    head: dict[str, object]
    lines: dict[str, object] = Field(default_factory=dict)
    when: When | None = None
    """Of which records, or lines, it makes a document; without it, of all."""
    valid_from: AwareDatetime | None = None
    """From when on it is in effect, with its offset; of several versions the last that has begun. None: from ever."""
    dated: Reference | None = None
    """The time by which a record is given to a version; without it, its time of change."""
    text: TextPolicy = DEFAULT_TEXT
    original: dict[str, object] = Field(default_factory=dict)
    """What the rules have to know of the original export list, though it is not declared."""
    original_lines: dict[str, object] = Field(default_factory=dict)
    """The same of the original line of each line."""


class CodesFile(_Table):
    """A file of code lists: ``[codes.NAME]`` tables, code of the source -> code for customs."""

    codes: dict[str, dict[str, str]]
