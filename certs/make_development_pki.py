"""Makes a certification authority and an enterprise key for development and demonstrations.

::

    python certs/make_development_pki.py DIR

writes ``ca.key.pem``, ``ca.crt.pem``, ``enterprise.key.pem`` and ``enterprise.crt.pem`` into DIR. Keys are RSA-2048,
PKCS#8 PEM without a pass phrase, readable by their owner only. Existing files are never overwritten. Nothing made here
is worth anything to customs. Needs only the package ``cryptography``.
"""

from __future__ import annotations

import argparse
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

FILES = ("ca.key.pem", "ca.crt.pem", "enterprise.key.pem", "enterprise.crt.pem")
"""What `make` writes."""

_CA = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "开发测试，不具法律效力"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Development CA"),
    ]
)
_ENTERPRISE = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "开发测试，不具法律效力"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "关务部"),
        x509.NameAttribute(NameOID.COMMON_NAME, "广州云帆跨境电子商务有限公司"),
    ]
)


def make(directory: Path) -> None:
    """Write both keys and both certificates into a directory, which is made where it is missing.

    Raises `FileExistsError` when one of the files is there already; then nothing is written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    present = [name for name in FILES if os.path.lexists(directory / name)]
    if present:
        raise FileExistsError(f"{directory} already holds {', '.join(present)}; nothing was written")
    ca_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for name, content in zip(
        FILES,
        (
            _pem(ca_key),
            _certificate(_CA, ca_key, ca_key, years=10).public_bytes(Encoding.PEM),
            _pem(key),
            _certificate(_ENTERPRISE, key, ca_key, years=5).public_bytes(Encoding.PEM),
        ),
        strict=True,
    ):
        _write(directory / name, content)


def _certificate(
    subject: x509.Name, key: rsa.RSAPrivateKey, ca_key: rsa.RSAPrivateKey, *, years: int
) -> x509.Certificate:
    """A certificate by the CA; the CA's own where subject is the CA."""
    is_ca = subject == _CA
    # An hour of slack for machines whose clocks differ.
    start = datetime.now(UTC) - timedelta(hours=1)
    usage = {
        "digital_signature": not is_ca,
        "content_commitment": not is_ca,
        "key_cert_sign": is_ca,
        "crl_sign": is_ca,
    }
    others = ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_CA)
        .public_key(key.public_key())
        .serial_number(_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **dict.fromkeys(others, False)), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )


def _serial_number() -> int:
    """At most 8 bytes, so that KeyName has its 16 digits; the top bit stays 0 because DER integers are signed."""
    return secrets.randbits(62) | 1 << 62


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    mode = 0o600 if path.name.endswith(".key.pem") else 0o644
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def main() -> None:
    """Run from the command line; exits with 1 and a message where files are in the way."""
    parser = argparse.ArgumentParser(description="Make a development CA and an enterprise key with its certificate.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the four files go")
    directory = parser.parse_args().directory
    try:
        make(directory)
    except OSError as error:
        raise SystemExit(f"make_development_pki: {error}") from None
    print(f"wrote {', '.join(FILES)} to {directory}")


if __name__ == "__main__":
    main()
