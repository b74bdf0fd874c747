"""The messages that customs received, taken from its store after the whole road, verified by programs of others."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Query = Callable[..., list[Any]]

pytestmark = pytest.mark.xdist_group("acceptance_demo")


@pytest.fixture(scope="module")
def envelopes(played: Path, query: Query) -> dict[str, bytes]:
    """Message id -> the DxpMsg as it reached the office, read with nothing of this project."""
    requests = query(played / "customs.db", "SELECT message_id, body FROM requests WHERE mark = '1'")
    return {number: (etree.fromstring(body).findtext(".//content") or "").encode() for number, body in requests}


@pytest.fixture(scope="module")
def received(envelopes: dict[str, bytes]) -> dict[str, bytes]:
    """Message id -> the signed XML in it."""
    found = {}
    for number, envelope in envelopes.items():
        data = etree.fromstring(envelope).find(".//{*}Data")
        assert data is not None
        found[number] = base64.b64decode(data.text or "", validate=True)
    return found


def test_messages_show_writes_the_bytes_that_customs_received_when_asked_for_xml(
    played: Path, connector: Run, read: Read, received: dict[str, bytes]
) -> None:
    messages = read(played, "messages", "list")["messages"]
    assert {one["id"] for one in messages} == received.keys()
    assert {one["type"] for one in messages} == {"CEB213", "CEB215"}
    for number, data in received.items():
        assert connector(played, "messages", "show", number, "--xml").stdout.encode() == data


def test_received_messages_are_verified_by_openssl_when_the_road_is_over(
    played: Path, received: dict[str, bytes], tmp_path: Path
) -> None:
    """The system's OpenSSL does all that is SM2 and SM3 here; lxml finds the canonical bytes."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")

    def openssl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, input=data, capture_output=True, check=False)

    def verifies(data: bytes) -> bool:
        root = etree.fromstring(data)
        (signature,) = root.iter("{*}Signature")
        (tmp_path / "info").write_bytes(etree.tostring(signature[0], method="c14n"))
        value = base64.b64decode(signature.findtext("{*}SignatureValue") or "")
        halves = (int.from_bytes(half) for half in (value[:32], value[32:]))
        (tmp_path / "value").write_bytes(encode_dss_signature(*halves))
        root.remove(signature)
        digest = openssl("dgst", "-sm3", "-binary", data=etree.tostring(root, method="c14n")).stdout
        told = signature.findtext(".//{*}DigestValue") or ""
        command = ["pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
        command += ["-pubin", "-inkey", "key", "-in", "info", "-sigfile", "value"]
        return openssl(*command).returncode == 0 and digest == base64.b64decode(told)

    certificate = str(played / "certs" / "enterprise.crt.pem")
    (tmp_path / "key").write_bytes(openssl("x509", "-in", certificate, "-noout", "-pubkey").stdout)
    for data in received.values():
        assert b"2022/04/xmldsig#sm2-sm3" in data
        assert verifies(data)
        assert not verifies(data.replace(b"<ceb:coElNo>RK1", b"<ceb:coElNo>RK2", 1))
        assert not verifies(data.replace(b"Transform ", b"Transform  ", 1).replace(b"#sm3", b"#sm4", 1))


@pytest.mark.parametrize(("schema", "what"), [("ceb-export.xsd", "received"), ("dxp-terminal.xsd", "envelopes")])
def test_received_messages_are_valid_by_the_official_schemas_when_the_road_is_over(
    reference: Path, request: pytest.FixtureRequest, schema: str, what: str
) -> None:
    official = etree.XMLSchema(etree.parse(reference / "official" / "xsd202205" / schema))
    for data in request.getfixturevalue(what).values():
        official.assertValid(etree.fromstring(data))
