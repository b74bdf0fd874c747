"""Which documents of a file are signed: a message, the message in an envelope, the envelope itself, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.errors import UnreadableMessage
from connector.messages.envelope import unseal
from connector.messages.namespaces import DXP, tag
from connector.messages.parser import parse
from connector.signing.place import signatures_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One document that is signed, or should be."""

    name: str
    """``document``, ``envelope``, or ``message in Data``."""
    data: bytes = field(repr=False)


def parts(data: bytes) -> Sequence[Part]:
    """The signed documents of a file, at least one, the outer one first.

    Of an envelope it is the message in Data, and the envelope where it is signed itself. A receipt is not signed by
    itself: where the envelope is, nothing is missing. Raises `UnreadableMessage` for what no strict parser takes, and
    for an unsigned envelope that is no valid DxpMsg.
    """
    root = parse(data)
    if root.tag != tag(DXP, "DxpMsg"):
        return [Part(name="document", data=data)]
    envelope = [Part(name="envelope", data=data)] if signatures_in(root) else []
    try:
        inside = unseal(data).data
        has_signature = bool(signatures_in(parse(inside)))
    except UnreadableMessage:
        if envelope:
            return envelope
        raise
    message = [Part(name="message in Data", data=inside)] if has_signature or not envelope else []
    return [*envelope, *message]
