"""Which build of SQLite keeps our records, and what is wrong with it.

SQLite 3.7.0 to 3.51.2 may corrupt a database with a write-ahead log when two connections write and checkpoint at the
same moment ("WAL-reset race"; fixed in 3.51.3, 3.50.7 and 3.44.6: https://www.sqlite.org/releaselog/3_51_3.html). Many
systems still ship such a build; the package pysqlite3, an extra of this project, brings its own, newer one.
"""

from __future__ import annotations

from typing import Any

try:
    import pysqlite3.dbapi2 as _driver
except ImportError:
    import sqlite3 as _driver

DRIVER: Any = _driver
"""The DB-API module: pysqlite3 where it is installed, else Python's own."""

_FIRST_WITH_WAL = (3, 7, 0)
_FIXED = (3, 51, 3)
_FIXED_EARLIER = {(3, 44): 6, (3, 50): 7}


def has_wal_reset_race(version: tuple[int, int, int]) -> bool:
    """Whether this version of SQLite may corrupt a database that two connections write to."""
    if version[:2] in _FIXED_EARLIER:
        return version[2] < _FIXED_EARLIER[version[:2]]
    return _FIRST_WITH_WAL <= version < _FIXED


def warning() -> str:
    """What is wrong with the build in use, and what to do; empty when nothing is."""
    if not has_wal_reset_race(DRIVER.sqlite_version_info):
        return ""
    return (
        f"SQLite {DRIVER.sqlite_version} may corrupt the database when two connections write at the same moment; "
        "install the extra `sqlite`, which brings a newer one, or keep our records in PostgreSQL"
    )
