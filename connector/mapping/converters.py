"""What happens to one value on its way into an element: text, code lists, times, and the format of the element itself.

>>> translated(7, "offices", {"7": "4401"})
'4401'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from connector.mapping.files import TextPolicy
from connector.mapping.outcomes import FaultCode, Refused
from connector.mapping.quantities import number, plain
from connector.messages.catalogue import Field, FieldKind
from connector.messages.records import Value

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters (C0, C1) and what XML 1.0 cannot carry (section 2.2, Char)."""


_BLANKS = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode category Zs: blanks that are no control characters."""
_WIDE_DIGIT = re.compile("[０-９]")
_NARROW = str.maketrans("０１２３４５６７８９", "0123456789")


def is_absent(value: Value) -> bool:
    """NULL, an empty text or blanks only."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def as_text(value: Value) -> str:
    """The value as text: integers exactly, decimals plainly, true and false as 1 and 0, NULL as nothing.

    Raises `Refused` for floats and times, which have no form of their own.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, date):
        raise Refused(FaultCode.NOT_TEXT, value, "is a time without a format", "add time = { … } to the mapping")
    return plain(number(value))


def cleaner(policy: TextPolicy) -> Callable[[Value], Value]:
    """What becomes of the text of a column before anything else; what is no text passes. It raises `Refused`."""

    def clean(value: Value) -> Value:
        if not isinstance(value, str):
            return value
        if policy.control == "strip":
            value = _FORBIDDEN.sub("", value)
        if value and policy.blanks != "keep" and (value[0] in _BLANKS or value[-1] in _BLANKS):
            value = _without_blanks(value, policy)
        return value if value.isascii() else _beyond_ascii(value, policy)

    return clean


def _without_blanks(text: str, policy: TextPolicy) -> str:
    if policy.blanks == "refuse" and not text.isspace():
        raise Refused(
            FaultCode.BLANK_AT_END, text, "begins or ends with a blank", 'remove it, or say text = { blanks = "trim" }'
        )
    return text.strip(_BLANKS)


def _beyond_ascii(text: str, policy: TextPolicy) -> str:
    if policy.wide_digits != "keep" and _WIDE_DIGIT.search(text):
        if policy.wide_digits == "refuse":
            raise Refused(
                FaultCode.WIDE_DIGIT,
                text,
                "has full-width digits",
                'type it anew, or say text = { wide_digits = "narrow" }',
            )
        text = text.translate(_NARROW)
    if policy.beyond_bmp == "refuse" and any(character > "\uffff" for character in text):
        raise Refused(FaultCode.BEYOND_BMP, text, "has a character of four bytes", "write it with another character")
    return text


def translated(value: Value, name: str, codes: Mapping[str, str]) -> str:
    """What the code list says for the value. Raises `Refused` when it does not hold it."""
    text = as_text(value)
    if text not in codes:
        raise Refused(
            FaultCode.CODE_UNKNOWN,
            text,
            f"is not in the code list {name}",
            f"correct the code, or add it to [codes.{name}]",
        )
    return codes[text]


def local_time(value: Value, zone: ZoneInfo, pattern: str) -> str:
    """An instant as local time of a zone; a date without a time keeps its day whatever the zone. Raises `Refused`."""
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime(pattern)
    if isinstance(value, date):
        return value.strftime(pattern)
    raise Refused(FaultCode.NOT_A_TIME, value, "is not a time", "give the mapping a column that holds a time")


def text_element(field: Field, value: Value) -> str | None:
    """The text of an element that holds text; None when there is none. Lengths count characters. Raises `Refused`."""
    text = value if isinstance(value, str) else as_text(value)
    if not text or text.isspace():
        return None
    if _FORBIDDEN.search(text):
        raise Refused(
            FaultCode.CONTROL_CHARACTER, text, "holds a control character", "type the text anew without copying it"
        )
    if field.max_length is not None and len(text) > field.max_length:
        raise Refused(
            FaultCode.TOO_LONG, text, f"has {len(text)} characters, {field.max_length} are allowed", "shorten the text"
        )
    if len(text) < (field.min_length or 0):
        raise Refused(FaultCode.TOO_SHORT, text, f"has {len(text)} characters, {field.min_length} are needed")
    return text


def cut_element(field: Field, value: Value) -> str | None:
    """As `text_element`, and a text that is too long loses what is too much of it."""
    text = value if isinstance(value, str) else as_text(value)
    return text_element(field, text[: field.max_length])


def number_element(field: Field, value: Value) -> str | None:
    """The text of an element that holds a number; None when there is none. Raises `Refused`."""
    if is_absent(value):
        return None
    text = plain(number(value))
    whole, _, fraction = text.lstrip("-").partition(".")
    places = 0 if field.kind is FieldKind.INTEGER else field.fraction_digits
    if places is not None and len(fraction) > places:
        wanted = f"has more than {places} decimals" if places else "is not a whole number"
        raise Refused(FaultCode.INEXACT, value, wanted, "correct it, or declare a rounding in the mapping")
    if field.total_digits is not None and len(whole.lstrip("0")) + len(fraction) > field.total_digits:
        raise Refused(FaultCode.OUT_OF_RANGE, value, f"has more than {field.total_digits} digits")
    return text
