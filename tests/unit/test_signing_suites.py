"""The rsa-sha1 suite against signatures that customs accepted."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from connector.signing.suites import SUITES

SUITE = SUITES["rsa-sha1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    signed_info: bytes
    value: bytes
    key: RSAPublicKey


@pytest.fixture(params=[0, 1])
def vector(request: pytest.FixtureRequest, reference: Path) -> Vector:
    published = json.loads((reference / "official/signature-vectors.json").read_text("utf-8"))["vectors"]
    one = [entry for entry in published if entry["suite"] == SUITE.name][request.param]
    numbers = RSAPublicNumbers(one["rsa_public_exponent"], int(one["rsa_modulus_hex"], 16))
    return Vector(
        signed_info=one["signed_info"].encode(),
        value=b64decode(one["signature_value_base64"]),
        key=numbers.public_key(),
    )


def test_suite_verifies_what_customs_accepted(vector: Vector) -> None:
    assert SUITE.scheme.verify(vector.key, vector.value, vector.signed_info)


def test_suite_refuses_when_one_character_of_the_digest_is_changed(vector: Vector) -> None:
    changed = vector.signed_info.replace(b"=</ds:DigestValue>", b"A</ds:DigestValue>")
    assert changed != vector.signed_info
    assert not SUITE.scheme.verify(vector.key, vector.value, changed)


def test_suite_refuses_when_a_namespace_is_left_out(vector: Vector) -> None:
    changed = vector.signed_info.replace(b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"', b"")
    assert changed != vector.signed_info
    assert not SUITE.scheme.verify(vector.key, vector.value, changed)


def test_suite_refuses_when_one_bit_of_the_value_is_changed(vector: Vector) -> None:
    changed = vector.value[:-1] + bytes([vector.value[-1] ^ 1])
    assert not SUITE.scheme.verify(vector.key, changed, vector.signed_info)


def test_suite_refuses_when_the_value_is_cut(vector: Vector) -> None:
    assert not SUITE.scheme.verify(vector.key, vector.value[:-1], vector.signed_info)


def test_suite_refuses_when_the_key_is_another(vector: Vector) -> None:
    other = RSAPublicNumbers(65537, vector.key.public_numbers().n + 2).public_key()
    assert not SUITE.scheme.verify(other, vector.value, vector.signed_info)


def test_suite_announces_the_algorithms_of_the_published_signatures(vector: Vector) -> None:
    for uri in (SUITE.signature_method, SUITE.digest_method, SUITE.canonicalization):
        assert f'"{uri}"'.encode() in vector.signed_info


def test_suite_finds_no_key_when_the_certificate_is_unreadable() -> None:
    assert SUITE.scheme.public_key_of(b"no certificate") is None


def test_suite_digest_is_sha1() -> None:
    # The example of FIPS 180-4.
    assert SUITE.digest(b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
