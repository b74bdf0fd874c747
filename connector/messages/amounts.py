"""`Amounts`: what is declared, or left, of one line of goods, in its three units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The three quantities of a line: as declared, and in the first and second statutory unit.

    >>> (Amounts(qty=Decimal(1)) + Amounts(qty=Decimal("0.5"), qty1=Decimal(2))).qty
    Decimal('1.5')
    """

    qty: Decimal = Decimal(0)
    qty1: Decimal = Decimal(0)
    qty2: Decimal = Decimal(0)

    @classmethod
    def of(cls, line: Mapping[str, str]) -> Amounts:
        """The quantities of a declared line, lexical values by element name; an absent one is zero."""
        return cls(**{name: Decimal(line.get(name) or 0) for name in ("qty", "qty1", "qty2")})

    def __add__(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(qty=self.qty + other.qty, qty1=self.qty1 + other.qty1, qty2=self.qty2 + other.qty2)
