"""What a person is told about a signature: each note by a document that is broken in exactly that way."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import DS, XSI, tag
from connector.messages.parser import Element, parse
from connector.signing.certificates import Certificate, read_certificates
from connector.signing.explanation.explain import Explanation, explain
from connector.signing.explanation.notes import Topic, Weight
from connector.signing.explanation.reading import OTHER_SM2, Reading
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.suites import SUITES

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
NAMES = {"ds": DS}
INFO, VALUE = "ds:Signature/ds:SignedInfo", "ds:Signature/ds:SignatureValue"
DIGEST = f"{INFO}/ds:Reference/ds:DigestValue"
KEY_NAME = "ds:Signature/ds:KeyInfo/ds:KeyName"
CERTIFICATE = "ds:Signature/ds:KeyInfo/ds:X509Data/ds:X509Certificate"
SHA1 = f"{DS}sha1"
START = b"<ds:Signature "
END = b"</ds:Signature>"

Build = Callable[..., Element]
Edit = Callable[[bytes], bytes]


@pytest.fixture(params=["signing_key", "sm2_key"])
def key(request: pytest.FixtureRequest) -> FileKey:
    """An RSA and an SM2 key in turn."""
    found: FileKey = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def signed(unsigned_message: Build, key: FileKey) -> bytes:
    return Signer(key).sign(unsigned_message(names=("骑行面罩", "帽\n子"), extend_message="说明")).xml


def look(data: bytes, now: datetime = NOW) -> Explanation:
    (found,) = explain(data, now=now)
    return found


def read(explanation: Explanation) -> Reading:
    assert explanation.reading is not None
    return explanation.reading


def told(data: bytes, weight: Weight = Weight.CAUSE, now: datetime = NOW) -> set[Topic]:
    """The topics of the notes of one weight."""
    return {note.topic for note in look(data, now).notes if note.weight is weight}


def edited(data: bytes, **texts: str) -> bytes:
    """The document with other texts in its signature; the names of elements are given."""
    root = parse(data)
    for name, text in texts.items():
        next(root.iter(tag(DS, name))).text = text
    return etree.tostring(root, encoding="UTF-8")


def text_at(data: bytes, path: str) -> str:
    return parse(data).findtext(path, "", NAMES)


def with_value(data: bytes, value: bytes) -> bytes:
    return edited(data, SignatureValue=b64encode(value).decode())


def value_again(data: bytes, key: FileKey) -> bytes:
    """With the right signature value for SignedInfo as it stands."""
    info = parse(data).find(INFO, NAMES)
    assert info is not None
    return with_value(data, key.sign(etree.tostring(info, method="c14n")))


def without_signature(data: bytes) -> bytes:
    return data[: data.index(START)] + data[data.index(END) + len(END) :]


def indented(data: bytes) -> bytes:
    root = parse(data)
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8")


def with_root(*declarations: str) -> Edit:
    """Declares more on the root."""
    return lambda data: data.replace(b" guid=", "".join(f" {one}" for one in declarations).encode() + b" guid=", 1)


def without_xsi(data: bytes) -> bytes:
    return data.replace(f' xmlns:xsi="{XSI}"'.encode(), b"", 1)


def test_good_signature_is_explained_without_a_cause(signed: bytes, key: FileKey) -> None:
    found = look(signed)
    assert (found.name, found.signatures, found.fault, found.notes) == ("document", 1, "", ())
    assert found.root == "{http://www.chinaport.gov.cn/ceb}CEB213Message"
    reading = read(found)
    assert reading.suite == key.suite.name
    assert reading.certificate == key.certificate
    assert reading.key_name == found.key_name_due == key.key_name
    assert reading.value_fits
    assert reading.digest_fits
    assert reading.position == "child 4 of 5 of CEB213Message, before ExtendMessage"
    assert (reading.before, reading.after) == ("", "")


def test_signed_bytes_are_those_that_the_key_was_asked_to_sign(unsigned_message: Build, key: FileKey) -> None:
    asked: list[bytes] = []

    class Recording:
        certificate, key_name, suite = key.certificate, key.key_name, key.suite

        def sign(self, data: bytes) -> bytes:
            asked.append(data)
            return key.sign(data)

    root = unsigned_message()
    reading = read(look(Signer(Recording()).sign(root).xml))
    assert [reading.signed_info] == asked
    assert reading.content == etree.tostring(root, method="c14n")


@pytest.mark.parametrize(
    ("edit", "topics"),
    [
        (lambda data: data.replace(START, b"\n  " + START), {Topic.WHITE_SPACE_AROUND_SIGNATURE}),
        (lambda data: data.replace(END, END + b"\n"), {Topic.WHITE_SPACE_AROUND_SIGNATURE}),
        (indented, {Topic.WHITE_SPACE_BETWEEN_ELEMENTS}),
        (without_xsi, {Topic.NAMESPACE_DROPPED}),
        (with_root('xmlns:soap="urn:soap"'), {Topic.NAMESPACE_ADDED}),
        (with_root('xmlns:a="urn:a"', 'xmlns:b="urn:b"'), {Topic.NAMESPACE_ADDED}),
        (with_root(f'xmlns:ds="{DS}"'), {Topic.NAMESPACE_ADDED}),
        (lambda data: data.replace("帽\n子".encode(), "帽&#13;\n子".encode()), {Topic.LINE_ENDS}),
        (
            lambda data: without_xsi(data.replace(START, b"\n" + START)),
            {Topic.WHITE_SPACE_AROUND_SIGNATURE, Topic.NAMESPACE_DROPPED},
        ),
        (
            lambda data: with_root('xmlns:a="urn:a"')(indented(data)),
            {Topic.WHITE_SPACE_BETWEEN_ELEMENTS, Topic.NAMESPACE_ADDED},
        ),
    ],
    ids=[
        "white-space-before",
        "white-space-after",
        "indented",
        "xsi-dropped",
        "namespace-added",
        "two-namespaces-added",
        "ds-added",
        "carriage-return-added",
        "white-space-and-xsi",
        "indented-and-namespace",
    ],
)
def test_cause_is_named_when_the_document_was_changed_by_a_tool(signed: bytes, edit: Edit, topics: set[Topic]) -> None:
    broken = edit(signed)
    assert broken != signed
    assert look(broken).fault
    assert told(broken) == topics
    assert told(broken, Weight.SUSPECT) == set()


def test_cause_names_the_namespace_that_was_dropped(signed: bytes) -> None:
    assert any(note.text.startswith("xmlns:xsi: ") for note in look(without_xsi(signed)).notes)


def test_cause_is_named_when_white_space_was_removed_after_signing(unsigned_message: Build, key: FileKey) -> None:
    root = unsigned_message()
    etree.indent(root, space="\t")
    signed = Signer(key).sign(root).xml
    assert look(signed).fault == ""
    assert told(signed.replace(b"\n" + START, START)) == {Topic.WHITE_SPACE_AROUND_SIGNATURE}


def test_cause_is_named_when_carriage_returns_were_lost(unsigned_message: Build, key: FileKey) -> None:
    signed = Signer(key).sign(unsigned_message(names=("a\r\nb",))).xml
    assert told(signed.replace(b"&#xD;\n", b"\n")) == {Topic.LINE_ENDS}


@pytest.mark.parametrize(
    ("edit", "topic"),
    [
        (lambda data: data.replace(b'guid="G-1" version="1.0"', b'version="1.0" guid="G-1"'), Topic.ATTRIBUTE_ORDER),
        (lambda data: data.replace(b"\n", b"\r\n"), Topic.LINE_ENDS),
        (lambda data: data.replace(b"</ds:X509Certificate>", b"&#13;\n</ds:X509Certificate>"), Topic.LINE_ENDS),
    ],
    ids=["attribute-order", "crlf", "carriage-return-in-base64"],
)
def test_odd_looks_are_called_harmless_when_nothing_signed_is_touched(signed: bytes, edit: Edit, topic: Topic) -> None:
    odd = edit(signed)
    assert odd != signed
    assert look(odd).fault == ""
    assert told(odd, Weight.HARMLESS) == {topic}
    assert told(odd) == told(odd, Weight.SUSPECT) == set()


def test_dropped_xsi_is_only_suspect_when_the_message_was_signed_without(unsigned_message: Build, key: FileKey) -> None:
    signed = Signer(key).sign(parse(without_xsi(etree.tostring(unsigned_message())))).xml
    assert look(signed).fault == ""
    assert told(signed, Weight.SUSPECT) == {Topic.NAMESPACE_DROPPED}


def test_der_is_named_when_an_sm2_value_is_in_it(unsigned_message: Build, sm2_key: FileKey) -> None:
    signed = Signer(sm2_key).sign(unsigned_message()).xml
    value = b64decode(text_at(signed, VALUE))
    der = encode_dss_signature(int.from_bytes(value[:32]), int.from_bytes(value[32:]))
    broken = with_value(signed, der)
    assert "the signature value does not fit" in look(broken).fault
    assert told(broken) == {Topic.DER_VALUE}
    assert told(without_xsi(broken)) == {Topic.NAMESPACE_DROPPED}
    assert Topic.DER_VALUE in told(without_xsi(broken), Weight.SUSPECT)


def test_other_vendors_pair_is_named_when_an_sm2_signature_has_its_uris(
    unsigned_message: Build, sm2_key: FileKey
) -> None:
    suite = replace(sm2_key.suite, signature_method=OTHER_SM2, digest_method=SHA1, hash=SUITES["rsa-sha1"].hash)
    signed = Signer(replace(sm2_key, suite=suite)).sign(unsigned_message()).xml
    found = look(signed)
    assert OTHER_SM2 in found.fault
    assert read(found).suite == ""
    assert read(found).digest_fits
    assert read(found).value_fits
    assert told(signed) == {Topic.OTHER_VENDOR}
    assert SHA1 in found.notes[0].text
    assert told(without_xsi(signed)) == {Topic.OTHER_VENDOR, Topic.NAMESPACE_DROPPED}


def test_digest_method_is_named_when_it_does_not_go_with_the_suite(unsigned_message: Build, sm2_key: FileKey) -> None:
    suite = replace(sm2_key.suite, digest_method=SHA1, hash=SUITES["rsa-sha1"].hash)
    signed = Signer(replace(sm2_key, suite=suite)).sign(unsigned_message()).xml
    assert told(signed) == {Topic.DIGEST_ALGORITHM}


def test_digest_algorithm_is_named_when_it_is_not_the_one_stated(unsigned_message: Build, sm2_key: FileKey) -> None:
    suite = replace(sm2_key.suite, hash=SUITES["rsa-sha1"].hash)
    signed = Signer(replace(sm2_key, suite=suite)).sign(unsigned_message()).xml
    assert look(signed).fault.startswith("the digest differs")
    assert told(signed) == {Topic.DIGEST_ALGORITHM}


def test_method_is_named_when_it_is_of_no_suite(signed: bytes) -> None:
    found = look(signed.replace(b"sm2-sm3", b"sm2-sm9").replace(b"#rsa-sha1", b"#rsa-sha9"))
    assert {note.topic for note in found.notes} == {Topic.UNKNOWN_METHOD}
    assert read(found).stated is None


@pytest.fixture
def another(key: FileKey, tmp_path: Path, development_pki: Path) -> Certificate:
    """A certificate of another key of the same kind."""
    if key.suite.name == "rsa-sha1":
        return read_certificates(development_pki / "ca.crt.pem")[0]
    subprocess.run([sys.executable, ROOT / "certs/make_development_pki.py", tmp_path], check=True, capture_output=True)
    return read_certificates(tmp_path / "enterprise.crt.pem")[0]


def test_certificate_is_named_when_it_is_not_of_the_key(signed: bytes, key: FileKey, another: Certificate) -> None:
    broken = edited(signed, X509Certificate=b64encode(another.der).decode())
    assert "the signature value does not fit" in look(broken).fault
    # Only RSA can tell a wrong key from a wrong SignedInfo.
    weight = Weight.CAUSE if key.suite.name == "rsa-sha1" else Weight.SUSPECT
    assert Topic.WRONG_CERTIFICATE in told(broken, weight)
    assert Topic.KEY_NAME in told(broken, Weight.SUSPECT)


def test_certificate_is_named_when_it_is_of_another_kind(
    signed: bytes, key: FileKey, sm2_key: FileKey, signing_key: FileKey
) -> None:
    other = sm2_key if key is signing_key else signing_key
    broken = edited(signed, X509Certificate=b64encode(other.certificate.der).decode())
    assert "the certificate holds no key for" in look(broken).fault
    assert told(broken) == {Topic.WRONG_CERTIFICATE}


def test_changed_signed_info_is_named_when_the_key_is_right(unsigned_message: Build, signing_key: FileKey) -> None:
    signed = Signer(signing_key).sign(unsigned_message()).xml
    changed = signed.replace(b"4401000001", b"4401000002")
    computed = read(look(changed)).references[0].computed
    assert computed is not None
    assert told(edited(changed, DigestValue=b64encode(computed).decode())) == {Topic.SIGNED_INFO_CHANGED}


def test_content_is_suspect_when_nothing_usual_explains_the_digest(signed: bytes) -> None:
    broken = signed.replace(b"4401000001", b"4401000002")
    assert look(broken).fault.startswith("the digest differs")
    assert told(broken) == set()
    assert told(broken, Weight.SUSPECT) == {Topic.CONTENT_CHANGED}


def test_form_of_signed_info_is_named_when_it_was_signed_alone(signed: bytes, key: FileKey) -> None:
    info = parse(signed).find(INFO, NAMES)
    assert info is not None
    alone = etree.tostring(info, method="c14n", exclusive=True)
    broken = with_value(signed, key.sign(alone))
    assert read(look(broken)).digest_fits
    assert told(broken) == {Topic.SIGNED_INFO_ALONE}


def test_text_of_the_file_is_named_when_it_was_hashed(signed: bytes, key: FileKey) -> None:
    text = signed.replace(b"<ceb:note></ceb:note>", b"<ceb:note/>")
    digest = b64encode(key.suite.digest(without_signature(text))).decode()
    broken = text.replace(text_at(text, DIGEST).encode(), digest.encode())
    value = text_at(value_again(broken, key), VALUE)
    assert told(broken.replace(text_at(broken, VALUE).encode(), value.encode())) == {Topic.NOT_CANONICAL}


def test_text_of_the_file_is_named_when_signed_info_was_signed_as_it_stands(signed: bytes, key: FileKey) -> None:
    start, end = signed.index(b"<ds:SignedInfo>"), signed.index(b"</ds:SignedInfo>") + len(b"</ds:SignedInfo>")
    value = b64encode(key.sign(signed[start:end])).decode()
    assert told(signed.replace(text_at(signed, VALUE).encode(), value.encode())) == {Topic.NOT_CANONICAL}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (str, "in decimal"),
        (lambda number: f"{number:X}", "in another form"),
        (lambda number: f"0x{number:x}", "in another form"),
        (lambda number: f"{number:020x}", "in another form"),
        (lambda number: f"{number + 1:x}", "not its serial number"),
        (lambda _: "广州云帆", "not its serial number"),
    ],
)
def test_key_name_is_suspect_when_it_has_another_form(
    signed: bytes, key: FileKey, form: Callable[[int], str], words: str
) -> None:
    broken = edited(signed, KeyName=form(key.certificate.serial_number))
    found = look(broken)
    assert found.fault == ""
    assert [(note.weight, note.topic) for note in found.notes] == [(Weight.SUSPECT, Topic.KEY_NAME)]
    assert words in found.notes[0].text
    assert key.key_name in found.notes[0].text


@pytest.mark.parametrize(("year", "words"), [(2020, "is not valid before"), (2040, "expired on")])
def test_validity_is_suspect_when_the_certificate_is_outside_it(signed: bytes, year: int, words: str) -> None:
    found = look(signed, datetime(year, 1, 1, tzinfo=UTC))
    assert found.fault == ""
    (note,) = found.notes
    assert (note.weight, note.topic) == (Weight.SUSPECT, Topic.VALIDITY)
    assert words in note.text


def test_position_is_suspect_when_the_schema_has_the_signature_elsewhere(signed: bytes) -> None:
    root = parse(signed)
    signature = root.find("ds:Signature", NAMES)
    assert signature is not None
    root.insert(0, signature)
    moved = etree.tostring(root)
    assert look(moved).fault == ""
    assert told(moved, Weight.SUSPECT) == {Topic.POSITION}
    assert read(look(moved)).position == "child 1 of 5 of CEB213Message, before InvtRefund"


def test_number_of_signatures_is_told_when_there_are_none_or_two(signed: bytes) -> None:
    none = look(without_signature(signed))
    assert (none.signatures, none.reading, none.notes) == (0, None, ())
    assert none.fault == "the document holds 0 signatures instead of one"
    signature = signed[signed.index(START) : signed.index(END) + len(END)]
    two = look(signed.replace(signature, signature * 2))
    assert two.signatures == 2
    assert two.fault == "the document holds 2 signatures instead of one"
    assert two.reading is not None
    alone = look(signature)
    assert alone.fault == "the signature is not a child of the root"
    assert alone.reading is None


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda data: edited(data, SignatureValue="%"), "SignatureValue is not Base64"),
        (lambda data: edited(data, X509Certificate="%"), "X509Certificate is not Base64"),
        (lambda data: edited(data, X509Certificate="AAAA"), "the certificate holds no key"),
        (lambda data: edited(data, DigestValue=""), "the signature has ["),
        (lambda data: data.replace(b' URI=""', b' URI="#G-1"'), "the signature has ["),
        (lambda data: data.replace(b' URI=""', b""), "the signature has ["),
        (lambda data: data.replace(b"ds:SignedInfo>", b"ds:X>"), "the signature method None"),
        (lambda data: data.replace(b"<ds:X509Data>", b"<ds:X>").replace(b"</ds:X509Data>", b"</ds:X>"), "the sig"),
        (with_root('xmlns:a="relative"'), "the document has no canonical form"),
        (with_root('xml:lang="zh"'), "the root has an attribute in the xml: namespace"),
    ],
)
def test_fault_is_that_of_the_strict_verifier_when_the_shape_is_wrong(signed: bytes, edit: Edit, fault: str) -> None:
    assert look(edit(signed)).fault.startswith(fault)


def test_any_changed_byte_is_explained_without_an_error(unsigned_message: Build, sm2_key: FileKey) -> None:
    signed = Signer(sm2_key).sign(unsigned_message()).xml
    for at in range(0, len(signed), 7):
        changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
        try:
            explain(changed, now=NOW)
        except UnreadableMessage:
            continue


@pytest.fixture
def sealed() -> Callable[[bytes], bytes]:
    def make(data: bytes) -> bytes:
        return seal(
            Envelope(
                message_id="1F6A",
                sender="DXPENT0000011351",
                receiver="DXPEDCCEB0000003",
                created=NOW,
                message_type="CEB213Message",
                data=data,
            )
        )

    return make


def test_message_in_an_envelope_is_explained(signed: bytes, sealed: Callable[[bytes], bytes]) -> None:
    found = look(sealed(signed))
    assert (found.name, found.fault) == ("message in Data", "")
    broken = look(sealed(without_xsi(signed)))
    assert broken.fault
    assert broken.notes[0].topic is Topic.NAMESPACE_DROPPED


def test_envelope_is_explained_too_when_it_is_signed_itself(
    signed: bytes, sealed: Callable[[bytes], bytes], office_key: FileKey
) -> None:
    envelope = Signer(office_key).sign(parse(sealed(signed))).xml
    outer, inner = explain(envelope, now=NOW)
    assert (outer.name, outer.fault, outer.notes) == ("envelope", "", ())
    assert read(outer).suite == "ecdsa-p256-sha256"
    assert (inner.name, inner.fault) == ("message in Data", "")


def test_envelope_alone_is_explained_when_it_holds_a_receipt(
    sealed: Callable[[bytes], bytes], office_key: FileKey
) -> None:
    envelope = Signer(office_key).sign(parse(sealed(b"<CEB214Message/>"))).xml
    assert (look(envelope).name, look(envelope).fault) == ("envelope", "")
    spaced = envelope.replace(START, b"\n" + START)
    assert told(spaced) == {Topic.WHITE_SPACE_AROUND_SIGNATURE}
    # Exclusive canonical form leaves out what is not used.
    assert look(envelope.replace(b"<dxp:DxpMsg ", b'<dxp:DxpMsg xmlns:a="urn:a" ', 1)).fault == ""
    (unsigned,) = explain(sealed(b"<CEB214Message/>"), now=NOW)
    assert unsigned.fault == "the document holds 0 signatures instead of one"


@pytest.mark.parametrize("data", [b"", b"<a", b"<a><!-- --></a>", b'<!DOCTYPE a [<!ENTITY e "x">]><a/>'])
def test_document_is_not_explained_when_the_strict_parser_refuses_it(data: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        explain(data, now=NOW)
