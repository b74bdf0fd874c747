"""What an X.509 certificate says, without asking whether its key is of a kind that the package cryptography knows.

>>> key_name_of(0x1691F7F)
'01691f7f'
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connector.errors import SigningError


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate."""

    der: bytes = field(repr=False)
    key_id: str
    """SHA-256 fingerprint, lower-case hex."""
    serial_number: int
    subject: str
    """RFC 4514."""
    issuer: str
    """RFC 4514."""
    valid_from: datetime
    valid_until: datetime

    @classmethod
    def of(cls, der: bytes) -> Certificate:
        """Read DER. Raises `ValueError`."""
        try:
            found = x509.load_der_x509_certificate(der)
            return cls(
                der=der,
                key_id=hashlib.sha256(der).hexdigest(),
                serial_number=found.serial_number,
                subject=found.subject.rfc4514_string(),
                issuer=found.issuer.rfc4514_string(),
                valid_from=found.not_valid_before_utc,
                valid_until=found.not_valid_after_utc,
            )
        except (x509.InvalidVersion, TypeError) as error:
            raise ValueError(f"no certificate: {error}") from None

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether it is within its validity then; moment: aware."""
        return self.valid_from <= moment <= self.valid_until


def certificates_in(pem: bytes) -> tuple[Certificate, ...]:
    """Every certificate in PEM, at least one. Raises `ValueError`."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from None
    return tuple(Certificate.of(one.public_bytes(Encoding.DER)) for one in found)


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """Every certificate in a PEM file, at least one. Raises `SigningError`."""
    try:
        return certificates_in(path.read_bytes())
    except OSError as error:
        raise unusable(f"{path}: {error.strerror}", "name a file that this user can read") from None
    except ValueError:
        raise unusable(f"{path} holds no X.509 certificate in PEM", "name a file with a certificate") from None


def key_name_of(serial_number: int) -> str:
    """KeyName as customs wants it: lower-case hex, padded with 0 to 8 or 16 digits.

    Raises `SigningError` for a serial number of more than 8 bytes, which has no such form.
    """
    digits = f"{serial_number:x}"
    if len(digits) > 16:  # noqa: PLR2004 - the longer of the two forms
        raise unusable(
            f"the serial number {digits} of the certificate is longer than 8 bytes, so it has no KeyName",
            "use a certificate that the E-Port issued, or one made by certs/make_development_pki.py",
        )
    return digits.zfill(8 if len(digits) <= 8 else 16)  # noqa: PLR2004 - the shorter one


def unusable(cause: str, remedy: str) -> SigningError:
    """The error for a key or certificate that nothing can be signed with."""
    return SigningError(cause, effect="nothing can be signed with it", remedy=remedy)
