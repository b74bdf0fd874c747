"""`DeliveryMachine`: what may happen to an outbox, in any order, as rules that Hypothesis puts together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from connector.errors import ResendRefused
from connector.messages.deliveries import MessageId
from connector.outbox import queries
from connector.pipeline.deliver import recover
from connector.pipeline.resend import Action, carry_out, plan_messages
from connector.pipeline.settle import Verdict, settle
from connector.pipeline.split import split_refused
from tests.campaigns.model_judge import OPEN
from tests.campaigns.model_sleeps import OPERATOR, ORDERS, REASON, SleepRules
from tests.campaigns.model_worker import Fate, Orders

_ROUNDS = 300
"""Within so many turns, each after waiting for what is due next, everything must be at rest."""


class Clocks(StrEnum):
    """What the database's clock does."""

    STEADY = "steady"
    BACKWARDS = "backwards"
    """It is set back at times."""
    WILD = "wild"
    """It is set back and forwards."""


_WAITS = st.sampled_from([1, 10, 31, 61, 61, 61, 121, 121, 121, 600, 600, 3600, 86_400]).map(
    lambda one: timedelta(seconds=one)
)
_JUMPS = st.sampled_from([1, 30, 61, 121, 3600, 3 * 86_400]).map(lambda one: timedelta(seconds=one))
_INDEX = st.integers(0, 5)


class DeliveryMachine(SleepRules):
    """Rules; what must hold is looked at after each, and at the end once everything has come to rest."""

    clocks = Clocks.STEADY

    @initialize(
        clocks=st.sampled_from(Clocks),
        failures=st.sampled_from([2, 5, 1_000_000, 1_000_000]),
        counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    )
    def begin(self, clocks: Clocks, failures: int, counts: Sequence[int]) -> None:
        self.clocks = clocks
        self.world.break_after(failures)
        self.figures["steps"] -= 1  # this is none
        self.figures[f"runs_{clocks}"] += 1
        for count in counts:
            self.world.queue(count, 0)

    @precondition(lambda self: len(self.world.judge.messages) < 8)
    @rule(count=st.integers(1, 3), poisoned=st.integers(0, 1))
    def a_message_is_queued(self, count: int, poisoned: int) -> None:
        self.world.queue(count, poisoned)

    @precondition(lambda self: self.world.idle)
    @rule(number=_INDEX, orders=ORDERS, calls=st.integers(1, 3))
    def a_worker_delivers(self, number: int, orders: Orders, calls: int) -> None:
        idle = self.world.idle
        self.world.deliver(idle[number % len(idle)], orders, calls)

    @precondition(lambda self: self.world.stopped)
    @rule(number=_INDEX, orders=ORDERS)
    def a_stopped_worker_goes_on(self, number: int, orders: Orders) -> None:
        stopped = self.world.stopped
        self.world.go_on(stopped[number % len(stopped)], orders)

    @precondition(lambda self: self.world.stopped)
    @rule(number=_INDEX)
    def a_stopped_worker_is_killed(self, number: int) -> None:
        stopped = self.world.stopped
        self.world.kill(stopped[number % len(stopped)])

    @precondition(lambda self: self.world.idle)
    @rule(number=_INDEX, orders=ORDERS)
    def a_worker_takes_receipts(self, number: int, orders: Orders) -> None:
        idle = self.world.idle
        self.world.receive(idle[number % len(idle)], orders)

    @rule(length=_WAITS)
    def time_passes(self, length: timedelta) -> None:
        self.world.clock.advance(length)

    @rule()
    def time_passes_until_something_is_due(self) -> None:
        self.world.clock.advance(self.world.next_moment())

    @precondition(lambda self: self.clocks is not Clocks.STEADY)
    @rule(length=_JUMPS)
    def the_clock_jumps_back(self, length: timedelta) -> None:
        self.world.clock.jump(-length)

    @precondition(lambda self: self.clocks is Clocks.WILD)
    @rule(length=_JUMPS)
    def the_clock_jumps_forwards(self, length: timedelta) -> None:
        self.world.clock.jump(length)

    @precondition(lambda self: self.world.office.on_its_way())
    @rule(number=_INDEX)
    def customs_processes_what_is_late(self, number: int) -> None:
        late = self.world.office.on_its_way()
        self.world.office.process(late[number % len(late)])

    @rule(number=_INDEX, code=st.sampled_from(["2", "800", "100", "-304001"]))
    def customs_says_something_of_a_document(self, number: int, code: str) -> None:
        guids = sorted(self.world.office.accepted) or ["0" * 8]
        guid = guids[number % len(guids)]
        self.world.say([(guid.ljust(36, "0"), code)])

    @rule()
    def customs_says_something_of_a_stranger(self) -> None:
        self.strange()

    @precondition(lambda self: self.world.office.refuses)
    @rule(number=_INDEX)
    def customs_format_check_refuses(self, number: int) -> None:
        ids = [one for one in self.world.message_ids() if one in self.world.office.refuses]
        self.world.refuse(ids[number % len(ids)])

    @rule(number=_INDEX)
    def customs_repeats_itself(self, number: int) -> None:
        self.world.repeat(number)

    @rule()
    def somebody_recovers(self) -> None:
        recover(self.world.operators)

    @rule()
    def the_only_process_starts_again(self) -> None:
        self.world.restart()

    @rule()
    def refused_batches_are_split(self) -> None:
        split_refused(self.world.operators)

    @rule(number=_INDEX, split=st.booleans())
    def an_operator_resends(self, number: int, split: bool) -> None:  # noqa: FBT001 - as the pipeline has it
        message_id = self._message(number)
        # About a parked message that may have arrived the program itself asks first.
        if self.world.judge.states()[message_id].state != "parked" and self._may_have_arrived(message_id):
            return
        connector = self.world.operators
        with connector.database.read() as connection:
            view = queries.message(connection, message_id)
        assert view is not None
        plans = [plan for plan in plan_messages(connector, [view], split=split) if plan.action is not Action.REFUSE]
        carry_out(connector, plans, reason=REASON, actor=OPERATOR)

    @rule(number=_INDEX)
    def an_operator_has_it_asked_about(self, number: int) -> None:
        self.ask_about(self._message(number))

    @rule(number=_INDEX)
    def an_operator_settles(self, number: int) -> None:
        message_id = self._message(number)
        guids = self.world.judge.messages[message_id].guids
        verdict = Verdict.NOT_RECEIVED
        if self.world.judge.states()[message_id].state == "conflict":
            verdict = Verdict.CLOSED
        elif all(self.world.office.accepted[guid] for guid in guids):
            verdict = Verdict.DELIVERED
        elif self._may_have_arrived(message_id):
            return
        operators = self.world.operators
        try:
            settle(operators.database, message_id, verdict, reason=REASON, actor=OPERATOR, clock=operators.clock)
        except ResendRefused as refused:
            note(refused.cause)

    @precondition(lambda self: self.world.idle)
    @rule(rounds=st.integers(5, 20), send=st.sampled_from(Fate), question=st.sampled_from(Fate))
    def customs_is_out_of_order_for_a_while(self, rounds: int, send: Fate, question: Fate) -> None:
        for _ in range(rounds):
            self.world.clock.advance(min(self.world.next_moment(), timedelta(minutes=10)))
            self.world.deliver(self.world.idle[0], Orders(send=send, question=question), 2)

    @invariant()
    def everything_holds(self) -> None:
        self.figures["steps"] += 1
        self.world.judge.look()

    def teardown(self) -> None:
        """Let everything come to rest; then nothing may be lost."""
        try:
            if sys.exception() is self._outer:  # otherwise a rule or what holds after it has failed
                self._come_to_rest()
        finally:
            for worker in self.world.stopped:
                self.world.kill(worker)
            self.figures.update(self.world.judge.told())

    def _come_to_rest(self) -> None:
        world = self.world
        while world.stopped:
            world.go_on(world.stopped[0], Orders())
        world.judge.look()
        for _ in range(_ROUNDS):
            self.say_everything()
            world.deliver(world.workers[0], Orders(), 1000)
            world.receive(world.workers[0], Orders())
            world.judge.look()
            split = split_refused(world.operators)
            world.judge.look()
            is_open = any(row.state in OPEN for row in world.judge.states().values())
            if not (is_open or split or world.judge.unread or self.untold()):
                break
            world.clock.advance(world.next_moment())
        world.judge.look_at_the_end()

    def _message(self, number: int) -> MessageId:
        ids = self.world.message_ids()
        return ids[number % len(ids)]

    def _may_have_arrived(self, message_id: MessageId) -> bool:
        """What a careful operator asks customs first: whether it holds a document of it, or may be about to."""
        guids = set(self.world.judge.messages[message_id].guids)
        office = self.world.office
        under_way = [one for one in office.departures if one.lands_at is not None or one.ends > self.world.clock.true]
        carried = {guid for one in under_way for guid in self.world.judge.messages[one.message_id].guids}
        return any(office.accepted[guid] for guid in guids) or bool(guids & carried)
