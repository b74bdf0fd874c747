"""The table of signature suites: which algorithms a name stands for, and the URIs that announce them.

``rsa-sha1`` is the only entry so far. SHA-1 is weak; it is the choice of the customs specification (one of the two
suites it fixes for its messages), not ours. It is used for what the specification demands and must be allowed by name
wherever something is verified::

    suite = SUITES["rsa-sha1"]
    suite.scheme.verify(public_key, value, signed_info)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from connector.messages.namespaces import DS

ENVELOPED = f"{DS}enveloped-signature"
"""The one transform: everything but the signature itself is signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaPkcs1v15:
    """How a signature value is made with an RSA key (RFC 8017 section 8.2): as long as the modulus, no encoding."""

    hash: hashes.HashAlgorithm

    def sign(self, key: RSAPrivateKey, data: bytes) -> bytes:
        """The signature value over data."""
        return key.sign(data, PKCS1v15(), self.hash)

    def verify(self, key: RSAPublicKey, value: bytes, data: bytes) -> bool:
        """Whether value is the key's signature over data."""
        try:
            key.verify(value, data, PKCS1v15(), self.hash)
        except InvalidSignature:
            return False
        return True

    def public_key_of(self, certificate: bytes) -> RSAPublicKey | None:
        """The public key in a DER certificate; None where it is unreadable or of another kind."""
        try:
            key = x509.load_der_x509_certificate(certificate).public_key()
        except (ValueError, UnsupportedAlgorithm):
            return None
        return key if isinstance(key, RSAPublicKey) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One combination of algorithms; a signature that names any other URI is not of this suite."""

    name: str
    """What configuration and stored messages call it."""
    signature_method: str
    """URI in SignatureMethod."""
    digest_method: str
    """URI in DigestMethod."""
    canonicalization: str
    """URI in CanonicalizationMethod; the digest is over the same form."""
    hash: str
    """Name of the digest for `hashlib`."""
    scheme: RsaPkcs1v15
    """How the signature value is made and checked."""

    def digest(self, data: bytes) -> bytes:
        """The digest that goes into DigestValue."""
        return hashlib.new(self.hash, data).digest()


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        "rsa-sha1": Suite(
            name="rsa-sha1",
            signature_method=f"{DS}rsa-sha1",
            digest_method=f"{DS}sha1",
            canonicalization="http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
            hash="sha1",
            scheme=RsaPkcs1v15(hash=hashes.SHA1()),  # noqa: S303 - the specification's choice
        )
    }
)
"""Every suite there is, by name."""
