"""Which builds of SQLite are warned about."""

from __future__ import annotations

import sqlite3

import pytest

from connector.storage import sqlite_build
from connector.storage.sqlite_build import has_wal_reset_race


@pytest.mark.parametrize(
    "version",
    [
        (3, 7, 0),
        (3, 40, 1),
        (3, 44, 0),
        (3, 44, 5),
        (3, 45, 0),
        (3, 49, 99),
        (3, 50, 0),
        (3, 50, 6),
        (3, 51, 0),
        (3, 51, 2),
    ],
)
def test_build_has_the_race_when_it_came_before_the_correction(version: tuple[int, int, int]) -> None:
    assert has_wal_reset_race(version)


@pytest.mark.parametrize(
    "version",
    [
        (3, 6, 23),
        (3, 44, 6),
        (3, 44, 7),
        (3, 50, 7),
        (3, 50, 12),
        (3, 51, 3),
        (3, 51, 4),
        (3, 52, 0),
        (3, 53, 4),
        (4, 0, 0),
    ],
)
def test_build_has_no_race_when_it_is_corrected_or_knows_no_write_ahead_log(version: tuple[int, int, int]) -> None:
    assert not has_wal_reset_race(version)


def test_warning_speaks_of_the_build_in_use_and_of_nothing_when_that_is_sound() -> None:
    if has_wal_reset_race(sqlite_build.DRIVER.sqlite_version_info):
        assert sqlite_build.DRIVER.sqlite_version in sqlite_build.warning()
        assert "the extra `sqlite`" in sqlite_build.warning()
    else:
        assert sqlite_build.warning() == ""


def test_newer_sqlite_is_used_where_its_package_is_installed() -> None:
    newer = pytest.importorskip("pysqlite3.dbapi2")
    assert sqlite_build.DRIVER is newer
    assert newer.sqlite_version_info > sqlite3.sqlite_version_info
    assert sqlite_build.warning() == ""
