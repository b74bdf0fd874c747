"""What can go wrong at the office, and how often: the faults, and the ``[faults]`` table of the registry.

::

    [faults]
    seed = 7
    services = ["submissions", "receipts"]
    drop = 0.05                 # the share of requests that get this fault, from 0 to 1
    processed_late = 0.02
    late_seconds = 5
    rate_requests = 100         # with rate_seconds: no more than 100 requests within one second
    duplicate_receipt = 0.1     # of messages taken in

`plan` says which request gets which fault; `mishaps` plays it on the wire. The same table, as JSON, is what the admin
call of `admin` takes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Service(StrEnum):
    """Where a fault hits."""

    SUBMISSIONS = "submissions"
    """``receive``."""
    RECEIPTS = "receipts"
    """``fetchReceipts``, ``queryMessage`` and ``queryDocuments``; here "processed" means that the question was answered
    and receipts that fell due have got their sequence."""


class Fault(StrEnum):
    """One way in which the office fails its peer."""

    RESET_ON_ACCEPT = "reset_on_accept"
    """The connection is reset (RST) when a request begins to arrive. Only the head that names the service has been
    looked at, nothing is processed, and no row is kept. On a kept connection it is the next request that is cut off."""
    DROP = "drop"
    """The request is read and processed, then the connection is closed without one byte."""
    HANG = "hang"
    """Processed, then silence until the peer goes, ``hang_seconds`` have passed or the office stops."""
    CUT = "cut"
    """Processed; the response ends after a number of its bytes that the seed chooses, in its head or before its
    Content-Length is reached."""
    EMPTY = "empty"
    """Processed; the response is 200 without a body."""
    BAD_GATEWAY = "bad_gateway"
    """The response is 502 with an HTML page; the seed decides whether the request was processed."""
    SERVER_FAULT = "server_fault"
    """The response is 500 with a SOAP Fault ``soap:Server``; the seed decides whether the request was processed."""
    MALFORMED = "malformed"
    """Processed; the response is whole as HTTP, but its XML breaks off at a place that the seed chooses."""
    DRIP = "drip"
    """Processed; the response comes byte by byte, one each ``drip_seconds``, then the connection is closed."""
    PROCESSED_LATE = "processed_late"
    """The request is read and the connection closed without an answer; it is processed ``late_seconds`` later. Until
    then queryMessage does not know it. When the office is told to stop, it is processed at once; when it is killed,
    never. Only submissions."""
    MAINTENANCE = "maintenance"
    """Nothing is processed for ``maintenance_seconds``: 503 with Retry-After for this request and all that follow."""
    RATE_LIMIT = "rate_limit"
    """Not processed: 429 with Retry-After. Not by share, but once ``rate_requests`` came within ``rate_seconds``; those
    that are turned away do not count."""
    DUPLICATE_RECEIPT = "duplicate_receipt"
    """One receipt of a message is given out twice, each time under a sequence of its own. The seed decides whether as a
    whole or in another envelope, and how much later; the return records are the same, byte for byte."""
    LATE_RECEIPT = "late_receipt"
    """From a stage on that the seed chooses, the receipts of a message are given out ``late_receipt_seconds`` after the
    time they state."""
    RECEIPT_OUT_OF_ORDER = "receipt_out_of_order"
    """One receipt of a message is given out after the one of the next stage. A message with one receipt is spared."""


RECEIPT_FAULTS = (Fault.DUPLICATE_RECEIPT, Fault.LATE_RECEIPT, Fault.RECEIPT_OUT_OF_ORDER)
"""Faults of a message's receipts; all others are faults of a request."""
REQUEST_SHARES = tuple(fault for fault in Fault if fault not in {*RECEIPT_FAULTS, Fault.RATE_LIMIT})
"""Faults that a share of requests gets, in the order in which a draw is held against them."""

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=86400, strict=True)]


class _Words(BaseModel):
    """A table of the file or a JSON object: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultSettings(_Words):
    """``[faults]``: shares of requests (of messages for receipt faults), the seed and a few numbers."""

    seed: Annotated[int, Field(strict=True)] = 0
    """The same seed and the same sequence of requests give the same faults; each service has its own sequence."""
    services: Annotated[tuple[Service, ...], Field(min_length=1)] = (Service.SUBMISSIONS,)
    """Which requests the shares and the rate are for."""
    reset_on_accept: Share = 0
    drop: Share = 0
    hang: Share = 0
    cut: Share = 0
    empty: Share = 0
    bad_gateway: Share = 0
    server_fault: Share = 0
    malformed: Share = 0
    drip: Share = 0
    processed_late: Share = 0
    maintenance: Share = 0
    """Share of the requests outside a maintenance window that open one."""
    duplicate_receipt: Share = 0
    late_receipt: Share = 0
    receipt_out_of_order: Share = 0
    hang_seconds: Seconds = 600
    drip_seconds: Seconds = 0.1
    late_seconds: Seconds = 5
    maintenance_seconds: Seconds = 30
    rate_requests: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Requests to one service that are let in within rate_seconds; without it there is no limit."""
    rate_seconds: Seconds = 1
    late_receipt_seconds: Seconds = 60

    def share(self, fault: Fault) -> float:
        """The share that gets a fault."""
        found: float = getattr(self, fault.value)
        return found

    @model_validator(mode="after")
    def _check(self) -> Self:
        for faults, subject in ((REQUEST_SHARES, "requests"), (RECEIPT_FAULTS, "messages")):
            if sum(map(self.share, faults)) > 1 + 1e-9:
                raise ValueError(f"the shares of {subject} add up to more than 1")
        if self.processed_late and Service.SUBMISSIONS not in self.services:
            raise ValueError("processed_late is a fault of submissions; add them to services")
        return self


class Order(_Words):
    """A fault for the next requests, or for the next messages taken in, whatever the shares say."""

    fault: Fault
    times: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 1
    service: Service = Service.SUBMISSIONS
    """Without meaning for receipt faults."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fault is Fault.PROCESSED_LATE and self.service is not Service.SUBMISSIONS:
            raise ValueError("processed_late is a fault of submissions")
        return self
