"""Signed envelopes (ECDSA, exclusive canonical form) that we make others verify, and the reverse.

The others are signxml, the package xmlsec and the program xmlsec1. Unlike a customs message the document is a DxpMsg,
and its signature is no longer right when a single byte is another.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xmlsec
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.exceptions import InvalidSignature
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from connector.errors import SignatureInvalid
from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import DS, XSI, tag
from connector.messages.parser import Element, parse
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.verifier import verify

Verifies = Callable[[bytes], bool]
Signs = Callable[[Element], bytes]

EXCLUSIVE = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
ECDSA_ONLY = SignatureConfiguration(
    location="./",
    expect_references=1,
    signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)


@pytest.fixture(scope="session")
def xmlsec1() -> str:
    program = shutil.which("xmlsec1")
    if program is None:
        pytest.skip("needs xmlsec1, and it is not installed (Debian package xmlsec1)")
    return program


@pytest.fixture(scope="session")
def certificate(development_pki: Path) -> Path:
    return development_pki / "office.crt.pem"


@pytest.fixture(scope="session")
def private_key(development_pki: Path) -> Path:
    return development_pki / "office.key.pem"


@pytest.fixture(scope="session")
def content_by_us(office_key: FileKey) -> Callable[[bytes], bytes]:
    """The content that our verifier hands back."""
    trusted = {office_key.certificate.key_id}
    return lambda data: verify(data, suites={"ecdsa-p256-sha256"}, fingerprints=trusted).content


@pytest.fixture(scope="session")
def by_xmlsec1(xmlsec1: str, certificate: Path) -> Verifies:
    def verifies(data: bytes) -> bool:
        command = [xmlsec1, "--verify", "--pubkey-cert-pem", str(certificate), "-"]
        result = subprocess.run(command, input=data, capture_output=True, check=False)
        assert result.returncode == 0 or b"FAIL" in result.stderr
        return result.returncode == 0

    return verifies


@pytest.fixture(scope="session")
def by_xmlsec(certificate: Path) -> Verifies:
    key = xmlsec.Key.from_file(str(certificate), xmlsec.constants.KeyDataFormatCertPem)

    def verifies(data: bytes) -> bool:
        context = xmlsec.SignatureContext()
        context.key = key
        try:
            context.verify(next(parse(data).iter(tag(DS, "Signature"))))
        except xmlsec.VerificationError:
            return False
        return True

    return verifies


@pytest.fixture(scope="session")
def by_signxml(certificate: Path, content_by_us: Callable[[bytes], bytes]) -> Verifies:
    trusted = certificate.read_text()

    def verifies(data: bytes) -> bool:
        try:
            result = XMLVerifier().verify(data, x509_cert=trusted, expect_config=ECDSA_ONLY)
        except InvalidSignature:
            return False
        assert not isinstance(result, list)
        assert result.signed_data == content_by_us(data)
        return True

    return verifies


@pytest.fixture(params=["by_xmlsec1", "by_xmlsec", "by_signxml"])
def by_others(request: pytest.FixtureRequest) -> Verifies:
    verifies: Verifies = request.getfixturevalue(request.param)
    return verifies


@pytest.fixture(scope="session")
def signed_by_signxml(private_key: Path, certificate: Path, office_key: FileKey) -> Signs:
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped,
        signature_algorithm=SignatureMethod.ECDSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=EXCLUSIVE,
    )
    key, chain = private_key.read_text(), certificate.read_text()
    return lambda root: etree.tostring(signer.sign(root, key=key, cert=chain, key_name=office_key.key_name))


def template_of(root: Element, key: FileKey) -> Element:
    """Our own signature with nothing computed in it, for others to fill in."""
    template = parse(Signer(key).sign(root).xml)
    for name in ("DigestValue", "SignatureValue", "X509Certificate"):
        next(template.iter(tag(DS, name))).text = None
    return template


@pytest.fixture(scope="session")
def signed_by_xmlsec1(xmlsec1: str, private_key: Path, certificate: Path, office_key: FileKey) -> Signs:
    def signs(root: Element) -> bytes:
        command = [xmlsec1, "--sign", "--privkey-pem", f"{private_key},{certificate}", "-"]
        template = etree.tostring(template_of(root, office_key))
        return subprocess.run(command, input=template, capture_output=True, check=True).stdout

    return signs


@pytest.fixture(scope="session")
def signed_by_xmlsec(private_key: Path, certificate: Path, office_key: FileKey) -> Signs:
    def signs(root: Element) -> bytes:
        template = template_of(root, office_key)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(str(private_key), xmlsec.constants.KeyDataFormatPem)
        context.key.load_cert_from_file(str(certificate), xmlsec.constants.KeyDataFormatCertPem)
        context.sign(next(template.iter(tag(DS, "Signature"))))
        return etree.tostring(template)

    return signs


@pytest.fixture(params=["signed_by_signxml", "signed_by_xmlsec1", "signed_by_xmlsec"])
def signed_by_others(request: pytest.FixtureRequest) -> Signs:
    signs: Signs = request.getfixturevalue(request.param)
    return signs


def envelope(data: bytes = b"<CEB214Message/>", sender: str = "DXPEDCCEB0000003") -> Element:
    sealed = seal(
        Envelope(
            message_id="1F6A",
            sender=sender,
            receiver="DXPENT0000011351",
            created=datetime(2026, 6, 1, tzinfo=UTC),
            message_type="CEB214Message",
            data=data,
        )
    )
    return parse(sealed)


def with_unused_namespaces() -> Element:
    """What exclusive canonical form leaves out, and inclusive form does not."""
    text = etree.tostring(envelope()).replace(b"<dxp:DxpMsg ", f'<dxp:DxpMsg xmlns:xsi="{XSI}" '.encode(), 1)
    return parse(text.replace(b"<dxp:TransInfo>", b'<dxp:TransInfo xmlns:a="urn:a">'))


def indented() -> Element:
    root = envelope(b"x" * 100_000)
    etree.indent(root)
    return root


SHAPES = [
    pytest.param(envelope, id="plain"),
    pytest.param(lambda: envelope(sender="企业&<>\"'😀"), id="odd-text"),
    pytest.param(with_unused_namespaces, id="unused-namespaces"),
    pytest.param(indented, id="indented"),
]


@pytest.mark.parametrize("make", SHAPES)
def test_our_envelope_is_verified_by_others(
    office_key: FileKey, by_others: Verifies, make: Callable[[], Element]
) -> None:
    signed = Signer(office_key).sign(make()).xml
    assert by_others(signed)
    assert not by_others(signed.replace(b"DXPENT0000011351", b"DXPENT0000011352"))
    assert not by_others(signed.replace(b"<dxp:Data>", b"<dxp:Data>\n"))


@pytest.mark.parametrize("make", SHAPES)
def test_envelope_of_others_is_verified_by_us(
    signed_by_others: Signs, content_by_us: Callable[[bytes], bytes], make: Callable[[], Element]
) -> None:
    root = make()
    signed = signed_by_others(deepcopy(root))
    assert content_by_us(signed) == etree.tostring(root, method="c14n", exclusive=True)
    with pytest.raises(SignatureInvalid):
        content_by_us(signed.replace(b"DXPENT0000011351", b"DXPENT0000011352"))


@settings(deadline=None, max_examples=200)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")))
def test_any_text_in_an_envelope_we_sign_is_verified_by_others(
    office_key: FileKey, by_xmlsec: Verifies, by_signxml: Verifies, text: str
) -> None:
    root = envelope()
    next(root.iter("{*}MsgType")).text = f"{text}\r\n<&>"
    root.set("Id", text)
    signed = Signer(office_key).sign(root).xml
    assert by_xmlsec(signed)
    assert by_signxml(signed)
