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


def portions(values: Sequence[_T], *, of: int = 1) -> Iterator[Sequence[_T]]:
    """The values in order, at most `AT_ONCE` at a time; none at all for no values.

    of: how many parameters each value takes.
    """
    size = max(AT_ONCE // of, 1)
    return (values[start : start + size] for start in range(0, len(values), size))
