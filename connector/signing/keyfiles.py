"""A signing key in a PEM file, with its certificate in another.

Everything that could make customs refuse a signature is found out when the key is loaded, not when the first message
comes back: whether the files are there and private, the pass phrase right, key and certificate of one pair, and the
certificate within its validity::

    key = load_key(settings.signing, now=datetime.now(UTC))
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from connector.config import SigningSettings, secret
from connector.errors import SigningError
from connector.signing.suites import SUITES, Suite

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKey:
    """A private key held in memory, and its certificate (a `SigningKey`)."""

    certificate: bytes = field(repr=False)
    """X.509, DER."""
    key_id: str
    """SHA-256 fingerprint of the certificate, lower-case hex."""
    key_name: str
    """Serial number in lower-case hex, 8 or 16 digits."""
    private_key: RSAPrivateKey = field(repr=False)
    suite: Suite

    def sign(self, data: bytes) -> bytes:
        """The signature value over data, as the suite encodes it."""
        return self.suite.scheme.sign(self.private_key, data)


def load_key(settings: SigningSettings, *, now: datetime) -> FileKey:
    """Read key and certificate once and make sure that they can sign.

    now: an aware time, for the validity of the certificate. Raises `SigningError` with what is wrong and what to do,
    and `ConfigurationError` when the file of the pass phrase cannot be read.
    """
    suite = SUITES[settings.suite]
    certificate = _read_certificate(settings.certificate_file)
    _require_valid(certificate, settings.certificate_file, now)
    private_key = _read_private_key(settings, suite)
    der = certificate.public_bytes(Encoding.DER)
    if suite.scheme.public_key_of(der) != private_key.public_key():
        raise _unusable(
            f"{settings.key_file} is not the private key of {settings.certificate_file}",
            "name the key and the certificate that were issued together in [signing]",
        )
    return FileKey(
        certificate=der,
        key_id=hashlib.sha256(der).hexdigest(),
        key_name=key_name_of(certificate.serial_number),
        private_key=private_key,
        suite=suite,
    )


def key_name_of(serial_number: int) -> str:
    """KeyName as customs wants it: lower-case hex, padded with 0 to 8 or 16 digits.

    >>> key_name_of(0x1691F7F)
    '01691f7f'

    Raises `SigningError` for a serial number of more than 8 bytes, which has no such form.
    """
    digits = f"{serial_number:x}"
    if len(digits) > 16:  # noqa: PLR2004 - the longer of the two forms
        raise _unusable(
            f"the serial number {digits} of the certificate is longer than 8 bytes, so it has no KeyName",
            "use a certificate that the E-Port issued, or one made by certs/make_development_pki.py",
        )
    return digits.zfill(8 if len(digits) <= 8 else 16)  # noqa: PLR2004 - the shorter one


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path, forbidden=0))
    except ValueError:
        raise _unusable(f"{path} holds no X.509 certificate in PEM", "name the certificate of the key") from None


def _require_valid(certificate: x509.Certificate, path: Path, now: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        raise _unusable(f"{path}: the certificate is not valid before {start}", "check the clock of this machine")
    if now > end:
        raise _unusable(f"{path}: the certificate expired on {end}", "have it renewed and name the new one")


def _read_private_key(settings: SigningSettings, suite: Suite) -> RSAPrivateKey:
    path = settings.key_file
    phrase = secret(settings.passphrase, settings.passphrase_file)
    try:
        key = load_pem_private_key(_read(path, forbidden=_OTHERS), phrase.encode() if phrase else None)
    except TypeError:
        if phrase:
            raise _unusable(f"{path} is not encrypted, but there is a pass phrase", "remove the pass phrase") from None
        raise _unusable(f"{path} is encrypted", "set passphrase_file or CONNECTOR_SIGNING__PASSPHRASE") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _unusable(
            f"{path}: the pass phrase is wrong, or the file holds no private key in PKCS#8 PEM",
            "check the pass phrase and the file",
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise _unusable(f"{path} holds no RSA key, which {suite.name} needs", "name an RSA key")
    return key


def _read(path: Path, *, forbidden: int) -> bytes:
    """The file's bytes, unless its mode has one of the forbidden bits."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & forbidden:
                raise _unusable(f"{path} is readable by others (mode {mode:o})", f"chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}", "name a file that this user can read in [signing]") from None


def _unusable(cause: str, remedy: str) -> SigningError:
    return SigningError(cause, effect="no message can be signed", remedy=remedy)
