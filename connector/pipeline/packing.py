"""Documents -> a message that is built, signed, enveloped and frozen: everything that any attempt will ever send."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from lxml import etree
from sqlalchemy import Connection

from connector.audit import checkpoints
from connector.audit.checkpoints import Issued
from connector.audit.events import Entry, Event
from connector.messages.builder import Extension, build_message
from connector.messages.catalogue import Frame, MessageType, message_type, schema_digest
from connector.messages.deliveries import MessageId
from connector.messages.documents import Document
from connector.messages.envelope import Envelope, seal
from connector.messages.parser import parse
from connector.outbox.queue import NewMessage
from connector.pipeline.wiring import Connector


def anchor(connector: Connector, connection: Connection) -> Issued | None:
    """The checkpoint of the audit log that messages made now carry: the last, if the configuration has them carry one.

    Customs then holds, signed by us, what the log was when it got the message.
    """
    policy = connector.checkpoints
    return checkpoints.last(connection) if policy is not None and policy.anchor else None


def extension(anchored: Issued) -> Extension:
    """The checkpoint as it stands in a message: line by line, so that the message can be read as a checkpoint file."""
    return Extension(name="tlog-checkpoint", version="1", text=f"\n{anchored.note}")


def new_message(
    connector: Connector,
    kind: MessageType,
    documents: Sequence[Document],
    *,
    created: datetime,
    anchored: Issued | None = None,
) -> NewMessage:
    """Make one message of these documents, with the checkpoint that it is to carry.

    Its one UUID is the message id and, in upper case, the guid of the XML. Raises `UnreadableMessage` when the schema
    or the envelope refuses them and `SigningError` when the key cannot sign.
    """
    identity = uuid.UUID(int=connector.random.getrandbits(128), version=4)
    added = extension(anchored) if anchored else None
    root = build_message(kind, documents, connector.transfer, str(identity).upper(), added)
    signer = connector.keys.at(created)
    envelope = Envelope(
        message_id=str(identity),
        sender=connector.transfer.dxp_id,
        receiver=connector.receiver,
        created=created,
        message_type=kind.wire_name,
        data=b"",
    )
    if kind.frame is Frame.SIGNED:
        signed = signer.sign(root)
        sealed = seal(replace(envelope, data=signed.xml))
    else:  # the envelope carries the signature; the bytes that customs is asked about are still those inside
        data = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
        around = signer.sign(parse(seal(replace(envelope, data=data))))
        signed, sealed = replace(around, xml=data), around.xml
    return NewMessage(
        id=MessageId(str(identity)),
        type=kind.name,
        signed=signed,
        body=connector.customs.freeze(sealed),
        guids=tuple(document.guid for document in documents),
        anchor=anchored.size if anchored and kind.frame is Frame.SIGNED else None,
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
        }
        | ({} if message.anchor is None else {"anchor": message.anchor}),
    )
