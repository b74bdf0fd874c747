"""Forgeries by key: the attacker's own, one that is named but not proved, algorithms that need no private key."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from connector.messages.namespaces import DS
from connector.messages.parser import Element
from connector.signing.keyfiles import FileKey
from connector.signing.suites import SUITES
from tests.forgeries.catalogue import METHOD, SCHEMA, SHAPE, TRUST, VALIDITY, VALUE, forgery
from tests.forgeries.editing import (
    CERTIFICATE,
    KEY_INFO,
    REFERENCE,
    SIGNATURE,
    SIGNED_INFO,
    certified,
    child,
    cut,
    digested,
    forged_by,
    part,
    text,
    tree,
    valued,
    with_data,
)
from tests.forgeries.material import WRITTEN, YEAR, Material

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SIGNATURE_METHOD = f"{SIGNED_INFO}/ds:SignatureMethod"
DIGEST_METHOD = f"{REFERENCE}/ds:DigestMethod"


def _by_attacker(material: Material) -> Element:
    return forged_by(material.genuine, material.attacker, material.forged_data)


def _key_value(key: FileKey) -> str:
    point = key.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (
        '<ds:KeyValue><x:ECKeyValue xmlns:x="http://www.w3.org/2009/xmldsig11#">'
        f'<x:NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/><x:PublicKey>{b64encode(point).decode()}</x:PublicKey>'
        "</x:ECKeyValue></ds:KeyValue>"
    )


@forgery(TRUST)
def certificate_of_the_attacker(material: Material) -> bytes:
    """It has the names and the serial number of the office's."""
    return text(_by_attacker(material))


@forgery(VALUE)
def certificate_of_the_office_over_the_attackers_signature(material: Material) -> bytes:
    return text(certified(_by_attacker(material), material.office))


@forgery(VALUE)
def certificate_of_another_key_of_the_office(material: Material) -> bytes:
    return text(certified(tree(material.genuine), material.future))


@forgery(TRUST)
def certificate_with_a_byte_appended(material: Material) -> bytes:
    root = tree(material.genuine)
    child(root, CERTIFICATE).text = b64encode(material.office.certificate.der + b"\0").decode()
    return text(root)


@forgery(SHAPE)
def key_name_only(material: Material) -> bytes:
    """A search by name finds the office's key, or the one that signed."""
    root = _by_attacker(material)
    cut(root, f"{KEY_INFO}/ds:X509Data")
    return text(root)


@forgery(SHAPE)
def key_info_missing(material: Material) -> bytes:
    root = _by_attacker(material)
    cut(root, KEY_INFO)
    return text(root)


@forgery(SHAPE)
def certificate_empty(material: Material) -> bytes:
    root = _by_attacker(material)
    child(root, CERTIFICATE).text = None
    return text(root)


@forgery(SCHEMA)
def key_value_of_the_attacker(material: Material) -> bytes:
    root = _by_attacker(material)
    child(root, KEY_INFO).insert(0, part(_key_value(material.attacker)))
    return text(certified(root, material.office))


@forgery(SCHEMA)
def key_value_of_the_attacker_alone(material: Material) -> bytes:
    root = _by_attacker(material)
    key_info = child(root, KEY_INFO)
    key_info[:] = [part(_key_value(material.attacker))]
    return text(root)


def _two_certificates(material: Material, *keys: FileKey) -> bytes:
    root = _by_attacker(material)
    cut(root, CERTIFICATE)
    for key in keys:
        encoded = b64encode(key.certificate.der).decode()
        child(root, f"{KEY_INFO}/ds:X509Data").append(part(f"<ds:X509Certificate>{encoded}</ds:X509Certificate>"))
    return text(root)


@forgery(SCHEMA)
def attackers_certificate_after_the_offices(material: Material) -> bytes:
    return _two_certificates(material, material.office, material.attacker)


@forgery(SCHEMA)
def attackers_certificate_before_the_offices(material: Material) -> bytes:
    return _two_certificates(material, material.attacker, material.office)


@forgery(SCHEMA)
def second_key_info_of_the_attacker(material: Material) -> bytes:
    root = _by_attacker(material)
    genuine = child(tree(material.genuine), KEY_INFO)
    child(root, KEY_INFO).addprevious(genuine)
    return text(root)


@forgery(SCHEMA)
def key_fetched_from_elsewhere(material: Material) -> bytes:
    root = _by_attacker(material)
    child(root, KEY_INFO).append(part('<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/>'))
    return text(root)


@forgery(VALIDITY)
def certificate_expired(material: Material) -> bytes:
    """Who has an old key of the office cannot sign what was written after its end."""
    return text(forged_by(material.genuine, material.expired, material.forged_data))


@forgery(VALIDITY)
def certificate_not_yet_valid(material: Material) -> bytes:
    return text(forged_by(material.genuine, material.future, material.forged_data))


def _with_method(material: Material, method: str) -> Element:
    root = digested(with_data(tree(material.genuine), material.forged_data))
    child(root, SIGNATURE_METHOD).set("Algorithm", method)
    return root


def _signed_info(root: Element) -> bytes:
    form: bytes = etree.tostring(child(root, SIGNED_INFO), method="c14n", exclusive=True)
    return form


def _by_hmac(material: Material, secret: bytes) -> bytes:
    """What the receiver knows of the office is public; as the secret of an HMAC it proves nothing."""
    root = _with_method(material, f"{MORE}hmac-sha256")
    value = hmac.digest(secret, _signed_info(root), "sha256")
    child(root, f"{SIGNATURE}/ds:SignatureValue").text = b64encode(value).decode()
    return text(root)


@forgery(METHOD)
def hmac_with_the_certificate(material: Material) -> bytes:
    return _by_hmac(material, material.office.certificate.der)


@forgery(METHOD)
def hmac_with_the_certificate_in_pem(material: Material) -> bytes:
    found = x509.load_der_x509_certificate(material.office.certificate.der)
    return _by_hmac(material, found.public_bytes(Encoding.PEM))


@forgery(METHOD)
def hmac_with_the_public_key(material: Material) -> bytes:
    public = material.office.private_key.public_key()
    return _by_hmac(material, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@forgery(METHOD)
def hmac_with_nothing(material: Material) -> bytes:
    return _by_hmac(material, b"")


@forgery(SCHEMA)
def hmac_of_no_bits(material: Material) -> bytes:
    root = _with_method(material, f"{DS}hmac-sha1")
    child(root, SIGNATURE_METHOD).append(part("<ds:HMACOutputLength>0</ds:HMACOutputLength>"))
    child(root, f"{SIGNATURE}/ds:SignatureValue").text = ""
    return text(root)


@cache
def _rsa() -> tuple[rsa.RSAPrivateKey, bytes]:
    """A key of the attacker and its certificate, made once: it takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([])
    start = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = start.not_valid_before(WRITTEN - YEAR).not_valid_after(WRITTEN + YEAR).public_key(key.public_key())
    return key, builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def _by_rsa(material: Material, method: str, *, sha1: bool) -> bytes:
    key, der = _rsa()
    root = _with_method(material, method)
    child(root, CERTIFICATE).text = b64encode(der).decode()
    value = key.sign(_signed_info(root), padding.PKCS1v15(), SHA1() if sha1 else SHA256())
    child(root, f"{SIGNATURE}/ds:SignatureValue").text = b64encode(value).decode()
    return text(root)


@forgery(METHOD)
def method_rsa_sha1(material: Material) -> bytes:
    return _by_rsa(material, SUITES["rsa-sha1"].signature_method, sha1=True)


@forgery(METHOD)
def method_rsa_sha256(material: Material) -> bytes:
    return _by_rsa(material, f"{MORE}rsa-sha256", sha1=False)


@forgery(TRUST)
def rsa_key_under_the_name_of_ecdsa(material: Material) -> bytes:
    return _by_rsa(material, SUITES["ecdsa-p256-sha256"].signature_method, sha1=False)


@forgery(METHOD)
def method_ecdsa_sha1(material: Material) -> bytes:
    """The office's own key, with a digest in which two messages can be made to meet."""
    return text(valued(_with_method(material, f"{MORE}ecdsa-sha1"), material.office))


@forgery(METHOD)
def method_sm2_sm3(material: Material) -> bytes:
    return text(valued(_with_method(material, SUITES["sm2-sm3"].signature_method), material.office))


@forgery(METHOD)
def method_unknown(material: Material) -> bytes:
    return text(valued(_with_method(material, "urn:none"), material.office))


@forgery(METHOD)
def method_in_capitals(material: Material) -> bytes:
    return text(valued(_with_method(material, f"{MORE}ECDSA-SHA256"), material.office))


@forgery(SHAPE)
def digest_sha1(material: Material) -> bytes:
    """The office signed it: a digest in which the forged document can be made to meet a harmless one."""
    root = with_data(tree(material.genuine), material.forged_data)
    child(root, DIGEST_METHOD).set("Algorithm", f"{DS}sha1")
    bare = tree(text(root))
    cut(bare)
    digest = hashlib.sha1(etree.tostring(bare, method="c14n", exclusive=True)).digest()
    child(root, f"{REFERENCE}/ds:DigestValue").text = b64encode(digest).decode()
    return text(valued(root, material.office))


@forgery(SHAPE)
def digest_md5(material: Material) -> bytes:
    root = digested(with_data(tree(material.genuine), material.forged_data))
    child(root, DIGEST_METHOD).set("Algorithm", f"{MORE}md5")
    return text(valued(root, material.office))
