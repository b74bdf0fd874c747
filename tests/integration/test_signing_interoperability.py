"""What we sign others verify, and the reverse: the xmlsec1 program and signxml.

Both are told to allow SHA-1, which the customs specification demands and which they refuse otherwise.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidSignature
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from connector.messages.builder import Transfer, build_message
from connector.messages.catalogue import message_type
from connector.messages.documents import AppType, Content, Document
from connector.messages.namespaces import DS, tag
from connector.messages.parser import Element, parse
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.suites import SUITES
from connector.signing.verifier import verify

SUITE = SUITES["rsa-sha1"]
Build = Callable[..., Element]
Verifies = Callable[[bytes], bool]

SHA1_ALLOWED = SignatureConfiguration(
    location="./",
    expect_references=1,
    signature_methods=frozenset({SignatureMethod.RSA_SHA1}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA1}),
    default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
)


_BOTH = {
    "appStatus": "2",
    "customsCode": "5165",
    "logisticsCode": "4401000003",
    "logisticsName": "快运 & 物流",
    "logisticsNo": "3868076295380612",
    "invtNo": "22442026E000000123",
    "billNo": "78444192956",
    "ieFlag": "I",
    "trafMode": "5",
    "trafName": "飞机",
    "voyageNo": "CZ465",
}
REFUND = _BOTH | {
    "ebpCode": "4401000001",
    "ebpName": "云帆电商",
    "ebcCode": "4401000001",
    "ebcName": "云帆电商",
    "agentCode": "4401000001",
    "agentName": "云帆电商",
    "portCode": "5165",
    "reason": "尺寸不合 <S/M>\r\n客户“退货”",
    "country": "303",
}
REFUND_LINE = {
    "gnum": "1",
    "gcode": "3926909090",
    "gname": "骑行面罩",
    "gmodel": "无牌，均码，塑料",
    "qty": "1",
    "qty1": "0.0475",
    "unit": "011",
    "unit1": "035",
}
TALLY = _BOTH | {"operatorCode": "4401000001", "operatorName": "监管场所"}


class Sha1Signer(XMLSigner):
    """A signxml signer that lets SHA-1 pass."""

    def check_deprecated_methods(self) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def xmlsec1() -> str:
    program = shutil.which("xmlsec1")
    if program is None:
        pytest.skip("needs xmlsec1, and it is not installed (Debian package xmlsec1)")
    return program


@pytest.fixture(scope="session")
def by_xmlsec1(xmlsec1: str, development_pki: Path) -> Verifies:
    def verifies(data: bytes) -> bool:
        command = [xmlsec1, "--verify", "--pubkey-cert-pem", str(development_pki / "enterprise.crt.pem"), "-"]
        result = subprocess.run(command, input=data, capture_output=True, check=False)
        assert result.returncode == 0 or b"FAIL" in result.stderr
        return result.returncode == 0

    return verifies


@pytest.fixture(scope="session")
def content_by_us(signing_key: FileKey) -> Callable[[bytes], bytes]:
    """The content that our verifier hands back for a message signed with the enterprise key."""
    return lambda data: verify(data, suites={"rsa-sha1"}, fingerprints={signing_key.certificate.key_id}).content


@pytest.fixture(scope="session")
def by_signxml(development_pki: Path, content_by_us: Callable[[bytes], bytes]) -> Verifies:
    certificate = (development_pki / "enterprise.crt.pem").read_text()

    def verifies(data: bytes) -> bool:
        try:
            result = XMLVerifier().verify(data, x509_cert=certificate, expect_config=SHA1_ALLOWED)
        except InvalidSignature:
            return False
        assert not isinstance(result, list)
        assert result.signed_data == content_by_us(data)
        return True

    return verifies


@pytest.fixture(params=["by_xmlsec1", "by_signxml"])
def by_others(request: pytest.FixtureRequest) -> Verifies:
    verifies: Verifies = request.getfixturevalue(request.param)
    return verifies


@pytest.fixture
def customs_messages() -> list[Element]:
    """A CEB213 and a CEB215 of three documents each, as the builder makes them for customs."""
    transfer = Transfer(cop_code="4401000001", cop_name="云帆电商", dxp_id="DXPENT0000011351")
    messages = []
    for name, head, lines in (("CEB213", REFUND, (REFUND_LINE, REFUND_LINE)), ("CEB215", TALLY, ())):
        documents = [
            Document(
                type=name,
                business_key=f"4401000001/RK{number}",
                revision=1,
                app_type=AppType.NEW,
                app_time=datetime(2026, 6, 1, tzinfo=UTC),
                content=Content(head={**head, "coElNo": f"RK{number}"}, lines=lines),
            )
            for number in range(3)
        ]
        messages.append(build_message(message_type(name), documents, transfer, documents[0].guid))
    return messages


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({}, id="one-document"),
        pytest.param({"names": tuple(f"品名 {number}" for number in range(100))}, id="hundred-documents"),
        pytest.param({"extend_message": "说明"}, id="extend-message"),
        pytest.param({"names": ("a\r\n\t<&>\"'𠮷😀]]>", "")}, id="odd-text"),
    ],
)
def test_our_signature_is_verified_by_others(
    unsigned_message: Build, signing_key: FileKey, by_others: Verifies, shape: dict[str, object]
) -> None:
    assert by_others(Signer(signing_key).sign(unsigned_message(**shape)).xml)


def test_our_signature_is_verified_by_others_when_the_message_is_built_for_customs(
    signing_key: FileKey, by_others: Verifies, customs_messages: list[Element]
) -> None:
    for root in customs_messages:
        assert by_others(Signer(signing_key).sign(root).xml)


def test_our_signature_is_refused_by_others_when_the_content_was_changed(
    unsigned_message: Build, signing_key: FileKey, by_others: Verifies
) -> None:
    signed = Signer(signing_key).sign(unsigned_message()).xml
    assert not by_others(signed.replace(b"4401000001", b"4401000002"))


xml_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r<>&\"'😀𠮷\u0085\u2028")
)


@settings(deadline=None)
@given(names=st.lists(xml_text, min_size=1, max_size=3), guid=xml_text, extend_message=st.none() | xml_text)
def test_any_text_we_sign_is_verified_by_xmlsec1(
    unsigned_message: Build,
    signing_key: FileKey,
    by_xmlsec1: Verifies,
    names: list[str],
    guid: str,
    extend_message: str | None,
) -> None:
    root = unsigned_message(names=tuple(names), extend_message=extend_message)
    root.set("guid", guid)
    assert by_xmlsec1(Signer(signing_key).sign(root).xml)


@settings(deadline=None)
@given(names=st.lists(xml_text, min_size=1, max_size=3), guid=xml_text)
def test_any_text_signed_by_signxml_is_verified_by_us(
    unsigned_message: Build,
    signing_key: FileKey,
    development_pki: Path,
    content_by_us: Callable[[bytes], bytes],
    names: list[str],
    guid: str,
) -> None:
    root = unsigned_message(names=tuple(names))
    root.set("guid", guid)
    signer = Sha1Signer(
        signature_algorithm=SignatureMethod.RSA_SHA1,
        digest_algorithm=DigestAlgorithm.SHA1,
        c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0,
    )
    signed = signer.sign(
        root,
        key=(development_pki / "enterprise.key.pem").read_text(),
        cert=(development_pki / "enterprise.crt.pem").read_text(),
        key_name=signing_key.key_name,
        exclude_c14n_transform_element=True,
    )
    assert content_by_us(etree.tostring(signed)) == etree.tostring(root, method="c14n")


def test_signature_of_xmlsec1_is_verified_by_us(
    xmlsec1: str,
    development_pki: Path,
    signing_key: FileKey,
    unsigned_message: Build,
    content_by_us: Callable[[bytes], bytes],
) -> None:
    root = unsigned_message(names=("骑行面罩\r\n", "<&>"), extend_message="说明")
    template = parse(Signer(signing_key).sign(root).xml)
    for name in ("DigestValue", "SignatureValue", "X509Certificate"):
        next(template.iter(tag(DS, name))).text = None
    pair = f"{development_pki / 'enterprise.key.pem'},{development_pki / 'enterprise.crt.pem'}"
    signed = subprocess.run(
        [xmlsec1, "--sign", "--privkey-pem", pair, "-"], input=etree.tostring(template), capture_output=True, check=True
    ).stdout
    # It fills in its own Base64 with line ends, so the bytes are not ours, but the values are.
    assert signed != Signer(signing_key).sign(root).xml
    assert content_by_us(signed) == etree.tostring(root, method="c14n")
