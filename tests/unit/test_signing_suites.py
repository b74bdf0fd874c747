"""Every suite: the two national ones against signatures that customs accepted, all against what breaks one."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from connector.signing.sm2 import NotAnSm2Key, Sm2PrivateKey, Sm2PublicKey
from connector.signing.suites import SUITES, Suite

NATIONAL = ("sm2-sm3", "rsa-sha1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    suite: Suite
    signed_info: bytes
    value: bytes
    key: Any
    other_key: Any


@pytest.fixture(params=[(suite, number) for suite in NATIONAL for number in (0, 1)], ids=str)
def vector(request: pytest.FixtureRequest, reference: Path) -> Vector:
    name, number = request.param
    published = json.loads((reference / "official/signature-vectors.json").read_text("utf-8"))["vectors"]
    one = [entry for entry in published if entry["suite"] == name][number]
    key: Any
    other: Any
    if name == "sm2-sm3":
        key = Sm2PublicKey.from_point(bytes.fromhex(one["sm2_public_point_hex"]))
        other = Sm2PrivateKey.generate().public_key
    else:
        modulus, exponent = int(one["rsa_modulus_hex"], 16), one["rsa_public_exponent"]
        key, other = (RSAPublicNumbers(exponent, number).public_key() for number in (modulus, modulus + 2))
    return Vector(
        suite=SUITES[name],
        signed_info=one["signed_info"].encode(),
        value=b64decode(one["signature_value_base64"]),
        key=key,
        other_key=other,
    )


def test_suite_verifies_what_customs_accepted(vector: Vector) -> None:
    assert vector.suite.scheme.verify(vector.key, vector.value, vector.signed_info)


def test_suite_refuses_when_one_character_of_the_digest_is_changed(vector: Vector) -> None:
    changed = vector.signed_info.replace(b"=</ds:DigestValue>", b"A</ds:DigestValue>")
    assert changed != vector.signed_info
    assert not vector.suite.scheme.verify(vector.key, vector.value, changed)


def test_suite_refuses_when_a_namespace_is_left_out(vector: Vector) -> None:
    changed = vector.signed_info.replace(b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"', b"")
    assert changed != vector.signed_info
    assert not vector.suite.scheme.verify(vector.key, vector.value, changed)


@pytest.mark.parametrize("change", ["last bit", "first bit", "cut", "longer", "nothing", "zeros"])
def test_suite_refuses_when_the_value_is_changed(vector: Vector, change: str) -> None:
    value = vector.value
    changed = {
        "last bit": value[:-1] + bytes([value[-1] ^ 1]),
        "first bit": bytes([value[0] ^ 128]) + value[1:],
        "cut": value[:-1],
        "longer": value + b"\0",
        "nothing": b"",
        "zeros": bytes(len(value)),
    }[change]
    assert not vector.suite.scheme.verify(vector.key, changed, vector.signed_info)


def test_suite_refuses_when_the_key_is_another(vector: Vector) -> None:
    assert not vector.suite.scheme.verify(vector.other_key, vector.value, vector.signed_info)


def test_suite_finds_the_canonical_form_that_was_published(vector: Vector) -> None:
    assert f'"{vector.suite.canonicalization}"'.encode() in vector.signed_info


def test_rsa_suite_announces_the_algorithms_of_the_published_signatures(reference: Path) -> None:
    published = json.loads((reference / "official/signature-vectors.json").read_text("utf-8"))["vectors"]
    suite = SUITES["rsa-sha1"]
    for one in published:
        if one["suite"] == suite.name:
            assert f'"{suite.signature_method}"' in one["signed_info"]
            assert f'"{suite.digest_method}"' in one["signed_info"]


@pytest.mark.parametrize("name", sorted(SUITES))
def test_suite_finds_no_key_when_the_certificate_is_unreadable(name: str) -> None:
    assert SUITES[name].scheme.public_key_of(b"no certificate") is None


@pytest.mark.parametrize(
    ("name", "digest"),
    [  # of "abc": the examples of FIPS 180-4 and GB/T 32905
        ("rsa-sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sm2-sm3", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        ("ecdsa-p256-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_suite_has_the_digest_that_it_announces(name: str, digest: str) -> None:
    assert SUITES[name].digest(b"abc").hex() == digest


@pytest.mark.parametrize(
    ("name", "key"),
    [("sm2-sm3", Sm2PrivateKey.generate()), ("ecdsa-p256-sha256", generate_private_key(SECP256R1()))],
)
def test_curve_suites_sign_r_and_s_without_encoding(name: str, key: Any) -> None:
    scheme = SUITES[name].scheme
    for data in (b"", b"data", bytes(100_000)):
        values = {scheme.sign(key, data) for _ in range(40)}  # some r or s begins with zeros
        assert {len(value) for value in values} == {64}
        assert len(values) == 40
        assert all(scheme.verify(scheme.public_key(key), value, data) for value in values)
        assert not any(scheme.verify(scheme.public_key(key), value, data + b"x") for value in values)


@pytest.mark.parametrize("point", [bytes(65), b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, b"\x04", b""])
def test_sm2_key_is_refused_when_its_point_is_not_on_the_curve(point: bytes) -> None:
    with pytest.raises(NotAnSm2Key):
        Sm2PublicKey.from_point(point)
