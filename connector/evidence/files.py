"""The files that audit entries are about: each is found again, and is exactly what its entry holds a SHA-256 of."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from connector.audit.events import Event, Recorded
from connector.errors import AuditLogInvalid, UnreadableMessage
from connector.messages.namespaces import DS, tag
from connector.messages.parser import parse
from connector.pipeline.wiring import Connector
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGE_BYTES
from connector.storage.receipts import RECEIPT_ENVELOPES
from connector.storage.sources import SOURCE_RECORDS


@dataclass(slots=True, kw_only=True)
class EvidenceFiles:
    """Files by path, the entries that vouch for them, and what is not there any more."""

    files: dict[str, bytes] = field(default_factory=dict)
    bound: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Path: name in the detail of an entry, and the number of the entry."""
    missing: list[str] = field(default_factory=list)

    def bind(self, path: str, content: bytes | None, entry: Recorded, name: str) -> None:
        """Take a file that an entry names by its SHA-256. Raises `AuditLogInvalid` when it is not that file.

        What was archived has left no file, or an empty one.
        """
        is_same = content is not None and hashlib.sha256(content).hexdigest() == entry.detail.get(name)
        if content is None or not (content or is_same):
            self.missing.append(path)
            return
        if not is_same:
            raise AuditLogInvalid(
                f"{path} is not what audit entry {entry.sequence} says it was ({name}): it was altered",
                effect="nothing was written",
                remedy="keep the database as it is, and find out who changed it; `connector audit show "
                f"{entry.sequence}` shows what was logged",
            )
        if path not in self.files:
            self.files[path], self.bound[path] = content, (name, entry.sequence)


def files_of(connector: Connector, connection: Connection, entries: Sequence[Recorded]) -> EvidenceFiles:
    """Every file that the entries are about."""
    found = EvidenceFiles()
    mappings = {one.digest: one.basis for collection in connector.collections for one in collection.mappings}
    for entry in entries:
        match entry.event:
            case Event.COLLECTED:
                found.bind(f"rows/{entry.sequence}.json", _row(connection, entry), entry, "digest")
            case Event.MAPPED:
                guid, mapping = str(entry.detail["guid"]), str(entry.detail["mapping_digest"])
                found.bind(f"documents/{guid}.json", _document(connection, guid), entry, "content")
                found.bind(f"mappings/{mapping}.json", _text(mappings.get(mapping)), entry, "mapping_digest")
            case Event.SIGNED:
                xml = _part(connection, entry, "xml")
                found.bind(f"messages/{entry.message_id}.xml", xml, entry, "digest")
                _certificate(found, xml, entry, "key_id")
            case Event.ATTEMPTED if entry.detail["kind"] == "send":
                found.bind(f"requests/{entry.message_id}.xml", _part(connection, entry, "body"), entry, "request")
            case Event.ANSWERED if entry.detail["response"]:
                path = f"responses/{entry.message_id}-{entry.detail['attempt']}"
                found.bind(path, _response(connection, entry), entry, "response")
            case Event.RECEIPT_TAKEN | Event.RECEIPT_UNREADABLE:
                _receipt(found, connection, entry)
    found.missing = sorted(set(found.missing))
    return found


def _text(text: str | None) -> bytes | None:
    """As it was hashed: see `connector.messages.records.digest`."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _row(connection: Connection, entry: Recorded) -> bytes | None:
    table = SOURCE_RECORDS.c
    collection, _, key = entry.source_key.partition("/")
    of_version = (table.collection == collection, table.key == key, table.version == entry.detail["version"])
    return _text(connection.execute(select(table.body).where(*of_version)).scalar())


def _document(connection: Connection, guid: str) -> bytes | None:
    return _text(connection.execute(select(DOCUMENTS.c.content).where(DOCUMENTS.c.guid == guid)).scalar())


def _part(connection: Connection, entry: Recorded, column: str) -> bytes | None:
    table = MESSAGE_BYTES.c
    return _bytes(connection.execute(select(table[column]).where(table.message_id == entry.message_id)).scalar())


def _response(connection: Connection, entry: Recorded) -> bytes | None:
    table = ATTEMPTS.c
    of_attempt = (table.message_id == entry.message_id, table.number == entry.detail["attempt"])
    return _bytes(connection.execute(select(table.response).where(*of_attempt)).scalar())


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def _receipt(found: EvidenceFiles, connection: Connection, entry: Recorded) -> None:
    """Customs numbers its envelopes at each address anew, so there may be several of one number."""
    number, digest, table = entry.detail["sequence"], entry.detail.get("content"), RECEIPT_ENVELOPES.c
    kept = [bytes(one) for one in connection.execute(select(table.content).where(table.sequence == number)).scalars()]
    if digest is None:  # an entry of an earlier version, which did not hold it: nothing vouches for any of them
        return
    path = f"receipts/{number}.xml"
    # The one that it is about; else one that was archived, which has nothing left; else whatever is there in its place.
    kept.sort(key=lambda one: (hashlib.sha256(one).hexdigest() != digest, len(one) > 0))
    content = kept[0] if kept else None
    if found.files.get(path, content) != content:
        path = f"receipts/{number}-{entry.sequence}.xml"
    found.bind(path, content, entry, "content")
    _certificate(found, content, entry, "signed_by")


def _certificate(found: EvidenceFiles, xml: bytes | None, entry: Recorded, name: str) -> None:
    """The certificate of whoever signed, as it stands in what was signed."""
    fingerprint = entry.detail[name]
    if xml is None or not fingerprint:
        return
    try:
        texts = [one.text or "" for one in parse(xml).iter(tag(DS, "X509Certificate"))]
        certificates = [base64.b64decode(text) for text in texts]
    except (UnreadableMessage, ValueError):
        certificates = []
    by_fingerprint = {hashlib.sha256(one).hexdigest(): one for one in certificates}
    found.bind(f"certificates/{fingerprint}.der", by_fingerprint.get(str(fingerprint)), entry, name)
