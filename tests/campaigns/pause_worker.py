"""One process of ours in the campaign `pause`: does one part of the flow at a time, and may stop itself on the way.

It is told what to do through a pipe and tells what came of it. Where it is to stop is a deed and a moment, as
`connector.deeds` names them, or ``answered``: customs' answer is known and not written down yet.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from connector.bootstrap import build_connector
from connector.config import load
from connector.deeds import Deed, Moment
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import Answer, Finding, MessageId, Withdrawn
from connector.messages.records import Lookups, RecordShape, SourceKey, SourceRecord
from connector.pipeline.collect import collect
from connector.pipeline.deliver import deliver
from connector.pipeline.prepare import prepare
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.sources.interface import Cursor, Page, RecordSource, Sweep, UnreadableRow
from connector.transport.connection import Endpoint, always
from connector.transport.interface import Customs, ReceiptPage
from connector.transport.soap import SoapService
from tests.campaigns.pause_orders import ANSWERED, LEASE, PAGE_READ, Order, Report, Sent


@dataclass(slots=True)
class Stopper:
    """Stops its own process at one place, once."""

    place: str = ""

    def watch(self, deed: Deed, moment: Moment) -> None:
        """Hear of a deed."""
        self.reached(f"{deed} {moment}")

    def reached(self, place: str) -> None:
        """Stop here if this is the place."""
        if place == self.place:
            self.place = ""
            os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(slots=True, kw_only=True)
class NotingCustoms:
    """The real road to customs; notes what went along it."""

    road: Customs
    stopper: Stopper
    sent: list[Sent] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def freeze(self, envelope: bytes) -> bytes:
        return self.road.freeze(envelope)

    def submit(self, body: bytes, may_send: Callable[[float], bool]) -> Answer:
        answer = self.road.submit(body, may_send)
        self.sent.append(Sent(body=hashlib.sha256(body).hexdigest(), outcome=type(answer).__name__))
        self.stopper.reached(ANSWERED)
        return answer

    def find_message(self, message_id: MessageId, may_ask: Callable[[float], bool]) -> Finding | Withdrawn:
        self.asked.append(message_id)
        finding = self.road.find_message(message_id, may_ask)
        self.stopper.reached(ANSWERED)
        return finding

    def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
        page = self.road.fetch_receipts(after, at_most)
        self.stopper.reached(ANSWERED)
        return page


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingSource:
    """The real source; it can be stopped once it has read a page."""

    source: RecordSource
    stopper: Stopper

    @property
    def shape(self) -> RecordShape:
        return self.source.shape

    @property
    def only_grows(self) -> bool:
        return self.source.only_grows

    def page(self, after: Cursor | None, until: Cursor | None = None) -> Page:
        page = self.source.page(after, until)
        self.stopper.reached(PAGE_READ)
        return page

    def refresh(self) -> None:
        self.source.refresh()

    @property
    def sweep(self) -> Sweep | None:
        return self.source.sweep

    def before(self, cursor: Cursor, back: timedelta | None = None) -> Cursor | None:
        return self.source.before(cursor, back)

    def moment(self, cursor: Cursor) -> datetime | None:
        return self.source.moment(cursor)

    def count(self, after: Cursor | None, until: Cursor | None) -> int:
        return self.source.count(after, until)

    def look_up(self, names: Sequence[str], records: Sequence[SourceRecord]) -> Lookups:
        return self.source.look_up(names, records)

    def current(self, key: SourceKey) -> SourceRecord | UnreadableRow | None:
        return self.source.current(key)

    def all_current(self, keys: Sequence[SourceKey]) -> Mapping[SourceKey, SourceRecord | UnreadableRow]:
        return self.source.all_current(keys)

    def vanished(self, names: Sequence[SourceKey]) -> Sequence[SourceKey]:
        return self.source.vanished(names)


def short_leases(connector: Connector) -> Connector:
    """The same connector with leases that end soon."""
    lease = timedelta(seconds=LEASE)
    return replace(connector, lease=lease, collection_lease=lease)


def main(descriptors: Sequence[str]) -> None:
    """Become one process for each pipe: forks of one that has everything ready, which takes long."""
    for description in ("receive_ceb_declare.wsdl", "receipt_service.wsdl"):
        SoapService(description, Endpoint("http://127.0.0.1/", headers={}, deadline_seconds=1))  # imports its library
    for descriptor in descriptors:
        if os.fork() == 0:
            _work(Connection(int(descriptor)))
            os._exit(0)
    for descriptor in descriptors:
        os.close(int(descriptor))
    for _ in descriptors:
        os.wait()


def _work(pipe: Connection) -> None:
    """Tell who we are, hear how to be configured, then do what comes through the pipe until it is closed."""
    pipe.send(os.getpid())
    config: Path = pipe.recv()
    stopper = Stopper()
    connector = short_leases(build_connector(load(config), watch=stopper.watch))
    customs = NotingCustoms(road=connector.customs, stopper=stopper)
    collections = tuple(
        replace(one, source=StoppingSource(source=one.source, stopper=stopper)) for one in connector.collections
    )
    connector = replace(connector, customs=customs, collections=collections)
    with suppress(CustomsUnreachable):
        customs.find_message(MessageId("warm"), always)  # reads the description of the service, which takes a while
    pipe.send(Report())
    with suppress(EOFError):
        while True:
            order: Order = pipe.recv()
            customs.sent.clear()
            customs.asked.clear()
            stopper.place = order.stop
            error = ""
            try:
                _do(connector, order.part)
            except Exception:  # noqa: BLE001 - told to whoever gave the order
                error = traceback.format_exc()
            stopper.place = ""
            pipe.send(Report(sent=tuple(customs.sent), asked=tuple(customs.asked), error=error))


def _do(connector: Connector, part: str) -> None:
    match part:
        case "deliver":
            deliver(connector)
        case "collect":
            for collection in connector.collections:
                collect(connector, collection)
        case "prepare":
            for collection in connector.collections:
                prepare(connector, collection)
        case "receipts":
            with suppress(CustomsUnreachable):  # a call that was stopped is over its deadline
                take_receipts(connector)
        case _:
            raise ValueError(part)


if __name__ == "__main__":
    main(sys.argv[1:])
