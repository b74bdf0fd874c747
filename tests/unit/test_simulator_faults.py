"""Which request gets which fault, without a wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from connector.cli import simulator
from connector.cli.app import app
from connector.errors import ConfigurationError, UsageError
from connector.simulator.faults import RECEIPT_FAULTS, Fault, FaultSettings, Order, Service
from connector.simulator.plan import Plan, Stroke
from connector.simulator.registry import load
from connector.simulator.stages import Schedule

SUBMISSIONS, RECEIPTS = Service.SUBMISSIONS, Service.RECEIPTS
SCHEDULE = Schedule(received_at=1000, step=100)
REGISTRY = """listen = "127.0.0.1:8900"
database = "customs.db"
export_lists = "export-lists.jsonl"
[[senders]]
dxp_id = "DXPENT0000011351"
certificate_sha256 = "{fingerprint}"
enterprise_codes = ["4401000001"]
[faults]
seed = 7
services = ["submissions", "receipts"]
drop = 0.25
""".format(fingerprint="a" * 64)


def picks(plan: Plan, times: int, service: Service = SUBMISSIONS) -> list[Stroke | None]:
    return [plan.pick(service, now=0) for _ in range(times)]


def names(strokes: list[Stroke | None]) -> list[str]:
    return [stroke.fault.value if stroke else "" for stroke in strokes]


def plan_of(**settings: Any) -> Plan:
    return Plan(FaultSettings.model_validate(settings))


def test_plan_plays_nothing_when_nothing_is_set() -> None:
    plan = plan_of()

    assert picks(plan, 100) == [None] * 100
    assert (plan.played, plan.waiting) == ({}, [])


def test_plan_is_repeated_by_its_seed_and_not_by_another() -> None:
    shares = {"drop": 0.2, "cut": 0.2, "bad_gateway": 0.3}
    first, again, other = (picks(plan_of(seed=seed, **shares), 200) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_plan_starts_its_sequence_anew_when_the_same_settings_are_set_again() -> None:
    plan = plan_of(seed=7, drop=0.5)
    first = picks(plan, 50)
    plan.order(Order(fault=Fault.HANG))
    plan.replace(plan.settings)

    assert picks(plan, 50) == first


def test_plan_keeps_the_faults_of_other_requests_when_one_is_ordered() -> None:
    plain, ordered = plan_of(seed=7, drop=0.5), plan_of(seed=7, drop=0.5)
    ordered.order(Order(fault=Fault.HANG, times=2))

    assert names(picks(ordered, 50)) == ["hang", "hang", *names(picks(plain, 50))[2:]]


def test_plan_keeps_the_faults_of_submissions_when_receipts_are_fetched_in_between() -> None:
    both = ["submissions", "receipts"]
    plain, mixed = plan_of(seed=7, drop=0.5, services=both), plan_of(seed=7, drop=0.5, services=both)
    seen = []
    for _ in range(50):
        seen.append(mixed.pick(SUBMISSIONS, now=0))
        mixed.pick(RECEIPTS, now=0)

    assert seen == picks(plain, 50)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in {*RECEIPT_FAULTS, Fault.RATE_LIMIT}])
def test_plan_keeps_to_the_share_of_a_fault(fault: Fault) -> None:
    plan = plan_of(seed=3, maintenance_seconds=1e-9, **{fault.value: 0.3})

    found = [plan.pick(SUBMISSIONS, now=number) for number in range(2000)]

    assert 500 < plan.played[fault] < 700
    assert {stroke.fault for stroke in found if stroke} == {fault}


def test_plan_spares_a_service_when_it_is_not_chosen() -> None:
    plan = plan_of(services=["receipts"], drop=1, rate_requests=1)

    assert names(picks(plan, 2)) == ["", ""]
    assert names(picks(plan, 2, RECEIPTS)) == ["drop", "rate_limit"]


def test_plan_never_processes_a_question_late_when_both_services_are_chosen() -> None:
    plan = plan_of(services=["submissions", "receipts"], processed_late=1)

    assert names(picks(plan, 1)) == ["processed_late"]
    assert picks(plan, 20, RECEIPTS) == [None] * 20


def test_plan_says_which_faults_are_processed() -> None:
    plan = plan_of()
    always, never, by_seed = set[str](), set[str](), set[str]()
    for fault in Fault:
        if fault in RECEIPT_FAULTS:
            continue
        plan.replace(FaultSettings(seed=1))
        plan.order(Order(fault=fault, times=50))
        processed = {stroke.processed for stroke in picks(plan, 50) if stroke}
        (by_seed if len(processed) == 2 else always if processed == {True} else never).add(fault.value)

    assert always == {"drop", "hang", "cut", "empty", "malformed", "drip", "processed_late"}
    assert never == {"reset_on_accept", "maintenance", "rate_limit"}
    assert by_seed == {"bad_gateway", "server_fault"}


def test_maintenance_turns_everything_away_until_it_ends() -> None:
    plan = plan_of(services=["submissions", "receipts"], maintenance_seconds=10)
    plan.order(Order(fault=Fault.MAINTENANCE))

    found = [plan.pick(service, now) for service, now in ((SUBMISSIONS, 5), (RECEIPTS, 6.5), (SUBMISSIONS, 14.9))]

    assert [(stroke.fault, stroke.retry_after) for stroke in found if stroke] == [
        (Fault.MAINTENANCE, 10),
        (Fault.MAINTENANCE, 9),
        (Fault.MAINTENANCE, 1),
    ]
    assert plan.pick(SUBMISSIONS, 15) is None
    assert plan.played == {Fault.MAINTENANCE: 3}


def test_maintenance_leaves_a_service_alone_when_it_is_not_chosen() -> None:
    plan = plan_of(maintenance=1)

    assert names(picks(plan, 1)) == ["maintenance"]
    assert picks(plan, 1, RECEIPTS) == [None]


def test_rate_limit_lets_in_as_many_requests_as_the_period_has_room_for() -> None:
    plan = plan_of(rate_requests=2, rate_seconds=10)

    found = [plan.pick(SUBMISSIONS, now) for now in (0, 4, 5, 9.9, 10, 10.1, 14)]

    assert names(found) == ["", "", "rate_limit", "rate_limit", "", "rate_limit", ""]
    assert [stroke.retry_after for stroke in found if stroke] == [5, 1, 4]


def test_orders_are_shown_until_they_are_played() -> None:
    plan = plan_of()
    orders = [
        Order(fault=Fault.DROP, times=2),
        Order(fault=Fault.CUT),
        Order(fault=Fault.EMPTY, service=RECEIPTS),
        Order(fault=Fault.LATE_RECEIPT),
    ]
    for order in orders:
        plan.order(order)
    assert plan.waiting == orders

    assert names(picks(plan, 4)) == ["drop", "drop", "cut", ""]
    assert plan.waiting == orders[2:]
    plan.replace(FaultSettings())
    assert plan.waiting == []
    assert plan.played == {Fault.DROP: 2, Fault.CUT: 1}


def test_receipts_are_given_out_when_they_are_said_without_a_fault() -> None:
    planned, fault = plan_of().receipts(SCHEDULE, 3)

    assert fault is None
    assert [(one.stage, one.said_at, one.due_at, one.wrapping) for one in planned] == [
        (0, 1000, 1000, 0),
        (1, 1100, 1100, 0),
        (2, 1200, 1200, 0),
    ]


def test_duplicate_receipt_is_one_receipt_more_whole_or_in_another_envelope() -> None:
    plan = plan_of(duplicate_receipt=1)
    wrappings, stages, gaps = set(), set(), set()
    for _ in range(100):
        planned, fault = plan.receipts(SCHEDULE, 3)
        *straight, extra = planned
        assert fault is Fault.DUPLICATE_RECEIPT
        assert [one.stage for one in straight] == [0, 1, 2]
        assert extra.said_at == straight[extra.stage].said_at
        wrappings.add(extra.wrapping)
        stages.add(extra.stage)
        gaps.add(extra.due_at - extra.said_at)

    assert (wrappings, stages, gaps) == ({0, 1}, {0, 1, 2}, {0, 100, 200})


def test_late_receipts_state_their_time_and_come_later() -> None:
    plan = plan_of(late_receipt=1, late_receipt_seconds=60)
    firsts = set()
    for _ in range(100):
        planned, _ = plan.receipts(SCHEDULE, 3)
        late = [one.stage for one in planned if one.due_at == one.said_at + 60_000]
        assert late == list(range(late[0], 3))
        assert all(one.due_at == one.said_at for one in planned if one.stage not in late)
        firsts.add(late[0])

    assert firsts == {0, 1, 2}


def test_receipt_out_of_order_comes_after_the_next_and_is_never_given_out_before_it_is_said() -> None:
    plan = plan_of(receipt_out_of_order=1)
    orders = set()
    for _ in range(100):
        planned, _ = plan.receipts(SCHEDULE, 3)
        assert all(one.due_at >= one.said_at for one in planned)
        orders.add(tuple(one.stage for one in sorted(planned, key=lambda one: one.due_at)))

    assert orders == {(1, 0, 2), (0, 2, 1)}


def test_receipt_out_of_order_waits_for_a_message_with_more_than_one_receipt() -> None:
    plan = plan_of()
    plan.order(Order(fault=Fault.RECEIPT_OUT_OF_ORDER))

    assert plan.receipts(SCHEDULE, 1)[1] is None
    assert plan.receipts(SCHEDULE, 2)[1] is Fault.RECEIPT_OUT_OF_ORDER
    assert plan_of(receipt_out_of_order=1).receipts(SCHEDULE, 1)[1] is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"drop": 1.5}, "less than or equal to 1"),
        ({"drop": "0.5"}, "valid number"),
        ({"drop": True}, "valid number"),
        ({"drop": float("nan")}, "less than or equal to 1"),
        ({"drop": 0.6, "cut": 0.6}, "add up to more than 1"),
        ({"late_receipt": 0.6, "duplicate_receipt": 0.6}, "add up to more than 1"),
        ({"services": []}, "at least 1 item"),
        ({"services": ["letters"]}, "'submissions' or 'receipts'"),
        ({"services": ["receipts"], "processed_late": 0.1}, "fault of submissions"),
        ({"rate_limit": 0.5}, "Extra inputs"),
        ({"rate_requests": 0}, "greater than or equal to 1"),
        ({"late_seconds": 0}, "greater than 0"),
        ({"dropp": 0.1}, "Extra inputs"),
    ],
)
def test_settings_are_refused_when_they_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FaultSettings.model_validate(settings)


@pytest.mark.parametrize(
    "order",
    [{"fault": "drops"}, {"fault": "drop", "times": 0}, {"fault": "processed_late", "service": "receipts"}, {}],
)
def test_order_is_refused_when_it_makes_no_sense(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(order)


def test_registry_holds_the_faults(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text(REGISTRY)

    assert load(tmp_path / "registry.toml").faults == FaultSettings(seed=7, services=(SUBMISSIONS, RECEIPTS), drop=0.25)


def test_registry_names_the_line_when_a_fault_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text(REGISTRY + "hung = 0.1\ncut = 2\n")

    with pytest.raises(ConfigurationError, match=r"registry.toml:12: faults.hung is not a known key") as caught:
        load(tmp_path / "registry.toml")
    assert "registry.toml:13: faults.cut" in caught.value.cause


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "drop"], "drop is not KEY=VALUE"),
        (["set"], "set needs KEY=VALUE"),
        (["clear", "drop=1"], "show and clear take none"),
        (["--service", "receipts"], "--times and --service say how --next is meant"),
    ],
)
def test_command_is_refused_before_anything_is_called_when_it_makes_no_sense(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["simulator", "faults", *arguments])

    assert isinstance(result.exception, UsageError)
    assert said in result.exception.cause


def test_help_names_every_fault() -> None:
    (command,) = (command for command in simulator.app.registered_commands if command.callback is simulator.faults)
    listed = [line.split()[0] for line in str(command.help).splitlines() if line]

    assert [fault.value for fault in Fault if fault.value not in listed] == []
    assert [fault.value for fault in Fault if fault.value not in str(simulator.app.info.help)] == []
