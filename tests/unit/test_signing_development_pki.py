"""The script that makes keys for development."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from connector.config import SigningSettings
from connector.signing.keyfiles import load_key

ROOT = Path(__file__).parents[2]
FILES = {f"{name}.{kind}.pem" for name in ("ca", "enterprise", "office") for kind in ("key", "crt")}


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "certs/make_development_pki.py"
    return subprocess.run([sys.executable, script, folder], check=False, capture_output=True, text=True)


def test_pki_holds_its_six_files_when_it_was_made_in_a_new_folder(tmp_path: Path) -> None:
    assert make(tmp_path / "a/b").returncode == 0
    assert {file.name for file in (tmp_path / "a/b").iterdir()} == FILES


@pytest.mark.parametrize("name", ["ca", "enterprise", "office"])
def test_pki_keys_are_private_pkcs8_and_fit_their_certificates(development_pki: Path, name: str) -> None:
    file = development_pki / f"{name}.key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    certificate = x509.load_pem_x509_certificate((development_pki / f"{name}.crt.pem").read_bytes())
    assert load_pem_private_key(file.read_bytes(), None).public_key() == certificate.public_key()
    assert certificate.serial_number < 1 << 64


def test_pki_certificate_is_issued_by_its_ca_to_an_enterprise(development_pki: Path) -> None:
    ca = x509.load_pem_x509_certificate((development_pki / "ca.crt.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate((development_pki / "enterprise.crt.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)
    ca.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "广州云帆跨境电子商务有限公司"


def test_pki_enterprise_key_is_on_the_sm2_curve_and_openssl_believes_its_certificate(tmp_path: Path) -> None:
    """By the system's own OpenSSL, which is told nothing of ours."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")
    assert make(tmp_path).returncode == 0

    def openssl(*arguments: str) -> str:
        command = ["openssl", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert openssl("verify", "-CAfile", "ca.crt.pem", "enterprise.crt.pem") == "enterprise.crt.pem: OK\n"
    assert "ASN1 OID: SM2" in openssl("x509", "-in", "enterprise.crt.pem", "-noout", "-text")
    public = openssl("pkey", "-in", "enterprise.key.pem", "-pubout")
    assert public == openssl("x509", "-in", "enterprise.crt.pem", "-noout", "-pubkey")
    key = SigningSettings(key_file=tmp_path / "enterprise.key.pem", certificate_file=tmp_path / "enterprise.crt.pem")
    assert load_key(key).suite.name == "sm2-sm3"


@pytest.mark.parametrize("name", sorted(FILES))
def test_pki_writes_nothing_when_one_of_its_files_is_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    result = make(tmp_path)
    assert result.returncode == 1
    assert f"already holds {name}" in result.stderr
    assert "Traceback" not in result.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "precious")]
