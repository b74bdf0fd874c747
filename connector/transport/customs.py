"""`SoapCustoms`: the customs interface of a region that takes submissions over SOAP.

A submission is frozen first: the bytes are stored, and every attempt sends those bytes, not a new rendering::

    customs = SoapCustoms(settings.customs, settings.enterprise.dxp_id)
    body = customs.freeze(envelope)
    answer = customs.submit(body)
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise

from connector.config import CustomsSettings
from connector.deeds import Deed, Watch, unwatched
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import Answer, Finding, InDoubt, Known, MessageId, NotKnown, NotSent, Withdrawn
from connector.transport.connection import Endpoint, Guard, Reply, Unanswered, Unsent, Withheld, always
from connector.transport.interface import FetchedReceipt, ReceiptPage
from connector.transport.replies import read_answer, read_retry_after
from connector.transport.soap import HEADERS, NotAsked, SoapService, unusable
from connector.transport.tls import tls_context


class SoapCustoms:
    """A submission address (ReceiveCebDeclare) and, where the region has one, our own ReceiptService.

    Threads may share it. Raises `ConfigurationError` when a certificate or key of the settings cannot be used.
    """

    def __init__(self, settings: CustomsSettings, dxp_id: str, *, watch: Watch = unwatched) -> None:
        self._dxp_id = dxp_id
        urls = [settings.submit_url, *([settings.receipts_url] if settings.receipts_url else [])]
        tls = None
        if any(url.startswith("https:") for url in urls):  # not otherwise: reading the authorities takes 50 ms
            tls = tls_context(
                ca_file=settings.ca_file,
                certificate_file=settings.client_certificate_file,
                key_file=settings.client_key_file,
            )
        self._endpoints = [
            Endpoint(url, headers=HEADERS, deadline_seconds=settings.deadline_seconds, tls=tls, watch=watch)
            for url in urls
        ]

    def freeze(self, envelope: bytes) -> bytes:
        """The SOAP request around a DxpMsg (UTF-8); it holds the envelope's very text."""
        return self._submission.write("receive", content=envelope.decode())

    def submit(self, body: bytes, may_send: Guard = always) -> Answer:
        """Post a frozen body as it is, once, and read the answer. Raises only what ``may_send`` raises."""
        match self._endpoints[0].post(Deed.SUBMIT, body, may_send):
            case Reply(status=status, body=raw, retry_after=retry_after):
                return read_answer(status, raw, read_retry_after(retry_after, datetime.now(UTC)))
            case Unsent(info=info):
                return NotSent(info=info)
            case Withheld(info=info):
                return Withdrawn(info=info)
            case Unanswered(raw=raw, info=info):
                return InDoubt(raw=raw, info=info)

    def find_message(self, message_id: MessageId, may_ask: Guard = always) -> Finding | Withdrawn:
        """Ask queryMessage. Raises `CustomsUnreachable` for any failure, and what ``may_ask`` raises.

        Also where the region has no ReceiptService: there only receipts or an operator can settle a doubt.
        """
        if self._receipts is None:
            raise CustomsUnreachable(
                "customs cannot be asked about a message: [customs] receipts_url is not set",
                effect=f"message {message_id} stays in doubt",
                remedy="wait for its receipts, or have an operator settle it",
            )
        try:
            found = self._receipts.call("queryMessage", may_ask, dxpId=self._dxp_id, copMsgId=message_id)
        except NotAsked as error:
            return Withdrawn(info=str(error))
        if found.known != (found.dataDigest is not None):
            raise unusable(f"queryMessage says known {found.known} and dataDigest {found.dataDigest}")
        if not found.known:
            return NotKnown()
        return Known(digest=found.dataDigest, received_at=found.receivedAt and found.receivedAt.astimezone(UTC))

    def fetch_receipts(self, after: int, at_most: int) -> ReceiptPage:
        """Ask fetchReceipts; an empty page where the region has no ReceiptService, for there receipts are pushed.

        Raises `CustomsUnreachable` for any failure, and for receipts out of order: the cursor would skip some.
        """
        if self._receipts is None:
            return ReceiptPage(receipts=(), more=False)
        page = self._receipts.call("fetchReceipts", always, dxpId=self._dxp_id, afterSequence=after, maxCount=at_most)
        receipts = tuple(
            FetchedReceipt(sequence=item.sequence, envelope=(item.content or "").encode()) for item in page.item
        )
        if any(later <= earlier for earlier, later in pairwise([after, *(receipt.sequence for receipt in receipts)])):
            raise unusable(f"fetchReceipts after {after} gives receipts out of order")
        return ReceiptPage(receipts=receipts, more=page.more)

    def close(self) -> None:
        """Close the connections kept alive; the next call opens new ones."""
        for endpoint in self._endpoints:
            endpoint.close()

    # Read when first needed: most commands never talk to customs.

    @cached_property
    def _submission(self) -> SoapService:
        return SoapService("receive_ceb_declare.wsdl", self._endpoints[0])

    @cached_property
    def _receipts(self) -> SoapService | None:
        return SoapService("receipt_service.wsdl", self._endpoints[1]) if len(self._endpoints) > 1 else None
