"""Forgeries by what is hashed: other transforms, other canonical forms, references to something else.

The office's own key signs each of them, with a digest that fits where one can be had: nothing is wrong but the rule.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from copy import deepcopy

from lxml import etree

from connector.messages.namespaces import DS
from connector.messages.parser import Element
from connector.signing.suites import ENVELOPED, EXCLUSIVE, INCLUSIVE
from tests.forgeries.catalogue import SCHEMA, SHAPE, forgery
from tests.forgeries.editing import (
    REFERENCE,
    SIGNED_INFO,
    TRANSFORMS,
    child,
    cut,
    digested,
    part,
    text,
    tree,
    valued,
    with_data,
)
from tests.forgeries.material import ID, Material

_CANONICALIZATION = f"{SIGNED_INFO}/ds:CanonicalizationMethod"


def _forged(material: Material) -> Element:
    return digested(with_data(tree(material.genuine), material.forged_data))


def _by_office(material: Material, root: Element, hashed: bytes | None = None) -> bytes:
    """Signed by the office; hashed: what the document comes to by its own transforms, where that is something else."""
    if hashed is not None:
        value = b64encode(hashlib.sha256(hashed).digest()).decode()
        child(root, f"{REFERENCE}/ds:DigestValue").text = value
    return text(valued(root, material.office))


def _with_transforms(material: Material, *transforms: str, hashed: bytes | None = None) -> bytes:
    root = _forged(material)
    child(root, TRANSFORMS)[:] = [
        part(one if one.startswith("<") else f'<ds:Transform Algorithm="{one}"/>') for one in transforms
    ]
    return _by_office(material, root, hashed)


def _with_uri(material: Material, uri: str | None, hashed: bytes | None = None) -> bytes:
    root = _forged(material)
    reference = child(root, REFERENCE)
    if uri is None:
        reference.attrib.pop("URI")
    else:
        reference.set("URI", uri)
    return _by_office(material, root, hashed)


@forgery(SCHEMA)
def transform_xslt_to_the_genuine_envelope(material: Material) -> bytes:
    """The stylesheet writes the same bytes whatever the document is, so the digest always fits."""
    sheet = (
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">'
        '<x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform" version="1.0">'
        '<x:template match="/"><always/></x:template></x:stylesheet></ds:Transform>'
    )
    return _with_transforms(material, sheet, hashed=b"<always/>")


@forgery(SHAPE)
def transform_xslt_in_name(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116")


@forgery(SCHEMA)
def transform_xpath_to_nothing(material: Material) -> bytes:
    """The filter leaves no node, so the digest of nothing fits every document."""
    xpath = f'<ds:Transform Algorithm="{"http://www.w3.org/TR/1999/REC-xpath-19991116"}"><ds:XPath>0</ds:XPath></ds:Transform>'
    return _with_transforms(material, xpath, hashed=b"")


@forgery(SCHEMA)
def transform_xpath_without_the_data(material: Material) -> bytes:
    xpath = (
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
        "<ds:XPath>not(ancestor-or-self::dxp:Data)</ds:XPath></ds:Transform>"
    )
    bare = tree(material.genuine)
    cut(bare)
    cut(bare, "dxp:Data")
    return _with_transforms(material, ENVELOPED, xpath, hashed=etree.tostring(bare, method="c14n", exclusive=True))


@forgery(SCHEMA)
def transform_xpath_filter_2(material: Material) -> bytes:
    xpath = (
        '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2">'
        '<f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">//*</f:XPath></ds:Transform>'
    )
    return _with_transforms(material, xpath, hashed=b"")


@forgery(SHAPE)
def transform_base64(material: Material) -> bytes:
    """Hashes the decoded text of all elements together."""
    return _with_transforms(material, ENVELOPED, f"{DS}base64")


@forgery(SHAPE)
def transform_without_enveloped_signature(material: Material) -> bytes:
    return _with_transforms(material, EXCLUSIVE)


@forgery(SHAPE)
def transform_enveloped_signature_alone(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED)


@forgery(SHAPE)
def transforms_in_the_other_order(material: Material) -> bytes:
    return _with_transforms(material, EXCLUSIVE, ENVELOPED)


@forgery(SHAPE)
def transform_enveloped_signature_twice(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED, ENVELOPED)


@forgery(SCHEMA)
def transform_canonicalization_twice(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED, EXCLUSIVE, EXCLUSIVE)


@forgery(SHAPE)
def transform_canonicalization_with_comments(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED, f"{EXCLUSIVE}WithComments")


@forgery(SHAPE)
def transform_inclusive_canonicalization(material: Material) -> bytes:
    return _with_transforms(material, ENVELOPED, INCLUSIVE)


@forgery(SCHEMA)
def transform_with_a_list_of_prefixes(material: Material) -> bytes:
    transform = (
        f'<ds:Transform Algorithm="{EXCLUSIVE}"><i:InclusiveNamespaces xmlns:i="{EXCLUSIVE}" PrefixList="dxp"/>'
        "</ds:Transform>"
    )
    return _with_transforms(material, ENVELOPED, transform)


@forgery(SCHEMA)
def transforms_missing(material: Material) -> bytes:
    root = _forged(material)
    cut(root, TRANSFORMS)
    return _by_office(material, root)


@forgery(SCHEMA)
def transforms_empty(material: Material) -> bytes:
    return _with_transforms(material)


@forgery(SHAPE)
def signed_info_with_comments(material: Material) -> bytes:
    root = _forged(material)
    child(root, _CANONICALIZATION).set("Algorithm", f"{EXCLUSIVE}WithComments")
    return _by_office(material, root)


@forgery(SHAPE)
def signed_info_in_inclusive_form(material: Material) -> bytes:
    root = _forged(material)
    child(root, _CANONICALIZATION).set("Algorithm", INCLUSIVE)
    form = etree.tostring(child(root, SIGNED_INFO), method="c14n")
    child(root, "ds:Signature/ds:SignatureValue").text = b64encode(material.office.sign(form)).decode()
    return text(root)


@forgery(SCHEMA)
def signed_info_with_a_list_of_prefixes(material: Material) -> bytes:
    root = _forged(material)
    child(root, _CANONICALIZATION).append(
        etree.Element(f"{{{EXCLUSIVE}}}InclusiveNamespaces", PrefixList="dxp", nsmap={"i": EXCLUSIVE})
    )
    return _by_office(material, root)


@forgery(SCHEMA)
def reference_to_an_id(material: Material) -> bytes:
    return _with_uri(material, f"#{ID}")


@forgery(SCHEMA)
def reference_to_a_wrapped_id(material: Material) -> bytes:
    """The Id is that of a genuine copy in AddInfo; the root that is read has another."""
    genuine = tree(material.genuine)
    cut(genuine)
    root = _forged(material)
    root.set("Id", "forged")
    add_info = part("<dxp:AddInfo/>")
    add_info.append(deepcopy(genuine))
    child(root, "dxp:Data").addnext(add_info)
    child(root, REFERENCE).set("URI", f"#{ID}")
    return _by_office(material, root, etree.tostring(genuine, method="c14n", exclusive=True))


@forgery(SCHEMA)
def reference_by_xpointer_to_the_root(material: Material) -> bytes:
    return _with_uri(material, "#xpointer(/)")


@forgery(SCHEMA)
def reference_by_xpointer_to_an_id(material: Material) -> bytes:
    return _with_uri(material, f"#xpointer(id('{ID}'))")


@forgery(SCHEMA)
def reference_to_a_file(material: Material) -> bytes:
    return _with_uri(material, "file:///dev/null", hashed=b"")


@forgery(SCHEMA)
def reference_to_an_address(material: Material) -> bytes:
    return _with_uri(material, "http://127.0.0.1:9/genuine.xml")


@forgery(SCHEMA)
def reference_without_uri(material: Material) -> bytes:
    return _with_uri(material, None)


@forgery(SCHEMA)
def reference_of_white_space(material: Material) -> bytes:
    return _with_uri(material, " ")


@forgery(SCHEMA)
def reference_with_a_type(material: Material) -> bytes:
    root = _forged(material)
    child(root, REFERENCE).set("Type", f"{DS}Object")
    return _by_office(material, root)
