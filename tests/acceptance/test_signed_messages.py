"""The messages that customs received, taken from its store after the whole road, verified by programs of others."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest
from signxml.verifier import SignatureConfiguration, XMLVerifier

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Query = Callable[..., list[Any]]

pytestmark = pytest.mark.xdist_group("acceptance_demo")

SHA1_ALLOWED = SignatureConfiguration(
    location="./",
    expect_references=1,
    signature_methods=frozenset({SignatureMethod.RSA_SHA1}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA1}),
    default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
)


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


def test_received_messages_are_verified_by_xmlsec1_when_the_road_is_over(
    played: Path, received: dict[str, bytes]
) -> None:
    program = shutil.which("xmlsec1")
    if program is None:
        pytest.skip("needs xmlsec1, the program (Debian package xmlsec1)")

    def verifies(data: bytes) -> bool:
        certificate = str(played / "certs" / "enterprise.crt.pem")
        command = [program, "--verify", "--pubkey-cert-pem", certificate, "-"]
        return subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0

    for data in received.values():
        assert verifies(data)
        assert not verifies(data.replace(b"<ceb:coElNo>RK1", b"<ceb:coElNo>RK2", 1))


def test_received_messages_are_verified_by_signxml_when_the_road_is_over(
    played: Path, received: dict[str, bytes]
) -> None:
    certificate = (played / "certs" / "enterprise.crt.pem").read_text()
    for data in received.values():
        XMLVerifier().verify(data, x509_cert=certificate, expect_config=SHA1_ALLOWED)
        with pytest.raises(InvalidDigest):
            XMLVerifier().verify(
                data.replace(b"<ceb:coElNo>RK1", b"<ceb:coElNo>RK2", 1),
                x509_cert=certificate,
                expect_config=SHA1_ALLOWED,
            )


@pytest.mark.parametrize(("schema", "what"), [("ceb-export.xsd", "received"), ("dxp-terminal.xsd", "envelopes")])
def test_received_messages_are_valid_by_the_official_schemas_when_the_road_is_over(
    reference: Path, request: pytest.FixtureRequest, schema: str, what: str
) -> None:
    official = etree.XMLSchema(etree.parse(reference / "official" / "xsd202205" / schema))
    for data in request.getfixturevalue(what).values():
        official.assertValid(etree.fromstring(data))
