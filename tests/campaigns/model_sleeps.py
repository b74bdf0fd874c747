"""`SleepRules`: what happens to an outbox while one of its workers sleeps, each a whole little story.

Single steps seldom fall together so that a worker wakes in the one moment that matters. These rules bring it there,
with everything else left open.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from connector.messages.deliveries import MessageId
from connector.outbox import queries
from connector.pipeline.resend import Action, carry_out, plan_messages
from tests.campaigns.model_customs import DEADLINE, SETTLE
from tests.campaigns.model_worker import Fate, Orders, Stop
from tests.campaigns.model_world import LEASE, World

_MANY = 10
"""Messages that one run may have."""
OPERATOR = "operator"
REASON = "asked customs by telephone"

_SECONDS = st.sampled_from([0, 1, 10, 29, 31, 45])
_FATES = st.sampled_from([*Fate, Fate.ANSWER, Fate.ANSWER, Fate.ANSWER, Fate.LOSE_ANSWER, Fate.LATE, Fate.VANISH])
ORDERS = st.builds(
    Orders,
    send=_FATES,
    question=_FATES,
    dials=st.sampled_from([timedelta(), timedelta(seconds=1), timedelta(seconds=20)]),
    takes=_SECONDS.map(lambda seconds: timedelta(seconds=seconds)),
    lag=st.sampled_from([0.0, 0.5, 0.99]),
    stops=st.frozensets(st.sampled_from(Stop), max_size=3),
)


class SleepRules(RuleBasedStateMachine):
    """Rules in which a worker is stopped, something happens, and it goes on."""

    make: ClassVar[Callable[[], World]]
    figures: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make()
        self._outer = sys.exception()

    @precondition(lambda self: self.world.stopped and self.world.idle)
    @rule(orders=ORDERS)
    def a_stopped_worker_is_overtaken(self, orders: Orders) -> None:
        self._overtake(orders)

    @precondition(lambda self: len(self.world.idle) > 1)
    @rule(stop=st.sampled_from([Stop.CLAIMED, *Stop]), before=ORDERS, meanwhile=ORDERS, after=ORDERS)
    def a_worker_sleeps_beyond_its_lease(self, stop: Stop, before: Orders, meanwhile: Orders, after: Orders) -> None:
        sleeper = self.world.idle[-1]
        self._have_work()
        self.world.deliver(sleeper, replace(before, stops=frozenset([stop])), 1)
        if sleeper.at is not None:
            self._overtake(meanwhile)
            self.world.go_on(sleeper, after)

    @precondition(lambda self: len(self.world.idle) > 1)
    @rule(early=st.sampled_from([0, 1, 29, 30, 31]), meanwhile=ORDERS, after=ORDERS)
    def a_worker_sends_just_before_its_lease_ends(self, early: int, meanwhile: Orders, after: Orders) -> None:
        world, sleeper = self.world, self.world.idle[-1]
        self._have_work()
        world.deliver(sleeper, Orders(stops=frozenset([Stop.CLAIMED])), 1)
        if sleeper.at is None:
            return
        world.clock.advance(LEASE - timedelta(seconds=early))
        late = Orders(send=Fate.LATE, takes=DEADLINE, lag=0.99, stops=frozenset([Stop.SENT]))
        world.go_on(sleeper, late)
        for length in (timedelta(seconds=early), SETTLE):
            world.clock.advance(length + timedelta(milliseconds=1))
            world.deliver(world.idle[0], replace(meanwhile, stops=frozenset()), 2)
        if sleeper.at is not None:
            world.go_on(sleeper, after)

    @precondition(lambda self: len(self.world.idle) > 1)
    @rule(stop=st.sampled_from([Stop.CLAIMED, Stop.ANSWERED]), after=ORDERS)
    def a_worker_sleeps_over_a_page_of_receipts(self, stop: Stop, after: Orders) -> None:
        world, sleeper = self.world, self.world.idle[-1]
        self.say_everything()
        world.receive(sleeper, Orders(stops=frozenset([stop])))
        if sleeper.at is None:
            return
        world.clock.advance(LEASE + timedelta(milliseconds=1))
        for _ in range(2):  # more than a page
            self.say_everything()
            self.strange()
        world.receive(world.idle[0], Orders())
        world.judge.look()
        world.go_on(sleeper, after)

    @precondition(lambda self: len(self.world.idle) > 1)
    @rule(stop=st.sampled_from(Stop), before=ORDERS, after=ORDERS)
    def a_worker_sleeps_while_receipts_come(self, stop: Stop, before: Orders, after: Orders) -> None:
        world, sleeper = self.world, self.world.idle[-1]
        self._have_work()
        world.deliver(sleeper, replace(before, stops=frozenset([stop])), 1)
        if sleeper.at is None:
            return
        world.judge.look()
        self.say_everything()
        world.receive(world.idle[0], Orders())
        world.go_on(sleeper, after)

    @precondition(lambda self: self.world.idle)
    @rule(lag=st.sampled_from([0.5, 0.99]))
    def an_answer_is_late_and_an_operator_in_a_hurry(self, lag: float) -> None:
        world = self.world
        self._have_work()
        world.deliver(world.idle[0], Orders(send=Fate.LATE, lag=lag), 1)
        world.judge.look()
        for message_id in world.message_ids():
            self.ask_about(message_id)
        world.deliver(world.idle[0], Orders(), 3)

    def ask_about(self, message_id: MessageId) -> None:
        """An operator has the next question about a message in doubt brought forward."""
        connector = self.world.operators
        with connector.database.read() as connection:
            view = queries.message(connection, message_id)
        assert view is not None
        plans = [plan for plan in plan_messages(connector, [view], split=False) if plan.action is Action.ASK]
        carry_out(connector, plans, reason=REASON, actor=OPERATOR)

    def say_everything(self) -> None:
        """Customs says what it holds and has not said of yet."""
        for message_id in self.untold():
            self.world.refuse(message_id)
        new = sorted(self.world.office.accepted.keys() - self.world.told)
        if new:
            self.world.say([(guid, "800") for guid in new])

    def strange(self) -> None:
        self.world.say([("0" * 36, "800")])

    def untold(self) -> list[MessageId]:
        """Messages that the format check refuses, which customs has not said yet."""
        world = self.world
        return [one for one in world.message_ids() if one in world.office.refuses and one not in world.told]

    def _have_work(self) -> None:
        """Something waits to be sent, unless there is a lot of other work."""
        if len(self.world.judge.messages) < _MANY:
            self.world.queue(1, 0)
            self.world.judge.look()

    def _overtake(self, orders: Orders) -> None:
        """Another delivers, waits until leases have ended, asks when it may, and sends again if that is the answer."""
        for length in (LEASE, SETTLE, timedelta()):
            self.world.deliver(self.world.idle[0], replace(orders, stops=frozenset()), 2)
            self.world.clock.advance(length + timedelta(milliseconds=1))
        self.world.deliver(self.world.idle[0], replace(orders, stops=frozenset()), 2)
