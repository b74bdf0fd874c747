"""What is said of a certificate's end, and from which second on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.signing.certificates import Certificate
from connector.signing.expiry import ExpiryWarning, Use, Watched, in_use, warnings

NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CA = Use(role="customs CA", remedy="ask customs")
MAIN = Use(role="signing key main", remedy="renew it")


def watched(use: Use = MAIN, *, start: timedelta = -DAY, end: timedelta = 1000 * DAY) -> Watched:
    """A certificate that is valid from and until so long from now."""
    certificate = Certificate(
        der=b"",
        key_id="f0",
        serial_number=1,
        subject="CN=ours",
        issuer="CN=CA",
        valid_from=NOW + start,
        valid_until=NOW + end,
    )
    return Watched(use=use, file=Path("main.pem"), certificate=certificate)


def only(*found: Watched, now: datetime = NOW) -> ExpiryWarning:
    (warning,) = warnings(found, now)
    return warning


def test_nothing_is_said_until_60_days_are_left() -> None:
    assert warnings([watched(end=60 * DAY)], NOW) == []
    assert warnings([watched(end=60 * DAY - SECOND)], NOW) != []


@pytest.mark.parametrize(
    ("days", "urge"),
    [
        (60, "its renewal has to be planned"),
        (30, "the new one has to be issued now"),
        (14, "this week"),
        (7, "urgent"),
        (1, "its last day"),
    ],
)
def test_words_grow_more_urgent_to_the_second_when_days_run_out(days: int, urge: str) -> None:
    below = only(watched(end=days * DAY - SECOND))
    assert f"(less than {days} day" in below.text
    assert urge in below.text
    assert below.is_fault == (days <= 14)
    assert below.remedy == "renew it"
    at = warnings([watched(end=days * DAY)], NOW)
    assert not any(f"(less than {days} day" in one.text or urge in one.text for one in at)


def test_warning_becomes_a_fault_the_second_after_14_days() -> None:
    assert not only(watched(end=14 * DAY)).is_fault
    assert only(watched(end=14 * DAY - SECOND)).is_fault


def test_warning_names_role_file_days_and_the_day_in_beijing() -> None:
    assert only(watched(end=12 * DAY + timedelta(hours=13))).text == (
        "signing key main: the certificate CN=ours in main.pem expires in 12 days, on 2026-12-08 (less than 14 days): "
        "the new one has to be in place this week"
    )


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (2 * DAY - SECOND, "in 1 day, on 2026-11-27"),
        (DAY - SECOND, "in 23 hours, on 2026-11-26"),
        (timedelta(hours=2) - SECOND, "in 1 hour, on"),
        (timedelta(hours=1) - SECOND, "in less than an hour, on"),
        (timedelta(), "in less than an hour, on 2026-11-25 (less than 1 day)"),
    ],
)
def test_time_left_is_told_in_whole_units(left: timedelta, words: str) -> None:
    assert words in only(watched(end=left)).text


def test_certificate_has_expired_the_moment_after_its_last() -> None:
    warning = only(watched(end=-timedelta(microseconds=1)))
    assert "expired on 2026-11-25" in warning.text
    assert warning.is_fault
    assert watched(end=-SECOND).days_left(NOW) == -1


def test_certificate_not_yet_valid_is_named_until_its_first_moment() -> None:
    warning = only(watched(start=SECOND))
    assert "is not valid before 2026-11-25 12:00:01+08" in warning.text
    assert "clocks" in warning.remedy
    assert warning.is_fault
    assert warnings([watched(start=timedelta())], NOW) == []


def test_certificate_not_yet_valid_is_no_fault_beside_one_of_the_same_use_that_is() -> None:
    assert not only(watched(CA, start=DAY), watched(CA)).is_fault
    assert only(watched(CA, start=DAY), watched(MAIN)).is_fault


def test_expired_certificate_is_no_fault_beside_a_valid_one_of_the_same_use() -> None:
    beside = only(watched(CA, end=-DAY), watched(CA))
    assert "another one of the same use is valid" in beside.text
    assert not beside.is_fault
    assert only(watched(CA, end=-DAY), watched(MAIN)).is_fault


def test_superseded_key_warns_no_more_from_the_moment_another_takes_over() -> None:
    ended = watched(replace(MAIN, needed_until=NOW), end=-DAY)
    assert warnings([ended], NOW) == []
    assert in_use([ended], NOW) == []
    assert only(ended, now=NOW - SECOND).is_fault


def test_key_that_is_taken_over_from_before_its_end_warns_and_is_no_fault() -> None:
    planned = only(watched(replace(MAIN, needed_until=NOW + 3 * DAY), end=3 * DAY))
    assert "the next key takes over before that, on 2026-11-28" in planned.text
    assert not planned.is_fault
    late = only(watched(replace(MAIN, needed_until=NOW + 3 * DAY), end=3 * DAY - SECOND))
    assert late.is_fault


def test_future_key_warns_of_its_end_but_not_that_it_is_not_yet_needed() -> None:
    future = replace(MAIN, needed_from=NOW + 5 * DAY)
    assert warnings([watched(future, start=5 * DAY)], NOW) == []
    assert only(watched(future, start=5 * DAY + SECOND)).is_fault
    assert "(less than 14 days)" in only(watched(future, end=13 * DAY)).text
