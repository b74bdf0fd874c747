"""What a signature states, and what comes out when it is computed again; nothing here decides whether to trust it.

The strict verifier stops at the first doubt. This reads on with whatever algorithms the document itself names, those of
other vendors included, so that a person can see which of the figures differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from lxml import etree

from connector.errors import SignatureInvalid
from connector.messages.namespaces import DS
from connector.messages.parser import Element
from connector.signing.canonical import canonical
from connector.signing.certificates import Certificate
from connector.signing.place import CERTIFICATE, NAMES, binary, cut_out
from connector.signing.schemes import RsaPkcs1v15
from connector.signing.suites import EXCLUSIVE, INCLUSIVE, SUITES, Suite

OTHER_SM2 = f"{DS}sm2-sm3"
"""SignatureMethod of another vendor's SM2 signatures, seen in the field together with a SHA-1 digest."""

_BY_METHOD: Mapping[str, Suite] = {
    **{suite.signature_method: suite for suite in SUITES.values()},
    OTHER_SM2: replace(SUITES["sm2-sm3"], name="", signature_method=OTHER_SM2),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": replace(
        SUITES["rsa-sha1"], name="", scheme=RsaPkcs1v15(hashes.SHA256())
    ),
}
HASHES: Mapping[str, hashes.HashAlgorithm] = {
    **{suite.digest_method: suite.hash for suite in SUITES.values()},
    f"{DS}sm3": hashes.SM3(),
}
"""Digest algorithms by the URI of DigestMethod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One digest of SignedInfo."""

    uri: str | None
    digest_method: str
    stated: bytes
    computed: bytes | None
    """None: it is not over the whole document, or its algorithm is unknown."""

    @property
    def fits(self) -> bool:
        """Whether both are the same."""
        return self.stated == self.computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One signature."""

    suite: str
    """Name of the suite whose URI SignatureMethod has; empty where it is of none."""
    signature_method: str
    """URI."""
    stated: Suite | None
    """The algorithms as the document names them; None where SignatureMethod is unknown."""
    content: bytes | None
    """The canonical document without its signature; None where there is no canonical form."""
    signed_info: bytes | None
    """The canonical SignedInfo: exactly the bytes that are signed."""
    references: tuple[Reference, ...]
    value: bytes
    """SignatureValue; empty where it is not Base64."""
    key_name: str
    certificate: Certificate | None
    """The first one in KeyInfo; None where there is none that can be read."""
    position: str
    """Where the signature stands, in words."""
    before: str
    """The text right before Signature."""
    after: str
    """The text right after it."""

    @property
    def digest_fits(self) -> bool:
        """Whether every reference's digest is that of the document."""
        return bool(self.references) and all(one.fits for one in self.references)

    @property
    def value_fits(self) -> bool:
        """Whether the signature value is that of the certificate's key over SignedInfo."""
        return self.signed_info is not None and self.is_signature(self.value, self.signed_info)

    @property
    def public_key(self) -> object | None:
        """The certificate's key, where it is of the kind that the signature method takes."""
        if self.stated is None or self.certificate is None:
            return None
        return self.stated.scheme.public_key_of(self.certificate.der)

    def is_signature(self, value: bytes, data: bytes) -> bool:
        """Whether value is the certificate's signature over data."""
        key = self.public_key
        return key is not None and self.stated is not None and self.stated.scheme.verify(key, value, data)


def read(signature: Element) -> Reading:
    """Read a signature that is not the root, and cut it out of its document: the document is used up by it."""
    root = signature.getroottree().getroot()
    method = _algorithm(signature, "ds:SignedInfo/ds:SignatureMethod")
    suite = _stated(signature, method)
    info = signature.find("ds:SignedInfo", NAMES)
    signed_info = None if info is None else _canonical(info, suite)
    position, before, after = _place(signature)
    cut_out(signature)
    content = _canonical(root, suite)
    return Reading(
        suite=suite.name if suite else "",
        signature_method=method,
        stated=suite,
        content=content,
        signed_info=signed_info,
        references=tuple(
            _reference(one, content) for one in signature.findall("ds:SignedInfo/ds:Reference", namespaces=NAMES)
        ),
        value=_binary(signature, "ds:SignatureValue"),
        key_name=signature.findtext("ds:KeyInfo/ds:KeyName", "", NAMES),
        certificate=_certificate(signature),
        position=position,
        before=before,
        after=after,
    )


def digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    """The digest of data."""
    made = hashes.Hash(algorithm)
    made.update(data)
    return made.finalize()


def _stated(signature: Element, method: str) -> Suite | None:
    suite = _BY_METHOD.get(method)
    form = _algorithm(signature, "ds:SignedInfo/ds:CanonicalizationMethod")
    return replace(suite, canonicalization=form) if suite and form in {INCLUSIVE, EXCLUSIVE} else suite


def _canonical(element: Element, suite: Suite | None) -> bytes | None:
    try:
        return canonical(element, suite or SUITES["sm2-sm3"])
    except SignatureInvalid:
        return None


def _reference(reference: Element, content: bytes | None) -> Reference:
    method, uri = _algorithm(reference, "ds:DigestMethod"), reference.get("URI")
    known = HASHES.get(method)
    computed = digest(known, content) if known and content is not None and not uri else None
    return Reference(
        uri=uri,
        digest_method=method,
        stated=_binary(reference, "ds:DigestValue"),
        computed=computed,
    )


def _algorithm(element: Element, path: str) -> str:
    found = element.find(path, NAMES)
    return "" if found is None else found.get("Algorithm", "")


def _binary(element: Element, path: str) -> bytes:
    try:
        return binary(element, path)
    except ValueError:
        return b""


def _certificate(signature: Element) -> Certificate | None:
    try:
        # What breaks the rules of X.509 is warned of; here it is only shown.
        with warnings.catch_warnings(action="ignore"):
            return Certificate.of(_binary(signature, CERTIFICATE))
    except ValueError:
        return None


def _place(signature: Element) -> tuple[str, str, str]:
    """Where it stands, e.g. ``child 3 of 4 of CEB213Message, before ExtendMessage``; the text before and after it."""
    parent, previous, following = signature.getparent(), signature.getprevious(), signature.getnext()
    assert parent is not None
    where = f"child {parent.index(signature) + 1} of {len(parent)} of {etree.QName(parent).localname}"
    if following is not None:
        where += f", before {etree.QName(following).localname}"
    return where, (parent.text if previous is None else previous.tail) or "", signature.tail or ""
