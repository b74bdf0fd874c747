"""Puts the concrete parts together; the only module that names them.

Adapters are imported inside the functions: a command that only reads the log should not wait for a SOAP library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

from connector.config import Settings, SigningSettings
from connector.deeds import Watch, unwatched
from connector.secret_file import secret
from connector.storage import schema
from connector.storage.database import Database, now_by_database

if TYPE_CHECKING:
    from connector.evidence.payloads import Policy
    from connector.mapping.engine import DocumentMapping
    from connector.messages.builder import Transfer
    from connector.messages.sites import Areas
    from connector.pipeline.checking import RuleBook
    from connector.pipeline.wiring import CheckpointPolicy, Collection, Connector
    from connector.signing.interface import SigningKey
    from connector.sources.database import SourceDatabase
    from connector.sources.records_file import RecordsFile
    from connector.sources.sql import SqlSource

_LEASE_MARGIN = timedelta(seconds=30)
"""A lease outlasts a call's total deadline by this."""
_COLLECTION_LEASE = timedelta(minutes=5)
_RECEIPT_HOURS = 24.0


def open_database(settings: Settings, *, watch: Watch = unwatched) -> Database:
    """Our own database, its schema checked. Raises `DatabaseUnreachable` or `SchemaVersionError`."""
    database = unchecked_database(settings, watch=watch)
    schema.check(database)
    return database


def unchecked_database(settings: Settings, *, watch: Watch = unwatched) -> Database:
    """Our own database whatever its schema; for `connector db`."""
    password = secret(settings.database.password, settings.database.password_file)
    return Database(settings.database.url, password, watch=watch)


def build_connector(
    settings: Settings, *, is_stopping: Callable[[], bool] = lambda: False, watch: Watch = unwatched
) -> Connector:
    """Everything one connector works with.

    watch: is told of every commit and every request, for tests that end the process there.

    Raises `ConfigurationError`, `MappingError`, `SchemaVersionError`, `DatabaseUnreachable` or `SigningError`, before
    anything is changed.
    """
    from connector.outbox.breaker import BreakerPolicy
    from connector.outbox.retry import RetryPolicy
    from connector.pipeline.wiring import Connector
    from connector.signing.certificates import read_certificates
    from connector.signing.envelopes import EnvelopeOpener, trusted_certificates
    from connector.signing.keyring import KeyRing, RingKey
    from connector.transport.customs import SoapCustoms

    collections = build_collections(settings)
    receipt_deadlines(settings)
    keys = KeyRing(
        [RingKey(name=name, key=load_key(one), active_from=one.active_from) for name, one in settings.signing.items()]
    )
    customs = settings.customs
    return Connector(
        database=open_database(settings, watch=watch),
        collections=collections,
        rules=rule_book(settings, collections),
        keys=keys,
        checkpoints=checkpoint_policy(settings),
        open_envelope=EnvelopeOpener(
            trusted=trusted_certificates(customs.receipt_certificate_files),
            is_required=customs.require_signed_receipts,
        ),
        tls_certificates={
            role: [one.key_id for one in read_certificates(file)]
            for role, file in (("ca", customs.ca_file), ("client", customs.client_certificate_file))
            if file is not None
        },
        customs=SoapCustoms(customs, settings.enterprise.dxp_id, watch=watch),
        submit_endpoint=customs.submit_url,
        endpoint=customs.receipts_url or customs.submit_url,
        answers_questions=customs.receipts_url is not None,
        transfer=transfer_of(settings),
        receiver=customs.receiver_id,
        policy=RetryPolicy(
            first=timedelta(seconds=customs.retry_first_seconds),
            most=timedelta(seconds=customs.retry_most_seconds),
            tries=customs.attempts,
            settle=timedelta(seconds=customs.settle_seconds),
            give_up=timedelta(hours=customs.give_up_hours),
        ),
        breaker_policy=BreakerPolicy(
            failures=customs.breaker_failures,
            open_for=timedelta(seconds=customs.breaker_open_seconds),
            probes=customs.breaker_probes,
        ),
        holder=str(uuid4()),
        lease=timedelta(seconds=customs.deadline_seconds) + _LEASE_MARGIN,
        collection_lease=_COLLECTION_LEASE,
        clock=now_by_database,
        elapsed=monotonic,
        random=SystemRandom(),
        is_stopping=is_stopping,
    )


def transfer_of(settings: Settings) -> Transfer:
    """Who transmits."""
    from connector.messages.builder import Transfer

    enterprise = settings.enterprise
    return Transfer(cop_code=enterprise.cop_code, cop_name=enterprise.cop_name, dxp_id=enterprise.dxp_id)


def checkpoint_policy(settings: Settings) -> CheckpointPolicy | None:
    """Who signs checkpoints of the log, and where they go. Raises `SigningError` or `ConfigurationError`."""
    from connector.audit.sinks import CheckpointFile
    from connector.pipeline.wiring import CheckpointPolicy
    from connector.signing.notes import NoteVerifier, load_note_signer

    audit = settings.audit
    if audit is None:
        return None
    return CheckpointPolicy(
        signer=load_note_signer(audit.origin, audit.key_file, secret(audit.passphrase, audit.passphrase_file)),
        former=[NoteVerifier.parse(key) for key in audit.former_keys],
        sinks=[CheckpointFile(audit.checkpoint_file)],
        every_entries=audit.every_entries,
        every=timedelta(seconds=audit.every_seconds),
        anchor=audit.anchor,
    )


def retention_policy(settings: Settings) -> tuple[Policy, Path]:
    """How long payloads stay, and where archives go. Raises `ConfigurationError` where nothing says."""
    from connector.errors import ConfigurationError
    from connector.evidence.payloads import Payload

    retention = settings.retention
    ages = {kind: getattr(retention, kind.value) for kind in Payload} if retention else {}
    policy = {kind: timedelta(days=days) for kind, days in ages.items() if days is not None}
    if retention is None or not policy:
        raise ConfigurationError(
            "[retention] names no payload that may leave the database",
            effect="nothing was archived",
            remedy="say there for how many days each kind stays; config/connector.toml shows it",
        )
    if not retention.folder.is_dir():
        raise ConfigurationError(
            f"[retention] folder: {retention.folder} is no folder",
            effect="nothing was archived",
            remedy="make it, readable by the connector's user alone, or correct the setting",
        )
    return policy, retention.folder


def load_key(settings: SigningSettings) -> SigningKey:
    """The key of one table, from its file or on its token. Raises `SigningError` or `ConfigurationError`."""
    if settings.pkcs11_module is None:
        from connector.signing.keyfiles import load_key as load_file_key

        return load_file_key(settings)
    try:
        from connector.signing.tokens import load_token_key
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pkcs11":
            raise
        from connector.signing.certificates import unusable

        raise unusable(
            "a key on a PKCS#11 token is configured, and the package python-pkcs11 is not installed",
            "install the extra `pkcs11`: pip install 'customs-warehouse-connector[pkcs11]'",
        ) from None
    return load_token_key(settings)


def receipt_deadlines(settings: Settings) -> dict[str, timedelta]:
    """How long each message type may lack its final answer. Raises `ConfigurationError` for a type there is not."""
    from connector.errors import ConfigurationError
    from connector.messages.catalogue import MESSAGE_TYPES

    hours = {name.upper(): value for name, value in settings.customs.receipt_hours.items()}  # variables lose their case
    if unknown := sorted(hours.keys() - MESSAGE_TYPES.keys()):
        raise ConfigurationError(
            f"[customs] receipt_hours: there is no message type {', '.join(unknown)}",
            effect="nothing was started",
            remedy=f"name only {', '.join(MESSAGE_TYPES)}",
        )
    return {name: timedelta(hours=hours.get(name, _RECEIPT_HOURS)) for name in MESSAGE_TYPES}


def build_collections(settings: Settings) -> tuple[Collection, ...]:
    """The collections that the mapping folder describes. Raises `MappingError` or `ConfigurationError`."""
    from connector.pipeline.wiring import Collection

    files, mappings = read_mappings(settings)
    databases = {name: source_database(settings, name) for name in settings.sources}
    return tuple(
        Collection(
            source=source,
            mappings=tuple(mapping for mapping in mappings if mapping.collection == name),
        )
        for name, source in sources_of(files, databases).items()
    )


def read_mappings(settings: Settings) -> tuple[Mapping[str, RecordsFile], Sequence[DocumentMapping]]:
    """The records files by collection, and the mappings, of the mapping folder. Raises `MappingError`."""
    from connector.mapping.loader import load_mappings
    from connector.sources.records_file import load_records

    files = load_records(settings.mappings, settings.sources.keys())
    shapes = {name: file.shape for name, file in files.items()}
    return files, load_mappings(settings.mappings, shapes, settings.values, settings.codes, areas_of(settings))


def rule_book(settings: Settings, collections: Sequence[Collection]) -> RuleBook:
    """What the rules know of us. Raises `ConfigurationError` where the file of offices has a fault."""
    from connector.config import shipped
    from connector.pipeline.checking import EVENT, RuleBook
    from connector.rules.facts import Area, Site
    from connector.rules.offices import load_offices

    sites = tuple(
        Site(
            code=code,
            customs_code=site.customs_code,
            exports_9610_from=site.exports_9610_from,
            exports_9610_until=site.exports_9610_until,
            areas={
                name: Area(name=name, kind=area.kind, returns_only=area.returns_only)
                for name, area in site.areas.items()
            },
        )
        for code, site in settings.sites.items()
    )
    types = {mapping.message_type.name for one in collections for mapping in one.mappings}
    return RuleBook(
        sites=sites or None,
        offices=load_offices(settings.rules.offices or shipped("config") / "offices.toml"),
        has_events=EVENT in types,
    )


def areas_of(settings: Settings) -> Areas:
    """Which functional area each location of our sites lies in."""
    from connector.messages.sites import Areas

    return Areas(
        {
            code: {place: name for name, area in site.areas.items() for place in area.locations}
            for code, site in settings.sites.items()
        }
    )


def source_database(settings: Settings, name: str) -> SourceDatabase:
    """The database of ``[sources.NAME]``, not connected yet. Raises `ConfigurationError`."""
    from connector.sources.database import SourceDatabase

    return SourceDatabase(name, settings.sources[name])


def sources_of(files: Mapping[str, RecordsFile], databases: Mapping[str, SourceDatabase]) -> dict[str, SqlSource]:
    """What reads each collection."""
    from connector.sources.sql import SqlSource

    return {name: SqlSource(file, databases) for name, file in files.items()}
