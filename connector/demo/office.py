"""The simulated customs office as a process of its own, for as long as a block lasts."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import CustomsUnreachable

_STARTS_WITHIN = 60.0
_STOPS_WITHIN = 10.0


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_office(registry: Path, port: int) -> Iterator[None]:
    """Start the office, wait until it answers, and stop it at the end. Raises `CustomsUnreachable`."""
    log = registry.with_name("customs.log")
    with log.open("ab") as output:
        begun_at = output.tell()
        command = [sys.executable, "-m", "connector", "simulator", "serve", "--registry", str(registry)]
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own program
    try:
        _wait(process, port, log, begun_at)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, begun_at: int) -> None:
    """Until the office says that it listens: that somebody listens on the port would not prove that it is this one."""
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        if f"listens on http://127.0.0.1:{port}".encode() in log.read_bytes()[begun_at:]:
            return
        time.sleep(0.05)
    raise CustomsUnreachable(
        "the simulated customs office did not start",
        effect="nothing was sent",
        remedy=f"read {log}",
    )
