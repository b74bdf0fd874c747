"""A signing key on a PKCS#11 token, with its certificate in a file; RSA, and ECDSA on P-256.

The private key never leaves the token. As with keys in files, what could make customs refuse a signature is found when
the key is loaded: random data is signed, and the signature must verify with the certificate. SM2 is not here, because
each vendor of SM2 tokens has mechanisms of its own; another implementation of `SigningKey` may speak one of them::

    key = load_token_key(settings.signing["main"])
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from pkcs11.mechanisms import KeyType, Mechanism
from pydantic import SecretStr

from connector.config import SigningSettings
from connector.secret_file import secret
from connector.signing.certificates import Certificate, key_name_of, read_certificates, unusable
from connector.signing.schemes import EcdsaP256, RsaPkcs1v15
from connector.signing.suites import SUITES, Suite
from connector.signing.token_session import FoundKey, PrivateKeyLabel, Token, token_at

_P256 = bytes.fromhex("06082a8648ce3d030107")
_SM2 = bytes.fromhex("06082a811ccf5501822d")
"""1.2.156.10197.1.301: a key there would make ECDSA signatures of the right length that nobody accepts."""

_SHA1_DIGEST_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
"""What stands before a SHA-1 digest in an RSA signature (RFC 8017, section 9.2, note 1)."""
_PROBE = 32
"""Bytes signed to see whether key and certificate belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a token is asked for a signature value as a suite encodes it."""

    mechanism: Mechanism
    prepare: Callable[[bytes], bytes]
    """From the data to what the token is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A private key on a token, and its certificate (a `SigningKey`). Threads may share it."""

    certificate: Certificate
    key_name: str
    """Serial number in lower-case hex, 8 or 16 digits."""
    suite: Suite
    label: PrivateKeyLabel
    token: Token = field(repr=False)
    pin: SecretStr = field(repr=False)
    way: _Way = field(repr=False)
    public_key: Any = field(repr=False)
    """That of the certificate, as the suite's scheme reads it."""

    def sign(self, data: bytes) -> bytes:
        """The signature value over data, as the suite encodes it. Raises `SigningError`."""
        return self.token.sign(
            self.label,
            self.pin,
            self.way.prepare(data),
            mechanism=self.way.mechanism,
            verifies=lambda value: self.suite.scheme.verify(self.public_key, value, data),
        )


def load_token_key(settings: SigningSettings) -> TokenKey:
    """Log in, find the key, and make sure that it belongs to the certificate.

    Raises `SigningError` with what is wrong and what to do, and `ConfigurationError` when the file of the PIN cannot be
    read, or others can read it.
    """
    assert settings.pkcs11_module is not None
    assert settings.pkcs11_token is not None
    assert settings.pkcs11_key is not None
    assert settings.certificate_file is not None
    suite = SUITES[settings.suite]
    _require_token_suite(suite)
    certificate = read_certificates(settings.certificate_file)[0]
    public_key = suite.scheme.public_key_of(certificate.der)
    if public_key is None:
        raise unusable(
            f"{settings.certificate_file} is not the certificate of {suite.scheme.needs}",
            f"{suite.name} needs {suite.scheme.needs}, on the token and in the certificate",
        )
    pin = SecretStr(secret(settings.passphrase, settings.passphrase_file) or "")
    if not pin:
        raise unusable(
            f"the token {settings.pkcs11_token!r} needs its PIN",
            "set passphrase_file, or the passphrase by the environment",
        )
    label = PrivateKeyLabel(settings.pkcs11_key)
    token = token_at(settings.pkcs11_module.resolve(), settings.pkcs11_token)  # one library, however it is spelled
    key = TokenKey(
        certificate=certificate,
        key_name=key_name_of(certificate.serial_number),
        suite=suite,
        label=label,
        token=token,
        pin=pin,
        way=_way(suite, token.log_in(label, pin), f"private key {label!r} of the token {token.label!r}"),
        public_key=public_key,
    )
    key.sign(os.urandom(_PROBE))
    return key


def _require_token_suite(suite: Suite) -> None:
    if not isinstance(suite.scheme, RsaPkcs1v15 | EcdsaP256):
        raise unusable(
            f"{suite.name} is not for keys on PKCS#11 tokens: SM2 tokens differ from vendor to vendor",
            "name an SM2 key by key_file, or the suite rsa-sha1 for an RSA key on a token",
        )


def _way(suite: Suite, found: FoundKey, name: str) -> _Way:
    """How this key makes signatures of the suite. Raises `SigningError` when it cannot."""
    scheme = suite.scheme
    if found.curve == _SM2:
        raise unusable(
            f"{name} is on the SM2 curve, and ECDSA on it is no signature that anyone accepts",
            f"{suite.name} needs {scheme.needs}; name an SM2 key by key_file",
        )
    is_fit = (
        found.kind == KeyType.RSA
        if isinstance(scheme, RsaPkcs1v15)
        else found.kind == KeyType.EC and found.curve in {_P256, None}
    )
    if not is_fit:
        raise unusable(f"{name} is not {scheme.needs}", f"{suite.name} needs {scheme.needs}; correct pkcs11_key")
    if not found.may_sign:
        raise unusable(f"{name} may not sign (CKA_SIGN)", "name a key that was made for signing")
    if isinstance(scheme, EcdsaP256):
        return _Way(mechanism=Mechanism.ECDSA, prepare=lambda data: _digest(scheme.hash, data))
    if Mechanism.SHA1_RSA_PKCS in found.mechanisms:
        return _Way(mechanism=Mechanism.SHA1_RSA_PKCS, prepare=lambda data: data)
    # Newer tokens refuse to hash with SHA-1 themselves, and sign what was hashed elsewhere.
    sha1 = hashes.SHA1()  # noqa: S303 - the specification's choice
    return _Way(mechanism=Mechanism.RSA_PKCS, prepare=lambda data: _SHA1_DIGEST_INFO + _digest(sha1, data))


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    made = hashes.Hash(algorithm)
    made.update(data)
    return made.finalize()
