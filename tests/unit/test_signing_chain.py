"""Chains of certificates, as the system's OpenSSL makes them with SM2 and RSA keys."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from connector.signing.certificates import Certificate, read_certificates
from connector.signing.chain import chain

SM2 = "-sm3 -sigopt distid:1234567812345678 -vfyopt distid:1234567812345678"


@pytest.fixture(params=["sm2", "rsa"])
def certificates(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Certificate]:
    """A root, an authority below it, an enterprise below that; and another root of the same name."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")
    options = SM2 if request.param == "sm2" else ""
    algorithm = "-algorithm SM2" if request.param == "sm2" else "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)

    for name in ("root", "other", "authority", "enterprise"):
        openssl(f"genpkey {algorithm} -out {name}.key")
    for name in ("root", "other"):
        openssl(f"req -new -x509 -key {name}.key -subj /CN=root -days 9 -out {name}.crt {options.split(' -vfyopt')[0]}")
    for name, issuer in (("authority", "root"), ("enterprise", "authority")):
        request_options = options.split(" -vfyopt")[0]
        openssl(f"req -new -key {name}.key -subj /CN={name} -out {name}.csr {request_options}")
        openssl(
            f"x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial -out {name}.crt {options}"
        )
    return {file.stem: read_certificates(file)[0] for file in tmp_path.glob("*.crt")}


def names(certificates: dict[str, Certificate], *authorities: str) -> list[tuple[str, str | None]]:
    links = chain(certificates["enterprise"], [certificates[name] for name in authorities])
    return [(link.certificate.subject, link.issuer.subject if link.issuer else None) for link in links]


def test_chain_goes_up_to_the_root_whatever_the_order_of_the_certificates(certificates: dict[str, Certificate]) -> None:
    whole = [("CN=enterprise", "CN=authority"), ("CN=authority", "CN=root"), ("CN=root", "CN=root")]
    assert names(certificates, "authority", "root") == whole
    assert names(certificates, "root", "authority") == whole
    assert names(certificates, "other", "root", "authority") == whole


def test_chain_ends_where_an_issuer_is_missing_or_is_another_of_the_same_name(
    certificates: dict[str, Certificate],
) -> None:
    assert names(certificates, "root") == [("CN=enterprise", None)]
    assert names(certificates, "authority", "other") == [("CN=enterprise", "CN=authority"), ("CN=authority", None)]
    assert names(certificates) == [("CN=enterprise", None)]
