"""How a signature value is made and checked with each kind of key.

A scheme reads only keys of its own kind. That matters most for SM2 and ECDSA: a key on the SM2 curve used with ECDSA
gives a signature of the right length that nobody accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from connector.errors import SigningError
from connector.signing.sm2 import NotAnSm2Key, Sm2PrivateKey, Sm2PublicKey

_HALF = 32
"""Bytes of r, and of s."""


class WrongKey(Exception):
    """The pass phrase is wrong, or there is no key of the kind that is needed."""


class Scheme(Protocol):
    """One kind of key. What is called a key here is whatever the scheme itself reads."""

    @property
    def needs(self) -> str:
        """The kind of key in words, e.g. ``an RSA key``."""

    def from_pem(self, data: bytes, phrase: str | None) -> Any:
        """The private key in PKCS#8 PEM. Raises `WrongKey`."""

    def from_pkcs12(self, data: bytes, phrase: str | None) -> tuple[Any, bytes]:
        """Private key and certificate (DER) of a PKCS#12 file. Raises `WrongKey`."""

    def public_key(self, private_key: Any) -> Any:
        """The public half; comparable with what `public_key_of` gives."""

    def public_key_of(self, certificate: bytes) -> Any | None:
        """The public key in a DER certificate; None where it is unreadable or of another kind."""

    def sign(self, private_key: Any, data: bytes) -> bytes:
        """The signature value over data, as the suite encodes it."""

    def verify(self, public_key: Any, value: bytes, data: bytes) -> bool:
        """Whether value is the key's signature over data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByCryptography:
    """What RSA and ECDSA have in common: the package cryptography reads their keys."""

    needs: str
    kinds: tuple[type, type]
    """Classes of its private and public keys."""
    curve: str = ""
    """Name of the one curve, for kinds that have several."""
    hash: hashes.HashAlgorithm

    def from_pem(self, data: bytes, phrase: str | None) -> Any:
        """See `Scheme`."""
        try:
            return self._fitting(load_pem_private_key(data, phrase.encode() if phrase else None))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise WrongKey from None

    def from_pkcs12(self, data: bytes, phrase: str | None) -> tuple[Any, bytes]:
        """See `Scheme`."""
        try:
            found = pkcs12.load_pkcs12(data, phrase.encode() if phrase else None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise WrongKey from None
        if found.cert is None:
            raise WrongKey
        return self._fitting(found.key), found.cert.certificate.public_bytes(Encoding.DER)

    def public_key(self, private_key: Any) -> Any:
        """See `Scheme`."""
        return private_key.public_key()

    def public_key_of(self, certificate: bytes) -> Any | None:
        """See `Scheme`."""
        try:
            return self._fitting(x509.load_der_x509_certificate(certificate).public_key())
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, WrongKey):
            return None

    def _fitting(self, key: object) -> object:
        if not isinstance(key, self.kinds) or getattr(getattr(key, "curve", None), "name", "") != self.curve:
            raise WrongKey
        return key


class RsaPkcs1v15(_ByCryptography):
    """RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2): as long as the modulus, no encoding."""

    def __init__(self, hash: hashes.HashAlgorithm) -> None:  # noqa: A002 - what it is
        super().__init__(needs="an RSA key", kinds=(RSAPrivateKey, RSAPublicKey), hash=hash)

    def sign(self, private_key: RSAPrivateKey, data: bytes) -> bytes:
        """See `Scheme`."""
        return private_key.sign(data, PKCS1v15(), self.hash)

    def verify(self, public_key: RSAPublicKey, value: bytes, data: bytes) -> bool:
        """See `Scheme`."""
        try:
            public_key.verify(value, data, PKCS1v15(), self.hash)
        except InvalidSignature:
            return False
        return True


class EcdsaP256(_ByCryptography):
    """ECDSA on P-256; the value is r || s, 64 bytes (XML Signature 1.1, section 6.4.3)."""

    def __init__(self, hash: hashes.HashAlgorithm) -> None:  # noqa: A002 - what it is
        kinds = (EllipticCurvePrivateKey, EllipticCurvePublicKey)
        super().__init__(needs="an EC key on P-256", kinds=kinds, curve=SECP256R1.name, hash=hash)

    def sign(self, private_key: EllipticCurvePrivateKey, data: bytes) -> bytes:
        """See `Scheme`."""
        halves = decode_dss_signature(private_key.sign(data, ECDSA(self.hash)))
        return b"".join(half.to_bytes(_HALF) for half in halves)

    def verify(self, public_key: EllipticCurvePublicKey, value: bytes, data: bytes) -> bool:
        """See `Scheme`."""
        if len(value) != 2 * _HALF:
            return False
        der = encode_dss_signature(int.from_bytes(value[:_HALF]), int.from_bytes(value[_HALF:]))
        try:
            public_key.verify(der, data, ECDSA(self.hash))
        except InvalidSignature:
            return False
        return True


class Sm2:
    """SM2 with SM3 and the usual user id; the value is r || s, 64 bytes."""

    needs = "an SM2 key"

    def from_pem(self, data: bytes, phrase: str | None) -> Sm2PrivateKey:
        """See `Scheme`."""
        try:
            return Sm2PrivateKey.from_pem(data, phrase)
        except NotAnSm2Key:
            raise WrongKey from None

    def from_pkcs12(self, data: bytes, phrase: str | None) -> tuple[Sm2PrivateKey, bytes]:
        """See `Scheme`."""
        try:
            return Sm2PrivateKey.from_pkcs12(data, phrase)
        except NotAnSm2Key:
            raise WrongKey from None

    def public_key(self, private_key: Sm2PrivateKey) -> Sm2PublicKey:
        """See `Scheme`."""
        return private_key.public_key

    def public_key_of(self, certificate: bytes) -> Sm2PublicKey | None:
        """See `Scheme`."""
        try:
            return Sm2PublicKey.from_certificate(certificate)
        except NotAnSm2Key:
            return None

    def sign(self, private_key: Sm2PrivateKey, data: bytes) -> bytes:
        """See `Scheme`."""
        try:
            return private_key.sign(data)
        except NotAnSm2Key as error:
            raise SigningError(f"SM2: {error}", effect="the message was not signed", remedy="try again") from None

    def verify(self, public_key: Sm2PublicKey, value: bytes, data: bytes) -> bool:
        """See `Scheme`."""
        return public_key.verify(value, data)
