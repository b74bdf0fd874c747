"""What a customs interface must do; a region with another WSDL, a callback or a queue is one more implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from connector.messages.deliveries import Answer, Finding, MessageId, Withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedReceipt:
    """One receipt envelope as it was fetched."""

    sequence: int
    """Its place in the endpoint's ordered stream; ours to remember."""
    envelope: bytes
    """The DxpMsg, UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPage:
    """Receipt envelopes in order of sequence."""

    receipts: tuple[FetchedReceipt, ...]
    more: bool


class Customs(Protocol):
    """The customs side, seen from the pipeline. No method is called inside a transaction."""

    def freeze(self, envelope: bytes) -> bytes:
        """The request body around a DxpMsg. It is stored, and every attempt sends these very bytes."""

    def submit(self, body: bytes, may_send: Callable[[float], bool]) -> Answer:
        """Send a frozen body once, within one total deadline. Never raises for what the network or customs does.

        may_send: asked just before the first byte leaves, with the seconds that the call may yet take; False stops it.
        """

    def find_message(self, message_id: MessageId, may_ask: Callable[[float], bool]) -> Finding | Withdrawn:
        """Ask whether customs holds a message (queryMessage). Raises `CustomsUnreachable`.

        may_ask: as `may_send`.
        """

    def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
        """Receipts with a sequence above ``after``, at least once each. Raises `CustomsUnreachable`."""
