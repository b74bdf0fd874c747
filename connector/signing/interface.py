"""What a key must do; one implementation for each kind of key store."""

from __future__ import annotations

from typing import Protocol

from connector.signing.certificates import Certificate
from connector.signing.suites import Suite


class SigningKey(Protocol):
    """A private key and its certificate. The key itself never leaves its store."""

    @property
    def certificate(self) -> Certificate:
        """The certificate of the key; its fingerprint is stored with every message the key signs."""

    @property
    def key_name(self) -> str:
        """KeyName as customs wants it: the serial number in lower-case hex, padded with 0 to 8 or 16 digits."""

    @property
    def suite(self) -> Suite:
        """What it signs with."""

    def sign(self, data: bytes) -> bytes:
        """The signature value over data, as its suite encodes it. Raises `SigningError`."""
