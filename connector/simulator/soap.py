"""SOAP 1.1 as the office reads and writes it, with lxml alone.

The client is built from the WSDL by a library; this side is written from the wire form, so that a mistake in either
shows. A request is one element in the Body; its children are the arguments::

    call = read_call(body)              # Call(namespace, operation, arguments)
    write_answer("receiveResponse", …)  # the whole HTTP body
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.parser import Element, parse

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
"""Namespace of SOAP 1.1."""
RECEIVE = "http://ws.newyork.zjport.gov.cn/"
"""Namespace of the submission service (ReceiveCebDeclare)."""
RECEIPTS = "urn:customs-warehouse-connector:receipt-service:1"
"""Namespace of this project's own ReceiptService."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: the operation and its arguments by name, absent ones left out."""

    namespace: str
    operation: str
    arguments: Mapping[str, str]


def read_call(body: bytes, arguments_namespace: str) -> Call:
    """Read a request.

    arguments_namespace: the namespace its arguments must be in, empty for none. Raises `UnreadableMessage` for
    whatever is not the wire form.
    """
    envelope = parse(body)
    content = envelope.find(f"{{{SOAP}}}Body")
    if envelope.tag != f"{{{SOAP}}}Envelope" or content is None:
        raise UnreadableMessage("not a SOAP 1.1 envelope with a Body")
    if len(content) != 1:
        raise UnreadableMessage("the SOAP Body holds more or less than one element")
    operation = etree.QName(content[0])
    arguments: dict[str, str] = {}
    for child in content[0]:
        name = etree.QName(child)
        if (name.namespace or "") != arguments_namespace or len(child) or name.localname in arguments:
            raise UnreadableMessage(f"{operation.localname} has no argument {name.text}, or not like this")
        arguments[name.localname] = child.text or ""
    return Call(namespace=operation.namespace or "", operation=operation.localname, arguments=arguments)


def write_received(answer: str) -> bytes:
    """The HTTP body that answers ``receive``: a ``return`` without namespace, holding the mo document as text."""
    envelope, body = _envelope()
    response = etree.SubElement(body, f"{{{RECEIVE}}}receiveResponse", nsmap={"ns2": RECEIVE})
    etree.SubElement(response, "return").text = answer
    return _serialized(envelope)


Part = tuple[str, "str | Parts"]
"""An element's name and its text, or the elements below it."""
Parts = Iterable[Part]


def write_response(operation: str, parts: Parts) -> bytes:
    """The HTTP body that answers an operation of ReceiptService, every element in its namespace."""
    envelope, body = _envelope()
    name = f"{{{RECEIPTS}}}{operation}Response"
    _add(etree.SubElement(body, name, nsmap={None: RECEIPTS}), parts)  # type: ignore[dict-item]
    return _serialized(envelope)


def write_fault(reason: str, code: str = "soap:Client") -> bytes:
    """The HTTP body of a Fault.

    code: whose fault it is; as it stands that of the request.
    """
    envelope, body = _envelope()
    fault = etree.SubElement(body, f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = code
    etree.SubElement(fault, "faultstring").text = reason
    return _serialized(envelope)


def _add(parent: Element, parts: Parts) -> None:
    for name, content in parts:
        child = etree.SubElement(parent, f"{{{RECEIPTS}}}{name}")
        if isinstance(content, str):
            child.text = content
        else:
            _add(child, content)


def _envelope() -> tuple[Element, Element]:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    return envelope, etree.SubElement(envelope, f"{{{SOAP}}}Body")


def _serialized(envelope: Element) -> bytes:
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
