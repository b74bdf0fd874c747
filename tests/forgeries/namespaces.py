"""Forgeries by name: the right local names in another namespace, prefixes bound anew, and forms that are void."""

from __future__ import annotations

from base64 import b64encode

from connector.messages.namespaces import CEB, DS, DXP, XSI
from tests.forgeries.catalogue import CANONICAL, DIGEST, SCHEMA, UNSIGNED, VALUE, forgery
from tests.forgeries.editing import child, cut, digested, replaced, text, tree, valued, with_data
from tests.forgeries.material import Material


def _forged_data(material: Material) -> str:
    return b64encode(material.forged_data).decode()


@forgery(SCHEMA)
def data_of_another_namespace_before_the_genuine(material: Material) -> bytes:
    """Who looks for the local name takes the first."""
    data = f'<x:Data xmlns:x="urn:x">{_forged_data(material)}</x:Data>'
    return replaced(material.genuine, "<dxp:TransInfo>", f"{data}<dxp:TransInfo>")


@forgery(SCHEMA)
def data_of_no_namespace_before_the_genuine(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:Data>", f"<Data>{_forged_data(material)}</Data><dxp:Data>")


@forgery(SCHEMA)
def prefix_bound_anew_on_the_genuine_data(material: Material) -> bytes:
    """The prefix is right and the namespace is not: a reader by prefix and one by namespace differ."""
    return replaced(material.genuine, "<dxp:Data>", '<dxp:Data xmlns:dxp="urn:x">')


@forgery(SCHEMA)
def prefix_bound_anew_on_the_root(material: Material) -> bytes:
    return replaced(material.genuine, f'xmlns:dxp="{DXP}"', f'xmlns:dxp="{DXP}/"')


@forgery(DIGEST)
def other_prefix_for_forged_data(material: Material) -> bytes:
    """The document is valid: a namespace may have two prefixes."""
    root = tree(material.genuine)
    cut(root, "dxp:Data")
    child(root, "dxp:TransInfo").addnext(tree(f'<d:Data xmlns:d="{DXP}">{_forged_data(material)}</d:Data>'.encode()))
    return text(root)


@forgery(DIGEST)
def default_namespace_for_the_whole_envelope(material: Material) -> bytes:
    """The same names and values, but not the same canonical form; with the forged receipts in it."""
    changed = text(with_data(tree(material.genuine), material.forged_data))
    return changed.replace(b"dxp:", b"").replace(b"xmlns:dxp=", b"xmlns=").replace(b":dxp=", b"=")


@forgery(SCHEMA)
def signature_in_no_namespace(material: Material) -> bytes:
    changed = text(with_data(tree(material.genuine), material.forged_data))
    return changed.replace(b"ds:", b"").replace(f' xmlns:ds="{DS}"'.encode(), b"")


@forgery(SCHEMA)
def signature_in_a_namespace_like_the_right_one(material: Material) -> bytes:
    return text(with_data(tree(material.genuine), material.forged_data)).replace(
        f'"{DS}"'.encode(), f'"{DS[:-1]}"'.encode()
    )


@forgery(SCHEMA)
def genuine_signature_and_one_in_another_namespace(material: Material) -> bytes:
    root = with_data(tree(material.genuine), material.forged_data)
    other = text(child(tree(material.genuine), "ds:Signature")).replace(DS.encode(), b"urn:x")
    root.append(tree(other))
    return text(root)


@forgery(VALUE)
def prefix_of_the_signature_bound_anew(material: Material) -> bytes:
    """SignedInfo is in the right namespace by another prefix than the signed one: other canonical bytes."""
    return replaced(
        material.genuine, f'<ds:Signature xmlns:ds="{DS}">', f'<ds:Signature xmlns:ds="{DS}" xmlns:x="{DS}">'
    ).replace(b"ds:SignedInfo>", b"x:SignedInfo>")


@forgery(SCHEMA)
def envelope_in_the_namespace_of_receipts(material: Material) -> bytes:
    return material.genuine.replace(DXP.encode(), CEB.encode())


@forgery(SCHEMA)
def attribute_of_a_foreign_namespace_with_the_name_of_ours(material: Material) -> bytes:
    """A reader by local name takes the one, the schema knows the other."""
    return replaced(material.genuine, "<dxp:DxpMsg ", '<dxp:DxpMsg xmlns:x="urn:x" x:Id="forged" ')


@forgery(SCHEMA)
def type_of_the_data_named_in_the_document(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:Data>", f'<dxp:Data xmlns:xsi="{XSI}" xsi:type="dxp:TransInfo">')


@forgery(DIGEST)
def schema_named_in_the_document(material: Material) -> bytes:
    """The receiver must use its own; that it does shows in the digest alone being wrong."""
    return replaced(
        material.genuine,
        "<dxp:DxpMsg ",
        f'<dxp:DxpMsg xmlns:xsi="{XSI}" xsi:schemaLocation="{DXP} http://127.0.0.1:9/dxp.xsd" ',
    )


@forgery(SCHEMA)
def data_that_says_it_is_nil(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:Data>", f'<dxp:Data xmlns:xsi="{XSI}" xsi:nil="true">')


@forgery(CANONICAL)
def relative_namespace_makes_the_document_void(material: Material) -> bytes:
    """Where the canonicalization fails and the failure is taken for no bytes, the digest of nothing fits."""
    return _void(material, "<dxp:Data>", '<dxp:Data xmlns:x="1">')


@forgery(CANONICAL)
def relative_namespace_makes_the_root_void(material: Material) -> bytes:
    return _void(material, "<dxp:DxpMsg ", '<dxp:DxpMsg xmlns:x="x/y" ')


@forgery(CANONICAL)
def relative_namespace_makes_the_signed_info_void(material: Material) -> bytes:
    """Then the value is a signature over nothing, which an attacker might have got somewhere."""
    forged = digested(with_data(tree(material.genuine), material.forged_data))
    value = b64encode(material.office.sign(b"")).decode()
    child(forged, "ds:Signature/ds:SignatureValue").text = value
    return replaced(text(forged), "<ds:SignedInfo>", '<ds:SignedInfo xmlns:x="1">')


@forgery(CANONICAL)
def namespace_with_an_ampersand(material: Material) -> bytes:
    """libxml2 does not escape it in the canonical form, so two documents have one form."""
    return _void(material, "<dxp:Data>", '<dxp:Data xmlns:x="urn:a&amp;b">')


@forgery("the root has an attribute in the xml: namespace|" + SCHEMA)
def base_of_the_root_moved(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:DxpMsg ", '<dxp:DxpMsg xml:base="http://127.0.0.1:9/" ')


@forgery(UNSIGNED)
def signature_only_in_the_data(material: Material) -> bytes:
    """The signed envelope is the data of an unsigned one."""
    root = with_data(tree(material.genuine), material.genuine)
    cut(root)
    return text(root)


def _void(material: Material, old: str, new: str) -> bytes:
    """Forged receipts, the digest of nothing signed by the office, and what makes the canonical form fail."""
    root = with_data(tree(material.genuine), material.forged_data)
    child(root, ".//ds:DigestValue").text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    return replaced(text(valued(root, material.office)), old, new)
