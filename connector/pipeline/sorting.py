"""A page of stored records, mapped and judged: what is to be sent, what has to wait, what is in order as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from connector.mapping.engine import DocumentMapping
from connector.mapping.outcomes import Mapped, Unmappable
from connector.messages.catalogue import MessageType, message_type
from connector.messages.documents import AppType, Document
from connector.messages.records import SourceKey
from connector.outbox import documents
from connector.outbox.documents import Origin, Standing
from connector.outbox.revisions import Revision, Verdict, judge
from connector.pipeline.checking import EVENT, Bench, Candidate
from connector.pipeline.left_behind import deletion, left_behind, no_longer_meant
from connector.pipeline.linking import linked
from connector.pipeline.wiring import Collection, Connector
from connector.rules.book import Judgement, rule_named
from connector.rules.rule import Severity
from connector.sources import quarantine
from connector.sources.inbox import StoredRecord
from connector.sources.quarantine import Held, Release

_WAITS = {
    Verdict.WAIT_FOR_ANSWER: (
        quarantine.CHANGED_WHILE_OPEN,
        "the row changed while customs has not answered yet; it is tried again by itself when customs has",
    ),
    Verdict.WAIT_FOR_OPERATOR: (
        quarantine.CHANGED_AFTER_ACCEPTANCE,
        "the row changed although customs accepted the document; restore the row, or `quarantine release` the change",
    ),
    Verdict.WAIT_TO_BE_DECLARED_ANEW: (
        quarantine.DELETED_AT_CUSTOMS,
        "customs deleted the document and the row still says it; take it out, or `quarantine release` it as new",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A document on its way into a message."""

    document: Document
    origin: Origin
    source: SourceKey
    after: Revision | None
    """The newest revision of its key, which must still be that when the document is committed."""
    candidate: Candidate
    """As it stood before the rules."""
    judgement: Judgement
    """What they said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Going:
    """A document that goes out, if the rules let it."""

    stored: StoredRecord
    candidate: Candidate
    origin: Origin
    before: Revision | None


@dataclass(slots=True, kw_only=True)
class Sorted:
    """What became of one page."""

    drafts: list[Draft] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    sound: set[tuple[SourceKey, str]] = field(default_factory=set)
    """Records and message types with nothing amiss: whatever held them is over."""
    judged: dict[tuple[str, str], Revision | None] = field(default_factory=dict)
    """(message type, business key) of what waits for an answer -> the newest revision, still unanswered."""

    def settle(self) -> None:
        """One entry for each record and message type, whatever documents are made of it; none of it is sound then."""
        merged: dict[tuple[SourceKey, str], Held] = {}
        for one in self.held:
            known = merged.get((one.key, one.type))
            merged[one.key, one.type] = replace(known, faults=[*known.faults, *one.faults]) if known else one
        self.held = list(merged.values())
        self.sound -= merged.keys()


def sort(
    connector: Connector, collection: Collection, page: Sequence[StoredRecord], bench: Bench, *, now: datetime
) -> Sorted:
    """Map and judge the records of a page. Raises `SourceUnreachable` when a lookup cannot be made.

    bench: judges by the rules; the same one for every page of one way through the records.
    """
    result = Sorted()
    by_key = {stored.record.key: stored for stored in page}
    lookups = collection.source.look_up(collection.lookups, [stored.record for stored in page])
    by_type: dict[str, list[DocumentMapping]] = defaultdict(list)
    for mapping in sorted(collection.mappings, key=lambda one: one.message_type.name != EVENT):  # events are facts
        by_type[mapping.message_type.name].append(mapping)
    for name, mappings in by_type.items():
        made = [
            (mapping, key, outcome)
            for mapping in mappings
            for key, one in by_key.items()
            for outcome in mapping.apply(one.record, lookups)
        ]
        with connector.database.read() as connection:
            going = _decide(connection, message_type(name), by_key, made, result, now)
            judgements = bench.judge(connection, [one.candidate for one in going])
        for one, judgement in zip(going, judgements, strict=True):
            _let_out(result, one, judgement)
    result.settle()
    return result


def _decide(
    connection: Connection,
    kind: MessageType,
    by_key: Mapping[SourceKey, StoredRecord],
    made: Sequence[tuple[DocumentMapping, SourceKey, Mapped | Unmappable]],
    result: Sorted,
    now: datetime,
) -> list[_Going]:
    """What of the documents of one type is to go out; the rest is told in the result."""
    outcomes = linked(connection, kind, [(key, outcome) for _, key, outcome in made])
    standing = [one for one in documents.standing(connection, list(by_key)) if one.type == kind.name]
    keys = {outcome.business_key for _, outcome in outcomes if isinstance(outcome, Mapped)}
    newest = documents.newest_revisions(connection, kind.name, sorted(keys | {one.business_key for one in standing}))
    free = quarantine.set_free_among(connection, [one.id for one in by_key.values()])
    left = left_behind(kind, outcomes, standing, newest)
    not_meant = list(by_key.keys() - {key for key, _ in outcomes} - left.keys())
    result.sound |= {(key, name) for key, name in quarantine.held_among(connection, not_meant) if name == kind.name}
    going: list[_Going] = []
    for key, some in left.items():
        if free.get((by_key[key].id, kind.name)) is not Release.DELETE:
            result.held += [no_longer_meant(by_key[key], one) for one in some]
        elif any(newest[one.business_key].is_unanswered for one in some):  # deleted when customs has accepted it
            result.judged |= {(one.type, one.business_key): newest[one.business_key] for one in some}
        elif documents.archived(connection, [one.guid for one in some]):
            result.held += [no_longer_meant(by_key[key], one, is_archived=True) for one in some]
        else:
            result.sound.add((key, kind.name))
            going += _deletions(connection, by_key[key], some, newest, now)
    stopped = left.keys() - {one.stored.record.key for one in going}
    for (mapping, _, _), (key, outcome) in zip(made, outcomes, strict=True):
        stored = by_key[key]
        if key in stopped:
            continue  # it would be declared twice, under two keys
        if isinstance(outcome, Unmappable):
            result.held.append(_unmappable(stored, outcome))
            continue
        before = newest.get(outcome.business_key)
        release = free.get((stored.id, outcome.type)) if key not in left else None
        app_type = _judge(result, stored, outcome, before, release)
        if app_type is not None:
            candidate = _candidate(stored, outcome, before, app_type, mapping, now)
            if release is Release.AGAINST_RULES:
                candidate = replace(candidate, is_released=True)
            origin = _origin(stored, outcome, mapping)
            going.append(_Going(stored=stored, candidate=candidate, origin=origin, before=before))
    return going


def _deletions(
    connection: Connection,
    stored: StoredRecord,
    left: Sequence[Standing],
    newest: Mapping[str, Revision],
    now: datetime,
) -> Iterator[_Going]:
    """Deletions of documents that their record says no longer."""
    guids = [one.guid for one in left]
    origins = documents.origins(connection, guids)
    for document in documents.load(connection, guids):
        before = newest[document.business_key]
        yield _Going(
            stored=stored,
            candidate=deletion(document, origins[document.guid], before, now=now),
            origin=replace(origins[document.guid], record_id=stored.id),
            before=before,
        )


def _judge(
    result: Sorted, stored: StoredRecord, mapped: Mapped, newest: Revision | None, release: Release | None
) -> AppType | None:
    """As what the content goes out; None where it does not.

    release: how an operator lets this version of the record go out; None where nobody does.
    """
    verdict = judge(newest, mapped.content.digest(), stored.id)
    app_type = AppType.NEW if verdict is Verdict.SEND else None
    if release is Release.DELETE and newest is not None and newest.is_unanswered:
        result.judged[mapped.type, mapped.business_key] = newest
        return None  # its entry stays: it is deleted when customs has accepted it
    if release is Release.DELETE and newest is not None and newest.is_held:
        app_type = AppType.DELETE
    elif release is Release.ANEW and verdict is Verdict.WAIT_TO_BE_DECLARED_ANEW:
        app_type = AppType.NEW
    elif release is not None and release is not Release.DELETE and verdict is Verdict.WAIT_FOR_OPERATOR:
        app_type = AppType.CHANGE
    elif verdict in _WAITS:
        result.judged[mapped.type, mapped.business_key] = newest
        result.held.append(_waiting(stored, mapped, verdict))
        return None
    result.sound.add((stored.record.key, mapped.type))
    return app_type


def _let_out(result: Sorted, one: _Going, judgement: Judgement) -> None:
    """Make a draft of a document, unless a rule forbids it and nobody lets it out all the same."""
    if judgement.blocks and not one.candidate.is_released:
        result.held.append(_forbidden(one, judgement))
        return
    result.drafts.append(
        Draft(
            document=one.candidate.document,
            origin=one.origin,
            source=one.stored.record.key,
            after=one.before,
            candidate=one.candidate,
            judgement=judgement,
        )
    )


def _origin(stored: StoredRecord, mapped: Mapped, mapping: DocumentMapping) -> Origin:
    return Origin(
        record_id=stored.id,
        mapping=f"{mapping.name} {mapping.version}",
        mapping_digest=mapping.digest,
        waybill=mapped.waybill,
        export_list=mapped.export_list,
        part=mapped.part,
        corrects=mapped.corrects,
    )


def _candidate(
    stored: StoredRecord,
    mapped: Mapped,
    newest: Revision | None,
    app_type: AppType,
    mapping: DocumentMapping,
    now: datetime,
) -> Candidate:
    document = Document(
        type=mapped.type,
        business_key=mapped.business_key,
        revision=newest.number + 1 if newest else 1,
        app_type=app_type,
        app_time=now,
        content=mapped.content,
    )
    return Candidate(document=document, mapped=mapped, facts=mapping.facts, returned_at=mapping.moment(stored.record))


def _forbidden(one: _Going, judgement: Judgement) -> Held:
    mapped = one.candidate.mapped
    blocking = [finding for finding in judgement.findings if finding.severity is Severity.BLOCK]
    return Held(
        record_id=one.stored.id,
        key=one.stored.record.key,
        type=mapped.type,
        business_key=mapped.business_key,
        waybill=mapped.waybill,
        export_list=mapped.export_list,
        reason=quarantine.RULE,
        faults=[
            {
                "code": finding.rule,
                "field": finding.field,
                "text": _of_part(mapped.part, f"{finding.rule}: {finding.text} ({rule_named(finding.rule).citation})"),
            }
            for finding in blocking
        ],
    )


def _unmappable(stored: StoredRecord, outcome: Unmappable) -> Held:
    return Held(
        record_id=stored.id,
        key=stored.record.key,
        type=outcome.type,
        business_key=outcome.business_key,
        waybill=outcome.waybill,
        export_list=outcome.export_list,
        reason=outcome.faults[0].code.value,
        faults=[
            {"code": fault.code.value, "field": fault.field, "text": _of_part(outcome.part, fault.text)}
            for fault in outcome.faults
        ],
    )


def _of_part(part: str, text: str) -> str:
    return f"{part}: {text}" if part else text


def _waiting(stored: StoredRecord, mapped: Mapped, verdict: Verdict) -> Held:
    reason, text = _WAITS[verdict]
    return Held(
        record_id=stored.id,
        key=stored.record.key,
        type=mapped.type,
        business_key=mapped.business_key,
        waybill=mapped.waybill,
        export_list=mapped.export_list,
        reason=reason,
        faults=[{"code": reason, "field": "", "text": text}],
    )
