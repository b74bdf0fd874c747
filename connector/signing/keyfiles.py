"""A signing key in a file: PKCS#8 PEM with its certificate in another, or PKCS#12 with both.

Everything that could make customs refuse a signature is found out when the key is loaded, not when the first message
comes back: whether the files are there and private, the pass phrase right, key and certificate of one pair. Whether the
certificate is within its validity is asked when it is to sign (`keyring`)::

    key = load_key(settings.signing["main"])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector.config import SigningSettings
from connector.secret_file import NotPrivate, read_private, secret
from connector.signing.certificates import Certificate, key_name_of, read_certificates, unusable
from connector.signing.schemes import WrongKey
from connector.signing.suites import SUITES, Suite

_PEM = b"-----BEGIN "


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKey:
    """A private key held in memory, and its certificate (a `SigningKey`)."""

    certificate: Certificate
    key_name: str
    """Serial number in lower-case hex, 8 or 16 digits."""
    suite: Suite
    private_key: Any = field(repr=False)
    """As the suite's scheme reads it."""

    def sign(self, data: bytes) -> bytes:
        """The signature value over data, as the suite encodes it."""
        return self.suite.scheme.sign(self.private_key, data)


def load_key(settings: SigningSettings) -> FileKey:
    """Read key and certificate once and make sure that they belong together.

    Raises `SigningError` with what is wrong and what to do, and `ConfigurationError` when the file of the pass phrase
    cannot be read, or others can read it.
    """
    assert settings.key_file is not None  # what is on a token is loaded by `tokens`
    phrase = secret(settings.passphrase, settings.passphrase_file)
    return read_key(settings.suite, settings.key_file, settings.certificate_file, phrase)


def read_key(suite_name: str, key_file: Path, certificate_file: Path | None, phrase: str | None = None) -> FileKey:
    """The same, for a key of any suite. Raises `SigningError`."""
    suite = SUITES[suite_name]
    private_key, inside = _read_private_key(key_file, phrase, suite)
    if certificate_file is not None:
        certificate = read_certificates(certificate_file)[0]
    elif inside is not None:
        certificate = inside
    else:
        raise unusable(f"{key_file} holds no certificate", "name its certificate_file")
    if suite.scheme.public_key_of(certificate.der) != suite.scheme.public_key(private_key):
        raise unusable(
            f"{key_file} is not the private key of {certificate_file or 'its certificate'}",
            "name the key and the certificate that were issued together",
        )
    return FileKey(
        certificate=certificate,
        key_name=key_name_of(certificate.serial_number),
        private_key=private_key,
        suite=suite,
    )


def _read_private_key(path: Path, phrase: str | None, suite: Suite) -> tuple[Any, Certificate | None]:
    """The key, and the certificate where the file holds one too."""
    data = read_key_file(path)
    is_pem = data.lstrip().startswith(_PEM)
    if is_pem:
        require_phrase_fits(path, phrase, encrypted=b"ENCRYPTED" in data)
    try:
        if is_pem:
            return suite.scheme.from_pem(data, phrase), None
        key, der = suite.scheme.from_pkcs12(data, phrase)
        return key, Certificate.of(der)
    except WrongKey:
        form = "PKCS#8 PEM" if is_pem else "PKCS#12"
        raise unusable(
            f"{path}: the pass phrase is wrong, or the file does not hold {suite.scheme.needs} in {form}",
            f"check the pass phrase and the file; {suite.name} needs {suite.scheme.needs}",
        ) from None


def require_phrase_fits(path: Path, phrase: str | None, *, encrypted: bool) -> None:
    """Raise `SigningError` where a pass phrase is missing or too many."""
    if encrypted and not phrase:
        raise unusable(f"{path} is encrypted", "set passphrase_file, or the passphrase by the environment")
    if phrase and not encrypted:
        raise unusable(f"{path} is not encrypted, but there is a pass phrase", "remove the pass phrase")


def read_key_file(path: Path) -> bytes:
    """The bytes of a file that nobody else may read. Raises `SigningError`."""
    try:
        return read_private(path)
    except NotPrivate as error:
        raise unusable(str(error), f"chmod 600 {path}") from None
    except OSError as error:
        raise unusable(f"{path}: {error.strerror}", "name a file that this user can read") from None
