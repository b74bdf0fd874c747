"""The parts a connector is made of. `connector.bootstrap` names the concrete ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import Connection

from connector.audit.sinks import CheckpointSink
from connector.mapping.engine import DocumentMapping
from connector.messages.builder import Transfer
from connector.outbox.breaker import BreakerPolicy
from connector.outbox.retry import RetryPolicy
from connector.pipeline.checking import RuleBook
from connector.signing.envelopes import EnvelopeOpener
from connector.signing.keyring import KeyRing
from connector.signing.notes import NoteSigner, NoteVerifier
from connector.sources.interface import RecordSource
from connector.storage.database import Database
from connector.transport.interface import Customs


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One kind of fact of the enterprise, and the document types made of it."""

    source: RecordSource
    mappings: tuple[DocumentMapping, ...]

    @property
    def name(self) -> str:
        """The collection's name, e.g. ``returns``."""
        return self.source.shape.collection

    @property
    def lookups(self) -> tuple[str, ...]:
        """Every lookup that a mapping of it needs, once."""
        return tuple(dict.fromkeys(name for mapping in self.mappings for name in mapping.lookups))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPolicy:
    """Who signs checkpoints, when, and where they go."""

    signer: NoteSigner
    former: Sequence[NoteVerifier]
    """Keys that signed earlier ones."""
    sinks: Sequence[CheckpointSink]
    every_entries: int
    every: timedelta
    anchor: bool
    """Whether every message carries the last one."""

    @property
    def trusted(self) -> list[NoteVerifier]:
        """Every key that may have signed a checkpoint of this log."""
        return [self.signer.verifier, *self.former]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Everything one connector works with."""

    database: Database
    collections: tuple[Collection, ...]
    keys: KeyRing
    customs: Customs
    submit_endpoint: str
    """Where messages go; the name of its circuit breaker."""
    endpoint: str
    """Where receipts and answers come from; the name of its circuit breaker and of the receipt stream's cursor."""
    answers_questions: bool
    """Whether customs can be asked about a message."""
    rules: RuleBook
    """What the rules of customs know of us."""
    checkpoints: CheckpointPolicy | None = None
    """Who signs checkpoints of the log; None where nobody does."""
    open_envelope: EnvelopeOpener
    """Opens what customs sends, if it is signed as it must be."""
    tls_certificates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Fingerprints of what vouches for customs (``ca``) and for us (``client``) on the wire, for the log."""
    transfer: Transfer
    receiver: str
    """DXP account that receives our messages."""
    policy: RetryPolicy
    breaker_policy: BreakerPolicy
    holder: str
    """Whose leases on collections and the receipt stream are ours: another name for each process."""
    lease: timedelta
    """How long a claimed message or the receipt stream is ours; longer than a call can take."""
    collection_lease: timedelta
    """How long a collection is ours; longer than reading and mapping one page takes."""
    clock: Callable[[Connection], datetime]
    """The time now, UTC, by the database: processes on several hosts have one clock."""
    elapsed: Callable[[], float]
    """Seconds since some moment, by a clock that nobody sets and that only this process has: how often to look."""
    random: Random
    """Of pauses, and of message ids: outside of tests the operating system's, for no two may ever be the same."""
    is_stopping: Callable[[], bool]
    """Whether no new work may be begun."""

    def collection(self, name: str) -> Collection | None:
        """A collection by name."""
        return next((one for one in self.collections if one.name == name), None)


ACTOR = "connector"
"""Who the audit log names for what the connector does by itself."""
