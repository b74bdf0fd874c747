"""preview: what a source record would say if it were declared now. Nothing is stored, signed or sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree
from sqlalchemy import Connection

from connector.errors import UnreadableMessage, UsageError
from connector.mapping.engine import DocumentMapping
from connector.mapping.outcomes import Mapped, Unmappable
from connector.messages.builder import Transfer, build_message
from connector.messages.documents import AppType, Difference, Document, differences
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import documents
from connector.outbox.queries import content
from connector.pipeline.checking import Bench, Candidate, RuleBook
from connector.pipeline.linking import linked
from connector.pipeline.wiring import Collection
from connector.rules.rule import Severity
from connector.storage.database import Database, now_by_database

_GUID = "00000000-0000-0000-0000-000000000000"
"""Of a message that is never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One record in one message type."""

    type: str
    mapping: str
    business_key: str
    xml: str
    """The unsigned message, indented; empty where there is none."""
    faults: Sequence[str]
    """Why there is none, or why schema or rules refuse it."""
    remarks: Sequence[str]
    """What the rules say besides."""
    revision: int
    """The newest that was made under the key; 0 where there is none."""
    is_same: bool
    """Whether it says exactly what that revision says."""
    differences: Sequence[Difference]
    """From that revision; none where its content was archived."""


def preview(
    database: Database,
    collections: Sequence[Collection],
    transfer: Transfer,
    rules: RuleBook,
    key: str,
    *,
    type_: str | None,
) -> list[Preview]:
    """Map the record as it stands in the source now, in every message type that is made of it, or in one.

    key: of the record in its source, with or without its collection: ``RK10000001`` or ``returns/RK10000001``. Raises
    `UsageError` for an unknown key, `SourceUnreachable`, `SourceChanged`.
    """
    outcomes = []
    for collection in collections:
        name = key.removeprefix(f"{collection.name}/")
        record = collection.source.current(SourceKey(collection=collection.name, key=name))
        if record is None:
            continue
        if not isinstance(record, SourceRecord):
            raise UsageError(f"{collection.name}/{name}: {record.reason}", remedy="correct the row in the source")
        mappings = [one for one in collection.mappings if type_ in {None, one.message_type.name}]
        lookups = collection.source.look_up(collection.lookups, [record])
        outcomes += [(one, record, outcome) for one in mappings for outcome in one.apply(record, lookups)]
    if not outcomes:
        raise UsageError(
            f"no source has a record {key}" + (f" that a {type_} is made of" if type_ else ""),
            remedy="give the key that the record has in its source, e.g. RK10000001 or returns/RK10000001",
        )
    with database.read() as connection:
        return [
            _one(connection, mapping, record, outcome, transfer, rules)
            for mapping, record, mapped in outcomes
            for _, outcome in linked(connection, mapping.message_type, [(record.key, mapped)])
        ]


def _one(
    connection: Connection,
    mapping: DocumentMapping,
    record: SourceRecord,
    outcome: Mapped | Unmappable,
    transfer: Transfer,
    rules: RuleBook,
) -> Preview:
    kind, key = mapping.message_type, outcome.business_key
    newest = documents.newest_revisions(connection, kind.name, [key]).get(key) if key else None
    xml, changed, is_same = "", [], False
    faults: list[str] = []
    remarks: list[str] = []
    if isinstance(outcome, Unmappable):
        faults = [fault.text for fault in outcome.faults]
    else:
        document = Document(
            type=kind.name,
            business_key=key,
            revision=newest.number if newest else 1,
            app_type=AppType.NEW,
            app_time=now_by_database(connection),
            content=outcome.content,
        )
        try:
            root = build_message(kind, [document], transfer, _GUID)
            xml = etree.tostring(root, pretty_print=True, encoding="unicode")
        except UnreadableMessage as error:
            faults = [error.cause]
        returned_at = mapping.moment(record)
        candidate = Candidate(document=document, mapped=outcome, facts=mapping.facts, returned_at=returned_at)
        for finding in Bench(rules).judge(connection, [candidate])[0].findings:
            where = faults if finding.severity is Severity.BLOCK else remarks
            where.append(f"{finding.rule}: {finding.text}")
        then = content(connection, newest.guid) if newest else None
        changed = differences(then, outcome.content) if then else []
        is_same = newest is not None and newest.content_digest == outcome.content.digest()
    return Preview(
        type=kind.name,
        mapping=f"{mapping.name} {mapping.version}",
        business_key=key,
        xml=xml,
        faults=faults,
        remarks=remarks,
        revision=newest.number if newest else 0,
        is_same=is_same,
        differences=changed,
    )
