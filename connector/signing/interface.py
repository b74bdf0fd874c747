"""What a key must do; one implementation for each kind of key store."""

from __future__ import annotations

from typing import Protocol


class SigningKey(Protocol):
    """A private key and its certificate. The key itself never leaves its store."""

    @property
    def certificate(self) -> bytes:
        """The X.509 certificate, DER."""

    @property
    def key_id(self) -> str:
        """SHA-256 fingerprint of the certificate, lower-case hex; stored with every message the key signs."""

    @property
    def key_name(self) -> str:
        """KeyName as customs wants it: the serial number in lower-case hex, padded with 0 to 8 or 16 digits."""

    def sign(self, data: bytes) -> bytes:
        """The signature value over data, as its suite encodes it. Raises `SigningError`."""
