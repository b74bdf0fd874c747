"""replay: build a message once more from the stored source rows, and say whether it is what was signed.

Everything that went into a message is held against what the log pinned when it was made: source rows, mappings with
their values and code lists, schema, key. Rows looked up are not stored, so lookups are read again from the enterprise's
databases; where all else is the same and a document differs, they are what changed, or the program is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from connector.audit import checkpoints
from connector.audit.checkpoints import Issued
from connector.audit.events import Event
from connector.audit.queries import EntryFilter, entries
from connector.errors import SignatureInvalid, UnreadableMessage
from connector.mapping.engine import DocumentMapping
from connector.mapping.outcomes import Unmappable
from connector.messages.builder import Transfer, build_message
from connector.messages.catalogue import Frame, MessageType, message_type, schema_digest
from connector.messages.chains import link
from connector.messages.documents import Content, Difference, Document, differences
from connector.messages.envelope import unseal
from connector.messages.parser import parse
from connector.outbox import documents, queries
from connector.outbox.documents import Origin
from connector.outbox.queries import MessageView
from connector.pipeline.packing import extension
from connector.pipeline.wiring import Collection
from connector.signing.canonical import canonical
from connector.signing.place import cut_out, signatures_in
from connector.signing.suites import SUITES
from connector.signing.verifier import verify
from connector.sources import inbox
from connector.sources.inbox import Stored
from connector.storage.database import Database

_NAMED = 5
"""Fields named of those that differ."""
_OF_CONTENT = ("source row", "mapping")
"""Inputs that are pinned and that the content of a document comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One thing that went into a message: as it was then, and as it is now."""

    name: str
    document: str = ""
    """Business key of the document it went into; empty where it is of the whole message."""
    then: str
    """Empty where nothing was recorded."""
    now: str
    """Empty where it is not at hand."""
    note: str = ""

    @property
    def state(self) -> str:
        """Same, changed, or not recorded."""
        if not self.then:
            return "not recorded"
        return "same" if self.then == self.now else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What building one message again came to."""

    message_id: str
    type: str
    signed: bytes
    """Canonical form of what was signed, without the signature; empty where the stored bytes are no message."""
    rebuilt: bytes
    """Canonical form of what was built; empty where nothing can be built."""
    inputs: Sequence[Input]

    @property
    def is_identical(self) -> bool:
        """Whether every document came from its source row, and every byte is the same."""
        remapped = all(one.now for one in self.inputs if one.name == "content")
        return remapped and bool(self.rebuilt) and self.rebuilt == self.signed

    @property
    def causes(self) -> list[str]:
        """Which inputs changed. Of a document whose row and mapping are the same, only what is not pinned can have."""
        changed = [one for one in self.inputs if one.state == "changed"]
        explained = {one.document for one in changed if one.name in _OF_CONTENT}
        names = [one.name for one in changed if one.name != "content"]
        names += [
            "lookups or the program" for one in changed if one.name == "content" and one.document not in explained
        ]
        return list(dict.fromkeys(names)) or ([] if self.is_identical else ["the program"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One document of the message, with what it was made from and what the log says about that."""

    document: Document
    origin: Origin
    row: Stored
    row_digest: str
    mapped: Mapping[str, object]
    """Detail of the entry about its mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The message as it is stored."""

    view: MessageView
    xml: bytes
    around: bytes
    """What carries the signature: the message itself, or of a bare one the envelope in the request."""
    signed: Mapping[str, object]
    """Detail of the entry about its signature."""
    anchored: Issued | None
    """The checkpoint of the audit log that it carries, if it is still at hand."""
    parts: Sequence[_Part]


def replay(database: Database, collections: Sequence[Collection], transfer: Transfer, message: MessageView) -> Replayed:
    """Build a message once more and compare. Nothing is written.

    Raises `PayloadArchived`, and `SourceUnreachable` or `SourceChanged` where a row cannot be looked up again.
    """
    with database.read() as connection:
        kept = _read(connection, message)
    kind = message_type(message.type)
    contents, inputs = _map_again(collections, kept.parts)
    rebuilt_documents = [
        replace(part.document, content=content or part.document.content)
        for part, content in zip(kept.parts, contents, strict=True)
    ]
    signed, of_signed = _what_was_signed(kept)
    rebuilt, of_rebuilt = _rebuild(kind, rebuilt_documents, transfer, kept)
    return Replayed(
        message_id=message.id,
        type=message.type,
        signed=signed,
        rebuilt=rebuilt,
        inputs=[*inputs, *of_rebuilt, *of_signed],
    )


def _read(connection: Connection, message: MessageView) -> _Kept:
    origins = documents.origins(connection, message.guids)
    signed = _detail(connection, EntryFilter(event=Event.SIGNED, message_id=message.id))
    xml = queries.signed_bytes(connection, message.id)
    is_bare = message_type(message.type).frame is Frame.BARE
    return _Kept(
        view=message,
        xml=xml,
        around=_envelope_in(queries.request_body(connection, message.id)) if is_bare else xml,
        signed=signed,
        anchored=checkpoints.of_size(connection, int(str(signed["anchor"]))) if "anchor" in signed else None,
        parts=[_part(connection, one, origins[one.guid]) for one in documents.load(connection, message.guids)],
    )


def _part(connection: Connection, document: Document, origin: Origin) -> _Part:
    row = inbox.version(connection, origin.record_id)
    collected = EntryFilter(event=Event.COLLECTED, source_key=str(row.record.key))
    mapped = EntryFilter(event=Event.MAPPED, business_key=document.business_key, document_type=document.type)
    return _Part(
        document=document,
        origin=origin,
        row=row,
        row_digest=str(_detail(connection, collected, version=row.version).get("digest", "")),
        mapped=_detail(connection, mapped, guid=document.guid),
    )


def _detail(connection: Connection, wanted: EntryFilter, **known: object) -> Mapping[str, object]:
    """Detail of the first such entry that says what is known of it; empty where there is none."""
    found = (one.detail for one in entries(connection, wanted))
    return next((one for one in found if known.items() <= one.items()), {})


def _map_again(collections: Sequence[Collection], parts: Sequence[_Part]) -> tuple[list[Content | None], list[Input]]:
    """What each document says when its row is mapped now; None where it cannot be."""
    contents: list[Content | None] = []
    inputs: list[Input] = []
    for part in parts:
        key, collection, mapping = part.document.business_key, *_mapping_of(collections, part)
        now = f"{mapping.name} {mapping.version} {mapping.digest}" if mapping else ""
        then = f"{part.mapped['mapping']} {part.mapped['mapping_digest']}" if part.mapped else ""
        note = "" if now == then else "the mapping file, its values or its codes: give their folder with --mappings DIR"
        inputs.append(Input(name="source row", document=key, then=part.row_digest, now=part.row.digest))
        inputs.append(Input(name="mapping", document=key, then=then, now=now, note=note))
        content, why = _map(collection, mapping, part)
        if mapping is not None and mapping.lookups:
            names = ", ".join(mapping.lookups)
            note = f"{names}: what was read is not stored, so it was read again"
            inputs.append(Input(name="lookups", document=key, then="", now="", note=note))
        then = str(part.mapped.get("content", ""))
        stored = part.document.content
        inputs.append(Input(name="stored content", document=key, then=then, now=stored.digest()))
        note = _told(differences(stored, content)) if content else f"{why}; the stored content stands in for it"
        inputs.append(
            Input(name="content", document=key, then=then, now=content.digest() if content else "", note=note)
        )
        contents.append(content)
    return contents, inputs


def _mapping_of(collections: Sequence[Collection], part: _Part) -> tuple[Collection | None, DocumentMapping | None]:
    collection = next((one for one in collections if one.name == part.row.record.key.collection), None)
    made = [
        mapping
        for mapping in (collection.mappings if collection else ())
        if (mapping.message_type.name, mapping.document) == (part.document.type, part.origin.part.partition("/")[0])
    ]
    then = [mapping for mapping in made if f"{mapping.name} {mapping.version}" == part.origin.mapping]
    for mapping in then or made:
        return collection, mapping
    return collection, None


def _map(collection: Collection | None, mapping: DocumentMapping | None, part: _Part) -> tuple[Content | None, str]:
    """The content, or why there is none."""
    if collection is None or mapping is None:
        return None, f"no mapping makes a {part.document.type} of {part.row.record.key}"
    lookups = collection.source.look_up(mapping.lookups, [part.row.record])
    key, origin = part.row.record.key, part.origin
    for outcome in mapping.apply(part.row.record, lookups):
        if outcome.part != origin.part:
            continue
        if isinstance(outcome, Unmappable):
            return None, outcome.faults[0].text
        chain = mapping.message_type.chain
        told = outcome.content
        return link(told, chain, key, part=origin.part, corrects=origin.corrects) if chain else told, ""
    return None, f"its mapping makes no {origin.part} of {key} any more"


def _told(found: Sequence[Difference]) -> str:
    """The first of the values that differ."""
    told = [f"{one.field}: {one.then} became {one.now}" for one in found[:_NAMED]]
    return "; ".join(told + ([f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []))


def _rebuild(
    kind: MessageType, contents: Sequence[Document], transfer: Transfer, kept: _Kept
) -> tuple[bytes, list[Input]]:
    schema = Input(name="schema", then=str(kept.signed.get("schema", "")), now=schema_digest(kind.schema))
    try:
        added = extension(kept.anchored) if kept.anchored else None
        root = build_message(kind, contents, transfer, kept.view.id.upper(), added)
    except UnreadableMessage as error:
        return b"", [replace(schema, note=error.cause)]
    inputs = [schema, _enterprise(kept, transfer)]
    if "anchor" in kept.signed:
        now = _fingerprint(extension(kept.anchored).text) if kept.anchored else ""
        inputs.append(Input(name="checkpoint", then=_fingerprint(_extension_in(kept.xml)), now=now))
    return canonical(root, SUITES[kept.view.suite]), inputs


def _envelope_in(body: bytes) -> bytes:
    """The DxpMsg in a request; empty where nothing can be read."""
    try:
        found = next(parse(body).iter("{*}content", "content"), None)
    except UnreadableMessage:
        return b""
    return (found.text or "").encode() if found is not None else b""


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _extension_in(xml: bytes) -> str:
    """What a message carries of our own; empty where nothing can be read."""
    try:
        found = parse(xml).find("{*}ExtendMessage/{*}Message/text")
    except UnreadableMessage:
        return ""
    return (found.text or "") if found is not None else ""


def _enterprise(kept: _Kept, transfer: Transfer) -> Input:
    then = ""
    try:
        found = parse(kept.xml).find("{*}BaseTransfer")
    except UnreadableMessage:
        found = None
    if found is not None:
        then = " ".join(found.findtext(f"{{*}}{name}") or "" for name in ("copCode", "copName", "dxpId"))
    now = f"{transfer.cop_code} {transfer.cop_name} {transfer.dxp_id}"
    return Input(name="[enterprise]", then=then, now=now)


def _what_was_signed(kept: _Kept) -> tuple[bytes, list[Input]]:
    """The canonical form that was hashed, and whether the stored bytes and their signature are what the log says."""
    pinned = str(kept.signed.get("key_id", ""))
    digest = Input(
        name="signed bytes",
        then=str(kept.signed.get("digest", "")),
        now=hashlib.sha256(kept.xml).hexdigest(),
    )
    suite = SUITES[kept.view.suite]
    try:
        root = parse(kept.xml)
        for signature in signatures_in(root):
            cut_out(signature)
        signed = canonical(root, suite)
        verified = verify(kept.around, suites={suite.name}, fingerprints={pinned})
        if kept.around is not kept.xml and unseal(verified.content).data != kept.xml:
            raise SignatureInvalid("the signed envelope holds another message")  # noqa: TRY301 - told below
        key_id, note = verified.key_id, "its signature verifies"
    except UnreadableMessage as error:
        signed, key_id, note = b"", "", error.cause
    except SignatureInvalid as error:
        key_id, note = "", error.cause
    return signed, [digest, Input(name="key", then=pinned, now=key_id, note=note)]
