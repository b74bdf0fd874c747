"""Response bytes -> what customs said, read strictly.

Customs' own words decide, not the HTTP status alone: chkMark 1 is taken in; chkMark 2, or a SOAP Fault that blames the
client, is refused. Whatever cannot be read for certain is in doubt, for customs may hold the message all the same:
an empty or cut answer, an unknown or mixed chkMark, a fault of the server, a gateway's error page.

The wire form is that of the specification notes, section 3: SOAP 1.1, ``receiveResponse/return`` with an escaped ``mo``
document of ``jkfResult`` records.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from connector.errors import UnreadableMessage
from connector.messages.deliveries import Answer, InDoubt, RefusedAtDoor, TakenIn
from connector.messages.parser import Element, parse

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_RESPONSE = "{http://ws.newyork.zjport.gov.cn/}receiveResponse"
FAULT = f"{{{_SOAP}}}Fault"

_MOST_SECONDS = 10**9
_MOST_DIGITS = 10
"""Of a time in seconds: Python refuses to read a number of thousands of digits."""

TURNED_AWAY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Statuses that say something of the moment, not of the message."""

TAKEN_IN = "1"
REFUSED = "2"


def payload(raw: bytes) -> Element:
    """The one element in the Body of a SOAP 1.1 envelope, a Fault included. Raises `UnreadableMessage`."""
    envelope = parse(raw)
    if envelope.tag != f"{{{_SOAP}}}Envelope":
        raise UnreadableMessage(f"{envelope.tag} is no SOAP 1.1 envelope")
    body = _only(envelope, f"{{{_SOAP}}}Body")
    if len(body) != 1:
        raise UnreadableMessage(f"{len(body)} elements in the SOAP Body, not one")
    return body[0]


def read_answer(status: int, raw: bytes, retry_after: timedelta | None = None) -> Answer:
    """What a response to ``receive`` means; never raises.

    status: of HTTP; raw: the whole response body; retry_after: how long it asks us to stay away.
    """
    if status in TURNED_AWAY:
        return InDoubt(raw=raw, info=turned_away(status, retry_after), retry_after=retry_after)
    answer = _read_answer(status, raw)
    return replace(answer, retry_after=retry_after) if isinstance(answer, InDoubt) else answer


def read_retry_after(value: str, now: datetime) -> timedelta | None:
    """How long an HTTP Retry-After asks us to stay away (RFC 9110, 10.2.3): seconds, or a date; None when unreadable.

    >>> read_retry_after("120", datetime.now(UTC))
    datetime.timedelta(seconds=120)
    """
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=int(value) if len(value) < _MOST_DIGITS else _MOST_SECONDS)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta())


def turned_away(status: int, retry_after: timedelta | None) -> str:
    """What such a status says, in words."""
    asked = "" if retry_after is None else f" and asks us to stay away for {retry_after.total_seconds():.0f} s"
    return f"customs answers with HTTP status {status} ({HTTPStatus(status).phrase}){asked}"


def _read_answer(status: int, raw: bytes) -> Answer:
    try:
        element = payload(raw)
        if element.tag == FAULT:
            info = fault_text(element)
            return RefusedAtDoor(raw=raw, info=info) if _blames_client(element) else InDoubt(raw=raw, info=info)
        if status != HTTPStatus.OK:
            return InDoubt(raw=raw, info=f"HTTP status {status}")
        marks, info = _results(element)
    except UnreadableMessage as error:
        return InDoubt(raw=raw, info=f"HTTP status {status}, {len(raw)} bytes: {error.cause}")
    if marks == {TAKEN_IN}:
        return TakenIn(raw=raw, info=info)
    if marks == {REFUSED}:
        return RefusedAtDoor(raw=raw, info=info)
    return InDoubt(raw=raw, info=f"chkMark {', '.join(sorted(marks)) or 'missing'}: {info}")


def fault_text(fault: Element) -> str:
    """Code and text of a SOAP Fault."""
    return f"SOAP Fault {fault.findtext('faultcode', '')}: {fault.findtext('faultstring', '')}"


def _blames_client(fault: Element) -> bool:
    """SOAP 1.1, 4.4.1: ``Client``, perhaps refined after a dot, in the envelope's namespace, which some leave out."""
    prefix, _, name = fault.findtext("faultcode", "").strip().rpartition(":")
    return name.partition(".")[0] == "Client" and (not prefix or fault.nsmap.get(prefix) == _SOAP)


def _results(response: Element) -> tuple[set[str], str]:
    """Every chkMark and all texts in the ``mo`` of a receiveResponse. Raises `UnreadableMessage`."""
    if response.tag != _RESPONSE:
        raise UnreadableMessage(f"{response.tag} is no receiveResponse")
    result = parse(_text(_only(response, "return")).strip().encode())
    if result.tag != "mo":
        raise UnreadableMessage(f"the answer is {result.tag}, not mo")
    records = result.findall("body/list/jkfResult")
    texts = [_text(info) for info in result.iterfind("body/list/jkfResult/resultList/jkfResultDetail/resultInfo")]
    return {_text(_only(record, "chkMark")) for record in records}, "; ".join(texts)


def _only(parent: Element, name: str) -> Element:
    found = parent.findall(name)
    if len(found) != 1:
        raise UnreadableMessage(f"{parent.tag} has {len(found)} elements {name}, not one")
    return found[0]


def _text(element: Element) -> str:
    """The text of an element that must hold nothing else."""
    if len(element):
        raise UnreadableMessage(f"{element.tag} holds more than text")
    return element.text or ""
