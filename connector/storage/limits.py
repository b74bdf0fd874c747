"""How many values one statement may take, for our own databases and for those we read.

>>> [len(some) for some in portions(range(1203))]
[500, 500, 203]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_ONCE = 500
"""Values in one IN list. Databases and drivers bound the parameters of a statement: SQLite before 3.32 takes 999
(https://www.sqlite.org/limits.html#max_variable_number), the PostgreSQL protocol 65,535."""

_T = TypeVar("_T")


def portions(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The values in order, at most `AT_ONCE` at a time; none at all for no values."""
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
