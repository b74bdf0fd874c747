from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.simulator.rules import ACCEPTED, Verdict
from connector.simulator.stages import Schedule, milliseconds, moment, return_time, said, words

REJECTED = Verdict(code="100", info="[Code:1313;Desc:…]")
EXCEPTION = Verdict(code="-625033", info="…")


@pytest.mark.parametrize(
    ("document_type", "verdict", "codes"),
    [
        ("CEB213", ACCEPTED, ["2", "3", "120", "800"]),
        ("CEB213", REJECTED, ["2", "3", "100"]),
        ("CEB213", EXCEPTION, ["-625033"]),
        ("CEB215", ACCEPTED, ["2", "399"]),
        ("CEB215", REJECTED, ["2", "100"]),
        ("CEB215", EXCEPTION, ["-625033"]),
    ],
)
def test_stages_follow_the_verdict(document_type: str, verdict: Verdict, codes: list[str]) -> None:
    assert [word.code for word in words(document_type, verdict)] == codes


def test_last_word_stays_when_the_message_goes_on_without_the_document() -> None:
    assert said("CEB213", EXCEPTION, 3) == EXCEPTION
    assert said("CEB213", ACCEPTED, 1).code == "3"


def test_receipts_are_one_step_apart() -> None:
    schedule = Schedule(received_at=1000, step=2000)

    assert [schedule.due_at(stage) for stage in range(4)] == [1000, 3000, 5000, 7000]


def test_return_time_is_beijing_time_with_milliseconds() -> None:
    evening = datetime(2026, 4, 15, 16, 30, 7, 45_000, tzinfo=UTC)

    assert return_time(milliseconds(evening)) == "20260416003007045"
    assert moment(milliseconds(evening)) == evening
