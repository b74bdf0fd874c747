"""Outcomes of mappings whose documents form chains, each linked to what its chain has told before.

Types whose key the enterprise gives pass as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection

from connector.mapping.outcomes import Mapped, Unmappable
from connector.messages.catalogue import Chain, MessageType
from connector.messages.chains import link
from connector.messages.records import SourceKey
from connector.outbox import documents
from connector.outbox.documents import Told

Outcome: TypeAlias = Mapped | Unmappable


def linked(
    connection: Connection, kind: MessageType, outcomes: Sequence[tuple[SourceKey, Outcome]]
) -> list[tuple[SourceKey, Outcome]]:
    """The same outcomes, each content with the key that follows from it and the document that it corrects.

    What says the same as the last document of its chain gets that document's key.
    """
    chain = kind.chain
    if chain is None:
        return list(outcomes)
    told = documents.last_told(connection, kind.name, list(dict.fromkeys(key for key, _ in outcomes)))
    return [
        (key, _linked(kind, chain, key, one, told.get((key, one.part))) if isinstance(one, Mapped) else one)
        for key, one in outcomes
    ]


def _linked(kind: MessageType, chain: Chain, source: SourceKey, mapped: Mapped, told: Told | None) -> Mapped:
    content = link(mapped.content, chain, source, part=mapped.part, corrects=told.corrects if told else "")
    if told is not None and kind.business_key(content.head) != told.business_key:
        content = link(mapped.content, chain, source, part=mapped.part, corrects=told.stands)
    corrects = content.head.get(chain.corrects_field, "")
    return replace(mapped, content=content, business_key=kind.business_key(content.head), corrects=corrects)
