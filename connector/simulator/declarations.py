"""`Declaration`: one document of a message as the office reads it, out of the bytes that were signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from connector.messages.catalogue import MessageType
from connector.messages.documents import AppType
from connector.messages.namespaces import tag
from connector.messages.parser import Element, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One body record: its fields by local name, absent ones left out."""

    type: str
    """``CEB213``, ``WOD101``, …"""
    business_key: str
    """The key fields joined by ``/``."""
    declarant: str
    """Code of the declaring enterprise."""
    digest: str
    """SHA-256 of the record's exclusive canonical form, lower-case hex."""
    head: Mapping[str, str]
    lines: tuple[Mapping[str, str], ...]

    @property
    def app_type(self) -> str:
        """What it asks for; operating data is always new."""
        return self.head.get("appType", AppType.NEW)


def read(root: Element, message_type: MessageType) -> tuple[Declaration, ...]:
    """The documents of a message that its schema has taken, in order."""
    name = message_type.record
    records = root.iterchildren(tag(message_type.namespace, name)) if name else [root]
    return tuple(_declaration(record, message_type) for record in records)


def _declaration(record: Element, message_type: MessageType) -> Declaration:
    namespace = message_type.namespace
    head_element = record.find(tag(namespace, message_type.head)) if message_type.head else record
    assert head_element is not None, "the schema demands it"
    lines = record.iterchildren(tag(namespace, message_type.line)) if message_type.line else ()
    head = texts(head_element)
    return Declaration(
        type=message_type.name,
        business_key=message_type.business_key(head),
        declarant=head[message_type.declarant_field],
        digest=hashlib.sha256(etree.tostring(record, method="c14n", exclusive=True)).hexdigest(),
        head=head,
        lines=tuple(map(texts, lines)),
    )
