"""Makes a certification authority, an enterprise key and an office key for development and demonstrations.

::

    python certs/make_development_pki.py DIR [--suite rsa-sha1]

writes key and certificate of each into DIR: ``ca.key.pem``, ``ca.crt.pem`` and so on for ``enterprise``, which signs
our messages (SM2, or RSA-2048 for rsa-sha1), and ``office``, which signs the receipts of the simulated customs office
(ECDSA on P-256). Keys are PKCS#8 PEM without a pass phrase, readable by their owner only. Existing files are never
overwritten. Nothing made here is worth anything to customs.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from connector.errors import SigningError
from connector.signing.sm2 import Sm2PrivateKey

NAMES = ("ca", "enterprise", "office")
FILES = tuple(f"{name}.{kind}.pem" for name in NAMES for kind in ("key", "crt"))
"""What `make` writes."""

_SUBJECTS = {"ca": "Development CA", "enterprise": "广州云帆跨境电子商务有限公司", "office": "Simulated customs office"}


def make(directory: Path, *, suite: str = "sm2-sm3") -> None:
    """Write the keys and their certificates into a directory, which is made where it is missing.

    suite: of the enterprise, ``sm2-sm3`` or ``rsa-sha1``. Raises `FileExistsError` when one of the files is there
    already, and `SigningError` where SM2 cannot be had; then nothing is written.
    """
    present = [name for name in FILES if os.path.lexists(directory / name)]
    if present:
        raise FileExistsError(f"{directory} already holds {', '.join(present)}; nothing was written")
    ca_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    office_key = ec.generate_private_key(ec.SECP256R1())
    contents = {
        "ca.key.pem": _pem(ca_key),
        "ca.crt.pem": _certificate("ca", ca_key.public_key(), ca_key, years=10).public_bytes(Encoding.PEM),
        "office.key.pem": _pem(office_key),
        "office.crt.pem": _certificate("office", office_key.public_key(), ca_key, years=5).public_bytes(Encoding.PEM),
    }
    contents |= _sm2_pair(ca_key) if suite == "sm2-sm3" else _rsa_pair(ca_key)
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        _write(directory / name, contents[name])


def _rsa_pair(ca_key: rsa.RSAPrivateKey) -> Mapping[str, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _certificate("enterprise", key.public_key(), ca_key, years=5)
    return {"enterprise.key.pem": _pem(key), "enterprise.crt.pem": certificate.public_bytes(Encoding.PEM)}


def _sm2_pair(ca_key: rsa.RSAPrivateKey) -> Mapping[str, bytes]:
    """The package cryptography knows no SM2 keys, so the certificate is made for another key of the same length.

    A SubjectPublicKeyInfo on P-256 and one on the SM2 curve differ in nothing but the curve's identifier and the point,
    which have the same lengths; nor does the length of the CA's signature change.
    """
    key = Sm2PrivateKey.generate()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = _certificate("enterprise", other, ca_key, years=5)
    spki = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = made.tbs_certificate_bytes.replace(spki, key.public_key.spki)
    signature = ca_key.sign(signed, PKCS1v15(), SHA256())
    der = made.public_bytes(Encoding.DER).replace(made.tbs_certificate_bytes, signed)[: -len(signature)] + signature
    certificate = x509.load_der_x509_certificate(der)
    return {"enterprise.key.pem": key.to_pem(), "enterprise.crt.pem": certificate.public_bytes(Encoding.PEM)}


def _certificate(
    name: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, ca_key: rsa.RSAPrivateKey, *, years: int
) -> x509.Certificate:
    """A certificate by the CA; its own where that is the name."""
    is_ca = name == "ca"
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
        .subject_name(_subject(name))
        .issuer_name(_subject("ca"))
        .public_key(key)
        .serial_number(_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **dict.fromkeys(others, False)), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "开发测试，不具法律效力"),
            x509.NameAttribute(NameOID.COMMON_NAME, _SUBJECTS[name]),
        ]
    )


def _serial_number() -> int:
    """At most 8 bytes, so that KeyName has its 16 digits; the top bit stays 0 because DER integers are signed."""
    return secrets.randbits(62) | 1 << 62


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    mode = 0o600 if path.name.endswith(".key.pem") else 0o644
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def main() -> None:
    """Run from the command line; exits with 1 and a message where files are in the way."""
    parser = argparse.ArgumentParser(description="Make a development CA, an enterprise key and an office key.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the six files go")
    parser.add_argument(
        "--suite", choices=("sm2-sm3", "rsa-sha1"), default="sm2-sm3", help="what the enterprise signs with"
    )
    options = parser.parse_args()
    try:
        make(options.directory, suite=options.suite)
    except (OSError, SigningError) as error:
        raise SystemExit(f"make_development_pki: {error}") from None
    print(f"wrote {', '.join(FILES)} to {options.directory}")


if __name__ == "__main__":
    main()
