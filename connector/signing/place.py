"""Where an enveloped signature stands in its document, and what is left without it."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Sequence

from connector.messages.namespaces import DS, tag
from connector.messages.parser import Element

NAMES = {"ds": DS}
"""The prefix of the paths below."""
CERTIFICATE = "ds:KeyInfo/ds:X509Data/ds:X509Certificate"
"""Path of the one certificate, from Signature."""


def signatures_in(root: Element) -> Sequence[Element]:
    """Every Signature in the document, wherever it stands."""
    return list(root.iter(tag(DS, "Signature")))


def cut_out(signature: Element) -> None:
    """Take a signature that is not the root out of its document; white space around it stays, for it is signed."""
    parent = signature.getparent()
    assert parent is not None
    around = signature.tail or ""
    before = signature.getprevious()
    if before is None:
        parent.text = (parent.text or "") + around
    else:
        before.tail = (before.tail or "") + around
    parent.remove(signature)


def binary(signature: Element, path: str) -> bytes:
    """The Base64 content of an element below Signature, empty where there is none; white space in it is allowed.

    Raises `ValueError` where it is not Base64.
    """
    text = signature.findtext(path, namespaces=NAMES) or ""
    return b64decode("".join(text.split()), validate=True)


def fingerprint_inside(root: Element) -> str:
    """Fingerprint of the certificate in the first signature, be it one or not; of nothing where there is none."""
    found = signatures_in(root)
    try:
        certificate = binary(found[0], CERTIFICATE) if found else b""
    except ValueError:
        certificate = b""
    return hashlib.sha256(certificate).hexdigest()
