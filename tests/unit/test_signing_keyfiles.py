"""What makes a key unusable is found when it is loaded, with a remedy."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

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

ROOT = Path(__file__).parents[2]
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
        settings = SigningSettings(
            suite="rsa-sha1", key_file=tmp_path / "key.pem", certificate_file=tmp_path / "crt.pem"
        )
        (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        (tmp_path / "key.pem").chmod(0o600)
        (tmp_path / "crt.pem").write_bytes(certificate(certified, serial_number).public_bytes(Encoding.PEM))
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


def refusal(settings: SigningSettings) -> str:
    with pytest.raises(SigningError) as caught:
        load_key(settings)
    assert caught.value.effect
    assert caught.value.remedy
    assert caught.value.exit_code == 7
    return str(caught.value)


def test_key_signs_with_its_certificate_when_everything_fits(
    write: Callable[..., SigningSettings], rsa_key: rsa.RSAPrivateKey
) -> None:
    settings = write()
    key = load_key(settings)
    assert SUITES["rsa-sha1"].scheme.verify(rsa_key.public_key(), key.sign(b"data"), b"data")
    assert settings.certificate_file is not None
    der = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes()).public_bytes(Encoding.DER)
    assert key.certificate.der == der
    assert key.certificate.key_id == hashlib.sha256(der).hexdigest()


def test_key_is_read_once_when_it_signs_often(write: Callable[..., SigningSettings]) -> None:
    settings = write()
    key = load_key(settings)
    assert settings.key_file is not None
    settings.key_file.unlink()
    assert key.sign(b"data") == key.sign(b"data")


def test_key_shows_no_secret_when_it_is_printed(write: Callable[..., SigningSettings]) -> None:
    assert "private" not in repr(load_key(write()))


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
    assert load_key(write(serial_number=serial_number)).key_name == key_name


def test_key_is_refused_when_its_serial_number_has_no_key_name(write: Callable[..., SigningSettings]) -> None:
    assert "longer than 8 bytes" in refusal(write(serial_number=1 << 64))


def test_key_is_loaded_when_the_pass_phrase_is_right(write: Callable[..., SigningSettings], tmp_path: Path) -> None:
    settings = write(phrase="口令 1")
    in_file = tmp_path / "phrase"
    in_file.write_text("口令 1\n", "utf-8")
    in_file.chmod(0o600)
    for change in ({"passphrase": SecretStr("口令 1")}, {"passphrase_file": in_file}):
        assert load_key(settings.model_copy(update=change)).key_name == "01691f7f"


def test_key_is_refused_when_the_pass_phrase_is_wrong(write: Callable[..., SigningSettings]) -> None:
    settings = write(phrase="right").model_copy(update={"passphrase": SecretStr("wrong-one")})
    message = refusal(settings)
    assert "pass phrase is wrong" in message
    assert "wrong-one" not in message


def test_key_is_refused_when_the_pass_phrase_is_missing(write: Callable[..., SigningSettings]) -> None:
    assert "set passphrase_file" in refusal(write(phrase="right"))


def test_key_is_refused_when_a_pass_phrase_is_given_for_a_plain_key(write: Callable[..., SigningSettings]) -> None:
    settings = write().model_copy(update={"passphrase": SecretStr("needless")})
    assert "is not encrypted" in refusal(settings)


def test_key_is_refused_when_others_may_read_its_pass_phrase(
    write: Callable[..., SigningSettings], tmp_path: Path
) -> None:
    in_file = tmp_path / "phrase"
    in_file.write_text("right\n")
    in_file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="phrase is readable by others"):
        load_key(write(phrase="right").model_copy(update={"passphrase_file": in_file}))


def test_key_is_refused_when_the_file_of_the_pass_phrase_is_missing(write: Callable[..., SigningSettings]) -> None:
    settings = write().model_copy(update={"passphrase_file": Path("/nowhere/phrase")})
    with pytest.raises(ConfigurationError):
        load_key(settings)


@pytest.mark.parametrize("name", ["key_file", "certificate_file"])
def test_key_is_refused_when_a_file_is_missing(write: Callable[..., SigningSettings], name: str) -> None:
    settings = write()
    getattr(settings, name).unlink()
    assert f"{getattr(settings, name)}: No such file" in refusal(settings)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_key_is_refused_when_others_may_read_it(write: Callable[..., SigningSettings], mode: int) -> None:
    settings = write()
    assert settings.key_file is not None
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
    assert "rsa-sha1 needs an RSA key" in refusal(write(key=curve, certified=curve))


def test_development_key_is_loaded_when_it_was_just_made(development_pki: Path, tmp_path: Path) -> None:
    copies = {name: Path(shutil.copy(development_pki / f"enterprise.{name}.pem", tmp_path)) for name in ("key", "crt")}
    settings = SigningSettings(suite="rsa-sha1", key_file=copies["key"], certificate_file=copies["crt"])
    assert len(load_key(settings).key_name) == 16


Pair = Callable[[str], dict[str, Path]]


@pytest.fixture
def pair(development_pki: Path, tmp_path: Path) -> Pair:
    """Key and certificate of a suite, made by the development script and encrypted; and as PKCS#12 by OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")

    def make(suite: str) -> dict[str, Path]:
        made = development_pki
        if suite == "sm2-sm3":
            made = tmp_path / "sm2"
            subprocess.run(
                [sys.executable, ROOT / "certs/make_development_pki.py", made], check=True, capture_output=True
            )
        key, crt, pem, p12 = (tmp_path / name for name in ("plain.key", "crt", "pem", "p12"))
        shutil.copy(made / "enterprise.key.pem", key)
        shutil.copy(made / "enterprise.crt.pem", crt)
        for command in (
            f"openssl pkcs8 -topk8 -v2 aes-256-cbc -in {key} -passout pass:secret -out {pem}",
            f"openssl pkcs12 -export -inkey {key} -in {crt} -passout pass:secret -out {p12}",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        for file in (key, pem, p12):
            file.chmod(0o600)
        return {"plain": key, "crt": crt, "pem": pem, "p12": p12}

    return make


@pytest.mark.parametrize("suite", ["sm2-sm3", "rsa-sha1"])
def test_key_signs_alike_whatever_form_its_file_has(pair: Pair, suite: Literal["sm2-sm3", "rsa-sha1"]) -> None:
    files = pair(suite)
    phrase = SecretStr("secret")
    for settings in (
        SigningSettings(suite=suite, key_file=files["plain"], certificate_file=files["crt"]),
        SigningSettings(suite=suite, key_file=files["pem"], certificate_file=files["crt"], passphrase=phrase),
        SigningSettings(suite=suite, key_file=files["p12"], certificate_file=files["crt"], passphrase=phrase),
        SigningSettings(suite=suite, key_file=files["p12"], passphrase=phrase),
    ):
        key = load_key(settings)
        public = key.suite.scheme.public_key_of(key.certificate.der)
        assert key.suite.scheme.verify(public, key.sign(b"data"), b"data")
        assert len(key.key_name) == 16


@pytest.mark.parametrize("suite", ["sm2-sm3", "rsa-sha1"])
@pytest.mark.parametrize("form", ["pem", "p12"])
def test_key_is_refused_with_a_reason_when_its_pass_phrase_is_wrong(
    pair: Pair, suite: Literal["sm2-sm3", "rsa-sha1"], form: str
) -> None:
    files = pair(suite)
    for phrase in ("wrong", "", None):
        secret = None if phrase is None else SecretStr(phrase)
        said = refusal(
            SigningSettings(suite=suite, key_file=files[form], certificate_file=files["crt"], passphrase=secret)
        )
        assert "the pass phrase is wrong" in said or "is encrypted" in said


def test_key_is_refused_when_the_suite_is_for_another_kind(pair: Pair) -> None:
    files = pair("sm2-sm3")
    said = refusal(SigningSettings(suite="rsa-sha1", key_file=files["plain"], certificate_file=files["crt"]))
    assert "rsa-sha1 needs an RSA key" in said
    files = pair("rsa-sha1")
    said = refusal(SigningSettings(suite="sm2-sm3", key_file=files["plain"], certificate_file=files["crt"]))
    assert "sm2-sm3 needs an SM2 key" in said


def test_key_is_refused_when_its_file_holds_no_certificate_and_none_is_named(pair: Pair) -> None:
    assert "name its certificate_file" in refusal(SigningSettings(suite="rsa-sha1", key_file=pair("rsa-sha1")["plain"]))
