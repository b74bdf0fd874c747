"""`SpoiltCustoms`: the real SOAP client on the far side of a fault proxy, with a record of what it did.

Every submission and every question is noted with its times and with the proxy's connections that carried it: what the
proxy counted is known apart from what the program believes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from connector.config import CustomsSettings
from connector.messages.deliveries import Answer, Finding, MessageId, Withdrawn
from connector.transport.connection import Guard, always
from connector.transport.customs import SoapCustoms
from tests.campaigns.fault_proxy import DEADLY, Direction, FaultProxy, Link, Toxic

KEPT = 64 * 1024
"""Bytes of each direction of a connection that the proxy keeps: more than a question and its answer have."""
_NOT_KNOWN = b"<known>false</known>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What is to happen to one submission."""

    toxic: Toxic | None = None
    refuses: bool = False
    """The proxy refuses the connection."""
    reuses: bool = False
    """A connection that was kept alive may be used."""
    boundary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One call of `submit`."""

    message_id: MessageId
    orders: Orders
    began: float
    """By the monotonic clock, like every time here."""
    ended: float
    answer: Answer
    links: Sequence[Link]
    """The connections that were opened for it."""
    reused: int
    """Bytes of it that came to the proxy on connections that were open before."""
    was_spoilt: bool
    """Whether its toxic started, exactly where it was to start."""

    @property
    def arrived(self) -> int:
        """How many bytes of it came to the proxy."""
        return self.reused + sum(link.upstream.arrived for link in self.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of `find_message`."""

    message_id: MessageId
    began: float
    ended: float
    links: Sequence[Link]

    @property
    def says_not_known(self) -> bool:
        """Whether the office said so, by the bytes that the proxy passed on."""
        return any(_NOT_KNOWN in link.downstream.kept for link in self.links)


class SpoiltCustoms(SoapCustoms):
    """What one worker sends through; a worker does one thing at a time, so the proxy's connections are its own."""

    def __init__(
        self,
        settings: CustomsSettings,
        dxp_id: str,
        proxy: FaultProxy,
        *,
        order: Callable[[bytes], tuple[MessageId, Orders]],
        disturb: Callable[[MessageId], Toxic | None],
    ) -> None:
        """Send to the URLs of the settings, which lead to the proxy.

        order: asked before each submission of a body; disturb: asked before each question.
        """
        super().__init__(settings, dxp_id)
        self._asker = SoapCustoms(settings, dxp_id)
        self._proxy = proxy
        self._order = order
        self._disturb = disturb
        self._kept: Link | None = None
        """The connection of the last submission."""
        self.submissions: list[Submission] = []
        self.questions: list[Question] = []

    def submit(self, body: bytes, may_send: Guard = always) -> Answer:
        """Submit under orders."""
        message_id, orders = self._order(body)
        if not orders.reuses:
            super().close()
            self._kept = None
        links, before = len(self._proxy.links), self._kept.upstream.arrived if self._kept else 0
        if orders.toxic:
            self._proxy.arm(orders.toxic)
        with self._proxy.down() if orders.refuses else nullcontext():
            began = time.monotonic()
            answer = super().submit(body, may_send)
            ended = time.monotonic()
        self._proxy.catch_up()
        self._proxy.disarm()
        opened = self._proxy.links[links:]
        carrier = opened[-1] if opened else self._kept
        submission = Submission(
            message_id=message_id,
            orders=orders,
            began=began,
            ended=ended,
            answer=answer,
            links=opened,
            reused=self._kept.upstream.arrived - before if self._kept else 0,
            was_spoilt=bool(orders.toxic and carrier and _started(orders.toxic, carrier)),
        )
        self.submissions.append(submission)
        self._kept = carrier
        return answer

    def find_message(self, message_id: MessageId, may_ask: Guard = always) -> Finding | Withdrawn:
        """Ask on a connection of its own."""
        self._asker.close()
        links = len(self._proxy.links)
        if toxic := self._disturb(message_id):
            self._proxy.arm(toxic)
        began = time.monotonic()
        try:
            return self._asker.find_message(message_id, may_ask)
        finally:
            ended = time.monotonic()
            self._proxy.catch_up()
            self._proxy.disarm()
            question = Question(message_id=message_id, began=began, ended=ended, links=self._proxy.links[links:])
            self.questions.append(question)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._asker.close()


def _started(toxic: Toxic, link: Link) -> bool:
    """Whether this went wrong with the connection, after exactly the bytes that it was to let through."""
    flow = link.upstream if toxic.direction is Direction.UPSTREAM else link.downstream
    passed = flow.passed - flow.start
    after = toxic.after or 0
    return link.toxic is toxic and flow.arrived > 0 and (passed == after if toxic.kind in DEADLY else passed >= after)
