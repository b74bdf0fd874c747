"""Verifies a signature strictly, and hands back only the bytes that were signed.

A signature is accepted only in one exact shape. The shape is written down as an outline, one line an element, and the
signature found must have the very same outline; there is no room for a second reference, another transform, another
algorithm or an object to hide something in. The certificate in the message only selects a key among those the caller
trusts::

    verified = verify(data, suites={"rsa-sha1"}, fingerprints={"3b1f…"})
    root = parse(verified.content)  # never parse data itself again

Whether the certificate is within its validity at the time that matters is the caller's question: only the caller knows
that time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from lxml import etree

from connector.errors import SignatureInvalid
from connector.messages.namespaces import DS
from connector.messages.parser import Element, parse
from connector.signing.canonical import canonical, require_plain
from connector.signing.place import CERTIFICATE, NAMES, binary, cut_out, signatures_in
from connector.signing.suites import SUITES, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedMessage:
    """What a verified signature covers and who made it."""

    content: bytes
    """The canonical document without its signature, as it was hashed, UTF-8. Callers parse this and nothing else."""
    certificate: bytes
    """The certificate that signed, DER; one of those the caller trusts."""
    key_id: str
    """SHA-256 fingerprint of the certificate, lower-case hex."""
    suite: str
    """Name of the signature suite."""


def verify(data: bytes, *, suites: Collection[str], fingerprints: Collection[str]) -> VerifiedMessage:
    """Verify the enveloped signature of a document.

    suites: names of the suites allowed here; fingerprints: SHA-256 of each trusted certificate, lower-case hex.
    Raises `SignatureInvalid` with the reason at the first doubt, and `UnreadableMessage` when data is no XML that the
    strict parser takes.
    """
    root = parse(data)
    require_plain(root)
    signature = _the_signature(root)
    suite = _suite_of(signature, suites)
    _require_outline(signature, suite)
    certificate = _binary(signature, CERTIFICATE)
    key_id = hashlib.sha256(certificate).hexdigest()
    if key_id not in fingerprints:
        raise _invalid(f"the certificate {key_id} is not one that is trusted here")
    _require_signature(signature, suite, certificate)
    digest = _binary(signature, "ds:SignedInfo/ds:Reference/ds:DigestValue")
    cut_out(signature)
    content = canonical(root, suite)
    if not hmac.compare_digest(suite.digest(content), digest):
        raise _invalid("the digest differs: the document was changed after it was signed")
    return VerifiedMessage(content=content, certificate=certificate, key_id=key_id, suite=suite.name)


def _the_signature(root: Element) -> Element:
    found = signatures_in(root)
    if len(found) != 1:
        raise _invalid(f"the document holds {len(found)} signatures instead of one")
    if found[0].getparent() is not root:
        raise _invalid("the signature is not a child of the root")
    return found[0]


def _suite_of(signature: Element, allowed: Collection[str]) -> Suite:
    method = signature.find("ds:SignedInfo/ds:SignatureMethod", NAMES)
    uri = None if method is None else method.get("Algorithm")
    for name in allowed:
        if SUITES[name].signature_method == uri:
            return SUITES[name]
    raise _invalid(f"the signature method {uri} is not allowed here")


def _require_outline(signature: Element, suite: Suite) -> None:
    for line, demanded in zip_longest(_outline(signature), _demanded(suite)):
        if line != demanded:
            raise _invalid(f"the signature has [{line or 'no more'}] where [{demanded or 'no more'}] belongs")


def _demanded(suite: Suite) -> tuple[str, ...]:
    return (
        "Signature",
        "Signature/SignedInfo",
        f"Signature/SignedInfo/CanonicalizationMethod Algorithm={suite.canonicalization!r}",
        f"Signature/SignedInfo/SignatureMethod Algorithm={suite.signature_method!r}",
        "Signature/SignedInfo/Reference URI=''",
        "Signature/SignedInfo/Reference/Transforms",
        *(f"Signature/SignedInfo/Reference/Transforms/Transform Algorithm={one!r}" for one in suite.transforms),
        f"Signature/SignedInfo/Reference/DigestMethod Algorithm={suite.digest_method!r}",
        "Signature/SignedInfo/Reference/DigestValue text",
        "Signature/SignatureValue text",
        "Signature/KeyInfo",
        "Signature/KeyInfo/KeyName text",
        "Signature/KeyInfo/X509Data",
        "Signature/KeyInfo/X509Data/X509Certificate text",
    )


def _outline(element: Element, above: str = "") -> Iterator[str]:
    """One line for the element and each below it: where it stands, its attributes, whether it holds text."""
    name = etree.QName(element)
    path = above + (name.localname if name.namespace == DS else name.text)
    attributes = "".join(f" {key!s}={value!r}" for key, value in element.attrib.items())
    # Text between elements counts as text of the element around it.
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    yield path + attributes + (" text" if text.strip() else "")
    for child in element:
        yield from _outline(child, f"{path}/")


def _require_signature(signature: Element, suite: Suite, certificate: bytes) -> None:
    key = suite.scheme.public_key_of(certificate)
    if key is None:
        raise _invalid(f"the certificate holds no key for {suite.name}")
    value = _binary(signature, "ds:SignatureValue")
    signed_info = signature.find("ds:SignedInfo", NAMES)
    assert signed_info is not None
    if not suite.scheme.verify(key, value, canonical(signed_info, suite)):
        raise _invalid("the signature value does not fit SignedInfo and the certificate")


def _binary(signature: Element, path: str) -> bytes:
    """The Base64 content of an element that the outline demands."""
    try:
        return binary(signature, path)
    except ValueError:
        raise _invalid(f"{path.rpartition(':')[2]} is not Base64") from None


def _invalid(reason: str) -> SignatureInvalid:
    return SignatureInvalid(reason, effect="nothing in the document is trusted")
