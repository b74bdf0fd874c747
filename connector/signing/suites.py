"""The table of signature suites: which algorithms a name stands for, and the URIs that announce them.

The customs specification (edition 202205) fixes two for its messages: ``sm2-sm3``, its first choice, and ``rsa-sha1``,
which older certificates need. SHA-1 is weak; that is the specification's choice, not ours, so it is used for what the
specification demands and must be allowed by name wherever something is verified. ``ecdsa-p256-sha256`` is for what is
ours alone: the envelopes of the simulated office::

    suite = SUITES["rsa-sha1"]
    suite.scheme.verify(public_key, value, signed_info)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes

from connector.messages.namespaces import DS
from connector.signing.schemes import EcdsaP256, RsaPkcs1v15, Scheme, Sm2

ENVELOPED = f"{DS}enveloped-signature"
"""The transform of every suite: everything but the signature itself is signed."""

INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
"""Canonical XML 1.0 without comments."""

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
"""Exclusive XML Canonicalization 1.0 without comments."""

_CUSTOMS = "http://www.chinaport.gov.cn/2022/04/xmldsig#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One combination of algorithms; a signature that names any other URI is not of this suite."""

    name: str
    """What configuration and stored messages call it."""
    signature_method: str
    """URI in SignatureMethod."""
    digest_method: str
    """URI in DigestMethod."""
    canonicalization: str = INCLUSIVE
    """URI in CanonicalizationMethod; the digest is over the same form."""
    transforms: tuple[str, ...] = (ENVELOPED,)
    """URIs in Transform, in order."""
    hash: hashes.HashAlgorithm
    """Makes DigestValue."""
    scheme: Scheme
    """How the signature value is made and checked."""
    weakness: str = ""
    """What is wrong with it, in words; empty when nothing is known."""

    @property
    def is_exclusive(self) -> bool:
        """Whether the canonical form leaves out namespaces that are not used."""
        return self.canonicalization == EXCLUSIVE

    def digest(self, data: bytes) -> bytes:
        """The digest that goes into DigestValue."""
        made = hashes.Hash(self.hash)
        made.update(data)
        return made.finalize()


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite(
                name="sm2-sm3",
                signature_method=f"{_CUSTOMS}sm2-sm3",
                digest_method=f"{_CUSTOMS}sm3",
                hash=hashes.SM3(),
                scheme=Sm2(),
            ),
            Suite(
                name="rsa-sha1",
                signature_method=f"{DS}rsa-sha1",
                digest_method=f"{DS}sha1",
                hash=hashes.SHA1(),  # noqa: S303 - the specification's choice
                scheme=RsaPkcs1v15(hashes.SHA1()),  # noqa: S303 - the same
                weakness="it uses SHA-1, as the specification demands for RSA certificates; have an SM2 one issued",
            ),
            Suite(
                name="ecdsa-p256-sha256",
                signature_method="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
                digest_method="http://www.w3.org/2001/04/xmlenc#sha256",
                canonicalization=EXCLUSIVE,
                transforms=(ENVELOPED, EXCLUSIVE),
                hash=hashes.SHA256(),
                scheme=EcdsaP256(hashes.SHA256()),
            ),
        )
    }
)
"""Every suite there is, by name."""

OF_MESSAGES = frozenset({"sm2-sm3", "rsa-sha1"})
"""Those that the specification fixes for messages."""
