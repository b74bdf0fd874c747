"""The script that makes keys for development."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[2]
FILES = {"ca.key.pem", "ca.crt.pem", "enterprise.key.pem", "enterprise.crt.pem"}


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "certs/make_development_pki.py"
    return subprocess.run([sys.executable, script, folder], check=False, capture_output=True, text=True)


def test_pki_holds_its_four_files_when_it_was_made_in_a_new_folder(tmp_path: Path) -> None:
    assert make(tmp_path / "a/b").returncode == 0
    assert {file.name for file in (tmp_path / "a/b").iterdir()} == FILES


@pytest.mark.parametrize("name", ["ca", "enterprise"])
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


@pytest.mark.parametrize("name", sorted(FILES))
def test_pki_writes_nothing_when_one_of_its_files_is_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    result = make(tmp_path)
    assert result.returncode == 1
    assert f"already holds {name}" in result.stderr
    assert "Traceback" not in result.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "precious")]
