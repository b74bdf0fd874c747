"""The checks in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from connector.bootstrap import receipt_deadlines
from connector.config import Settings
from connector.doctor import customs, enterprise, records, signing
from connector.doctor.findings import Finding, faults, ok
from connector.errors import ConnectorError

Look: TypeAlias = Callable[[Settings], Iterator[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part of the examination."""

    name: str
    look: Look
    """Yields what it finds; a `ConnectorError` that it raises becomes its last finding."""


def configuration(settings: Settings) -> Iterator[Finding]:
    """What only shows once the file is read; its faults show before there are settings."""
    receipt_deadlines(settings)
    yield ok("configuration", "the file and the environment make sense")


OFFLINE_CHECKS: Sequence[Check] = (
    Check(name="configuration", look=configuration),
    Check(name="keys", look=signing.keys),
    Check(name="certificates", look=signing.certificates),
    Check(name="TLS", look=customs.tls),
    Check(name="receipts", look=customs.receipts),
    Check(name="database", look=records.database),
    Check(name="audit log", look=records.audit_log),
    Check(name="mappings", look=enterprise.mappings),
    Check(name="sources", look=enterprise.sources),
    Check(name="collections", look=enterprise.collections),
)
"""All but customs. The databases are asked, wherever they are."""

CHECKS: Sequence[Check] = (*OFFLINE_CHECKS, Check(name="customs", look=customs.addresses))
"""All of them."""


def examine(settings: Settings, checks: Sequence[Check]) -> Iterator[Finding]:
    """What the checks find, each as soon as it is known."""
    for check in checks:
        try:
            yield from check.look(settings)
        except ConnectorError as error:
            yield from faults(check.name, error)
