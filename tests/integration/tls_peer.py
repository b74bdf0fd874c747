"""A peer that speaks TLS on loopback, and the authority that issues its certificate."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

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

    def close(self) -> None:
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


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
