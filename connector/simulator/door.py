"""What is checked at the door, before a message is taken in; nothing here is stored.

A fault of the envelope, of the sender or of the signature refuses the message (chkMark 2). A message that only its
schema refuses is taken in, and a CEB900 follows. Everything behind the door reads the bytes that were signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from connector.errors import SignatureInvalid, UnreadableMessage
from connector.messages.catalogue import Frame, MessageType, message_type_on_the_wire
from connector.messages.deliveries import MessageId
from connector.messages.envelope import unseal
from connector.messages.namespaces import tag
from connector.messages.parser import local_name, parse, validate
from connector.signing.suites import OF_MESSAGES
from connector.signing.verifier import verify
from connector.simulator.declarations import Declaration, read
from connector.simulator.registry import Registry, Sender

OFFICE = "DXPEDCCEB0000003"
"""dxpId of the customs side for export messages."""

_FORMAT, _SIGNATURE, _RECEIVER, _LOGIC = (
    "[Code:0002;Desc:数据包不能通过schema验证]",
    "[Code:1001;Desc:数字签名无效]",
    "[Code:2001;Desc:指定的接收方不存在]",
    "[Code:2999;Desc:其他业务逻辑错误]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The message is refused at the door."""

    info: str
    """Why, as resultInfo says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An envelope from a registered sender, its content not looked at yet."""

    message_id: MessageId
    type: MessageType
    digest: str
    """SHA-256 of the decoded Data, lower-case hex."""
    data: bytes
    """The message."""
    signed: bytes
    """What carries the signature: the message, or the envelope around a bare one."""
    dxp_id: str
    entries: tuple[Sender, ...]
    """What the registry holds about the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A message with a valid signature of its sender."""

    letter: Letter
    enterprise_codes: frozenset[str]
    """Whom the certificate that signed may declare for."""
    declarations: tuple[Declaration, ...]
    """Empty where there is a format fault."""
    format_fault: str
    """What the schema has against it; empty when nothing."""


def open_envelope(content: str, registry: Registry) -> Letter | Refusal:
    """Check the envelope and who sends it."""
    try:
        envelope = unseal(content.encode())
        message_type = message_type_on_the_wire(envelope.message_type)
    except UnreadableMessage as error:
        return Refusal(info=f"{_FORMAT} DxpMsg: {error.cause}")
    if envelope.receiver != OFFICE:
        return Refusal(info=f"{_RECEIVER} {envelope.receiver}")
    entries = registry.entries_of(envelope.sender)
    if not entries:
        return Refusal(info=f"{_LOGIC} 发送方[{envelope.sender}]未登记")
    return Letter(
        message_id=MessageId(envelope.message_id),
        type=message_type,
        digest=hashlib.sha256(envelope.data).hexdigest(),
        data=envelope.data,
        signed=content.encode() if message_type.frame is Frame.BARE else envelope.data,
        dxp_id=envelope.sender,
        entries=entries,
    )


def admit(letter: Letter) -> Admitted | Refusal:
    """Check signature, root, transmitting enterprise and schema; a fault of all but the schema is a refusal."""
    fingerprints = {entry.certificate_sha256 for entry in letter.entries}
    try:
        verified = verify(letter.signed, suites=OF_MESSAGES, fingerprints=fingerprints)
        root = parse(unseal(verified.content).data if letter.type.frame is Frame.BARE else verified.content)
    except (SignatureInvalid, UnreadableMessage) as error:
        return Refusal(info=f"{_SIGNATURE} {error.cause}")
    if root.tag != tag(letter.type.namespace, letter.type.root):
        return Refusal(info=f"{_LOGIC} MsgType[{letter.type.root}]与报文根元素[{local_name(root)}]不一致")
    transfer = tag(letter.type.namespace, "BaseTransfer")
    dxp_id = root.findtext(f"{transfer}/{tag(letter.type.namespace, 'dxpId')}")
    if dxp_id not in {None, letter.dxp_id}:
        return Refusal(info=f"{_LOGIC} BaseTransfer的dxpId[{dxp_id}]与发送方[{letter.dxp_id}]不一致")
    entitled = (entry.enterprise_codes for entry in letter.entries if entry.certificate_sha256 == verified.key_id)
    codes = frozenset[str]().union(*entitled)
    try:
        validate(root, letter.type.schema)
    except UnreadableMessage as error:
        return Admitted(letter=letter, enterprise_codes=codes, declarations=(), format_fault=error.cause)
    return Admitted(letter=letter, enterprise_codes=codes, declarations=read(root, letter.type), format_fault="")
