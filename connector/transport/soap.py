"""zeep's place: it writes SOAP bodies and reads replies of our own ReceiptService, and does nothing else.

It never opens a socket (messages go through our `Endpoint`), never fetches a document (WSDLs come from the package and
import nothing), and reads only replies that the strict parser and the schema in the WSDL have let through. That
matters: left alone, zeep takes any text but ``true`` for false, so that a garbled ``known`` would make us send a
message twice.
"""

# mypy: disallow-untyped-calls=False
# zeep has no annotations

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.resources import files
from io import BytesIO
from typing import Any

import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError

from connector.deeds import Deed
from connector.errors import CustomsUnreachable, UnreadableMessage
from connector.messages.parser import Element, parse
from connector.transport.connection import Endpoint, Guard, Reply, Withheld
from connector.transport.replies import FAULT, TURNED_AWAY, fault_text, payload, read_retry_after, turned_away

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', "User-Agent": "customs-warehouse-connector"}
"""HTTP headers of every SOAP 1.1 request; the operations of both services have an empty action."""

_DEEDS = {"queryMessage": Deed.ASK, "fetchReceipts": Deed.FETCH}
_may_ask: ContextVar[Guard] = ContextVar("_may_ask")
"""The guard of the call under way: zeep calls our transport, and has no way to hand anything through."""
_SETTINGS = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True)


class SoapService:
    """The operations of one packaged WSDL with one binding, at one endpoint; the address in the WSDL is not used."""

    def __init__(self, wsdl: str, endpoint: Endpoint) -> None:
        document = (files("connector.transport") / "wsdl" / wsdl).read_bytes()
        self._client = zeep.Client(
            BytesIO(document), transport=_CheckedTransport(document, endpoint), settings=_SETTINGS
        )
        (binding,) = self._client.wsdl.bindings
        self._service = self._client.create_service(binding, "")

    def write(self, operation: str, **arguments: object) -> bytes:
        """The request of an operation, UTF-8; text is escaped, so carriage returns survive."""
        return _serialized(self._client.create_message(self._service, operation, **arguments))

    def call(self, operation: str, may_ask: Guard, **arguments: object) -> Any:
        """Ask an operation and return its response as a zeep object, elements as attributes.

        Raises `CustomsUnreachable` for whatever fails, and `NotAsked` when ``may_ask`` said no.
        """
        asked = _may_ask.set(may_ask)
        try:
            return self._service[operation](**arguments)
        except ZeepError as error:
            raise unusable(f"{operation}: {error}") from None
        finally:
            _may_ask.reset(asked)


class NotAsked(Exception):
    """Just before the first byte left, the guard of a call said no."""


def unusable(cause: str) -> CustomsUnreachable:
    """The error for an answer that came and says nothing certain."""
    return CustomsUnreachable(
        f"the receipt service gives no usable answer: {cause}",
        effect="nothing was read from customs; it is asked again later",
        remedy="check [customs] receipts_url, or ask its operator what is wrong with it",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckedReply:
    """What zeep wants to know of a response. With these headers it reads nothing but the content."""

    content: bytes
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _CheckedTransport(zeep.Transport):
    def __init__(self, wsdl: bytes, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._schema = next(parse(wsdl).iter("{http://www.w3.org/2001/XMLSchema}schema"))

    def post_xml(self, _address: str, envelope: Element, _headers: Mapping[str, str]) -> _CheckedReply:
        """Post a request of zeep's; only a valid reply of the same operation gets through."""
        operation = envelope[-1][0]
        deed = _DEEDS[etree.QName(operation).localname]
        exchange = self._endpoint.post(deed, _serialized(envelope), _may_ask.get())
        if isinstance(exchange, Withheld):
            raise NotAsked(exchange.info)
        if not isinstance(exchange, Reply):
            raise CustomsUnreachable(
                exchange.info,
                effect="nothing was read from customs; it is asked again later",
                remedy="check the network and [customs] receipts_url",
            )
        self._check(exchange, f"{operation.tag}Response")
        return _CheckedReply(content=exchange.body)

    def _check(self, reply: Reply, expected: str) -> None:
        if reply.status in TURNED_AWAY:
            raise _turned_away(reply)
        try:
            element = payload(reply.body)
        except UnreadableMessage as error:
            raise unusable(f"HTTP status {reply.status}: {error.cause}") from None
        if element.tag == FAULT:
            raise unusable(fault_text(element))
        if reply.status != HTTPStatus.OK or element.tag != expected:
            raise unusable(f"HTTP status {reply.status}, {element.tag}")
        schema = etree.XMLSchema(self._schema)  # one for each reply: a schema keeps its errors in itself
        try:
            schema.assertValid(element)
        except etree.DocumentInvalid as error:
            raise unusable(str(error)) from None


def _turned_away(reply: Reply) -> CustomsUnreachable:
    retry_after = read_retry_after(reply.retry_after, datetime.now(UTC))
    failure = CustomsUnreachable(
        turned_away(reply.status, retry_after),
        effect="nothing was read from customs; it is asked again later",
        remedy="nothing need be done unless it lasts; then ask customs",
    )
    failure.retry_after = retry_after
    return failure


def _serialized(envelope: Element) -> bytes:
    return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
