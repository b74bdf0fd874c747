"""compare: what mappings make of records, held against what others make of the same; nothing is stored or sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.mapping.engine import DocumentMapping
from connector.mapping.outcomes import Mapped, Unmappable
from connector.messages.documents import Difference, differences
from connector.messages.records import Lookups, SourceKey, SourceRecord
from connector.pipeline.wiring import Collection
from connector.sources import inbox
from connector.storage.database import Database

_NO_DOCUMENT, _REFUSED, _MADE = "no document", "cannot be made", "a document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One document that other mappings make otherwise, or not at all."""

    source: SourceKey
    type: str
    part: str
    then: str
    """``a document``, ``cannot be made: …`` or ``no document``."""
    now: str
    differences: Sequence[Difference]
    """Element by element, where both make one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comparing came to."""

    records: int
    documents: int
    """That either side makes."""
    changed: Sequence[Changed]


def compare(
    database: Database, before: Sequence[Collection], after: Sequence[Collection], *, last: int, type_: str | None
) -> Compared:
    """Map the records of each collection that were stored last, by the mappings of before and of after.

    What they look up is read from the source now, once for both. Raises `SourceUnreachable` or `SourceChanged`.
    """
    records, documents = 0, 0
    changed: list[Changed] = []
    earlier = {one.name: one for one in before}
    for collection in after:
        with database.read() as connection:
            stored = inbox.newest(connection, collection.name, at_most=last)
        other = earlier.get(collection.name)
        names = dict.fromkeys((*collection.lookups, *(other.lookups if other else ())))
        found = collection.source.look_up(list(names), stored)
        for record in stored:
            then = _made(other.mappings if other else (), record, found, type_)
            now = _made(collection.mappings, record, found, type_)
            places = sorted(then.keys() | now.keys())
            documents += len(places)
            changed += [one for place in places if (one := _changed(record, place, then.get(place), now.get(place)))]
        records += len(stored)
    return Compared(records=records, documents=documents, changed=changed)


_Place = tuple[str, str]
"""Message type and part."""
_Made = dict[_Place, Mapped | Unmappable]


def _made(mappings: Sequence[DocumentMapping], record: SourceRecord, lookups: Lookups, type_: str | None) -> _Made:
    chosen = [one for one in mappings if type_ in {None, one.message_type.name}]
    return {(one.type, one.part): one for mapping in chosen for one in mapping.apply(record, lookups)}


def _changed(
    record: SourceRecord, place: _Place, before: Mapped | Unmappable | None, after: Mapped | Unmappable | None
) -> Changed | None:
    was, is_ = _told(before), _told(after)
    found: list[Difference] = []
    if isinstance(before, Mapped) and isinstance(after, Mapped):
        found = differences(before.content, after.content)
    if was == is_ and not found:
        return None
    return Changed(source=record.key, type=place[0], part=place[1], then=was, now=is_, differences=found)


def _told(outcome: Mapped | Unmappable | None) -> str:
    if outcome is None:
        return _NO_DOCUMENT
    if isinstance(outcome, Mapped):
        return _MADE
    return f"{_REFUSED}: {'; '.join(fault.text for fault in outcome.faults)}"
