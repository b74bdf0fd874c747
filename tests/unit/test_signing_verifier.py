"""What the verifier must refuse, each for its own reason.

Most forgeries here are signed again with the very key that is trusted, so that nothing but the rule under test can
refuse them.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree

from connector.errors import SignatureInvalid, UnreadableMessage
from connector.messages.namespaces import CEB, DS, tag
from connector.messages.parser import Element, parse
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.suites import SUITES
from connector.signing.verifier import VerifiedMessage, verify

SUITE = SUITES["rsa-sha1"]
NAMES = {"ceb": CEB, "ds": DS}
SIGNED_INFO = "ds:Signature/ds:SignedInfo"
Edit = Callable[[Element], object]


@pytest.fixture(scope="module")
def genuine(unsigned_message: Callable[..., Element], signing_key: FileKey) -> bytes:
    root = unsigned_message(names=("骑行面罩", "帽子"), extend_message="说明")
    return Signer(signing_key).sign(root).xml


@pytest.fixture
def check(signing_key: FileKey) -> Callable[[bytes], VerifiedMessage]:
    """Verifies as a receiver would that trusts the enterprise's certificate."""
    return lambda data: verify(data, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id})


@pytest.fixture
def refusal(check: Callable[[bytes], VerifiedMessage]) -> Callable[[bytes], str]:
    """Why a document is refused."""

    def why(data: bytes) -> str:
        with pytest.raises(SignatureInvalid) as caught:
            check(data)
        return caught.value.cause

    return why


def child(root: Element, path: str) -> Element:
    found = root.find(path, NAMES)
    assert found is not None
    return found


def text_of(root: Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8")


def signed_again(data: bytes, key: FileKey, edit: Edit) -> bytes:
    """Change the tree, then put in a right signature value: all that is wrong is the change.

    The digest stays; an edit that changes the content has to see to it itself.
    """
    root = parse(data)
    edit(root)
    signed_info = parse(text_of(root)).find(SIGNED_INFO, NAMES)
    if signed_info is not None:
        value = key.sign(etree.tostring(signed_info, method="c14n"))
        child(root, "ds:Signature/ds:SignatureValue").text = b64encode(value).decode()
    return text_of(root)


def set_attribute(path: str, name: str, value: str) -> Edit:
    return lambda root: child(root, path).set(name, value)


def append(path: str, text: str) -> Edit:
    """Append an element, written with the prefix ds, to the one at path."""
    element = etree.fromstring(f'<x xmlns:ds="{DS}">{text}</x>')[0]
    return lambda root: child(root, path).append(element)


def duplicate(path: str) -> Edit:
    def edit(root: Element) -> None:
        element = child(root, path)
        element.addnext(etree.fromstring(etree.tostring(element)))

    return edit


def remove(path: str) -> Edit:
    def edit(root: Element) -> None:
        element = child(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return edit


def set_text(path: str, text: str) -> Edit:
    def edit(root: Element) -> None:
        child(root, path).text = text

    return edit


def test_genuine_message_is_verified(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage], signing_key: FileKey
) -> None:
    verified = check(genuine)
    assert verified.key_id == signing_key.certificate.key_id
    assert verified.certificate == signing_key.certificate.der
    assert verified.suite == "rsa-sha1"


def test_content_is_the_document_without_its_signature(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage]
) -> None:
    start, end = genuine.index(b"<ds:Signature"), genuine.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    declaration = b'<?xml version="1.0" encoding="UTF-8"?>'
    assert check(genuine).content == (genuine[:start] + genuine[end:]).removeprefix(declaration)


def test_genuine_message_is_verified_when_it_is_written_down_otherwise(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage]
) -> None:
    root = parse(genuine)
    otherwise = b"\xef\xbb\xbf" + etree.tostring(root, encoding="UTF-8", xml_declaration=True, standalone=False)
    assert otherwise != genuine
    assert check(otherwise).content == check(genuine).content


def test_genuine_message_is_verified_when_base64_is_wrapped(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage]
) -> None:
    root = parse(genuine)
    for path in ("ds:Signature/ds:SignatureValue", "ds:Signature/ds:KeyInfo/ds:X509Data/ds:X509Certificate"):
        element = child(root, path)
        text = element.text or ""
        element.text = "\n" + "\n".join(text[at : at + 76] for at in range(0, len(text), 76)) + "\n"
    assert check(text_of(root)).content == check(genuine).content


def test_every_changed_byte_is_refused_or_changes_no_content(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage]
) -> None:
    content = check(genuine).content
    refused = 0
    for at, byte in enumerate(genuine):
        changed = genuine[:at] + bytes([byte ^ 1]) + genuine[at + 1 :]
        try:
            assert check(changed).content == content
        except (SignatureInvalid, UnreadableMessage):
            refused += 1
    # What is left are the declaration, KeyName and bits that Base64 does not use.
    assert refused > len(genuine) - 60


def test_change_is_refused_when_it_is_in_any_element(
    genuine: bytes, refusal: Callable[[bytes], str], check: Callable[[bytes], VerifiedMessage]
) -> None:
    count = len(list(parse(genuine).iter()))
    for number in range(count):
        root = parse(genuine)
        element = list(root.iter())[number]
        element.text = "x" + (element.text or "")
        if element.tag == tag(DS, "KeyName"):
            # Nothing is read from it: the certificate alone selects the key.
            check(text_of(root))
        else:
            assert refusal(text_of(root))


@pytest.mark.parametrize(
    "edit",
    [
        set_attribute(".", "guid", "G-2"),
        set_attribute(".", "extra", ""),
        set_text("ceb:BaseTransfer/ceb:copCode", "4401000002"),
        set_text("ceb:ExtendMessage/ceb:name", ""),
        remove("ceb:InvtRefund/ceb:InvtRefundList/ceb:note"),
        remove("ceb:InvtRefund[2]"),
        duplicate("ceb:InvtRefund"),
        lambda root: root.append(root[0]),
        lambda root: setattr(root[0], "tail", "\n"),
        lambda root: setattr(child(root, "ds:Signature"), "tail", " "),
        lambda root: setattr(root[0], "tag", "InvtRefund"),
        lambda root: etree.SubElement(root[0], "a", nsmap={"ceb": "urn:other"}),
    ],
    ids=[
        "attribute",
        "new-attribute",
        "text",
        "emptied",
        "element-removed",
        "record-removed",
        "record-doubled",
        "order",
        "white-space",
        "white-space-after-signature",
        "namespace",
        "new-element",
    ],
)
def test_content_is_refused_when_it_was_changed(
    genuine: bytes, refusal: Callable[[bytes], str], signing_key: FileKey, edit: Edit
) -> None:
    assert "the digest differs" in refusal(signed_again(genuine, signing_key, edit))


def test_digest_is_refused_when_it_was_changed_with_the_content(
    genuine: bytes, refusal: Callable[[bytes], str]
) -> None:
    root = parse(genuine)
    child(root, "ceb:BaseTransfer/ceb:copCode").text = "4401000002"
    bare = parse(text_of(root))
    remove("ds:Signature")(bare)
    digest = b64encode(SUITE.digest(etree.tostring(bare, method="c14n"))).decode()
    child(root, f"{SIGNED_INFO}/ds:Reference/ds:DigestValue").text = digest
    assert "the signature value does not fit" in refusal(text_of(root))


REFERENCE = f"{SIGNED_INFO}/ds:Reference"
TRANSFORMS = f"{REFERENCE}/ds:Transforms"
METHOD = f"{SIGNED_INFO}/ds:SignatureMethod"
C14N = f"{SIGNED_INFO}/ds:CanonicalizationMethod"
X509_DATA = "ds:Signature/ds:KeyInfo/ds:X509Data"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(duplicate(SIGNED_INFO), id="two-signed-infos"),
        pytest.param(duplicate(REFERENCE), id="two-references"),
        pytest.param(remove(REFERENCE), id="no-reference"),
        pytest.param(set_attribute(REFERENCE, "URI", "#G-1"), id="reference-to-an-id"),
        pytest.param(set_attribute(REFERENCE, "URI", "file:///etc/hostname"), id="reference-to-a-file"),
        pytest.param(lambda root: child(root, REFERENCE).attrib.pop("URI"), id="reference-without-uri"),
        pytest.param(set_attribute(REFERENCE, "Type", f"{DS}Manifest"), id="reference-to-a-manifest"),
        pytest.param(remove(TRANSFORMS), id="no-transforms"),
        pytest.param(remove(f"{TRANSFORMS}/ds:Transform"), id="no-transform"),
        pytest.param(duplicate(f"{TRANSFORMS}/ds:Transform"), id="two-transforms"),
        pytest.param(
            set_attribute(f"{TRANSFORMS}/ds:Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
            id="xslt-transform",
        ),
        pytest.param(append(f"{TRANSFORMS}/ds:Transform", "<ds:XPath>0</ds:XPath>"), id="xpath-transform"),
        pytest.param(
            set_attribute(C14N, "Algorithm", f"{SUITE.canonicalization}#WithComments"), id="c14n-with-comments"
        ),
        pytest.param(set_attribute(C14N, "Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#"), id="exclusive-c14n"),
        pytest.param(append(C14N, "<ds:InclusiveNamespaces/>"), id="c14n-with-parameters"),
        pytest.param(append(METHOD, "<ds:HMACOutputLength>0</ds:HMACOutputLength>"), id="truncated-hmac"),
        pytest.param(
            set_attribute(f"{REFERENCE}/ds:DigestMethod", "Algorithm", "http://www.w3.org/2001/04/xmlenc#sha256"),
            id="other-digest",
        ),
        pytest.param(duplicate(f"{REFERENCE}/ds:DigestValue"), id="two-digests"),
        pytest.param(append(f"{REFERENCE}/ds:DigestValue", "<ds:x/>"), id="element-in-digest"),
        pytest.param(set_text(f"{REFERENCE}/ds:DigestValue", " "), id="empty-digest"),
        pytest.param(set_text(REFERENCE, "text"), id="text-in-reference"),
        pytest.param(duplicate("ds:Signature/ds:SignatureValue"), id="two-values"),
        pytest.param(remove("ds:Signature/ds:KeyInfo"), id="no-key-info"),
        pytest.param(duplicate("ds:Signature/ds:KeyInfo"), id="two-key-infos"),
        pytest.param(append("ds:Signature/ds:KeyInfo", "<ds:KeyValue>1</ds:KeyValue>"), id="key-value"),
        pytest.param(append("ds:Signature/ds:KeyInfo", '<ds:RetrievalMethod URI="#k"/>'), id="retrieval-method"),
        pytest.param(duplicate(f"{X509_DATA}/ds:X509Certificate"), id="two-certificates"),
        pytest.param(remove(f"{X509_DATA}/ds:X509Certificate"), id="no-certificate"),
        pytest.param(append("ds:Signature", "<ds:Object>1</ds:Object>"), id="object"),
        pytest.param(append("ds:Signature", "<Manifest/>"), id="foreign-element"),
        pytest.param(set_attribute("ds:Signature", "Id", "s"), id="signature-with-id"),
    ],
)
def test_signature_is_refused_when_its_shape_is_another(
    genuine: bytes, refusal: Callable[[bytes], str], signing_key: FileKey, edit: Edit
) -> None:
    assert refusal(signed_again(genuine, signing_key, edit)).startswith("the signature has [")


@pytest.mark.parametrize(
    "uri",
    [
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        f"{DS}hmac-sha1",
        f"{DS}dsa-sha1",
        f"{DS}RSA-SHA1",
        "http://www.chinaport.gov.cn/2022/04/xmldsig#sm2-sm3",
        "",
    ],
)
def test_signature_is_refused_when_its_method_is_another(
    genuine: bytes, refusal: Callable[[bytes], str], signing_key: FileKey, uri: str
) -> None:
    changed = signed_again(genuine, signing_key, set_attribute(METHOD, "Algorithm", uri))
    assert refusal(changed) == f"the signature method {uri} is not allowed here"


def test_signature_is_refused_when_its_suite_is_not_allowed(genuine: bytes, signing_key: FileKey) -> None:
    with pytest.raises(SignatureInvalid, match="rsa-sha1 is not allowed here"):
        verify(genuine, suites=(), fingerprints={signing_key.certificate.key_id})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ds:Signature/ds:SignatureValue", "SignatureValue"),
        (f"{X509_DATA}/ds:X509Certificate", "X509Certificate"),
    ],
)
@pytest.mark.parametrize("text", ["%%%%", "AAA", "AAAA=AAA", "ÄÖÜß"])
def test_signature_is_refused_when_base64_is_not(
    genuine: bytes, refusal: Callable[[bytes], str], path: str, name: str, text: str
) -> None:
    root = parse(genuine)
    child(root, path).text = text
    assert refusal(text_of(root)) == f"{name} is not Base64"


def test_message_is_refused_when_it_has_no_signature(genuine: bytes, refusal: Callable[[bytes], str]) -> None:
    root = parse(genuine)
    remove("ds:Signature")(root)
    assert refusal(text_of(root)) == "the document holds 0 signatures instead of one"


def another_root(data: bytes, place: Callable[[Element, Element, Element], object]) -> bytes:
    """A forged message, the signed original without its signature, and that signature, put together by place."""
    original, forged = parse(data), parse(data)
    child(forged, "ceb:BaseTransfer/ceb:copCode").text = "forged"
    remove("ds:Signature")(forged)
    signature = child(original, "ds:Signature")
    original.remove(signature)
    place(forged, original, signature)
    return text_of(forged)


def in_object(forged: Element, original: Element, signature: Element) -> None:
    etree.SubElement(signature, tag(DS, "Object")).append(original)
    forged.append(signature)


def in_signature(forged: Element, original: Element, signature: Element) -> None:
    signature.append(original)
    forged.append(signature)


def before_signature(forged: Element, original: Element, signature: Element) -> None:
    forged.extend([original, signature])


def after_signature(forged: Element, original: Element, signature: Element) -> None:
    forged.extend([signature, original])


def first_of_all(forged: Element, original: Element, signature: Element) -> None:
    forged.insert(0, original)
    forged.append(signature)


def with_its_signature(forged: Element, original: Element, signature: Element) -> None:
    original.append(signature)
    forged.append(original)


def in_extend_message(forged: Element, original: Element, signature: Element) -> None:
    extend = child(forged, "ceb:ExtendMessage")
    original.append(signature)
    extend.append(original)


def twice(forged: Element, original: Element, signature: Element) -> None:
    forged.append(parse(etree.tostring(signature)))
    with_its_signature(forged, original, signature)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (in_object, "the signature has ["),
        (in_signature, "the signature has ["),
        (before_signature, "the digest differs"),
        (after_signature, "the digest differs"),
        (first_of_all, "the digest differs"),
        (with_its_signature, "the signature is not a child of the root"),
        (in_extend_message, "the signature is not a child of the root"),
        (twice, "the document holds 2 signatures"),
    ],
)
def test_signature_is_refused_when_it_is_wrapped(
    genuine: bytes,
    refusal: Callable[[bytes], str],
    place: Callable[[Element, Element, Element], object],
    reason: str,
) -> None:
    assert refusal(another_root(genuine, place)).startswith(reason)


def test_signature_is_refused_when_there_is_a_second(genuine: bytes, refusal: Callable[[bytes], str]) -> None:
    for path in ("ds:Signature", "ceb:ExtendMessage", "ceb:InvtRefund"):
        root = parse(genuine)
        child(root, path).addnext(parse(etree.tostring(child(root, "ds:Signature"))))
        assert refusal(text_of(root)) == "the document holds 2 signatures instead of one"


def test_signature_is_refused_when_it_is_the_root(genuine: bytes, refusal: Callable[[bytes], str]) -> None:
    signature = etree.tostring(child(parse(genuine), "ds:Signature"))
    assert refusal(signature) == "the signature is not a child of the root"


def test_signature_is_refused_when_the_certificate_is_not_trusted(genuine: bytes, signing_key: FileKey) -> None:
    for fingerprints in (set(), {"0" * 64}, {signing_key.certificate.key_id[:-1]}):
        with pytest.raises(SignatureInvalid, match="is not one that is trusted here"):
            verify(genuine, suites={"rsa-sha1"}, fingerprints=fingerprints)


def test_signature_is_refused_when_a_trusted_certificate_did_not_make_it(genuine: bytes, development_pki: Path) -> None:
    ca = x509.load_pem_x509_certificate((development_pki / "ca.crt.pem").read_bytes()).public_bytes(Encoding.DER)
    root = parse(genuine)
    child(root, f"{X509_DATA}/ds:X509Certificate").text = b64encode(ca).decode()
    with pytest.raises(SignatureInvalid, match="the signature value does not fit"):
        verify(text_of(root), suites={"rsa-sha1"}, fingerprints={hashlib.sha256(ca).hexdigest()})


def test_signature_is_refused_when_the_certificate_holds_no_rsa_key(genuine: bytes) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start.replace(year=2027)).public_key(key.public_key())
    der = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    root = parse(genuine)
    child(root, f"{X509_DATA}/ds:X509Certificate").text = b64encode(der).decode()
    with pytest.raises(SignatureInvalid, match="the certificate holds no key for rsa-sha1"):
        verify(text_of(root), suites={"rsa-sha1"}, fingerprints={hashlib.sha256(der).hexdigest()})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"4401000001<", b"4401<!-- -->000001<"),
        (b"4401000001<", b"4401<?x y?>000001<"),
        (b"<ds:DigestValue>", b"<ds:DigestValue><!-- -->"),
        (b"<ds:SignedInfo>", b"<ds:SignedInfo><?x y?>"),
        (b'"UTF-8"?>', b'"UTF-8"?><!DOCTYPE r [<!ENTITY e "x">]>'),
    ],
    ids=["comment", "instruction", "comment-in-digest", "instruction-in-signature", "document-type"],
)
def test_message_is_refused_when_the_parser_refuses_it(
    genuine: bytes, check: Callable[[bytes], VerifiedMessage], old: bytes, new: bytes
) -> None:
    changed = genuine.replace(old, new, 1)
    assert changed != genuine
    with pytest.raises(UnreadableMessage):
        check(changed)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"?><ceb:", b"?><!-- --><ceb:", "the document holds a comment"),
        (b"?><ceb:", b"?><?x y?><ceb:", "the document holds a comment"),
        (b"</ceb:CEB213Message>", b"</ceb:CEB213Message><!-- -->", "the document holds a comment"),
        (b"<ceb:BaseTransfer>", b'<ceb:BaseTransfer xmlns:x="relative">', "the document has no canonical form"),
        (b"<ceb:BaseTransfer>", b'<ceb:BaseTransfer xmlns:x="u:a&amp;b">', "the document has a namespace with"),
        (b' guid="', b' xml:id="i" guid="', "the root has an attribute in the xml: namespace"),
    ],
    ids=["comment-before", "instruction-before", "comment-after", "relative-namespace", "ampersand", "xml-attribute"],
)
def test_message_is_refused_when_its_canonical_form_is_in_doubt(
    genuine: bytes, refusal: Callable[[bytes], str], old: bytes, new: bytes, reason: str
) -> None:
    changed = genuine.replace(old, new, 1)
    assert changed != genuine
    assert refusal(changed).startswith(reason)
