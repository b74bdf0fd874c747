"""TLS to a real server on loopback, with certificates made here."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
)

from connector.config import CustomsSettings
from connector.errors import ConfigurationError, CustomsUnreachable
from connector.messages.deliveries import InDoubt, NotSent, TakenIn
from connector.transport.customs import SoapCustoms
from connector.transport.reach import reach
from connector.transport.tls import tls_context
from tests.integration.tls_peer import RESPONSE, Authority, Server, speaking_tls

DEADLINE = 0.6
SLACK = 1.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    servers: list[Server] = []

    def start(talk: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def customs(
    port: int, ca_file: Path | None, client: tuple[Path | None, Path] | None = None, *, host: str = "127.0.0.1"
) -> SoapCustoms:
    settings = CustomsSettings(
        submit_url=f"https://{host}:{port}/receive",
        ca_file=ca_file,
        client_certificate_file=client and client[0],
        client_key_file=client and client[1],
        deadline_seconds=DEADLINE,
    )
    return SoapCustoms(settings, "DXPENT0000011351")


Serve = Callable[[Callable[[socket.socket], None]], Server]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_submit_keeps_one_tls_connection_when_the_peer_does(
    authority: Authority, serve: Serve, version: ssl.TLSVersion
) -> None:
    files = authority.issue("127.0.0.1")
    server = serve(speaking_tls(files, configure=lambda context: setattr(context, "maximum_version", version)))
    sender = customs(server.port, authority.file)
    assert [type(sender.submit(b"<a></a>")) for _ in range(3)] == [TakenIn] * 3
    sender.close()
    assert server.connections == 1


def test_submit_verifies_a_host_name_as_well_as_an_address(authority: Authority, serve: Serve) -> None:
    sender = customs(serve(speaking_tls(authority.issue("localhost"))).port, authority.file, host="localhost")
    assert isinstance(sender.submit(b"<a></a>"), TakenIn)
    sender.close()


def test_submit_is_not_sent_when_the_authority_is_another(authority: Authority, serve: Serve, tmp_path: Path) -> None:
    server = serve(speaking_tls(authority.issue("127.0.0.1")))
    for ca_file in (Authority(tmp_path, "other").file, None):
        result = customs(server.port, ca_file).submit(b"<a></a>")
        assert isinstance(result, NotSent)
        assert "certificate verify failed" in result.info


@pytest.mark.parametrize(
    ("name", "days", "reason"), [("customs.example", 30, "not valid for '127.0.0.1'"), ("127.0.0.1", -1, "expired")]
)
def test_submit_is_not_sent_when_the_certificate_is_wrong(
    authority: Authority, serve: Serve, name: str, days: int, reason: str
) -> None:
    server = serve(speaking_tls(authority.issue(name, days=days)))
    result = customs(server.port, authority.file).submit(b"<a></a>")
    assert isinstance(result, NotSent)
    assert reason in result.info


def test_submit_is_not_sent_when_the_peer_speaks_no_tls(authority: Authority, serve: Serve) -> None:
    def talk(accepted: socket.socket) -> None:
        accepted.recv(10)
        accepted.sendall(RESPONSE)

    assert isinstance(customs(serve(talk).port, authority.file).submit(b"<a></a>"), NotSent)


def test_submit_is_not_sent_in_time_when_the_handshake_hangs_or_drips(authority: Authority, serve: Serve) -> None:
    def drip(accepted: socket.socket) -> None:
        accepted.recv(65536)
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 60:
            accepted.sendall(bytes([byte]))
            time.sleep(0.05)

    def hang(accepted: socket.socket) -> None:
        while accepted.recv(65536):
            pass

    for talk in (hang, drip):
        server = serve(talk)
        sender = customs(server.port, authority.file)
        began = time.monotonic()
        assert isinstance(sender.submit(b"<a></a>"), NotSent)
        assert time.monotonic() - began < DEADLINE + SLACK


def test_submit_ends_at_the_deadline_when_a_tls_peer_drips(authority: Authority, serve: Serve) -> None:
    server = serve(speaking_tls(authority.issue("127.0.0.1"), pause=0.05))
    sender = customs(server.port, authority.file)
    began = time.monotonic()
    assert isinstance(sender.submit(b"<a></a>"), InDoubt)
    assert time.monotonic() - began < DEADLINE + SLACK


def demanding_a_certificate(authority: Authority, version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def configure(context: ssl.SSLContext) -> None:
        context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)

    return configure


@pytest.mark.parametrize(("version", "without"), [(ssl.TLSVersion.TLSv1_2, NotSent), (ssl.TLSVersion.TLSv1_3, InDoubt)])
def test_submit_needs_the_client_certificate_when_customs_demands_one(
    authority: Authority, serve: Serve, version: ssl.TLSVersion, without: type
) -> None:
    # With TLS 1.3 the client has finished its handshake before the server refuses it, so the request has left.
    configure = demanding_a_certificate(authority, version)
    server = serve(speaking_tls(authority.issue("127.0.0.1"), configure=configure))
    assert isinstance(customs(server.port, authority.file).submit(b"<a></a>"), without)
    sender = customs(server.port, authority.file, authority.issue("enterprise"))
    assert isinstance(sender.submit(b"<a></a>"), TakenIn)
    sender.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_reach_tells_what_is_spoken_without_sending_a_request(
    authority: Authority, serve: Serve, version: ssl.TLSVersion
) -> None:
    received: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = authority.issue("127.0.0.1")
    context.load_cert_chain(*files)
    context.maximum_version = version

    def listen(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as secured:
            received.append(secured.recv(1))

    server = serve(listen)
    reached = reach(f"https://127.0.0.1:{server.port}/x", tls_context(ca_file=authority.file), seconds=5)
    assert reached.spoken == version.name.replace("_", ".")
    assert reached.certificate == ssl.PEM_cert_to_DER_cert(files[0].read_text())
    server.close()
    assert b"".join(received) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_reach_fails_when_customs_demands_a_certificate_that_is_not_shown(
    authority: Authority, serve: Serve, version: ssl.TLSVersion
) -> None:
    configure = demanding_a_certificate(authority, version)
    url = f"https://127.0.0.1:{serve(speaking_tls(authority.issue('127.0.0.1'), configure=configure)).port}"
    with pytest.raises(CustomsUnreachable) as raised:
        reach(url, tls_context(ca_file=authority.file), seconds=5)
    assert "cannot be reached" in raised.value.cause
    ours, key = authority.issue("enterprise")
    context = tls_context(ca_file=authority.file, certificate_file=ours, key_file=key)
    assert reach(url, context, seconds=5).spoken == version.name.replace("_", ".")


def test_reach_fails_with_a_reason_when_there_is_no_trust_no_peer_or_no_time(
    authority: Authority, serve: Serve
) -> None:
    def hang(accepted: socket.socket) -> None:
        while accepted.recv(65536):
            pass

    trusted = tls_context(ca_file=authority.file)
    distrusted = serve(speaking_tls(authority.issue("127.0.0.1"))).port
    hanging = serve(hang).port
    nobody = socket.create_server(("127.0.0.1", 0))
    refusing = nobody.getsockname()[1]
    nobody.close()
    for url, context, said in [
        (f"https://127.0.0.1:{distrusted}", tls_context(), "certificate verify failed"),
        (f"https://127.0.0.1:{hanging}", trusted, "timed out"),
        (f"http://127.0.0.1:{refusing}/x", trusted, f"http://127.0.0.1:{refusing} cannot be reached"),
        ("https://127.0.0.1:65536", trusted, "cannot be reached"),
    ]:
        began = time.monotonic()
        with pytest.raises(CustomsUnreachable, match=said) as raised:
            reach(url, context, seconds=DEADLINE)
        assert time.monotonic() - began < DEADLINE + SLACK
        assert raised.value.remedy


def test_tls_context_always_verifies_and_speaks_1_2_or_newer() -> None:
    context = tls_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_customs_refuses_the_configuration_when_a_file_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("enterprise")
    _, another_key = authority.issue("another")
    _, encrypted = authority.issue("encrypted", encryption=BestAvailableEncryption(b"secret"))
    readable = tmp_path / "readable.key.pem"
    readable.write_bytes(key.read_bytes())
    readable.chmod(0o640)
    nothing, rubbish = tmp_path / "nothing.pem", tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    for ca_file, client, named in [
        (nothing, None, "nothing.pem"),
        (rubbish, None, "rubbish.pem"),
        (authority.file, (nothing, key), "nothing.pem"),
        (authority.file, (rubbish, key), "rubbish.pem"),
        (authority.file, (certificate, another_key), "enterprise.crt.pem"),
        (authority.file, (None, key), "enterprise.key.pem"),
        (authority.file, (certificate, encrypted), "client_key_file is encrypted"),
        (authority.file, (certificate, readable), "readable.key.pem holds a private key and is readable by others"),
    ]:
        with pytest.raises(ConfigurationError, match=named) as raised:
            customs(9, ca_file, client)
        assert raised.value.remedy
