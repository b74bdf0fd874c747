"""Documents that customs holds although their records do not say them any more.

A mapping leaves a record out that it meant before, or a record gets another business key. What was declared still
stands, so the record waits until an operator has it deleted; nothing else is declared from it before, for the same
goods would be declared twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.mapping.outcomes import Mapped, Original, Unmappable
from connector.messages.catalogue import MessageType
from connector.messages.documents import AppType, Document
from connector.messages.records import SourceKey
from connector.outbox.documents import Origin, Standing
from connector.outbox.revisions import Revision
from connector.pipeline.checking import Candidate
from connector.sources import quarantine
from connector.sources.inbox import StoredRecord
from connector.sources.quarantine import Held

_TEXT = (
    "the record does not say {key} any more, which customs holds or may come to hold; put the row or its mapping right,"
    " or `quarantine release --void` what was declared"
)
_ARCHIVED = "the content of {key} was archived, so its deletion cannot be made; have customs delete it by another way"


def left_behind(
    kind: MessageType,
    outcomes: Sequence[tuple[SourceKey, Mapped | Unmappable]],
    standing: Sequence[Standing],
    newest: Mapping[str, Revision],
) -> Mapping[SourceKey, Sequence[Standing]]:
    """By record, the standing documents of a type that are none of its outcomes.

    Events happened, whatever becomes of their record. What a record says that cannot be mapped is not known.
    """
    if not kind.is_revisable:
        return {}
    unsure = {key for key, outcome in outcomes if isinstance(outcome, Unmappable)}
    said = {(key, outcome.business_key) for key, outcome in outcomes}
    found: dict[SourceKey, list[Standing]] = defaultdict(list)
    for one in standing:
        revision = newest[one.business_key]
        is_its = revision.guid == one.guid  # no other record has taken the key over
        never_came = revision.is_unheard and revision.app_type is AppType.NEW
        is_said = one.source in unsure or (one.source, one.business_key) in said
        if is_its and not never_came and not is_said:
            found[one.source].append(one)
    return found


def no_longer_meant(stored: StoredRecord, left: Standing, *, is_archived: bool = False) -> Held:
    """The entry of a record that does not say a document any more."""
    text = (_ARCHIVED if is_archived else _TEXT).format(key=left.business_key)
    return still_standing(left, stored.id, quarantine.NO_LONGER_MEANT, text)


def still_standing(left: Standing, record_id: int, reason: str, text: str) -> Held:
    """The entry of a record whose document stands at customs for no reason any more.

    record_id: the newest stored version of the record, which is what an operator releases.
    """
    return Held(
        record_id=record_id,
        key=left.source,
        type=left.type,
        business_key=left.business_key,
        waybill=left.waybill,
        export_list=left.export_list,
        reason=reason,
        faults=[{"code": reason, "field": "", "text": text}],
    )


def deletion(declared: Document, origin: Origin, before: Revision, *, now: datetime) -> Candidate:
    """The deletion of what was declared, with the content that it was declared with.

    before: the newest revision of its key.
    """
    document = Document(
        type=declared.type,
        business_key=declared.business_key,
        revision=before.number + 1,
        app_type=AppType.DELETE,
        app_time=now,
        content=declared.content,
    )
    mapped = Mapped(
        type=declared.type,
        content=declared.content,
        original=Original(),
        business_key=declared.business_key,
        waybill=origin.waybill,
        export_list=origin.export_list,
        part=origin.part,
    )
    return Candidate(document=document, mapped=mapped, facts=frozenset(), returned_at=now)
