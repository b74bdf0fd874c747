"""Forgeries by markup: comments and instructions that split a text, document types, bytes around, encodings."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode

from connector.signing.suites import EXCLUSIVE
from tests.forgeries.catalogue import COMMENT, DIGEST, DOCTYPE, ENCODING, MALFORMED, PLAIN, SCHEMA, SIZE, VALUE, forgery
from tests.forgeries.editing import child, digested, replaced, text, tree, valued, with_data
from tests.forgeries.material import Material

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
DATA = "<dxp:Data>"
"""Where the data begins."""


def _spliced(material: Material, markup: str) -> bytes:
    """The forged receipts, then markup, then the genuine ones: who reads only the first text reads the forged."""
    forged = b64encode(material.forged_data).decode()
    return replaced(material.genuine, DATA, f"{DATA}{forged}{markup}")


def _after_declaration(data: bytes, markup: str) -> bytes:
    return replaced(data, DECLARATION, DECLARATION + markup.encode())


def _forged(material: Material) -> bytes:
    return text(with_data(tree(material.genuine), material.forged_data))


@forgery(COMMENT)
def comment_cuts_the_data_short(material: Material) -> bytes:
    """Canonicalization drops the comment, so digest and signature are right; ``.text`` ends at it."""
    genuine = material.genuine
    at = genuine.index(DATA.encode()) + len(DATA) + 400
    return genuine[:at] + b"<!---->" + genuine[at:]


@forgery(COMMENT)
def comment_cuts_the_receiver_short(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:ReceiverId>DXPENT", "<dxp:ReceiverId>DXPENT<!-- -->")


@forgery(COMMENT)
def comment_between_forged_and_genuine_data(material: Material) -> bytes:
    return _spliced(material, "<!-- -->")


@forgery(COMMENT)
def comment_in_the_digest(material: Material) -> bytes:
    """The digest of the forged receipts before the comment, the signed one after it, or the reverse."""
    root = digested(with_data(tree(material.genuine), material.forged_data))
    forged = child(root, ".//ds:DigestValue").text or ""
    return replaced(_forged(material), "<ds:DigestValue>", f"<ds:DigestValue><!--{forged}-->")


@forgery(COMMENT)
def comment_behind_the_forged_digest(material: Material) -> bytes:
    root = digested(with_data(tree(material.genuine), material.forged_data))
    forged = child(root, ".//ds:DigestValue").text or ""
    return replaced(_forged(material), "<ds:DigestValue>", f"<ds:DigestValue>{forged}<!---->")


@forgery(COMMENT)
def comment_in_the_signature_value(material: Material) -> bytes:
    return replaced(_forged(material), "<ds:SignatureValue>", "<ds:SignatureValue><!---->")


@forgery(COMMENT)
def comment_in_the_certificate(material: Material) -> bytes:
    attacker = b64encode(material.attacker.certificate.der).decode()
    return replaced(_forged(material), "<ds:X509Certificate>", f"<ds:X509Certificate>{attacker}<!---->")


@forgery(COMMENT)
def comment_signed_with_comments(material: Material) -> bytes:
    """A form with comments that the office signed and the receiver canonicalizes without."""
    root = tree(_spliced(material, "<!-- -->"))
    for element in root.iter():
        if element.get("Algorithm") == EXCLUSIVE:
            element.set("Algorithm", f"{EXCLUSIVE}WithComments")
    return text(valued(digested(root), material.office))


@forgery(PLAIN)
def comment_before_the_root(material: Material) -> bytes:
    return _after_declaration(material.genuine, "<!-- -->")


@forgery(PLAIN)
def comment_after_the_root(material: Material) -> bytes:
    return material.genuine + b"<!-- -->"


@forgery(COMMENT)
def instruction_cuts_the_data_short(material: Material) -> bytes:
    return _spliced(material, "<?x y?>")


@forgery(COMMENT)
def instruction_in_the_digest(material: Material) -> bytes:
    return replaced(_forged(material), "<ds:DigestValue>", "<ds:DigestValue><?x y?>")


@forgery(PLAIN)
def instruction_with_a_stylesheet(material: Material) -> bytes:
    return _after_declaration(material.genuine, '<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>')


@forgery(DIGEST)
def character_data_section_with_forged_data(material: Material) -> bytes:
    """The canonical form has no sections: what is in one is text as any other."""
    forged = b64encode(material.forged_data).decode()
    return replaced(_forged(material), forged, f"<![CDATA[{forged}]]>")


@forgery(DIGEST)
def character_references_in_the_data(material: Material) -> bytes:
    return replaced(material.genuine, DATA, f"{DATA}&#65;&#65;&#65;&#65;")


@forgery(DOCTYPE)
def document_type_empty(material: Material) -> bytes:
    return _after_declaration(material.genuine, "<!DOCTYPE DxpMsg>")


@forgery(DOCTYPE)
def entity_of_the_forged_data(material: Material) -> bytes:
    forged = b64encode(material.forged_data).decode()
    return _after_declaration(
        replaced(material.genuine, DATA, f"{DATA}&forged;"), f'<!DOCTYPE r [<!ENTITY forged "{forged}">]>'
    )


@forgery(DOCTYPE)
def entity_in_the_digest(material: Material) -> bytes:
    """A canonical form in which the entity is nothing, or is what it says."""
    changed = replaced(_forged(material), "<ds:DigestValue>", "<ds:DigestValue>&nothing;")
    return _declared(changed, '<!ENTITY nothing "">')


@forgery(DOCTYPE)
def entity_of_a_file(material: Material) -> bytes:
    changed = replaced(material.genuine, DATA, f"{DATA}&file;")
    return _after_declaration(changed, '<!DOCTYPE r [<!ENTITY file SYSTEM "file:///etc/hostname">]>')


@forgery(DOCTYPE)
def entity_of_an_address_by_parameter(material: Material) -> bytes:
    return _after_declaration(material.genuine, '<!DOCTYPE r [<!ENTITY % e SYSTEM "http://127.0.0.1:9/"> %e;]>')


@forgery(DOCTYPE)
def document_type_makes_another_attribute_the_id(material: Material) -> bytes:
    return _after_declaration(material.genuine, "<!DOCTYPE r [<!ATTLIST dxp:Data ver ID #IMPLIED>]>")


@forgery(DOCTYPE)
def document_type_gives_an_attribute_by_default(material: Material) -> bytes:
    return _after_declaration(material.genuine, '<!DOCTYPE r [<!ATTLIST ds:Reference URI CDATA "#forged">]>')


@forgery(MALFORMED)
def document_type_in_utf_16(material: Material) -> bytes:
    """The search for DOCTYPE in the bytes does not see it."""
    changed = material.genuine.replace(DECLARATION, b"<!DOCTYPE DxpMsg>", 1)
    return changed.decode().encode("utf-16")


@forgery(MALFORMED)
def encoding_utf_16(material: Material) -> bytes:
    return material.genuine.removeprefix(DECLARATION).decode().encode("utf-16")


@forgery(SCHEMA)
def encoding_utf_7(material: Material) -> bytes:
    """Only signs that UTF-7 writes otherwise give it away, such as the + of the time."""
    return material.genuine.removeprefix(DECLARATION).decode().encode("utf-7")


@forgery(ENCODING)
def encoding_declared_otherwise(material: Material) -> bytes:
    """Bytes that are one text in UTF-8 and another in what is declared."""
    return replaced(material.genuine, b'encoding="UTF-8"', b'encoding="ISO-8859-1"')


@forgery(ENCODING)
def encoding_declared_otherwise_in_single_quotes(material: Material) -> bytes:
    return replaced(material.genuine, b'encoding="UTF-8"', b"encoding = 'UTF-16LE'")


@forgery(MALFORMED)
def byte_order_mark_of_utf_16(material: Material) -> bytes:
    return b"\xff\xfe" + material.genuine


@forgery(MALFORMED)
def byte_order_mark_twice(material: Material) -> bytes:
    return b"\xef\xbb\xbf" * 2 + material.genuine


@forgery(MALFORMED)
def encoding_of_more_bytes_than_needed(material: Material) -> bytes:
    """``<`` in two bytes, which only a careless decoder takes."""
    return replaced(material.genuine, "<dxp:Data", b"\xc0\xbcdxp:Data")


@forgery(MALFORMED)
def bytes_before_the_document(material: Material) -> bytes:
    return b"\r\n" + material.genuine


@forgery(MALFORMED)
def second_document_behind_the_first(material: Material) -> bytes:
    return material.genuine + _forged(material).removeprefix(DECLARATION)


@forgery(MALFORMED)
def nul_behind_the_document(material: Material) -> bytes:
    return material.genuine + b"\0" + _forged(material)


@forgery(MALFORMED)
def compressed_with_gzip(material: Material) -> bytes:
    return gzip.compress(material.genuine)


@forgery(MALFORMED)
def compressed_with_deflate(material: Material) -> bytes:
    return zlib.compress(material.genuine)


@forgery(SIZE)
def blown_up_with_white_space(material: Material) -> bytes:
    return material.genuine + b" " * 20_000_000


@forgery(DOCTYPE)
def entity_bomb(material: Material) -> bytes:
    levels = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
    changed = replaced(material.genuine, DATA, f"{DATA}&e9;")
    return _declared(changed, f'<!ENTITY e0 "x">{levels}')


@forgery(VALUE)
def line_end_in_the_signed_info(material: Material) -> bytes:
    """A reader that trims attributes would not see it; the canonical form does."""
    return replaced(material.genuine, "<ds:Reference ", "\n<ds:Reference ")


def _declared(data: bytes, declarations: str) -> bytes:
    """With a document type, where a declaration of XML stands or does not."""
    return f"<!DOCTYPE r [{declarations}]>".encode() + data.removeprefix(DECLARATION)
