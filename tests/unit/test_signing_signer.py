"""The shape of the signatures we make, and that any text survives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from connector.errors import SigningError
from connector.messages.namespaces import CEB, DS, XSI, tag
from connector.messages.parser import Element, parse
from connector.signing.certificates import Certificate
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.suites import SUITES, Suite
from connector.signing.verifier import verify

SUITE = SUITES["rsa-sha1"]
Build = Callable[..., Element]


def certificate(der: bytes) -> Certificate:
    """What nobody looks at but for its bytes and its fingerprint."""
    ever = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return Certificate(
        der=der, key_id="ab" * 32, serial_number=1, subject="", issuer="", valid_from=ever[0], valid_until=ever[1]
    )


@dataclass
class RecordingKey:
    """A key that keeps what it was asked to sign."""

    signed: list[bytes] = field(default_factory=list)
    certificate: Certificate = field(default_factory=lambda: certificate(b"\x30\x00"))
    key_name: str = "01691f7f"
    suite: Suite = SUITE

    def sign(self, data: bytes) -> bytes:
        self.signed.append(data)
        return b"\x01\x02\x03"


def names_of(root: Element) -> list[str]:
    return [etree.QName(child).localname for child in root]


def test_signature_is_the_whole_text_that_customs_accepts(unsigned_message: Build) -> None:
    signed = Signer(RecordingKey()).sign(unsigned_message())
    found = re.search(rb"</ceb:BaseTransfer>(<ds:Signature.*</ds:Signature>)</ceb:CEB213Message>\Z", signed.xml)
    assert found
    assert re.sub(rb"(?<=DigestValue>)[^<]+", b"", found[1]).decode() == (
        '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
        '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">'
        "</ds:CanonicalizationMethod>"
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"></ds:SignatureMethod>'
        '<ds:Reference URI=""><ds:Transforms>'
        '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>'
        '</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"></ds:DigestMethod>'
        "<ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>"
        "<ds:SignatureValue>AQID</ds:SignatureValue>"
        "<ds:KeyInfo><ds:KeyName>01691f7f</ds:KeyName>"
        "<ds:X509Data><ds:X509Certificate>MAA=</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )


def test_signed_bytes_start_with_the_declaration(unsigned_message: Build) -> None:
    signed = Signer(RecordingKey()).sign(unsigned_message())
    assert signed.xml.startswith(b'<?xml version="1.0" encoding="UTF-8"?><ceb:CEB213Message xmlns:ceb="')


def test_signed_message_names_key_and_suite(unsigned_message: Build) -> None:
    signed = Signer(RecordingKey()).sign(unsigned_message())
    assert (signed.key_id, signed.suite) == ("ab" * 32, "rsa-sha1")


def test_signed_info_has_the_bytes_of_the_published_signatures(unsigned_message: Build, reference: Path) -> None:
    vectors = json.loads((reference / "official/signature-vectors.json").read_text("utf-8"))["vectors"]
    published = re.sub(r"(?<=DigestValue>)[^<]+", "", vectors[0]["signed_info"])
    key = RecordingKey()
    Signer(key).sign(unsigned_message())
    assert re.sub(r"(?<=DigestValue>)[^<]+", "", key.signed[0].decode()) == published


@pytest.mark.parametrize(
    "root",
    [
        f'<ceb:M xmlns:xsi="{XSI}" xmlns:ceb="{CEB}"/>',
        f'<M xmlns="{CEB}" xmlns:xsi="{XSI}"/>',
        f'<ceb:M xmlns:zz="urn:z" xmlns:ceb="{CEB}" xmlns:ds="{DS}"/>',
        f'<ceb:M xmlns:B="urn:it\'s" xmlns:a="urn:a" xmlns:A="urn:a" xmlns:ceb="{CEB}"/>',
        "<M/>",
    ],
    ids=["usual", "default", "ds-on-the-root", "capitals-and-quote", "none"],
)
def test_signed_info_is_canonical_when_the_root_declares_other_namespaces(root: str) -> None:
    key = RecordingKey()
    signed = parse(Signer(key).sign(parse(root.encode())).xml)
    signed_info = signed.find(f"{tag(DS, 'Signature')}/{tag(DS, 'SignedInfo')}")
    assert signed_info is not None
    assert key.signed == [etree.tostring(signed_info, method="c14n")]


def test_signature_stands_before_extend_message(unsigned_message: Build) -> None:
    # The text looks like the places the signature could be put at.
    root = unsigned_message(extend_message="<ceb:ExtendMessage> <?signature?> </ceb:CEB213Message>")
    signed = parse(Signer(RecordingKey()).sign(root).xml)
    assert names_of(signed) == ["InvtRefund", "BaseTransfer", "Signature", "ExtendMessage"]


def test_signature_does_not_change_the_tree_it_signs(unsigned_message: Build) -> None:
    for extend_message in (None, "x"):
        root = unsigned_message(extend_message=extend_message)
        before = etree.tostring(root)
        Signer(RecordingKey()).sign(root)
        assert etree.tostring(root) == before


def test_signature_is_the_same_when_the_message_is_signed_again(unsigned_message: Build, signing_key: FileKey) -> None:
    root = unsigned_message()
    signer = Signer(signing_key)
    assert signer.sign(root) == signer.sign(root)


def test_white_space_around_the_signature_stays_in_the_digest(signing_key: FileKey) -> None:
    root = parse(b"<r>\n\t<a/>\n\t<ExtendMessage/>\n</r>")
    signed = Signer(signing_key).sign(root)
    verified = verify(signed.xml, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})
    assert verified.content == b"<r>\n\t<a></a>\n\t<ExtendMessage></ExtendMessage>\n</r>"


def test_signing_is_refused_when_there_is_a_signature(unsigned_message: Build, signing_key: FileKey) -> None:
    signer = Signer(signing_key)
    signed = parse(signer.sign(unsigned_message()).xml)
    with pytest.raises(SigningError, match="holds a signature already"):
        signer.sign(signed)


@pytest.mark.parametrize(
    "text",
    [
        b"<r><!--c--><a/></r>",
        b"<r><?p i?><a/></r>",
        b"<!--c--><r/>",
        b"<r/><!--c-->",
        b'<r xml:lang="zh"/>',
        b'<r xmlns:a="relative"/>',
        b'<r xmlns:a="urn:a?x=1&amp;y=2"/>',
        b'<r><a xmlns="urn:&amp;amp;"/></r>',
    ],
)
def test_signing_is_refused_when_the_canonical_form_is_in_doubt(text: bytes) -> None:
    with pytest.raises(SigningError):
        Signer(RecordingKey()).sign(etree.fromstring(text))


xml_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r<>&\"'😀𠮷\u0085\u2028")
)


@settings(deadline=None)
@given(names=st.lists(xml_text, min_size=1, max_size=3), guid=xml_text, extend_message=st.none() | xml_text)
def test_any_text_survives_signing(
    unsigned_message: Build, signing_key: FileKey, names: list[str], guid: str, extend_message: str | None
) -> None:
    root = unsigned_message(names=tuple(names), extend_message=extend_message)
    root.set("guid", guid)
    signed = Signer(signing_key).sign(root)
    verified = verify(signed.xml, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})
    for content in (signed.xml, verified.content):
        read = parse(content)
        assert [element.text or "" for element in read.iter(tag(CEB, "gname"))] == names
        assert read.get("guid") == guid


@pytest.mark.parametrize("name", ["CEB213Message", "CEB215Message"])
def test_official_sample_is_valid_and_verifies_when_we_signed_it(
    reference: Path, signing_key: FileKey, name: str
) -> None:
    # A copy leaves behind the comment that one of them has before its root.
    root = deepcopy(parse((reference / f"official/samples202205/{name}.xml").read_bytes()))
    for placeholder in root.findall(tag(DS, "Signature")):
        root.remove(placeholder)
    signed = Signer(signing_key).sign(root)
    schema = etree.XMLSchema(etree.parse(reference / "official/xsd202205/ceb-export.xsd"))
    schema.assertValid(parse(signed.xml))
    verified = verify(signed.xml, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})
    assert verified.content == etree.tostring(root, method="c14n")
