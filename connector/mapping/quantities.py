"""Exact numbers: read, rounded as declared, written in one way only.

Nothing is computed in binary or in a limited number of digits, and the same number read from two databases gives the
same text.

>>> plain(Decimal("4.00")), plain(Decimal("0.04750")), plain(Decimal("1E+3"))
('4', '0.0475', '1000')
>>> plain(divided(10, 3, 5, Rounding.DOWN))
'3.33333'
>>> rounded(2.675, 2, Rounding.HALF_UP)
Decimal('2.68')
"""

from __future__ import annotations

import re
from decimal import Decimal

from connector.mapping.files import Rounding
from connector.mapping.outcomes import FaultCode, Refused
from connector.messages.records import Value

_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,60}(?:\.[0-9]{0,60})?(?:[eE][+-]?[0-9]{1,2})?")
"""ASCII digits only: full-width digits and thousands separators are no numbers here."""

_MOST_DIGITS = 400
"""Before or after the point; every float lies within. Anything beyond would fill the memory when written out."""


def number(value: Value) -> Decimal:
    """The value exactly. Raises `Refused` for a float and for what is no plain number."""
    if isinstance(value, float):
        raise Refused(
            FaultCode.FLOAT_REFUSED,
            value,
            "is a binary float, which holds decimals only nearly",
            "store it as a decimal, or declare a rounding in the mapping",
        )
    exact = _as_decimal(value)
    if exact is None or not exact.is_finite():
        raise Refused(FaultCode.NOT_A_NUMBER, value, "is not a number")
    if abs(exact.adjusted()) > _MOST_DIGITS:
        raise Refused(FaultCode.OUT_OF_RANGE, value, "has too many digits")
    return exact


def roundable(value: Value) -> Decimal:
    """As `number`, and a float counts as the shortest decimal that names it: 0.1 is 0.1, not 0.1000000000000000055."""
    return number(Decimal(repr(value)) if isinstance(value, float) else value)


def rounded(value: Value, places: int, rounding: Rounding) -> Decimal:
    """The number with at most so many places. Raises `Refused` when it has more and is to be exact."""
    exact = number(value) if rounding is Rounding.EXACT else roundable(value)
    result = divided(*exact.as_integer_ratio(), places, rounding)
    if result is None:
        raise Refused(
            FaultCode.INEXACT,
            value,
            f"has more than {places} decimals",
            "correct it, or declare a rounding in the mapping",
        )
    return result


def divided(numerator: int, denominator: int, places: int, rounding: Rounding) -> Decimal | None:
    """Numerator / denominator with so many places; None when it has more and is to be exact.

    Whole numbers only, of any size. The denominator is not 0.
    """
    digits, rest = divmod(abs(numerator) * 10**places, abs(denominator))
    if rest and rounding is Rounding.EXACT:
        return None
    if rest and _goes_up(rounding, digits, 2 * rest - abs(denominator)):
        digits += 1
    sign = "-" if (numerator < 0) != (denominator < 0) else ""
    # From text, because arithmetic on Decimal rounds to the digits of its context.
    return Decimal(f"{sign}{digits}E-{places}")


def plain(exact: Decimal) -> str:
    """The number without exponent, without trailing zeros, without a minus before zero."""
    text = format(exact, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", "-", ""} else text


def _as_decimal(value: Value) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if _PLAIN_NUMBER.fullmatch(text) else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _goes_up(rounding: Rounding, digits: int, beyond_half: int) -> bool:
    """Whether digits with something left over become one more; beyond_half: 0 for exactly a half left over."""
    if rounding is Rounding.HALF_UP:
        return beyond_half >= 0
    return rounding is Rounding.HALF_EVEN and (beyond_half > 0 or (beyond_half == 0 and digits % 2 == 1))
