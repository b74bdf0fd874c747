"""SM2: what we sign the program openssl verifies, and what it signs we verify.

No XML tool that can be had speaks SM2, so openssl signs and checks the canonical bytes, and the documents around them
are put together here.
"""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree

from connector.errors import SignatureInvalid
from connector.messages.namespaces import DS, tag
from connector.messages.parser import Element, parse
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.verifier import VerifiedMessage, verify

Build = Callable[..., Element]
Openssl = Callable[..., subprocess.CompletedProcess[bytes]]

SM2 = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
SHAPES = [
    pytest.param({}, id="one-document"),
    pytest.param({"names": tuple(f"品名 {number}" for number in range(100))}, id="hundred-documents"),
    pytest.param({"names": ("a\r\n\t<&>\"'𠮷😀]]>", ""), "extend_message": "说明"}, id="odd-text"),
]


@pytest.fixture
def openssl(tmp_path: Path) -> Openssl:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")

    def run(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["openssl", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, input=data, capture_output=True, check=False)

    return run


@pytest.fixture
def verified_by_openssl(openssl: Openssl, sm2_pki: Path, tmp_path: Path) -> Callable[[bytes], bool]:
    (tmp_path / "public").write_bytes(
        openssl("x509", "-in", sm2_pki / "enterprise.crt.pem", "-noout", "-pubkey").stdout
    )

    def verifies(data: bytes) -> bool:
        root = etree.fromstring(data)
        (signature,) = root.iter(tag(DS, "Signature"))
        (tmp_path / "info").write_bytes(etree.tostring(signature[0], method="c14n"))
        value = b64decode(signature.findtext(tag(DS, "SignatureValue")) or "")
        assert len(value) == 64
        halves = (int.from_bytes(half) for half in (value[:32], value[32:]))
        (tmp_path / "value").write_bytes(encode_dss_signature(*halves))
        root.remove(signature)
        digest = openssl("dgst", "-sm3", "-binary", data=etree.tostring(root, method="c14n")).stdout
        command = ["pkeyutl", "-verify", *SM2, "-pubin", "-inkey", "public", "-in", "info", "-sigfile", "value"]
        return openssl(*command).returncode == 0 and digest == b64decode(
            signature.findtext(f".//{tag(DS, 'DigestValue')}") or ""
        )

    return verifies


@pytest.fixture
def signed_by_openssl(openssl: Openssl, sm2_pki: Path, tmp_path: Path) -> Callable[..., bytes]:
    """The value r || s over data; the options can be others than they should be."""

    def sign(data: bytes, options: list[str] = SM2) -> bytes:
        (tmp_path / "data").write_bytes(data)
        done = openssl("pkeyutl", "-sign", *options, "-inkey", sm2_pki / "enterprise.key.pem", "-in", "data")
        assert done.returncode == 0, done.stderr
        return b"".join(half.to_bytes(32) for half in decode_dss_signature(done.stdout))

    return sign


@pytest.fixture
def check(sm2_key: FileKey) -> Callable[[bytes], VerifiedMessage]:
    return lambda data: verify(data, suites={"sm2-sm3"}, fingerprints={sm2_key.certificate.key_id})


@pytest.fixture
def assembled(openssl: Openssl, sm2_pki: Path, sm2_key: FileKey) -> Callable[..., bytes]:
    """A signed document written here by hand with openssl; of ours there is nothing in it but the certificate."""
    customs, c14n = "http://www.chinaport.gov.cn/2022/04/xmldsig#", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    pem = (sm2_pki / "enterprise.crt.pem").read_text().strip().splitlines()

    def assemble(root: Element, sign: Callable[[bytes], bytes]) -> bytes:
        digest = b64encode(openssl("dgst", "-sm3", "-binary", data=etree.tostring(root, method="c14n")).stdout).decode()
        signature = etree.fromstring(
            f'<s:Signature xmlns:s="{DS}">\n<s:SignedInfo><s:CanonicalizationMethod Algorithm="{c14n}"/>'
            f'<s:SignatureMethod Algorithm="{customs}sm2-sm3"/><s:Reference URI=""><s:Transforms>'
            f'<s:Transform Algorithm="{DS}enveloped-signature"/></s:Transforms>'
            f'<s:DigestMethod Algorithm="{customs}sm3"/><s:DigestValue>{digest}</s:DigestValue></s:Reference>'
            f"</s:SignedInfo>\n<s:SignatureValue/><s:KeyInfo><s:KeyName>{sm2_key.key_name}</s:KeyName><s:X509Data>"
            f"<s:X509Certificate>{''.join(pem[1:-1])}</s:X509Certificate></s:X509Data></s:KeyInfo></s:Signature>"
        )
        root.append(signature)
        info = next(parse(etree.tostring(root)).iter(tag(DS, "SignedInfo")))
        signature[1].text = b64encode(sign(etree.tostring(info, method="c14n"))).decode()
        return etree.tostring(root)

    return assemble


@pytest.mark.parametrize("shape", SHAPES)
def test_our_sm2_signature_is_verified_by_openssl(
    unsigned_message: Build,
    sm2_key: FileKey,
    verified_by_openssl: Callable[[bytes], bool],
    shape: dict[str, object],
) -> None:
    signed = Signer(sm2_key).sign(unsigned_message(**shape)).xml
    assert verified_by_openssl(signed)
    assert not verified_by_openssl(signed.replace(b"4401000001", b"4401000002"))
    assert not verified_by_openssl(signed.replace(b'URI=""', b'URI="#x"'))


@pytest.mark.parametrize("shape", SHAPES)
def test_sm2_signature_of_openssl_is_verified_by_us(
    unsigned_message: Build,
    sm2_key: FileKey,
    signed_by_openssl: Callable[[bytes], bytes],
    check: Callable[[bytes], VerifiedMessage],
    shape: dict[str, object],
) -> None:
    """Our canonical SignedInfo with another's value in our own document."""
    root = unsigned_message(**shape)
    signed = parse(Signer(sm2_key).sign(root).xml)
    info, value = (next(signed.iter(tag(DS, name))) for name in ("SignedInfo", "SignatureValue"))
    ours = value.text
    value.text = b64encode(signed_by_openssl(etree.tostring(info, method="c14n"))).decode()
    assert value.text != ours
    assert check(etree.tostring(signed)).content == etree.tostring(root, method="c14n")


@pytest.mark.parametrize("shape", SHAPES)
def test_sm2_document_made_without_us_is_verified_by_us(
    unsigned_message: Build,
    assembled: Callable[..., bytes],
    signed_by_openssl: Callable[[bytes], bytes],
    check: Callable[[bytes], VerifiedMessage],
    shape: dict[str, object],
) -> None:
    root = unsigned_message(**shape)
    content = etree.tostring(root, method="c14n")
    signed = assembled(root, signed_by_openssl)
    assert check(signed).content == content
    with pytest.raises(SignatureInvalid):
        check(signed.replace(b"4401000001", b"4401000002"))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(SM2[:3], id="no-user-id"),
        pytest.param([*SM2[:4], "distid:1234567812345679"], id="other-user-id"),
    ],
)
def test_sm2_signature_is_refused_when_it_is_made_in_another_way(
    unsigned_message: Build,
    assembled: Callable[..., bytes],
    signed_by_openssl: Callable[..., bytes],
    check: Callable[[bytes], VerifiedMessage],
    options: list[str],
) -> None:
    signed = assembled(unsigned_message(), lambda data: signed_by_openssl(data, options))
    with pytest.raises(SignatureInvalid, match="the signature value does not fit"):
        check(signed)
