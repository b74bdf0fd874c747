"""Connecting to a host by name within a deadline that nothing stretches."""

from __future__ import annotations

import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that never goes back and, where there is such a one, goes on while the host is suspended."""


class Deadline:
    """A moment that every step of one call has to keep."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.clock_gettime(_CLOCK) + seconds

    def left(self) -> float:
        """Seconds left, above 0. Raises `TimeoutError` when there are none."""
        left = self._end - time.clock_gettime(_CLOCK)
        if left <= 0:
            raise TimeoutError(f"the deadline of {self._seconds:g} s has passed")
        return left


def dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address of a host that answers; each gets an equal share of the time left.

    Raises `OSError` when none does, or when the name means nothing.
    """
    addresses = _resolve(host, port, deadline)
    while True:
        share = deadline.left() / len(addresses)
        family, kind, protocol, _, address = addresses.pop(0)
        dialled = socket.socket(family, kind, protocol)
        try:
            dialled.settimeout(share)
            dialled.connect(address)
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            dialled.close()
            if not addresses:
                raise
        else:
            return dialled


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Addresses of a host. The resolver takes no time-out, so it is left behind in its thread when time runs out."""
    found: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    try:
        addresses = found.get(timeout=deadline.left())
    except Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(addresses, Exception):
        raise addresses
    return addresses
