"""The file of customs areas, as it ships and as an operator corrects it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from connector.config import shipped
from connector.errors import ConfigurationError
from connector.rules.offices import load_offices

SHIPPED = shipped("config") / "offices.toml"


def test_the_shipped_file_has_twenty_pilots_and_says_what_is_unconfirmed() -> None:
    offices = load_offices(SHIPPED)
    pilots = {prefix: one.name for prefix, one in offices.by_prefix.items() if one.pilot_from}
    assert (len(pilots), len(offices.by_prefix)) == (20, 42)
    assert (pilots["22"], pilots["94"]) == ("上海", "乌鲁木齐")
    assert {one.pilot_from for one in offices.by_prefix.values()} == {None, date(2024, 12, 15)}
    assert offices.everywhere_from == date(2026, 4, 1)
    assert offices.named("51") == "51 广州 (digits unconfirmed)"
    assert offices.named("98") == "98 (not in the list of offices)"


def test_an_operator_confirms_and_corrects_an_office(tmp_path: Path) -> None:
    path = tmp_path / "offices.toml"
    line = '"83" = { name = "贵阳", confirmed = false }'
    text = SHIPPED.read_text("utf-8")
    assert line in text
    path.write_text(text.replace(line, '"83" = { name = "贵阳", pilot_from = 2025-06-01, confirmed = true }'), "utf-8")
    office = load_offices(path).by_prefix["83"]
    assert (office.pilot_from, office.is_confirmed) == (date(2025, 6, 1), True)
    assert load_offices(path).named("83") == "83 贵阳"


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "offices.toml"
    path.write_text(
        'everywhere_from = "2026-04-01"\n[offices]\n"22" = { name = "", confirmed = false }\n'
        '"5" = { name = "五", confirmed = false }\n"29" = { name = "杭州", pilot = true, confirmed = "no" }\n',
        "utf-8",
    )
    with pytest.raises(ConfigurationError) as raised:
        load_offices(path)
    lines = raised.value.cause.splitlines()
    assert [f"{path}:{number}: " in "".join(lines) for number in (1, 3, 4, 5)] == [True] * 4
    assert len(lines) == 5


def test_a_pilot_that_begins_after_everybody_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "offices.toml"
    path.write_text(
        'everywhere_from = 2026-04-01\n[offices]\n"22" = { name = "上海", pilot_from = 2026-04-01, confirmed = true }\n'
        '"29" = { name = "杭州", pilot_from = 2026-04-02, confirmed = true }\n',
        "utf-8",
    )
    with pytest.raises(ConfigurationError, match=r"offices\.toml:4: offices\.29\.pilot_from is later"):
        load_offices(path)


@pytest.mark.parametrize("text", [None, "everywhere_from ="])
def test_a_file_that_cannot_be_read_is_a_configuration_error(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "offices.toml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"offices\.toml"):
        load_offices(path)
