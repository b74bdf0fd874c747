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
        command = [sys.executable, "-m", "connector", "simulator", "serve", "--registry", str(registry)]
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own program
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CustomsUnreachable(
        "the simulated customs office did not start",
        effect="nothing was sent",
        remedy=f"read {log}",
    )
