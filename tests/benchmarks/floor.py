"""The floor: what no program that signs, sends and keeps these messages can avoid.

For each message the connector made: one raw key operation, one digest, one HTTP POST of the same bytes on a kept-alive
connection, one synced commit. A server in a process of its own answers at once; nothing is read, mapped, built, checked
or understood.
"""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class AtOnce(BaseHTTPRequestHandler):
    """Reads a request and answers without looking at it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def run(folder: Path, mark: Callable[[str], None]) -> None:
    """Send what the connector has sent from the same folder."""
    key = load_pem_private_key((folder / "certs/enterprise.key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    with (
        subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server,
        closing(sqlite3.connect(folder / "connector.db")) as messages,
        closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as database,
    ):
        assert server.stdout is not None
        connection = HTTPConnection("127.0.0.1", int(server.stdout.readline()))
        database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE sent (signature BLOB, body BLOB);"
        )
        mark("begin")
        for xml, body in messages.execute("SELECT xml, body FROM message_bytes ORDER BY rowid"):
            hashlib.sha1(xml).digest()
            signature = key.sign(b"as long as a SignedInfo. " * 30, PKCS1v15(), hashes.SHA1())
            connection.request("POST", "/", body)
            connection.getresponse().read()
            database.execute("INSERT INTO sent VALUES (?, ?)", (signature, body))
        mark("deliver")
        connection.close()
        server.terminate()


if __name__ == "__main__":
    listener = HTTPServer(("127.0.0.1", 0), AtOnce)
    sys.stdout.write(f"{listener.server_port}\n")
    sys.stdout.flush()
    listener.serve_forever()
