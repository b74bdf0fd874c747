"""Checks of what signs: keys, their suites, and every certificate's end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from connector.bootstrap import load_key
from connector.config import Settings
from connector.doctor.findings import Finding, ending, faults, ok, warning
from connector.errors import ConnectorError
from connector.signing.expiry import THRESHOLDS, in_use, warnings
from connector.signing.keyring import KeyRing, RingKey
from connector.signing.watched import read_watched


def keys(settings: Settings) -> Iterator[Finding]:
    """Each key loads and fits its certificate; which one signs now, and which later."""
    loaded = []
    for name, one in settings.signing.items():
        check = f"key {name}"
        try:
            key = load_key(one)
        except ConnectorError as error:
            yield from faults(check, error)
            continue
        loaded.append(RingKey(name=name, key=key, active_from=one.active_from))
        yield ok(check, f"loads and fits its certificate {key.certificate.subject}; KeyName {key.key_name}")
        if key.suite.weakness:
            yield warning(
                check,
                f"it signs with {key.suite.name}, which is weak: {key.suite.weakness}",
                "nothing, as long as customs knows no other certificate of yours",
            )
    if len(loaded) < len(settings.signing):
        yield warning("keys", "which key signs cannot be told", "correct the key named above first")
        return
    yield from _turns(KeyRing(loaded), datetime.now(UTC))


def _turns(ring: KeyRing, now: datetime) -> Iterator[Finding]:
    try:
        yield ok("keys", f"[signing.{ring.active(now).name}] signs now")
    except ConnectorError as error:
        yield from faults("keys", error)
    for one in ring.keys:
        if one.active_from is not None and one.active_from > now:
            yield ok("keys", f"[signing.{one.name}] signs from {one.active_from} on")


def certificates(settings: Settings) -> Iterator[Finding]:
    """No certificate is expired, nor ends soon."""
    now = datetime.now(UTC)
    watched, unreadable = read_watched(settings)
    for error in unreadable:
        yield from faults("certificates", error)
    watched = in_use(watched, now)
    found = warnings(watched, now)
    for one in found:
        yield ending("certificates", one)
    if watched and not found:
        first = min(watched, key=lambda one: one.certificate.valid_until)
        yield ok(
            "certificates",
            f"{len(watched)} in use, none of which ends within {max(THRESHOLDS)} days; "
            f"the first to end is that of {first.use.role}, in {first.days_left(now)} days",
        )
