"""The DxpMsg around a signed message or a receipt.

``Data`` is the Base64 of the exact signed bytes: sealing and unsealing never touch them.

>>> sealed = seal(Envelope(message_id="1F6A", sender="DXPENT0000011351", receiver="DXPEDCCEB0000003",
...     created=datetime(2026, 4, 15, 2, 30, tzinfo=UTC), message_type="CEB213Message", data=b"<signed/>"))
>>> unseal(sealed).data
b'<signed/>'

Facts: interface specification of the data exchange platform; ``schemas/dxp.xsd`` is written from it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.catalogue import BEIJING
from connector.messages.namespaces import DXP, tag
from connector.messages.parser import Element, parse, validate

DATA_LIMIT = 7_000_000
"""Bytes of one message: as Base64 it is a single text, and no strict parser takes one of more than 10,000,000 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One DxpMsg, as far as we use it."""

    message_id: str
    """CopMsgId, unique for ever with its sender; 1 to 255 characters."""
    sender: str
    """A DXP account, 1 to 16 characters."""
    receiver: str
    """A DXP account; of an envelope to several, the first."""
    created: datetime
    """UTC, whole seconds on the wire."""
    message_type: str
    """Local name of the root element in Data, e.g. ``CEB213Message``."""
    data: bytes
    """The message, UTF-8 XML."""


def seal(envelope: Envelope) -> bytes:
    """Write the DxpMsg, UTF-8. Raises `UnreadableMessage` where the envelope would not be valid."""
    if len(envelope.data) > DATA_LIMIT:
        raise _cannot_seal(envelope, f"its {len(envelope.data):,} bytes are more than {DATA_LIMIT:,}")
    root = etree.Element(tag(DXP, "DxpMsg"), nsmap={"dxp": DXP}, ver="1.0")
    info = etree.SubElement(root, tag(DXP, "TransInfo"))
    try:
        _add(info, "CopMsgId", envelope.message_id)
        _add(info, "SenderId", envelope.sender)
        _add(etree.SubElement(info, tag(DXP, "ReceiverIds")), "ReceiverId", envelope.receiver)
        _add(info, "CreatTime", envelope.created.astimezone(BEIJING).isoformat(timespec="seconds"))
        _add(info, "MsgType", envelope.message_type)
        _add(root, "Data", base64.b64encode(envelope.data).decode())
        validate(root, "dxp")
    except (ValueError, UnreadableMessage) as error:
        raise _cannot_seal(envelope, getattr(error, "cause", str(error))) from None
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def unseal(data: bytes) -> Envelope:
    """Read a DxpMsg. Nothing in it is trusted for that: a signature, where there is one, is not looked at.

    Raises `UnreadableMessage` where it is not a valid DxpMsg.
    """
    root = parse(data)
    validate(root, "dxp")
    return Envelope(
        message_id=_text(root, "CopMsgId"),
        sender=_text(root, "SenderId"),
        receiver=_text(root, "ReceiverId"),
        created=_time(_text(root, "CreatTime")),
        message_type=_text(root, "MsgType"),
        data=_decode(_text(root, "Data")),
    )


def _add(parent: Element, name: str, text: str) -> None:
    etree.SubElement(parent, tag(DXP, name)).text = text


def _text(root: Element, name: str) -> str:
    return root.findtext(f".//{tag(DXP, name)}") or ""


def _time(text: str) -> datetime:
    """An xs:dateTime in UTC; without a zone it is Beijing time."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=BEIJING)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _unusable(f"CreatTime {text!r} is no time of this era") from None


def _decode(text: str) -> bytes:
    """Base64 with white space and nothing else in it; libxml2 lets any sign pass that is outside the alphabet."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise _unusable("Data is not Base64") from None


def _unusable(cause: str) -> UnreadableMessage:
    return UnreadableMessage(
        cause, effect="the envelope is not used", remedy="its sender has to send it as the DxpMsg schema demands"
    )


def _cannot_seal(envelope: Envelope, cause: str) -> UnreadableMessage:
    return UnreadableMessage(
        f"message {envelope.message_id}: {cause}",
        effect="no envelope was made",
        remedy="correct the accounts in the configuration, or put fewer documents in one message",
    )
