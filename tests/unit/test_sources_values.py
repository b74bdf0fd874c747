from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sources.values import ColumnType, Misfit, read_value

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("kind", list(ColumnType))
def test_value_is_none_when_the_column_is_empty(kind: ColumnType) -> None:
    assert read_value(None, kind, SHANGHAI) is None


@pytest.mark.parametrize(
    ("raw", "kind", "expected"),
    [
        ("00123", "text", "00123"),
        ("退货".encode(), "text", "退货"),
        ("", "text", ""),
        (2**63 + 1, "integer", 2**63 + 1),
        ("9223372036854775809", "integer", 2**63 + 1),
        (Decimal(1843920012030070785), "integer", 1843920012030070785),
        (4, "decimal", Decimal(4)),
        ("-4.10000", "decimal", Decimal("-4.10000")),
        (b"1e3", "decimal", Decimal("1E+3")),
        (Decimal("4.10"), "decimal", Decimal("4.10")),
        (0.1, "decimal", 0.1),
        ("2026-02-28", "date", date(2026, 2, 28)),
        (b"2026-02-28", "date", date(2026, 2, 28)),
        ("2026-06-01T08:00:00", "time", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01 08:00:00.123", "time", datetime(2026, 6, 1, 0, 0, 0, 123000, tzinfo=UTC)),
        ("2026-06-01 02:00:00+02", "time", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01 00:00:00Z", "time", datetime(2026, 6, 1, tzinfo=UTC)),
        (b"2026-06-01 08:00", "time", datetime(2026, 6, 1, tzinfo=UTC)),
    ],
)
def test_value_is_exact_when_it_fits(raw: object, kind: str, expected: object) -> None:
    value = read_value(raw, ColumnType(kind), SHANGHAI)
    assert (value, type(value), str(value)) == (expected, type(expected), str(expected))


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (123, "text"),
        (1.5, "text"),
        (b"\xff\xfe", "text"),
        ("a\udcffb", "text"),
        ("012", "integer"),
        ("1 2", "integer"),
        ("１２", "integer"),
        (4.0, "integer"),
        (True, "integer"),
        (Decimal("1.5"), "integer"),
        (Decimal("NaN"), "integer"),
        ("", "decimal"),
        ("1,5", "decimal"),
        ("1_0", "decimal"),
        ("１", "decimal"),
        ("NaN", "decimal"),
        (Decimal("NaN"), "decimal"),
        (float("inf"), "decimal"),
        (True, "decimal"),
        ("2026-02-30 00:00:00", "time"),
        ("0000-00-00 00:00:00", "time"),
        ("0001-01-01 00:00:00", "time"),
        ("infinity", "time"),
        (1748736000, "time"),
        ("20260228", "date"),
        ("2026-02-30", "date"),
        ("2026-02-28 00:00:00", "date"),
    ],
)
def test_value_is_a_misfit_when_it_would_have_to_be_guessed(raw: object, kind: str) -> None:
    with pytest.raises(Misfit, match="holds"):
        read_value(raw, ColumnType(kind), SHANGHAI)


def test_time_is_the_earlier_one_when_clocks_were_put_back() -> None:
    value = read_value("2026-10-25 02:30:00", ColumnType.TIME, BERLIN)
    assert value == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_time_counts_on_when_clocks_skipped_it() -> None:
    value = read_value("2026-03-29 02:30:00", ColumnType.TIME, BERLIN)
    assert value == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimal_keeps_every_digit_when_it_came_as_text(number: Decimal) -> None:
    value = read_value(str(number), ColumnType.DECIMAL, SHANGHAI)
    assert isinstance(value, Decimal)
    assert value.as_tuple() == number.as_tuple()


@given(st.datetimes(min_value=datetime(1992, 1, 1)))  # noqa: DTZ001 - wall clock
def test_time_is_the_wall_clock_of_the_zone_when_it_names_none(moment: datetime) -> None:
    if moment.year > 9998:
        return
    value = read_value(moment.isoformat(" "), ColumnType.TIME, SHANGHAI)
    assert value == moment.replace(tzinfo=UTC) - timedelta(hours=8)
