"""The keys that may sign, each from a moment on: at any time the one that became active last.

A new key is named beside the old one before its time comes, and takes over by itself. Customs accepts both in the
meantime. A key whose certificate has expired signs nothing; what it signed before stays as it is::

    ring = KeyRing([RingKey(name="main", key=key, active_from=None)])
    signed = ring.at(now).sign(root)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.signing.certificates import unusable
from connector.signing.interface import SigningKey
from connector.signing.signer import Signer

_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RingKey:
    """A key and when it begins to sign."""

    name: str
    """Of its table in the configuration, e.g. ``main``."""
    key: SigningKey
    active_from: datetime | None
    """None: it always could."""


class KeyRing:
    """Every key of the configuration. Threads may share it."""

    def __init__(self, keys: Sequence[RingKey]) -> None:
        self._keys = sorted(keys, key=lambda one: one.active_from or _EVER)
        self._signers = {one.name: Signer(one.key) for one in self._keys}
        for one in self._keys:
            if one.active_from is not None and not one.key.certificate.is_valid_at(one.active_from):
                raise unusable(
                    f"[signing.{one.name}]: its certificate is not valid at its active_from {one.active_from}",
                    "have it begin to sign within the validity of its certificate",
                )

    @property
    def keys(self) -> Sequence[RingKey]:
        """All of them, in the order in which they become active."""
        return self._keys

    def active(self, now: datetime) -> RingKey:
        """The key that signs now; now: aware. Raises `SigningError` when none does, or its certificate is not valid."""
        begun = [one for one in self._keys if (one.active_from or _EVER) <= now]
        if not begun:
            first = self._keys[0]
            raise unusable(
                f"no key is active yet: [signing.{first.name}] will be from {first.active_from}",
                "name the key in use until then as well",
            )
        found = begun[-1]
        certificate = found.key.certificate
        if now < certificate.valid_from:
            raise unusable(
                f"[signing.{found.name}]: the certificate is not valid before {certificate.valid_from}",
                "check the clock of this machine and of the database",
            )
        if now > certificate.valid_until:
            raise unusable(
                f"[signing.{found.name}]: the certificate expired on {certificate.valid_until}",
                "have it renewed, add the new key with its certificate, and send SIGHUP or start again",
            )
        return found

    def at(self, now: datetime) -> Signer:
        """What signs now. Raises `SigningError`, as `active` does."""
        return self._signers[self.active(now).name]
