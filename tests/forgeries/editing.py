"""Tools for taking envelopes apart and putting them together wrongly."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from copy import deepcopy

from lxml import etree

from connector.messages.namespaces import DS, DXP
from connector.messages.parser import Element
from connector.signing.keyfiles import FileKey

NAMES = {"dxp": DXP, "ds": DS}
SIGNATURE = "ds:Signature"
SIGNED_INFO = f"{SIGNATURE}/ds:SignedInfo"
REFERENCE = f"{SIGNED_INFO}/ds:Reference"
TRANSFORMS = f"{REFERENCE}/ds:Transforms"
KEY_INFO = f"{SIGNATURE}/ds:KeyInfo"
CERTIFICATE = f"{KEY_INFO}/ds:X509Data/ds:X509Certificate"


def tree(data: bytes) -> Element:
    """Parse as a careless receiver would."""
    return etree.fromstring(data)


def text(root: Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8")


def child(root: Element, path: str) -> Element:
    found = root.find(path, NAMES)
    assert found is not None, path
    return found


def cut(root: Element, path: str = SIGNATURE) -> Element:
    """Take an element out of the tree."""
    element = child(root, path)
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    return element


def with_data(root: Element, data: bytes) -> Element:
    """The same tree with other receipts in it."""
    child(root, "dxp:Data").text = b64encode(data).decode()
    return root


def part(markup: str) -> Element:
    """An element, written with the prefixes dxp and ds."""
    return etree.fromstring(f'<x xmlns:dxp="{DXP}" xmlns:ds="{DS}">{markup}</x>')[0]


def replaced(data: bytes, old: bytes | str, new: bytes | str) -> bytes:
    """Replace text that stands there, the first time it does."""
    before, after = (one.encode() if isinstance(one, str) else one for one in (old, new))
    assert before in data, before
    return data.replace(before, after, 1)


def digested(root: Element) -> Element:
    """Put the right digest of the document in, as its exclusive canonical form without the signature."""
    bare = deepcopy(root)
    cut(bare)
    digest = hashlib.sha256(etree.tostring(bare, method="c14n", exclusive=True)).digest()
    child(root, f"{REFERENCE}/ds:DigestValue").text = b64encode(digest).decode()
    return root


def valued(root: Element, key: FileKey) -> Element:
    """Put the right signature value of a key in; the digest stays."""
    form = etree.tostring(child(root, SIGNED_INFO), method="c14n", exclusive=True)
    child(root, f"{SIGNATURE}/ds:SignatureValue").text = b64encode(key.sign(form)).decode()
    return root


def certified(root: Element, key: FileKey) -> Element:
    """Put the certificate of a key in."""
    child(root, CERTIFICATE).text = b64encode(key.certificate.der).decode()
    return root


def forged_by(data: bytes, key: FileKey, receipts: bytes) -> Element:
    """Other receipts, signed rightly and wholly by a key."""
    return valued(certified(digested(with_data(tree(data), receipts)), key), key)
