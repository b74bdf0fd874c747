"""Forgeries by digest and signature value: of another envelope, of nothing, of the wrong length or encoding."""

from __future__ import annotations

from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from connector.messages.parser import Element
from tests.forgeries.catalogue import BASE64, DIGEST, SCHEMA, SHAPE, VALUE, forgery
from tests.forgeries.editing import (
    REFERENCE,
    SIGNATURE,
    SIGNED_INFO,
    child,
    digested,
    text,
    tree,
    valued,
    with_data,
)
from tests.forgeries.material import Material

SIGNATURE_VALUE = f"{SIGNATURE}/ds:SignatureValue"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""


def _forged(material: Material) -> Element:
    """Forged receipts under the genuine signature."""
    return with_data(tree(material.genuine), material.forged_data)


def _with_value(material: Material, value: bytes) -> bytes:
    """Forged receipts, the right digest of them, and this for a signature value."""
    root = digested(_forged(material))
    child(root, SIGNATURE_VALUE).text = b64encode(value).decode()
    return text(root)


def _genuine_value(data: bytes) -> bytes:
    return b64decode(child(tree(data), SIGNATURE_VALUE).text or "")


@forgery(SHAPE)
def digest_missing(material: Material) -> bytes:
    root = _forged(material)
    child(root, f"{REFERENCE}/ds:DigestValue").text = None
    return text(root)


@forgery(DIGEST)
def whole_signature_of_another_envelope(material: Material) -> bytes:
    root = _forged(material)
    root.replace(child(root, SIGNATURE), child(tree(material.other), SIGNATURE))
    return text(root)


@forgery(VALUE)
def value_of_another_envelope(material: Material) -> bytes:
    return _with_value(material, _genuine_value(material.other))


@forgery(VALUE)
def value_of_the_genuine_envelope(material: Material) -> bytes:
    return _with_value(material, _genuine_value(material.genuine))


@forgery(DIGEST)
def signed_info_and_value_of_another_envelope(material: Material) -> bytes:
    root, other = _forged(material), tree(material.other)
    for path in (SIGNED_INFO, SIGNATURE_VALUE):
        child(root, SIGNATURE).replace(child(root, path), child(other, path))
    return text(root)


@forgery(VALUE)
def value_shorter_than_the_curve(material: Material) -> bytes:
    return _with_value(material, b"\0" * 63)


@forgery(SHAPE)
def value_missing(material: Material) -> bytes:
    return _with_value(material, b"")


@forgery(VALUE)
def value_of_zeros(material: Material) -> bytes:
    return _with_value(material, b"\0" * 64)


@forgery(VALUE)
def value_with_r_zero(material: Material) -> bytes:
    return _with_value(material, b"\0" * 32 + _genuine_value(material.genuine)[32:])


@forgery(VALUE)
def value_with_r_and_s_of_the_order(material: Material) -> bytes:
    return _with_value(material, ORDER.to_bytes(32) * 2)


@forgery(VALUE)
def value_with_r_and_s_one(material: Material) -> bytes:
    return _with_value(material, (1).to_bytes(32) * 2)


@forgery(VALUE)
def value_longer_than_the_curve(material: Material) -> bytes:
    return _with_value(material, b"\0".join(_halves(material)))


@forgery(VALUE)
def value_in_der(material: Material) -> bytes:
    """Right in itself, in the encoding that XML signatures do not use."""
    r, s = (int.from_bytes(half) for half in _halves(material))
    root = tree(material.genuine)
    child(root, SIGNATURE_VALUE).text = b64encode(encode_dss_signature(r, s)).decode()
    return text(root)


@forgery(SCHEMA + "|" + BASE64)
def value_in_hex(material: Material) -> bytes:
    root = digested(_forged(material))
    child(root, SIGNATURE_VALUE).text = _genuine_value(material.genuine).hex() + "-"
    return text(root)


@forgery(SHAPE)
def digest_of_nothing(material: Material) -> bytes:
    root = _forged(material)
    child(root, f"{REFERENCE}/ds:DigestValue").text = " "
    return text(valued(root, material.office))


@forgery(DIGEST)
def digest_cut_short(material: Material) -> bytes:
    """As where the shorter of the two is compared; the office signed it."""
    root = digested(_forged(material))
    value = child(root, f"{REFERENCE}/ds:DigestValue")
    value.text = b64encode(b64decode(value.text or "")[:1]).decode()
    return text(valued(root, material.office))


def _halves(material: Material) -> tuple[bytes, bytes]:
    value = _genuine_value(material.genuine)
    return value[:32], value[32:]
