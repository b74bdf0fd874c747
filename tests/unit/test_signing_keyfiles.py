"""What makes a key unusable is found when it is loaded, with a remedy."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from connector.config import SigningSettings
from connector.errors import ConfigurationError, SigningError
from connector.signing.keyfiles import load_key
from connector.signing.suites import SUITES

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def write(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> Callable[..., SigningSettings]:
    """Writes a key and a certificate; each test names what it has differently."""

    def files(
        *, key: Key = rsa_key, certified: Key = rsa_key, serial_number: int = 0x1691F7F, phrase: str | None = None
    ) -> SigningSettings:
        encryption = BestAvailableEncryption(phrase.encode()) if phrase else NoEncryption()
        settings = SigningSettings(key_file=tmp_path / "key.pem", certificate_file=tmp_path / "crt.pem")
        settings.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        settings.key_file.chmod(0o600)
        settings.certificate_file.write_bytes(certificate(certified, serial_number).public_bytes(Encoding.PEM))
        return settings

    return files


def certificate(key: Key, serial_number: int) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "测试企业")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=10))
        .sign(key, SHA256())
    )


def refusal(settings: SigningSettings, now: datetime = NOW) -> str:
    with pytest.raises(SigningError) as caught:
        load_key(settings, now=now)
    assert caught.value.effect
    assert caught.value.remedy
    assert caught.value.exit_code == 7
    return str(caught.value)


def test_key_signs_with_its_certificate_when_everything_fits(
    write: Callable[..., SigningSettings], rsa_key: rsa.RSAPrivateKey
) -> None:
    settings = write()
    key = load_key(settings, now=NOW)
    assert SUITES["rsa-sha1"].scheme.verify(rsa_key.public_key(), key.sign(b"data"), b"data")
    der = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes()).public_bytes(Encoding.DER)
    assert key.certificate == der
    assert key.key_id == hashlib.sha256(der).hexdigest()


def test_key_is_read_once_when_it_signs_often(write: Callable[..., SigningSettings]) -> None:
    settings = write()
    key = load_key(settings, now=NOW)
    settings.key_file.unlink()
    assert key.sign(b"data") == key.sign(b"data")


def test_key_shows_no_secret_when_it_is_printed(write: Callable[..., SigningSettings]) -> None:
    assert "private" not in repr(load_key(write(), now=NOW))


@pytest.mark.parametrize(
    ("serial_number", "key_name"),
    [
        (0x1691F7F, "01691f7f"),
        (0xDEADBEEF, "deadbeef"),
        (0x1DEADBEEF, "00000001deadbeef"),
        (0x03000000000CDE6F, "03000000000cde6f"),
        (1, "00000001"),
    ],
)
def test_key_name_is_padded_as_customs_wants_it(
    write: Callable[..., SigningSettings], serial_number: int, key_name: str
) -> None:
    assert load_key(write(serial_number=serial_number), now=NOW).key_name == key_name


def test_key_is_refused_when_its_serial_number_has_no_key_name(write: Callable[..., SigningSettings]) -> None:
    assert "longer than 8 bytes" in refusal(write(serial_number=1 << 64))


def test_key_is_loaded_when_the_pass_phrase_is_right(write: Callable[..., SigningSettings], tmp_path: Path) -> None:
    settings = write(phrase="口令 1")
    in_file = tmp_path / "phrase"
    in_file.write_text("口令 1\n", "utf-8")
    for change in ({"passphrase": SecretStr("口令 1")}, {"passphrase_file": in_file}):
        assert load_key(settings.model_copy(update=change), now=NOW).key_name == "01691f7f"


def test_key_is_refused_when_the_pass_phrase_is_wrong(write: Callable[..., SigningSettings]) -> None:
    settings = write(phrase="right").model_copy(update={"passphrase": SecretStr("wrong-one")})
    message = refusal(settings)
    assert "pass phrase is wrong" in message
    assert "wrong-one" not in message


def test_key_is_refused_when_the_pass_phrase_is_missing(write: Callable[..., SigningSettings]) -> None:
    assert "CONNECTOR_SIGNING__PASSPHRASE" in refusal(write(phrase="right"))


def test_key_is_refused_when_a_pass_phrase_is_given_for_a_plain_key(write: Callable[..., SigningSettings]) -> None:
    settings = write().model_copy(update={"passphrase": SecretStr("needless")})
    assert "is not encrypted" in refusal(settings)


def test_key_is_refused_when_the_file_of_the_pass_phrase_is_missing(write: Callable[..., SigningSettings]) -> None:
    settings = write().model_copy(update={"passphrase_file": Path("/nowhere/phrase")})
    with pytest.raises(ConfigurationError):
        load_key(settings, now=NOW)


@pytest.mark.parametrize("name", ["key_file", "certificate_file"])
def test_key_is_refused_when_a_file_is_missing(write: Callable[..., SigningSettings], name: str) -> None:
    settings = write()
    getattr(settings, name).unlink()
    assert f"{getattr(settings, name)}: No such file" in refusal(settings)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_key_is_refused_when_others_may_read_it(write: Callable[..., SigningSettings], mode: int) -> None:
    settings = write()
    settings.key_file.chmod(mode)
    assert f"chmod 600 {settings.key_file}" in refusal(settings)


@pytest.mark.parametrize("name", ["key_file", "certificate_file"])
def test_key_is_refused_when_a_file_holds_something_else(write: Callable[..., SigningSettings], name: str) -> None:
    settings = write()
    getattr(settings, name).write_text("-----BEGIN NOTHING-----\n")
    assert str(getattr(settings, name)) in refusal(settings)


def test_key_is_refused_when_the_certificate_is_of_another_key(write: Callable[..., SigningSettings]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "is not the private key of" in refusal(write(certified=other))


def test_key_is_refused_when_it_is_no_rsa_key(write: Callable[..., SigningSettings]) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    assert "no RSA key" in refusal(write(key=curve, certified=curve))


def test_key_is_refused_when_the_certificate_has_expired(write: Callable[..., SigningSettings]) -> None:
    settings = write()
    load_key(settings, now=NOW + timedelta(days=10))
    assert "expired" in refusal(settings, NOW + timedelta(days=10, seconds=1))


def test_key_is_refused_when_the_certificate_is_not_yet_valid(write: Callable[..., SigningSettings]) -> None:
    settings = write()
    load_key(settings, now=NOW - timedelta(days=10))
    assert "not valid before" in refusal(settings, NOW - timedelta(days=10, seconds=1))


def test_development_key_is_loaded_when_it_was_just_made(development_pki: Path, tmp_path: Path) -> None:
    copies = {name: Path(shutil.copy(development_pki / f"enterprise.{name}.pem", tmp_path)) for name in ("key", "crt")}
    settings = SigningSettings(key_file=copies["key"], certificate_file=copies["crt"])
    assert len(load_key(settings, now=datetime.now(UTC)).key_name) == 16
