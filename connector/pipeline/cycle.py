"""One full cycle: collect, prepare, deliver, take receipts. A part that fails does not keep the others from working."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from connector.errors import (
    AuditLogInvalid,
    ConfigurationError,
    ConnectorError,
    CustomsUnreachable,
    SignatureInvalid,
    SigningError,
    SourceChanged,
    SourceUnreachable,
    UnreadableMessage,
)
from connector.outbox.queries import open_messages
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.collect import Collected, collect
from connector.pipeline.deliver import Delivered, deliver
from connector.pipeline.prepare import Prepared, prepare
from connector.pipeline.split import split_refused
from connector.pipeline.sweep import Sweeping, sweep
from connector.pipeline.take_receipts import Received, take_receipts
from connector.pipeline.wiring import Connector

_PARTIAL = 3
_PRECEDENCE = (AuditLogInvalid, SigningError, SourceUnreachable, CustomsUnreachable, ConfigurationError)


@dataclass(slots=True, kw_only=True)
class Cycle:
    """What one cycle came to."""

    collected: Collected = field(default_factory=Collected)
    prepared: Prepared = field(default_factory=Prepared)
    delivered: Delivered = field(default_factory=Delivered)
    received: Received = field(default_factory=Received)
    split: int = 0
    """Batches whose documents go again, each alone."""
    waiting: int = 0
    """Messages that wait to be sent or asked about when it is over."""
    next_at: datetime | None = None
    """When the first of them is due; None when there is none."""
    failures: list[ConnectorError] = field(default_factory=list)

    @property
    def is_elsewhere(self) -> bool:
        """Another process collected or took receipts at the time, so this cycle did not do all there was to do."""
        return self.collected.is_elsewhere or self.prepared.is_elsewhere or self.received.is_elsewhere

    @property
    def exit_code(self) -> int:
        """The first that applies of 9, 7, 5, 6, 4 for a failure of that kind, 3 something was not accepted, 0."""
        codes = {failure.exit_code for failure in self.failures}
        for kind in _PRECEDENCE:
            if kind.exit_code in codes:
                return kind.exit_code
        held = self.collected.unreadable + self.prepared.quarantined
        refused = self.delivered.stopped + self.received.rejected + self.received.unreadable
        return _PARTIAL if held or refused else 0


def run_once(connector: Connector, sweeping: Sweeping = Sweeping.WHEN_DUE) -> Cycle:
    """Do everything there is to do now.

    Raises only what makes all of it impossible, such as `DatabaseUnreachable`.
    """
    cycle = collect_and_prepare(connector, sweeping)
    cycle.delivered = deliver(connector)
    if cycle.delivered.unanswered:
        cycle.failures.append(unanswered(cycle.delivered))
    try:
        cycle.received = take_receipts(connector)
    except CustomsUnreachable as error:
        cycle.failures.append(error)
    try:
        cycle.split = split_refused(connector)
    except (SigningError, UnreadableMessage) as error:
        cycle.failures.append(error)
    try:
        checkpoint_now(connector)
    except (AuditLogInvalid, ConfigurationError, SignatureInvalid) as error:
        cycle.failures.append(error)
    with connector.database.read() as connection:
        cycle.waiting, cycle.next_at = open_messages(connection)
    return cycle


def collect_and_prepare(connector: Connector, sweeping: Sweeping = Sweeping.WHEN_DUE) -> Cycle:
    """The first half of a cycle: nothing of it needs customs."""
    cycle = Cycle()
    for collection in connector.collections:
        try:
            cycle.collected.add(collect(connector, collection))
            cycle.collected.add(sweep(connector, collection, sweeping))
        except (SourceUnreachable, SourceChanged) as error:
            cycle.failures.append(error)
        try:
            prepared = prepare(connector, collection)
            cycle.prepared.documents += prepared.documents
            cycle.prepared.messages += prepared.messages
            cycle.prepared.quarantined += prepared.quarantined
            cycle.prepared.is_elsewhere |= prepared.is_elsewhere
        except (SourceUnreachable, SourceChanged, SigningError) as error:
            cycle.failures.append(error)
    return cycle


def unanswered(delivered: Delivered) -> CustomsUnreachable:
    """The error of a delivery that customs did not answer."""
    return CustomsUnreachable(
        delivered.unanswered,
        effect="the messages wait and are tried again, or asked about, by themselves; an address that fails several "
        "times in a row is left alone for a while",
        remedy="check [customs] submit_url and the network; `connector status` shows what waits",
    )
