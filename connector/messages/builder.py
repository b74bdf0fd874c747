"""Documents -> one message (报文): ordered as its schema demands, valid, and ready to sign.

There is no white space between elements, because text around a signature belongs to what is signed. The root declares
``ceb`` and ``xsi``, as the signatures that customs accepted have both in scope::

    root = build_message(message_type("CEB213"), documents, transfer, guid)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.catalogue import BEIJING, REVISION_FIELDS, Field, Frame, MessageType
from connector.messages.documents import Document
from connector.messages.namespaces import XSI, tag
from connector.messages.parser import Element, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Who transmits (BaseTransfer); must be the enterprise that the DXP account belongs to."""

    cop_code: str
    cop_name: str
    dxp_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Data of our own in a message (ExtendMessage), which customs keeps and does not look at."""

    name: str
    """1 to 30 characters, as the version."""
    version: str
    text: str


def build_message(
    message_type: MessageType,
    documents: Sequence[Document],
    transfer: Transfer,
    guid: str,
    extension: Extension | None = None,
) -> Element:
    """Build one message of 1 to ``batch_limit`` documents, in their order.

    guid: of the message, 36 characters, upper case; it, transfer and extension have no place in a bare type. Raises
    `UnreadableMessage` naming the document that cannot be built or that the schema refuses.
    """
    is_framed = message_type.frame is Frame.SIGNED
    root = etree.Element(tag(message_type.namespace, message_type.root), nsmap=_namespaces(message_type))
    if is_framed:
        root.set("guid", guid)
        root.set("version", "1.0")
    for document in documents:
        try:
            _add_record(root, message_type, document)
        except ValueError as error:
            raise _cannot_build(message_type, [document], str(error)) from None
    try:
        if is_framed:
            _add_transfer(root, message_type.namespace, transfer)
        if is_framed and extension is not None:
            _add_extension(root, message_type.namespace, extension)
        validate(root, message_type.schema)
    except (ValueError, UnreadableMessage) as error:
        if len(documents) > 1:  # built alone, the document at fault names itself
            for document in documents:
                build_message(message_type, [document], transfer, guid, extension)
        raise _cannot_build(message_type, documents, getattr(error, "cause", str(error))) from None
    return root


def _namespaces(message_type: MessageType) -> dict[str, str]:
    return {message_type.prefix: message_type.namespace, "xsi": XSI} if message_type.namespace else {}


def _add_record(root: Element, message_type: MessageType, document: Document) -> None:
    if document.type != message_type.name:
        raise ValueError(f"it is a {document.type}")
    if document.content.lines and not message_type.line:
        raise ValueError("it has lines, and this type has none")
    if given := document.content.head.keys() & set(REVISION_FIELDS):
        raise ValueError(f"{', '.join(sorted(given))} is set by the revision, not by its content")
    revision = {
        "guid": document.guid,
        "appType": document.app_type.value,
        "appTime": document.app_time.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
    }
    namespace = message_type.namespace
    record = etree.SubElement(root, tag(namespace, message_type.record)) if message_type.record else root
    head = etree.SubElement(record, tag(namespace, message_type.head)) if message_type.head else record
    fields = message_type.head_fields
    own = {field.name: revision[field.name] for field in fields if field.name in revision}
    _add_fields(head, namespace, fields, {**document.content.head, **own})
    for line in document.content.lines:
        _add_fields(
            etree.SubElement(record, tag(namespace, message_type.line)), namespace, message_type.line_fields, line
        )


def _add_fields(parent: Element, namespace: str, fields: Sequence[Field], values: Mapping[str, str]) -> None:
    """Add the values in the order of the fields; an optional one that is empty is left out."""
    used = 0
    for field in fields:
        text = values.get(field.name)
        if text is None:
            continue
        used += 1
        if text or field.required:
            try:
                etree.SubElement(parent, tag(namespace, field.name)).text = text
            except ValueError:
                raise ValueError(f"{field.name} holds a character that XML cannot carry: {text!r}") from None
    if used != len(values):
        unknown = values.keys() - {field.name for field in fields}
        raise ValueError(f"there is no field {', '.join(sorted(unknown))}")


def _add_transfer(root: Element, namespace: str, transfer: Transfer) -> None:
    parent = etree.SubElement(root, tag(namespace, "BaseTransfer"))
    for name, text in (
        ("copCode", transfer.cop_code),
        ("copName", transfer.cop_name),
        ("dxpMode", "DXP"),
        ("dxpId", transfer.dxp_id),
    ):
        etree.SubElement(parent, tag(namespace, name)).text = text


def _add_extension(root: Element, namespace: str, extension: Extension) -> None:
    parent = etree.SubElement(root, tag(namespace, "ExtendMessage"))
    etree.SubElement(parent, tag(namespace, "name")).text = extension.name
    etree.SubElement(parent, tag(namespace, "version")).text = extension.version
    entity = etree.SubElement(parent, tag(namespace, "Message"))  # may hold one element of any kind, and no text
    etree.SubElement(entity, "text").text = extension.text


def _cannot_build(message_type: MessageType, documents: Sequence[Document], cause: str) -> UnreadableMessage:
    named = ", ".join(f"{document.business_key} revision {document.revision}" for document in documents)
    return UnreadableMessage(
        f"{message_type.name} {named}: {cause}",
        effect="no message was built",
        remedy="correct the record or its mapping, or build the message without it",
    )
