"""Documents -> a message that is built, signed, enveloped and frozen: everything that any attempt will ever send."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime

from connector.audit.events import Entry, Event
from connector.messages.builder import build_message
from connector.messages.catalogue import MessageType, message_type, schema_digest
from connector.messages.deliveries import MessageId
from connector.messages.documents import Document
from connector.messages.envelope import Envelope, seal
from connector.outbox.queue import NewMessage
from connector.pipeline.wiring import Connector


def new_message(
    connector: Connector, kind: MessageType, documents: Sequence[Document], *, created: datetime
) -> NewMessage:
    """Make one message of these documents.

    Its one UUID is the message id and, in upper case, the guid of the XML. Raises `UnreadableMessage` when the schema
    or the envelope refuses them and `SigningError` when the key cannot sign.
    """
    identity = uuid.UUID(int=connector.random.getrandbits(128), version=4)
    root = build_message(kind, documents, connector.transfer, str(identity).upper())
    signed = connector.keys.at(created).sign(root)
    envelope = seal(
        Envelope(
            message_id=str(identity),
            sender=connector.transfer.dxp_id,
            receiver=connector.receiver,
            created=created,
            message_type=kind.root,
            data=signed.xml,
        )
    )
    return NewMessage(
        id=MessageId(str(identity)),
        type=kind.name,
        signed=signed,
        body=connector.customs.freeze(envelope),
        guids=tuple(document.guid for document in documents),
    )


def signed_entry(message: NewMessage) -> Entry:
    """The audit entry of a new message."""
    return Entry(
        event=Event.SIGNED,
        document_type=message.type,
        message_id=message.id,
        detail={
            "documents": len(message.guids),
            "digest": hashlib.sha256(message.signed.xml).hexdigest(),
            "suite": message.signed.suite,
            "key_id": message.signed.key_id,
            "schema": schema_digest(message_type(message.type).schema),
        },
    )
