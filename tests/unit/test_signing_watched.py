"""Which certificates of a configuration are watched, and what for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import NameOID

from connector.config import Settings
from connector.signing.watched import key_uses, read_watched, watched_files

EARLIER, LATER = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
EVER = datetime.min.replace(tzinfo=UTC)


def settings(signing: dict[str, Any], **customs: Path) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": "sqlite:///:memory:"},
            "enterprise": {"dxp_id": "DXPENT0000011351", "cop_code": "4401", "cop_name": "某某"},
            "sources": {},
            "mappings": "mappings",
            "signing": {name: {"key_file": f"{name}.key.pem"} | one for name, one in signing.items()},
            "customs": {"submit_url": "https://customs.example/", **customs},
        }
    )


def test_every_file_of_the_configuration_is_watched() -> None:
    signing = {"main": {"certificate_file": "main.pem"}, "packed": {"key_file": "packed.p12"}}
    found = watched_files(
        settings(signing, ca_file=Path("ca.pem"), client_certificate_file=Path("tls.pem"), client_key_file=Path("k"))
    )
    assert [(one.use.role, one.file.name) for one in found] == [
        ("signing key main", "main.pem"),
        ("signing key packed", "packed.p12"),
        ("customs CA", "ca.pem"),
        ("TLS client", "tls.pem"),
    ]


def test_client_certificate_is_watched_in_the_file_of_its_key_when_it_stands_there() -> None:
    signing = {"main": {"certificate_file": "main.pem"}}
    found = watched_files(settings(signing, client_key_file=Path("both.pem")))
    assert [(one.use.role, one.file.name) for one in found][1:] == [("TLS client", "both.pem")]


@pytest.mark.parametrize("order", [1, -1])
def test_key_is_needed_from_its_own_time_until_that_of_the_next(order: int) -> None:
    signing = {"newest": {"active_from": LATER}, "old": {}, "new": {"active_from": EARLIER}}
    uses = key_uses(settings(dict(list(signing.items())[::order])))
    assert {name: (use.needed_from, use.needed_until) for name, use in uses.items()} == {
        "old": (None, EARLIER),
        "new": (EARLIER, LATER),
        "newest": (LATER, None),
    }


def test_key_is_never_needed_when_one_named_later_begins_with_it() -> None:
    uses = key_uses(settings({"first": {}, "second": {}}))
    assert uses["first"].needed_until == EVER
    assert uses["second"].needed_until is None


def test_all_certificates_of_a_bundle_are_read_and_an_unreadable_file_hides_none(
    development_pki: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join((development_pki / f"{name}.crt.pem").read_bytes() for name in ("ca", "office")))
    signing = {"main": {"certificate_file": tmp_path / "nothing.pem"}}
    found, unreadable = read_watched(settings(signing, ca_file=bundle))
    assert [one.use.role for one in found] == ["customs CA"] * 2
    assert len({one.certificate.key_id for one in found}) == 2
    assert "nothing.pem" in str(*unreadable)


@pytest.fixture
def packed(tmp_path: Path) -> dict[str, Any]:
    """The table of a key that stands with its certificate in a PKCS#12 file, the pass phrase in a file beside it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "测试企业")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x1691F7F)
        .not_valid_before(EARLIER)
        .not_valid_after(LATER)
        .sign(key, SHA256())
    )
    file, phrase = tmp_path / "main.p12", tmp_path / "phrase"
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(b"main", key, certificate, None, BestAvailableEncryption(b"open-sesame"))
    )
    phrase.write_text("open-sesame\n")
    for one in (file, phrase):
        one.chmod(0o600)
    return {"suite": "rsa-sha1", "key_file": file, "passphrase_file": phrase}


def test_certificate_beside_its_key_is_read_with_the_pass_phrase(packed: dict[str, Any]) -> None:
    by_environment = packed | {"passphrase_file": None, "passphrase": "open-sesame"}
    for table in (packed, by_environment):
        (found,), unreadable = read_watched(settings({"main": table}))
        assert (found.use.role, found.file) == ("signing key main", packed["key_file"])
        assert (found.certificate.subject, found.certificate.valid_until) == ("CN=测试企业", LATER)
        assert unreadable == []


def test_certificate_beside_its_key_is_told_when_it_cannot_be_read(packed: dict[str, Any]) -> None:
    for table, said in (
        (packed | {"passphrase_file": None}, "main.p12: the pass phrase is wrong"),
        (packed | {"passphrase": "open-barley"}, "main.p12: the pass phrase is wrong"),
        (packed | {"passphrase_file": Path("/nowhere/phrase")}, "/nowhere/phrase: No such file"),
    ):
        found, (error,) = read_watched(settings({"main": table}))
        assert found == []
        assert said in error.cause
        assert "\n" not in error.cause
        assert not any(secret in str(error) for secret in ("open-sesame", "open-barley"))
