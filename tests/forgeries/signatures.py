"""Forgeries by the make-up of the signature: two of a kind, in another place, and what is hidden in it."""

from __future__ import annotations

from base64 import b64encode
from copy import deepcopy

from connector.messages.parser import Element
from tests.forgeries.catalogue import COUNT, SCHEMA, UNSIGNED, forgery
from tests.forgeries.editing import (
    KEY_INFO,
    REFERENCE,
    SIGNATURE,
    SIGNED_INFO,
    child,
    cut,
    digested,
    forged_by,
    part,
    text,
    tree,
    valued,
    with_data,
)
from tests.forgeries.material import Material

SIGNATURE_VALUE = f"{SIGNATURE}/ds:SignatureValue"


def _forged(material: Material) -> Element:
    """Forged receipts under the genuine signature."""
    return with_data(tree(material.genuine), material.forged_data)


def _second_signed_info(material: Material, place: str) -> bytes:
    """The genuine SignedInfo and one with the digest of the forged receipts."""
    root = _forged(material)
    forged = deepcopy(child(digested(deepcopy(root)), SIGNED_INFO))
    genuine = child(root, SIGNED_INFO)
    if place == "before":
        genuine.addprevious(forged)
    elif place == "after":
        genuine.addnext(forged)
    else:
        child(root, place).append(forged)
    return text(root)


@forgery(SCHEMA)
def forged_signed_info_before_the_signed_one(material: Material) -> bytes:
    return _second_signed_info(material, "before")


@forgery(SCHEMA)
def forged_signed_info_after_the_signed_one(material: Material) -> bytes:
    return _second_signed_info(material, "after")


@forgery(SCHEMA)
def forged_signed_info_at_the_end_of_the_signature(material: Material) -> bytes:
    return _second_signed_info(material, SIGNATURE)


@forgery(SCHEMA)
def forged_signed_info_in_the_signature_value(material: Material) -> bytes:
    return _second_signed_info(material, SIGNATURE_VALUE)


@forgery(SCHEMA)
def forged_signed_info_in_the_key_info(material: Material) -> bytes:
    return _second_signed_info(material, KEY_INFO)


@forgery(SCHEMA)
def forged_signed_info_in_the_signed_one(material: Material) -> bytes:
    return _second_signed_info(material, SIGNED_INFO)


def _second_signature(material: Material, place: str) -> bytes:
    """A signature that the attacker made rightly, and the genuine one."""
    root = forged_by(material.genuine, material.attacker, material.forged_data)
    genuine = child(tree(material.genuine), SIGNATURE)
    own = child(root, SIGNATURE)
    if place == "before":
        own.addprevious(genuine)
    elif place == "after":
        own.addnext(genuine)
    else:
        child(root, place).append(genuine)
    return text(root)


@forgery(SCHEMA)
def genuine_signature_before_the_attackers(material: Material) -> bytes:
    return _second_signature(material, "before")


@forgery(SCHEMA)
def genuine_signature_after_the_attackers(material: Material) -> bytes:
    return _second_signature(material, "after")


@forgery(SCHEMA)
def genuine_signature_in_the_attackers(material: Material) -> bytes:
    return _second_signature(material, SIGNATURE)


@forgery(SCHEMA)
def genuine_signature_in_trans_info(material: Material) -> bytes:
    return _second_signature(material, "dxp:TransInfo")


@forgery(SCHEMA)
def genuine_signature_twice(material: Material) -> bytes:
    root = tree(material.genuine)
    root.append(deepcopy(child(root, SIGNATURE)))
    return text(root)


@forgery(SCHEMA)
def signature_before_the_data(material: Material) -> bytes:
    root = tree(material.genuine)
    root.insert(1, cut(root))
    return text(root)


@forgery(UNSIGNED)
def signature_removed(material: Material) -> bytes:
    root = _forged(material)
    cut(root)
    return text(root)


@forgery(SCHEMA)
def signature_with_nothing_in_it(material: Material) -> bytes:
    root = _forged(material)
    child(root, SIGNATURE).clear()
    return text(root)


@forgery(SCHEMA)
def signature_with_the_id_of_the_envelope(material: Material) -> bytes:
    root = _forged(material)
    child(root, SIGNATURE).set("Id", root.get("Id", ""))
    return text(root)


@forgery(SCHEMA)
def data_with_the_id_of_the_envelope(material: Material) -> bytes:
    root = _forged(material)
    child(root, "dxp:Data").set("Id", root.get("Id", ""))
    return text(root)


@forgery(SCHEMA)
def second_reference_to_nothing(material: Material) -> bytes:
    """The office signed it: the first reference holds, the second covers the forged receipts only in words."""
    root = digested(_forged(material))
    reference = child(root, REFERENCE)
    reference.addnext(deepcopy(reference))
    return text(valued(root, material.office))


@forgery(SCHEMA)
def no_reference_at_all(material: Material) -> bytes:
    root = _forged(material)
    cut(root, REFERENCE)
    return text(valued(root, material.office))


@forgery(SCHEMA)
def reference_only_in_a_manifest(material: Material) -> bytes:
    """The office signed a manifest whose own references nobody has to check."""
    root = _forged(material)
    reference = child(root, REFERENCE)
    manifest = part('<ds:Object><ds:Manifest Id="m"/></ds:Object>')
    manifest[0].append(deepcopy(reference))
    reference.set("URI", "#m")
    reference.set("Type", "http://www.w3.org/2000/09/xmldsig#Manifest")
    child(root, SIGNATURE).append(manifest)
    return text(valued(root, material.office))


@forgery(SCHEMA)
def forged_receipts_in_an_object(material: Material) -> bytes:
    root = tree(material.genuine)
    data = b64encode(material.forged_data).decode()
    child(root, SIGNATURE).append(part(f"<ds:Object><dxp:Data>{data}</dxp:Data></ds:Object>"))
    return text(root)


@forgery(COUNT + "|" + SCHEMA)
def signature_below_add_info(material: Material) -> bytes:
    root = _forged(material)
    add_info = part("<dxp:AddInfo/>")
    add_info.append(cut(root))
    root.append(add_info)
    return text(root)
