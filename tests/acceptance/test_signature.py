"""``connector signature`` as a person uses it who was answered "signature error"."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from connector.messages.envelope import Envelope, seal
from connector.signing.envelopes import sign_envelope
from connector.signing.keyfiles import read_key
from connector.signing.signer import Signer

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Query = Callable[..., list[Any]]

pytestmark = pytest.mark.xdist_group("acceptance_demo")

START, XSI = b"<ds:Signature ", b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.fixture(scope="module")
def message(played: Path, connector: Run, read: Read) -> bytes:
    """The first signed message of the demonstration."""
    number = read(played, "messages", "list")["messages"][0]["id"]
    return connector(played, "messages", "show", number, "--xml").stdout.encode()


@pytest.fixture
def file(tmp_path: Path, message: bytes) -> Path:
    path = tmp_path / "message.xml"
    path.write_bytes(message)
    return path


@pytest.fixture
def broken(tmp_path: Path, message: bytes) -> Path:
    """The message with a namespace dropped and white space added."""
    path = tmp_path / "broken.xml"
    path.write_bytes(message.replace(XSI, b"", 1).replace(START, b"\n" + START))
    return path


@pytest.fixture
def piped(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs a command without a configuration, with something on its standard input."""

    def run(data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "connector", *arguments]
        return subprocess.run(command, input=data, env=environment, capture_output=True, timeout=60, check=False)

    return run


def test_verify_accepts_a_message_by_the_certificate_of_the_configuration(
    played: Path, connector: Run, read: Read, file: Path
) -> None:
    told = connector(played, "signature", "verify", str(file)).stdout
    assert told.startswith("verified: document: sm2-sm3, by the trusted certificate of CN=")
    assert told.count("\n") == 1
    (found,) = read(played, "signature", "verify", str(file))["documents"]
    assert (found["verdict"], found["suite"], found["reason"]) == ("verified", "sm2-sm3", "")
    assert found["certificate"]["is_valid_now"]
    assert found["certificate"]["sha256"] in told


def test_verify_trusts_only_the_certificates_that_are_given(
    played: Path, connector: Run, file: Path, tmp_path: Path
) -> None:
    certs = played / "certs"
    for folder in (None, played):
        ours, office = str(certs / "enterprise.crt.pem"), str(certs / "office.crt.pem")
        told = connector(folder, "signature", "verify", str(file), "--certificate", ours).stdout
        assert told.startswith("verified: ")
        told = connector(folder, "signature", "verify", str(file), "--certificate", office, code=7).stdout
        assert told.startswith("not verified: document: the certificate ")
        connector(folder, "signature", "verify", str(file), "--certificate", office, "--certificate", ours)
    (tmp_path / "none.pem").write_text("no certificate")
    for name in ("none.pem", "missing.pem"):
        connector(None, "signature", "verify", str(file), "--certificate", str(tmp_path / name), code=2)


def test_verify_says_that_nobody_vouches_when_there_is_nothing_to_trust(
    connector: Run, file: Path, broken: Path
) -> None:
    told = connector(None, "signature", "verify", str(file)).stdout
    assert told.startswith("consistent, but nobody vouches for it: document: sm2-sm3, ")
    assert "proves nothing about who signed" in told
    assert told.count("\n") == 1
    found = json.loads(connector(None, "signature", "verify", str(file), "--json").stdout)
    assert [one["verdict"] for one in found["documents"]] == ["consistent"]
    assert connector(None, "signature", "verify", str(broken), code=7).stdout.startswith("not verified: ")


def test_verify_refuses_a_suite_that_is_not_allowed(played: Path, connector: Run, file: Path) -> None:
    connector(played, "signature", "verify", str(file), "--suite", "sm2-sm3", "--suite", "rsa-sha1")
    told = connector(played, "signature", "verify", str(file), "--suite", "rsa-sha1", code=7).stdout
    assert "the signature method" in told
    connector(played, "signature", "verify", str(file), "--suite", "sha1", code=2)


def test_explain_shows_the_figures_of_a_good_message(
    connector: Run, message: bytes, piped: Callable[..., subprocess.CompletedProcess[bytes]], file: Path
) -> None:
    told = connector(None, "signature", "explain", str(file)).stdout
    for words in (
        "verdict        good",
        "digest         fits: ",
        "value          fits",
        "signed bytes   <ds:SignedInfo xm",
    ):
        assert words in told
    assert "cause:" not in told
    done = piped(message, "signature", "explain", "-", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["schema_version"], found["good"]) == (1, True)
    (document,) = found["documents"]
    assert document["signature"]["signed_info"] in told
    assert document["signature"]["key_name"] == document["signature"]["key_name_due"]
    assert document["signature"]["position"].endswith("Message")
    assert [one["fits"] for one in document["signature"]["references"]] == [True]
    assert document["notes"] == []


def test_explain_shows_the_chain_through_the_issuers_that_are_given(
    played: Path, connector: Run, read: Read, file: Path
) -> None:
    shown = connector(played, "signature", "explain", str(file), "--ca", str(played / "certs/ca.crt.pem")).stdout
    assert "is signed by CN=Development CA" in shown
    assert "signed its own certificate" in shown
    other = str(played / "certs/office.crt.pem")
    assert (
        "ends: no certificate given signed"
        in connector(played, "signature", "explain", str(file), "--ca", other).stdout
    )
    (document,) = read(played, "signature", "explain", str(file), "--ca", other)["documents"]
    assert [link["issuer"] for link in document["chain"]] == [None]


def test_explain_names_the_causes_when_a_message_was_changed(connector: Run, broken: Path) -> None:
    told = connector(None, "signature", "explain", str(broken), code=7).stdout
    assert "verdict        bad: " in told
    assert "digest         DIFFERS: " in told
    assert told.count("cause: ") == 2
    found = json.loads(connector(None, "signature", "explain", str(broken), "--json", code=7).stdout)
    assert not found["good"]
    assert {note["topic"]: note["weight"] for note in found["documents"][0]["notes"]} == {
        "namespace_dropped": "cause",
        "white_space_around_signature": "cause",
    }


def test_explain_shows_the_first_byte_that_differs_from_another_file(
    connector: Run, file: Path, broken: Path, message: bytes, tmp_path: Path
) -> None:
    arguments = ("signature", "explain", str(broken), "--against", str(file))
    told = connector(None, *arguments, code=7).stdout
    at = message[message.index(b"<ceb:") :].index(XSI) + 1
    assert f"document: the canonical forms differ from byte {at} on, in line 1" in told
    assert "the other with a namespace declaration: 'xmlns:xsi=" in told
    found = json.loads(connector(None, *arguments, "--json", code=7).stdout)["against"]
    assert found["differences"]["document"]["offset"] == at
    assert found["differences"]["SignedInfo"]["theirs"].count("xmlns:xsi") == 1
    spaced = tmp_path / "spaced.xml"
    spaced.write_bytes(message.replace(START, b"\n" + START))
    found = json.loads(
        connector(None, "signature", "explain", str(spaced), "--against", str(file), "--json", code=7).stdout
    )
    place = message[message.index(b"<ceb:") :].index(START)
    assert found["against"]["differences"]["document"]["offset"] == place
    assert found["against"]["differences"]["document"]["line"] == 1
    assert found["against"]["differences"]["SignedInfo"] is None


def test_explain_calls_other_writing_harmless(connector: Run, file: Path, message: bytes, tmp_path: Path) -> None:
    other = tmp_path / "other.xml"
    other.write_bytes(message.replace(b'<?xml version="1.0" encoding="UTF-8"?>', b""))
    told = connector(None, "signature", "explain", str(file), "--against", str(other)).stdout
    assert "document: the canonical forms are the same" in told
    assert "harmless" in told


def test_commands_say_why_when_a_file_cannot_be_read(
    connector: Run, tmp_path: Path, piped: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    for command in ("verify", "explain"):
        told = connector(None, "signature", command, str(tmp_path / "missing.xml"), code=2).stderr
        assert "missing.xml: No such file or directory" in told
        connector(None, "signature", command, os.fspath(tmp_path), code=2)
        done = piped(b"<ceb:", "signature", command, "-")
        assert done.returncode == 7
        assert b"not well-formed XML" in done.stdout + done.stderr
    assert piped(b"", "signature", "explain", "-", "--against", "-").returncode == 2


def test_envelopes_are_verified_inside(played: Path, connector: Run, query: Query, read: Read, tmp_path: Path) -> None:
    ((body,),) = query(played / "customs.db", "SELECT body FROM requests WHERE mark = '1' LIMIT 1")
    envelope = tmp_path / "envelope.xml"
    envelope.write_text(etree.fromstring(body).findtext(".//content") or "", "utf-8")
    (found,) = read(played, "signature", "verify", str(envelope))["documents"]
    assert (found["document"], found["verdict"]) == ("message in Data", "verified")
    assert connector(None, "signature", "explain", str(envelope)).stdout.startswith("message in Data")


def test_envelopes_of_receipts_are_verified_by_the_certificates_of_customs(
    played: Path, connector: Run, query: Query, read: Read, tmp_path: Path
) -> None:
    ((content,),) = query(played / "connector.db", "SELECT content FROM receipt_envelope LIMIT 1")
    receipt = tmp_path / "receipt.xml"
    receipt.write_bytes(content)
    (found,) = read(played, "signature", "verify", str(receipt))["documents"]
    assert (found["document"], found["verdict"], found["suite"]) == ("envelope", "verified", "ecdsa-p256-sha256")
    told = connector(None, "signature", "explain", str(receipt)).stdout
    assert told.startswith("envelope")
    assert "cause:" not in told
    ours = str(played / "certs" / "enterprise.crt.pem")
    assert connector(played, "signature", "verify", str(receipt), "--certificate", ours, code=7).stdout


def test_verify_takes_the_certificate_out_of_pkcs12(
    sample: Path, connector: Run, edit: Callable[[Path, str, str], None], file: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, the program (Debian package openssl)")
    certs = sample / "certs"
    command = "openssl pkcs12 -export -inkey enterprise.key.pem -in enterprise.crt.pem -passout pass:x -out both.p12"
    subprocess.run(command.split(), cwd=certs, check=True, capture_output=True)
    (certs / "both.p12").chmod(0o600)
    config = (sample / "connector.toml").read_text("utf-8")
    line = next(line for line in config.splitlines() if line.startswith("certificate_file"))
    edit(sample / "connector.toml", line + "\n", "")
    edit(sample / "connector.toml", "enterprise.key.pem", "both.p12")
    told = connector(sample, "signature", "verify", str(file), CONNECTOR_SIGNING__MAIN__PASSPHRASE="x").stdout
    assert told.startswith("verified: ")


def test_verify_refuses_what_the_connector_would_refuse(
    played: Path, piped: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    """An envelope written after its certificate had ended, and one in a suite that is for messages only."""
    unsigned = seal(
        Envelope(
            message_id="1",
            sender="DXPEDCCEB0000003",
            receiver="DXPENT0000011351",
            created=datetime(2099, 1, 1, tzinfo=UTC),
            message_type="CEB214Message",
            data=b"<a/>",
        )
    )
    certs = played / "certs"
    office = read_key("ecdsa-p256-sha256", certs / "office.key.pem", certs / "office.crt.pem")
    enterprise = read_key("sm2-sm3", certs / "enterprise.key.pem", certs / "enterprise.crt.pem")
    for key, reason in ((office, b"was not valid on 2099"), (enterprise, b"is not allowed here")):
        signed = sign_envelope(unsigned, Signer(key))
        name = "office" if key is office else "enterprise"
        trust = ["--certificate", str(certs / f"{name}.crt.pem")]
        done = piped(signed, "signature", "verify", "-", *trust)
        assert (done.returncode, reason in done.stdout) == (7, True), done
