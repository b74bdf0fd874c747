"""The eight shapes of signature wrapping (XSW), with the wrapped part at every place of the document.

In our terms: the receiver is to verify the genuine envelope and to read a forged one. Each shape is a document and a
part to put into it; `wrapped` puts the part at every place where the shape allows it. Each is made of an envelope that
is signed as ours are, as a whole (``URI=""``), and of one that an office might sign by its Id (``URI="#G-1"``).
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random

from lxml import etree

from connector.messages.namespaces import DS, DXP, tag
from connector.messages.parser import Element
from tests.forgeries import editing
from tests.forgeries.catalogue import DIGEST, SCHEMA, forgery
from tests.forgeries.material import ID, Material

_HALF = 0.5

Place = Callable[[Element], bool]
"""Whether the part may be put into this element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One of the eight."""

    name: str
    build: Callable[[Element, Element], tuple[Element, Element]]
    """Of the signed original and its forged copy (without a signature, with the same Id): document and part."""
    place: Place


def in_signature(element: Element) -> bool:
    """Whether it is the signature or something in it."""
    signature = tag(DS, "Signature")
    return element.tag == signature or next(element.iterancestors(signature), None) is not None


def outside(element: Element) -> bool:
    """Whether it is not."""
    return not in_signature(element)


def _forged_with_signature(original: Element, forged: Element) -> tuple[Element, Element]:
    forged.append(editing.cut(original))
    return forged, original


def _renamed(original: Element, forged: Element) -> tuple[Element, Element]:
    forged.set("Id", "forged")
    return _forged_with_signature(original, forged)


def _in_object(original: Element, forged: Element) -> tuple[Element, Element]:
    document, part = _forged_with_signature(original, forged)
    return document, _around(part, DS, "Object")


def _forged_inside(original: Element, forged: Element) -> tuple[Element, Element]:
    forged.set("Id", "forged")
    return original, forged


def _original_inside(original: Element, forged: Element) -> tuple[Element, Element]:
    forged.set("Id", "forged")
    return forged, original


def _in_extensions(original: Element, forged: Element) -> tuple[Element, Element]:
    return original, _around(forged, DXP, "Extensions")


def _around(part: Element, namespace: str, name: str) -> Element:
    wrapper = etree.Element(tag(namespace, name))
    wrapper.append(part)
    return wrapper


SHAPES = (
    Shape(name="xsw1_original_in_the_signature_of_a_forged_root", build=_renamed, place=in_signature),
    Shape(name="xsw2_original_beside_the_signature_of_a_forged_root", build=_renamed, place=outside),
    Shape(name="xsw3_forged_in_the_signed_original", build=_forged_inside, place=lambda _: True),
    Shape(name="xsw4_signed_original_in_a_forged_root", build=_original_inside, place=lambda _: True),
    Shape(name="xsw5_original_beside_the_signature_with_its_id", build=_forged_with_signature, place=outside),
    Shape(name="xsw6_original_in_the_signature_with_its_id", build=_forged_with_signature, place=in_signature),
    Shape(name="xsw7_forged_in_extensions_with_its_id", build=_in_extensions, place=lambda _: True),
    Shape(name="xsw8_original_in_an_object_of_the_signature", build=_in_object, place=in_signature),
)


def wrapped(shape: Shape, material: Material, *, by_id: bool) -> Iterator[tuple[str, bytes]]:
    """The forged documents, each with the place of its part."""
    document, part = parts(shape, material, by_id=by_id)
    for number, parent in enumerate(document.iter(etree.Element)):
        if shape.place(parent):
            for index in range(len(parent) + 1):
                yield f"{etree.QName(parent).localname}[{index}]", put(document, part, number, index)


def wrapped_somewhere(shape: Shape, material: Material, random: Random) -> bytes:
    """One of them."""
    document, part = parts(shape, material, by_id=random.random() < _HALF)
    places = [(number, one) for number, one in enumerate(document.iter(etree.Element)) if shape.place(one)]
    number, parent = random.choice(places)
    return put(document, part, number, random.randint(0, len(parent)))


def parts(shape: Shape, material: Material, *, by_id: bool) -> tuple[Element, Element]:
    """The document of a shape, and what is put into it."""
    original = editing.tree(signed_by_id(material) if by_id else material.genuine)
    forged = editing.with_data(deepcopy(original), material.forged_data)
    editing.cut(forged)
    return shape.build(original, forged)


def put(document: Element, part: Element, number: int, index: int) -> bytes:
    """The document with a part in the element of that number, in document order."""
    copy = deepcopy(document)
    list(copy.iter(etree.Element))[number].insert(index, deepcopy(part))
    return editing.text(copy)


def signed_by_id(material: Material) -> bytes:
    """The genuine envelope as an office would sign it that refers to the Id; ours must not take even this."""
    root = editing.tree(material.genuine)
    editing.child(root, editing.REFERENCE).set("URI", f"#{ID}")
    return editing.text(editing.valued(editing.digested(root), material.office))


@forgery(SCHEMA)
def signed_by_id_instead_of_as_a_whole(material: Material) -> bytes:
    return signed_by_id(material)


@forgery(SCHEMA)
def signature_detached_beside_what_it_signed(material: Material) -> bytes:
    """A neutral root that holds the forged envelope, the original and the signature over the original."""
    original = editing.tree(signed_by_id(material))
    signature = editing.cut(original)
    forged = editing.with_data(deepcopy(original), material.forged_data)
    root = etree.Element(tag(DXP, "DxpMsg"), ver="1.0")
    root.extend([forged, original, signature])
    return editing.text(root)


@forgery(SCHEMA)
def signature_enveloping_the_original(material: Material) -> bytes:
    """The signature is the root and holds the original as its Object."""
    original = editing.tree(signed_by_id(material))
    signature = editing.cut(original)
    signature.append(_around(original, DS, "Object"))
    return editing.text(signature)


@forgery(SCHEMA)
def forged_first_of_two_in_a_foreign_root(material: Material) -> bytes:
    root = etree.Element("batch")
    root.append(editing.with_data(editing.tree(material.genuine), material.forged_data))
    root.append(editing.tree(material.genuine))
    return editing.text(root)


@forgery(SCHEMA)
def digest_smuggled_in_before_the_signed_one(material: Material) -> bytes:
    """A search for the first DigestValue anywhere finds that of the forged envelope."""
    root = editing.with_data(editing.tree(material.genuine), material.forged_data)
    bare = deepcopy(root)
    editing.cut(bare)
    digest = b64encode(hashlib.sha256(etree.tostring(bare, method="c14n", exclusive=True)).digest()).decode()
    root.insert(0, editing.part(f"<ds:DigestValue>{digest}</ds:DigestValue>"))
    return editing.text(root)


@forgery(DIGEST)
def forged_data_under_the_genuine_signature(material: Material) -> bytes:
    return editing.text(editing.with_data(editing.tree(material.genuine), material.forged_data))
