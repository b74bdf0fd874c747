"""The program as a user has it: the command as a process, a played demonstration, a simulated office, real files.

``demonstration`` is played once for each worker; tests that change something work on copies of it, each with a port of
its own. Every command is checked for its exit code, and none may ever end in a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Self

import pytest

from connector.demo.office import free_port, running_office
from tests.acceptance.commands import run as forked

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]

_RETURNS = 60


def started(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run one command as a shell starts it."""
    command = [sys.executable, "-m", "connector", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What a user's shell hands to the command; nothing of the connector's own."""
    ours = ("CONNECTOR_", "PYTEST_", "FORCE_COLOR", "NO_COLOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="session")
def connector(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs one command: ``connector(folder, "status", code=0)``, with the configuration in the folder."""
    said = tmp_path_factory.mktemp("said")

    def run(folder: Path | None, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        config = [] if folder is None else ["--config", str(folder / "connector.toml")]
        command = [*config, *arguments]
        done = started(command, environment | variables) if variables else forked(command, environment, said)
        # Decoded here, so that line ends stay as they are.
        result = subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in result.stderr, result.stderr
        assert result.returncode == code, result
        return result

    return run


@pytest.fixture(scope="session")
def read(connector: Run) -> Read:
    """Runs one command with ``--json`` and hands over the object it prints, after checking its outer form."""

    def run(folder: Path, *arguments: str, code: int = 0) -> Any:
        result = connector(folder, *arguments, "--json", code=code)
        assert result.stdout.count("\n") == 1
        found = json.loads(result.stdout)
        assert found["schema_version"] == 1
        return found

    return run


@pytest.fixture(scope="session")
def demonstration(
    connector: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A played demonstration of 60 returns, only to be read, and what the command printed."""
    folder = tmp_path_factory.mktemp("demonstration") / "demo"
    size = ["--returns", str(_RETURNS), "--seed", "2"]
    return folder, connector(None, "demo", "--dir", str(folder), *size, "--json")


@pytest.fixture(scope="session")
def played(demonstration: tuple[Path, object]) -> Path:
    """The folder of the played demonstration, only to be read."""
    return demonstration[0]


@pytest.fixture(scope="session")
def edit() -> Edit:
    """Replaces text that stands once in a file."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        path.write_text(text.replace(old, new), "utf-8")

    return replace


@pytest.fixture(scope="session")
def query() -> Query:
    """Runs one statement on a SQLite file; the rows it gives."""

    def execute(database: Path, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    return execute


@pytest.fixture(scope="session")
def port_of() -> Callable[[Path], int]:
    """The port of the office that belongs to a folder."""

    def find(folder: Path) -> int:
        line = next(
            line for line in (folder / "registry.toml").read_text("utf-8").splitlines() if line.startswith("listen")
        )
        return int(line.rpartition(":")[2].strip('"'))

    return find


@pytest.fixture(scope="session")
def new_sample(
    played: Path, tmp_path_factory: pytest.TempPathFactory, port_of: Callable[[Path], int]
) -> Callable[[], Path]:
    """Copies the played demonstration; the copy is free to be changed, and its office hardly takes any time."""

    def copy() -> Path:
        folder = tmp_path_factory.mktemp("sample") / "demo"
        shutil.copytree(played, folder)
        old, new = f"127.0.0.1:{port_of(played)}", f"127.0.0.1:{free_port()}"
        for path in (folder / "connector.toml", folder / "registry.toml"):
            text = path.read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
            path.write_text(text.replace(old, new), "utf-8")
        return folder

    return copy


@pytest.fixture(scope="session")
def new_enterprise(new_sample: Callable[[], Path], connector: Run, query: Query) -> Callable[[], Path]:
    """Copies the sample enterprise with its first six returns, of which nothing is collected or sent yet."""
    template = new_sample()
    _forget(template)
    connector(template, "db", "upgrade")

    def copy() -> Path:
        folder = new_sample()
        _forget(folder)
        shutil.copy(template / "connector.db", folder)
        query(folder / "warehouse.db", "DELETE FROM wms_receipt_order WHERE order_no > 'RK10000006'")
        return folder

    return copy


def _forget(folder: Path) -> None:
    """Take the records of a played demonstration away, ours with the checkpoints that speak of them, and customs'."""
    for file in [*folder.glob("connector.db*"), *folder.glob("customs.db*"), folder / "checkpoints.txt"]:
        file.unlink()


@pytest.fixture
def sample(new_sample: Callable[[], Path]) -> Path:
    """A played demonstration, free to be changed."""
    return new_sample()


@pytest.fixture
def enterprise(new_enterprise: Callable[[], Path]) -> Path:
    """Six returns of which nothing is collected or sent yet."""
    return new_enterprise()


@pytest.fixture(scope="session")
def declare_excess(connector: Run, read: Read) -> Callable[[Path], str]:
    """Lets a return go out that a rule forbids because of its quantity, with the office running; its business key.

    Customs rejects it.
    """

    def declare(folder: Path) -> str:
        waiting = read(folder, "quarantine", "list", "--type", "CEB213")["quarantine"]
        held = next(one for one in waiting if one["reason"] == "rule")
        release = ("quarantine", "release", held["key"], "--type", "CEB213", "--reason", "customs knows of it", "--yes")
        connector(folder, *release)
        read(folder, "run", "--once", code=3)
        read(folder, "run", "--once")
        key: str = held["business_key"]
        (document,) = read(folder, "documents", "list", "--key", key)["documents"]
        assert "累计" in document["customs_info"]
        return key

    return declare


@pytest.fixture(scope="session")
def office(port_of: Callable[[Path], int]) -> Callable[[Path], AbstractContextManager[None]]:
    """Runs the simulated customs office of a folder as a process, for as long as a block lasts."""

    def run(folder: Path) -> AbstractContextManager[None]:
        return running_office(folder / "registry.toml", port_of(folder))

    return run


@pytest.fixture(scope="session")
def ledger(read: Read) -> Callable[[Path], dict[tuple[str, str], dict[str, Any]]]:
    """What the office holds: (type, business key) -> its entry."""

    def look(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
        found = read(folder, "simulator", "ledger")["documents"]
        return {(one["type"], one["business_key"]): one for one in found}

    return look


@pytest.fixture
def peer() -> Iterator[Callable[[Callable[[bytes], object]], int]]:
    """Starts a peer that takes whole HTTP requests, does something with each, and hangs up without a word; its port."""
    with _Peers() as peers:
        yield peers.start


class _Peers:
    def __init__(self) -> None:
        self._servers: list[socketserver.ThreadingTCPServer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def start(self, act: Callable[[bytes], object]) -> int:
        class Take(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                head = b"".join(iter(self.rfile.readline, b"\r\n"))
                length = next(
                    int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
                )
                act(head + b"\r\n" + self.rfile.read(length))

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Take)
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return int(server.server_address[1])
