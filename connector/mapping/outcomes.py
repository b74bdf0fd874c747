"""What becomes of one record: `Mapped` content, or `Unmappable` with every reason a person needs to put it right."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from connector.messages.documents import Content
from connector.messages.records import Row

_SHOWN = 60


class FaultCode(StrEnum):
    """Why a record cannot be mapped, for programs; the text of the `Fault` is for people."""

    REQUIRED_MISSING = "required_missing"
    """A value that the message needs is empty."""
    LOOKUP_MISSING = "lookup_missing"
    """A lookup has no row for this record or line."""
    LOOKUP_AMBIGUOUS = "lookup_ambiguous"
    """A lookup has more than one row for this record or line."""
    CODE_UNKNOWN = "code_unknown"
    """A value is not in the code list it must be in."""
    CONTROL_CHARACTER = "control_character"
    """A text holds a character that must not reach customs."""
    BLANK_AT_END = "blank_at_end"
    """A text begins or ends with a blank, which the mapping does not say to keep or to remove."""
    WIDE_DIGIT = "wide_digit"
    """A text has full-width digits, which the mapping refuses."""
    BEYOND_BMP = "beyond_bmp"
    """A text has a character of four bytes, which the mapping refuses."""
    NOT_IN_EFFECT = "not_in_effect"
    """No version of the mapping is in effect at the time of the record."""
    TOO_LONG = "too_long"
    """A text has more characters than the element takes."""
    TOO_SHORT = "too_short"
    """A text has fewer characters than the element takes."""
    NOT_A_NUMBER = "not_a_number"
    """A number is wanted and something else is there."""
    FLOAT_REFUSED = "float_refused"
    """A binary float, which holds decimals only nearly, and no rounding is declared."""
    INEXACT = "inexact"
    """A number has more decimals than the element takes, and no rounding is declared."""
    OUT_OF_RANGE = "out_of_range"
    """A number has too many digits, or is divided by zero."""
    NOT_A_TIME = "not_a_time"
    """A time is wanted and something else is there."""
    NOT_TEXT = "not_text"
    """A time stands where a text is wanted, and no format is declared."""
    NO_LINES = "no_lines"
    """The message needs at least one line."""
    SAME_LINE = "same_line"
    """Two lines cannot be told apart by the column that `each` names."""
    NO_AREA = "no_area"
    """A location lies in no functional area of its site."""
    TOO_MANY_LINES = "too_many_lines"
    """The message takes fewer lines than the record has."""


class Refused(Exception):
    """A value cannot be used. Caught where element and record are known; never leaves the mapping."""

    def __init__(
        self, code: FaultCode, value: object, problem: str, remedy: str = "correct it", source: str = ""
    ) -> None:
        super().__init__(code, value, problem, remedy, source)
        self.code = code
        self.value = value
        self.problem = problem
        """What is wrong with the value, as a predicate: ``is not a number``."""
        self.remedy = remedy
        self.source = source
        """The column the value stands in, where a rule reads several; else empty."""


def shown(value: object) -> str:
    """A value as a person may read it: quoted, control characters escaped, at most 60 characters."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One reason why a record cannot be mapped. A cause that spoils several elements is one fault."""

    code: FaultCode
    field: str
    """The elements that miss out because of it, joined by ``, ``; what is at fault itself where none does."""
    text: str
    """Line, source column, value, what is wrong, what to do and which elements need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What a mapping tells the rules of the original export list; values by the names of `connector.mapping.facts`."""

    head: Row = field(default_factory=dict)
    lines: tuple[Row, ...] = ()
    """One for each line of the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What one record says in one message type."""

    type: str
    content: Content
    original: Original
    business_key: str
    """Empty where it follows from the content (`connector.messages.chains`)."""
    waybill: str
    export_list: str
    """Number of the original export list; empty where the document names none."""
    part: str
    """What of the record it tells, where that is not all of it: ``arriving``, ``put_away/1843920``."""
    corrects: str = ""
    """Business key of the document that it replaces, where it is one of a chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmappable:
    """Why one record cannot be said in one message type; business key, waybill and export list as far as known."""

    type: str
    business_key: str
    waybill: str
    export_list: str
    part: str
    faults: tuple[Fault, ...]
