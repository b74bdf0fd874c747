"""``connector rules`` as a clerk types it whose document was held back; no configuration is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Run

pytestmark = pytest.mark.xdist_group("acceptance_reading")


@pytest.fixture
def told(connector: Run) -> Callable[..., Any]:
    """Runs one command with ``--json`` and without a configuration; the object it prints."""

    def run(*arguments: str) -> Any:
        found = json.loads(connector(None, *arguments, "--json").stdout)
        assert found["schema_version"] == 1
        return found

    return run


def test_list_tells_every_rule_with_what_a_breach_costs_and_its_source(
    connector: Run, told: Callable[..., Any]
) -> None:
    rules = {one["id"]: one for one in told("rules", "list")["rules"]}
    assert [*rules] == [f"R{number}" for number in range(1, 11)]
    assert rules["R5"]["severity"] == {"CEB213": "block"}
    assert rules["R8"]["severity"] == {"CEB213": "block", "CEB215": "block", "WOD101": "warn"}
    assert rules["R8"]["valid_from"] == "2026-03-31T16:00:00.000Z"
    assert (rules["R9"]["goes_by"], rules["R9"]["valid_until"]) == ("export", "2027-12-31T16:00:00.000Z")
    said = connector(None, "rules", "list").stdout
    assert "2024 No. 167" in said
    assert "2027-12-31" in said


def test_list_tells_which_rules_are_in_force_at_a_time_in_beijing(told: Callable[..., Any]) -> None:
    def in_force(at: str) -> set[str]:
        return {one["id"] for one in told("rules", "list", "--at", at)["rules"] if one["in_force"]}

    ever = {"R1", "R2", "R3", "R5", "R6", "R7", "R10"}
    assert in_force("2020-03-26T23:59:59") == ever
    assert in_force("2020-03-27") == ever | {"R4"}
    assert in_force("2026-03-31T23:59:59") == ever | {"R4", "R9"}
    assert in_force("2026-04-01") == ever | {"R4", "R8", "R9"}
    assert in_force("2028-01-01") == ever | {"R4", "R8"}
    assert told("rules", "list", "--at", "2026-04-01")["at"] == "2026-03-31T16:00:00.000Z"


def test_explain_tells_what_must_hold_and_how_to_put_it_right(connector: Run, told: Callable[..., Any]) -> None:
    said = connector(None, "rules", "explain", "r9").stdout
    assert "自出口之日起6个月内" in said
    assert "2026 No. 16" in said
    assert "from 2026-01-01 until 2027-12-31" in said
    rule = told("rules", "explain", "R5")["rule"]
    assert rule["id"] == "R5"
    assert all(rule[name] for name in ("title", "source", "citation", "chinese", "english", "breaks", "remedy"))
    assert rule["english"] in connector(None, "rules", "explain", "R5").stdout


def test_explain_names_the_rules_there_are_where_one_is_unknown(connector: Run) -> None:
    said = connector(None, "rules", "explain", "R11", code=2).stderr
    assert "there is no rule R11" in said
    assert "R1, R2, R3" in said
    assert "2026-06-01" in connector(None, "rules", "list", "--at", "soon", code=2).stderr
