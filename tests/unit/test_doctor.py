"""What findings add up to, and the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.doctor.findings import Finding, Level, exit_code, faults, key_fault, ok, warning
from connector.doctor.records import clock
from connector.errors import (
    ConnectorError,
    CustomsUnreachable,
    DatabaseUnreachable,
    InstanceLocked,
    MappingError,
    SigningError,
    SourceChanged,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        ([CustomsUnreachable], 6),
        ([CustomsUnreachable, SourceChanged], 5),
        ([CustomsUnreachable, SourceChanged, MappingError], 4),
        ([SourceChanged, DatabaseUnreachable], 4),
        ([MappingError, CustomsUnreachable, SigningError, SourceChanged], 7),
        ([InstanceLocked], 8),
        ([InstanceLocked, CustomsUnreachable], 6),
    ],
)
def test_exit_code_is_the_first_that_applies(errors: list[type[ConnectorError]], code: int) -> None:
    found = [ok("a", "fine"), warning("b", "weak", "renew it")]
    found += [finding for error in errors for finding in faults("c", error("broken"))]
    assert exit_code(found) == code


def test_certificate_at_its_end_has_the_exit_code_of_keys() -> None:
    assert exit_code([key_fault("certificates", "expires", "renew it")]) == 7


def test_error_that_names_several_faults_becomes_a_finding_for_each() -> None:
    error = MappingError("a.toml:1: wrong\na.toml:2: wrong too", remedy="correct them")
    assert list(faults("mappings", error)) == [
        Finding(check="mappings", level=Level.FAULT, text=text, remedy="correct them", exit_code=4)
        for text in ("a.toml:1: wrong", "a.toml:2: wrong too")
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_clock_warns_when_more_than_two_seconds_are_not_explained_by_the_question(sign: int) -> None:
    before, after = NOW, NOW + 5 * MILLISECOND
    edge = (after if sign > 0 else before) + sign * timedelta(seconds=2)
    assert clock(before, edge, after).level is Level.OK
    found = clock(before, edge + sign * MILLISECOND, after)
    assert found.level is Level.WARNING
    assert "2.0 s apart" in found.text
    assert "NTP" in found.remedy


def test_clock_is_well_when_only_the_answer_took_long() -> None:
    assert clock(NOW, NOW + timedelta(seconds=3), NOW + timedelta(seconds=30)).level is Level.OK
