"""TLS to a real server on loopback, with certificates made here."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from connector.config import CustomsSettings
from connector.errors import ConfigurationError, CustomsUnreachable
from connector.messages.deliveries import InDoubt, NotSent, TakenIn
from connector.transport.customs import SoapCustoms
from connector.transport.reach import reach
from connector.transport.tls import tls_context

DEADLINE = 0.6
SLACK = 1.0

ANSWER = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    b'<n:receiveResponse xmlns:n="http://ws.newyork.zjport.gov.cn/"><return>'
    b"&lt;mo>&lt;body>&lt;list>&lt;jkfResult>&lt;chkMark>1&lt;/chkMark>&lt;/jkfResult>&lt;/list>&lt;/body>&lt;/mo>"
    b"</return></n:receiveResponse></e:Body></e:Envelope>"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(ANSWER)).encode() + b"\r\n\r\n" + ANSWER


class Authority:
    """A certificate authority that writes PEM files into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.ca.pem"
        ca = x509.BasicConstraints(ca=True, path_length=0)
        certificate = (
            self._builder(self.name, days=30).public_key(self.key.public_key()).add_extension(ca, critical=True)
        )
        self.file.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, *, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=40))
            .not_valid_after(now + timedelta(days=days))
        )

    def issue(
        self, name: str, *, days: int = 30, encryption: KeySerializationEncryption | None = None
    ) -> tuple[Path, Path]:
        """A certificate for a host name or address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        host: x509.GeneralName = x509.DNSName(name)
        with suppress(ValueError):
            host = x509.IPAddress(ip_address(name))
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), days=days)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        files = self.folder / f"{name}.crt.pem", self.folder / f"{name}.key.pem"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
        files[1].chmod(0o600)
        return files


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


class Server:
    """Accepts connections one after the other and hands each to `talk`."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.talk = talk
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with accepted, suppress(OSError):
                self.talk(accepted)

    def stop(self) -> None:
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    servers: list[Server] = []

    def start(talk: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def speaking_tls(
    files: tuple[Path, Path], *, configure: Callable[[ssl.SSLContext], object] = bool, pause: float = 0
) -> Callable[[socket.socket], None]:
    """Answer every request of a TLS connection, with a pause after each byte of the answer when asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    configure(context)

    def talk(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as secured:
            while b"</a>" in secured.recv(65536):
                for piece in [bytes([byte]) for byte in RESPONSE] if pause else [RESPONSE]:
                    secured.sendall(piece)
                    time.sleep(pause)

    return talk


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
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    context.maximum_version = version

    def listen(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as secured:
            received.append(secured.recv(1))

    server = serve(listen)
    spoken = reach(f"https://127.0.0.1:{server.port}/x", tls_context(ca_file=authority.file), seconds=5)
    assert spoken == version.name.replace("_", ".")
    server.stop()
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
    assert reach(url, context, seconds=5) == version.name.replace("_", ".")


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
