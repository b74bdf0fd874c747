"""`connector doctor` finds what is wrong, says what to do, changes nothing; `status` names certificates that end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Renew = Callable[[int], Path]

pytestmark = pytest.mark.xdist_group("acceptance_doctor")

DEMO_KEY = 'suite = "sm2-sm3"\nkey_file = "certs/enterprise.key.pem"\ncertificate_file = "certs/enterprise.crt.pem"\n'


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def renew(enterprise: Path, edit: Edit, rsa_key: rsa.RSAPrivateKey) -> Renew:
    """Gives the enterprise an RSA key with a certificate that ends in so many days; its folder."""

    def write(days: int) -> Path:
        certs = enterprise / "certs"
        (certs / "enterprise.key.pem").write_bytes(
            rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (certs / "enterprise.crt.pem").write_bytes(certificate(rsa_key, days).public_bytes(Encoding.PEM))
        edit(enterprise / "connector.toml", 'suite = "sm2-sm3"', 'suite = "rsa-sha1"')
        return enterprise

    return write


def certificate(key: rsa.RSAPrivateKey, days: int) -> x509.Certificate:
    """One that ends in so many days and an hour."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "测试企业")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x1691F7F)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .sign(key, SHA256())
    )


def contents(enterprise: Path) -> dict[Path, bytes]:
    """Every file but those of the office."""
    files = (path for path in enterprise.rglob("*") if path.is_file() and not path.name.startswith("customs."))
    return {path: path.read_bytes() for path in files}


def levels(found: Any) -> dict[str, str]:
    """Check -> its worst level."""
    order = ["ok", "warning", "fault"]
    worst: dict[str, str] = {}
    for one in found["checks"]:
        worst[one["check"]] = max(worst.get(one["check"], "ok"), one["level"], key=order.index)
    return worst


def faulty(found: Any) -> set[str]:
    return {check for check, level in levels(found).items() if level == "fault"}


def test_doctor_finds_nothing_when_a_fresh_enterprise_and_its_office_are_well(
    enterprise: Path, read: Read, connector: Run, office: Office
) -> None:
    with office(enterprise):
        before = contents(enterprise)
        found = read(enterprise, "doctor")
        said = connector(enterprise, "doctor").stdout
        assert contents(enterprise) == before
    assert set(levels(found)) >= {
        *("configuration", "key main", "keys", "certificates", "TLS", "database", "clock", "mappings"),
        *("source warehouse", "source archive", "collection returns", "customs"),
    }
    assert faulty(found) == set()
    assert found["exit_code"] == 0
    assert [line.split()[0] for line in said.splitlines()] == [one["level"] for one in found["checks"]]
    for words in ("[signing.main] signs now", "version 1.2 or newer", "always verified", "schema is version"):
        assert words in said


def test_doctor_fails_for_customs_unless_it_is_left_out(enterprise: Path, read: Read) -> None:
    found = read(enterprise, "doctor", code=6)
    assert faulty(found) == {"customs"}
    assert "Connection refused" in found["checks"][-1]["text"]
    assert "customs" not in levels(read(enterprise, "doctor", "--offline"))


@pytest.mark.parametrize("spoil", [Path.unlink, lambda key: key.chmod(0o644)], ids=["missing", "readable by others"])
def test_doctor_fails_when_the_key_cannot_be_used(
    enterprise: Path, read: Read, spoil: Callable[[Path], object]
) -> None:
    spoil(enterprise / "certs" / "enterprise.key.pem")
    found = read(enterprise, "doctor", "--offline", code=7)
    assert faulty(found) == {"key main"}
    assert levels(found)["keys"] == "warning"


@pytest.mark.parametrize(
    ("days", "words", "level", "code"),
    [
        (45, "expires in 45 days", "warning", 0),
        (12, "expires in 12 days", "fault", 7),
        (-2, "expired on", "fault", 7),
    ],
)
def test_doctor_names_a_certificate_that_ends(
    read: Read, renew: Renew, days: int, words: str, level: str, code: int
) -> None:
    found = read(renew(days), "doctor", "--offline", code=code)
    (said,) = [one for one in found["checks"] if one["check"] == "certificates"]
    assert said["level"] == level
    assert "signing key main" in said["text"]
    assert words in said["text"]
    assert said["remedy"]
    assert levels(found)["key main"] == "warning"  # SHA-1


@pytest.mark.parametrize(
    ("days", "words"), [(45, "expires in 45 days"), (12, "expires in 12 days"), (-2, "expired on")]
)
def test_status_names_a_certificate_that_ends(read: Read, connector: Run, renew: Renew, days: int, words: str) -> None:
    enterprise = renew(days)
    status = read(enterprise, "status")
    shown, other = status["certificates"]
    assert other["role"] == "receipts of customs"
    assert shown["role"] == "signing key main"
    assert shown["file"] == str(enterprise / "certs" / "enterprise.crt.pem")
    assert shown["subject"] == "CN=测试企业"
    assert len(shown["fingerprint"]) == 64
    assert shown["valid_until"].endswith("Z")
    assert shown["days_left"] == days
    assert any(words in warning for warning in status["warnings"])
    assert words in connector(enterprise, "status").stdout


def test_status_goes_on_when_a_certificate_cannot_be_read(enterprise: Path, read: Read) -> None:
    (enterprise / "certs" / "enterprise.crt.pem").unlink()
    found = read(enterprise, "status")
    assert [one["role"] for one in found["certificates"]] == ["receipts of customs"]
    assert any("enterprise.crt.pem" in warning for warning in found["warnings"])


def test_certificate_beside_its_key_is_looked_at_with_its_pass_phrase_and_no_secret_is_told(
    enterprise: Path, read: Read, connector: Run, edit: Edit, rsa_key: rsa.RSAPrivateKey
) -> None:
    packed = pkcs12.serialize_key_and_certificates(
        b"main", rsa_key, certificate(rsa_key, 5), None, BestAvailableEncryption(b"open-sesame")
    )
    path = enterprise / "certs" / "enterprise.p12"
    path.write_bytes(packed)
    path.chmod(0o600)
    config = enterprise / "connector.toml"
    edit(config, DEMO_KEY, 'suite = "rsa-sha1"\nkey_file = "certs/enterprise.p12"\npassphrase_file = "phrase"\n')
    (enterprise / "phrase").write_text("open-sesame\n")
    (enterprise / "phrase").chmod(0o600)
    status = read(enterprise, "status")
    shown, _receipts = status["certificates"]
    assert (shown["role"], shown["file"], shown["days_left"]) == ("signing key main", str(path), 5)
    assert any("expires in 5 days" in warning for warning in status["warnings"])
    closed = connector(enterprise, "status", CONNECTOR_SIGNING__MAIN__PASSPHRASE="open-barley")
    assert f"warning: when a certificate ends cannot be told: {path}: the pass phrase is wrong" in closed.stdout
    right = connector(enterprise, "doctor", "--offline", code=7, CONNECTOR_SOURCES__WAREHOUSE__PASSWORD="hush-hush")
    assert "expires in 5 days" in right.stdout
    assert "urgent" in right.stdout
    wrong = connector(enterprise, "doctor", code=7, CONNECTOR_SIGNING__MAIN__PASSPHRASE="open-barley")
    assert "the pass phrase is wrong" in wrong.stdout
    for secret in ("open-sesame", "open-barley", "hush-hush"):
        assert secret not in "".join(one.stdout + one.stderr for one in (closed, right, wrong))


def test_doctor_tells_when_the_next_key_takes_over(enterprise: Path, read: Read, edit: Edit) -> None:
    begin = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    following = f"[signing.next]\nactive_from = {begin.isoformat()}\n{DEMO_KEY}\n[customs]\n"
    edit(enterprise / "connector.toml", "[customs]\n", following)
    said = [one["text"] for one in read(enterprise, "doctor", "--offline")["checks"] if one["check"] == "keys"]
    assert said == ["[signing.main] signs now", f"[signing.next] signs from {begin} on"]


def test_doctor_fails_when_the_database_was_not_made_and_makes_none(enterprise: Path, read: Read) -> None:
    (enterprise / "connector.db").unlink()
    found = read(enterprise, "doctor", "--offline", code=4)
    assert faulty(found) == {"database"}
    assert any("connector db upgrade" in one["remedy"] for one in found["checks"])
    assert not (enterprise / "connector.db").exists()


def test_doctor_fails_when_a_source_is_missing(enterprise: Path, read: Read) -> None:
    (enterprise / "warehouse.db").unlink()
    found = read(enterprise, "doctor", "--offline", code=5)
    assert faulty(found) == {"source warehouse", "collection returns"}
    assert levels(found)["source archive"] == "ok"


def test_doctor_fails_when_a_source_has_another_column(enterprise: Path, read: Read, query: Query) -> None:
    query(enterprise / "warehouse.db", "ALTER TABLE wms_receipt_order RENAME COLUMN remark TO notes")
    found = read(enterprise, "doctor", "--offline", code=5)
    assert faulty(found) == {"collection returns"}
    assert any("remark" in one["text"] for one in found["checks"])


def test_doctor_goes_through_everything_when_everything_is_wrong(
    enterprise: Path, connector: Run, read: Read, edit: Edit
) -> None:
    (enterprise / "certs" / "enterprise.key.pem").unlink()
    (enterprise / "connector.db").unlink()
    (enterprise / "archive.db").unlink()
    edit(enterprise / "mappings" / "CEB213.toml", "ebpCode       =", "ebpNumber     =")
    found = read(enterprise, "doctor", code=7)
    assert faulty(found) == {"key main", "database", "mappings", "source archive", "customs"}
    assert {one["exit_code"] for one in found["checks"]} == {0, 4, 5, 6, 7}
    for line in connector(enterprise, "doctor", code=7).stdout.splitlines():
        assert line.split()[0] in {"ok", "warning", "fault"}
        assert (" -> " in line) == (not line.startswith("ok"))


def test_doctor_names_every_fault_when_the_configuration_is_wrong(
    enterprise: Path, connector: Run, read: Read, edit: Edit
) -> None:
    edit(enterprise / "connector.toml", "settle_seconds = 5", 'settle_seconds = "soon"\nnonsense = 1')
    found = read(enterprise, "doctor", code=4)
    assert [one["check"] for one in found["checks"]] == ["configuration"] * 2
    assert "--config FILE" in connector(None, "doctor", code=2).stderr


def test_doctor_says_what_protects_receipts_where_they_are_not_signed(
    enterprise: Path, edit: Edit, connector: Run
) -> None:
    signed = connector(enterprise, "doctor", "--offline").stdout
    assert "only those that one of 1 certificates signed are applied" in signed
    edit(enterprise / "connector.toml", "[customs]\n", "[customs]\nrequire_signed_receipts = false\n")
    unsigned = connector(enterprise, "doctor", "--offline").stdout
    assert "any program of this machine could write them" in unsigned
