"""One HTTP POST with one total deadline, and the knowledge of whether its first byte ever left us.

General HTTP libraries raise the same error for a peer that never saw a request and for one that processed it and then
hung up. Here the phase decides instead: a flag is set just before the first byte of a request is handed to a connected,
hand-shaken socket. What fails before it is `Unsent` and may be tried again; what fails after it is `Unanswered`.

A POST is never repeated here. A kept-alive connection is checked before it is used again and replaced when the peer has
closed it; if the peer closes it at that very moment, the request is unanswered, not resent. Redirects are not followed,
proxies of the environment are not used, and a response larger than the parser reads is cut::

    endpoint = Endpoint("https://customs.example/receive", headers={"Content-Type": "text/xml"}, deadline_seconds=30)
    match endpoint.post(body):
        case Reply(status=status, body=raw): ...
        case Unsent(info=info): ...
        case Unanswered(raw=raw, info=info): ...
"""

from __future__ import annotations

import io
import selectors
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from connector.errors import ConfigurationError
from connector.messages.parser import SIZE_LIMIT
from connector.transport.tls import tls_context

IDLE_SECONDS = 4.0
"""A connection idle for longer is replaced: servers commonly close theirs after 5 s, and one that closes while our next
request is on its way leaves that request in doubt."""

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole response, whatever its status."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """No byte of the request left us."""

    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """At least one byte of the request may have left us, and no whole response came."""

    raw: bytes
    """The part of the response body that did come."""
    info: str


Exchange: TypeAlias = Reply | Unsent | Unanswered
"""What one POST came to."""


class Deadline:
    """A moment that every step of one call has to keep, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, above 0. Raises `TimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the deadline of {self._seconds:g} s has passed")
        return left


class Endpoint:
    """One URL that takes POSTs; threads may share it, for each call has a connection of its own, kept between calls.

    Raises `ConfigurationError` when the URL cannot be written into a request.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        deadline_seconds: float,
        tls: ssl.SSLContext | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Host": parts.netloc.rpartition("@")[2], **headers, "Accept-Encoding": "identity"}
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "Content-Length: "]
        secure = parts.scheme == "https"
        try:
            self._head = "\r\n".join(lines).encode("ascii")
            self._port = parts.port or (443 if secure else 80)
        except ValueError as error:
            raise ConfigurationError(
                f"{url}: {error}",
                effect="nothing can be sent there",
                remedy="write it in ASCII, with a port up to 65535",
            ) from None
        self._host = parts.hostname or ""
        self._tls = (tls or tls_context()) if secure else None
        self._seconds = deadline_seconds
        self._idle_seconds = idle_seconds
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(self, body: bytes) -> Exchange:
        """Send the bytes once and wait for the whole response, all within the deadline.

        Never raises for what the network or the peer does.
        """
        deadline = Deadline(self._seconds)
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _Connection(self._host, self._port, self._tls, self._idle_seconds)
        try:
            return connection.exchange(request, deadline)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections kept alive; the next call opens a new one."""
        _close_all(self._idle)


class _Connection:
    """A socket to one peer, opened when needed, for one exchange at a time."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, idle_seconds: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._idle_seconds = idle_seconds
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def exchange(self, request: bytes, deadline: Deadline) -> Exchange:
        where = f"{self._host}:{self._port}"
        self._deadline = deadline
        self._sent = False
        self._received = bytearray()
        keep = False
        try:
            connected = self._open()
            self._send(connected, request)
            reply, keep = self._receive()
        except (OSError, HTTPException, ValueError) as error:
            if not self._sent:
                return Unsent(info=f"nothing was sent to {where}: {error}")
            return Unanswered(raw=bytes(self._received), info=f"{where} gave no whole answer: {error}")
        else:
            return reply
        finally:
            if keep:
                self._used_at = time.monotonic()
            else:
                self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What `HTTPResponse` asks of its socket."""
        assert self._socket is not None
        return io.BufferedReader(_Incoming(self._socket, self._deadline), _PIECE)

    def _open(self) -> socket.socket:
        idle = time.monotonic() - self._used_at
        if self._socket is not None and (idle > self._idle_seconds or _readable(self._socket)):
            self.close()
        if self._socket is None:
            self._socket = self._secure(self._dial())
        return self._socket

    def _dial(self) -> socket.socket:
        """Connect to the first address that answers; each gets an equal share of the time left."""
        addresses = _resolve(self._host, self._port, self._deadline)
        while True:
            share = self._deadline.left() / len(addresses)
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

    def _secure(self, dialled: socket.socket) -> socket.socket:
        if self._tls is None:
            return dialled
        try:
            dialled.settimeout(self._deadline.left())
            return self._tls.wrap_socket(dialled, server_hostname=self._host)
        except BaseException:
            dialled.close()
            raise

    def _send(self, connected: socket.socket, request: bytes) -> None:
        rest = memoryview(request)
        while rest:
            connected.settimeout(self._deadline.left())
            self._sent = True  # from here on, whatever happens, customs may have the request
            rest = rest[connected.send(rest[:_PIECE]) :]

    def _receive(self) -> tuple[Reply, bool]:
        """The whole response, and whether the connection may be used again."""
        response = HTTPResponse(cast("socket.socket", self), method="POST")
        try:
            response.begin()
            while piece := response.read1(_PIECE):
                self._received += piece
                if len(self._received) > SIZE_LIMIT:
                    del self._received[SIZE_LIMIT:]
                    raise HTTPException(f"the response has more than {SIZE_LIMIT:,} bytes")
            if response.length:
                raise HTTPException(f"the response ends {response.length} bytes early")
            # After any other status more may follow that would pass for the answer to the next request.
            keep = response.status == HTTPStatus.OK and not response.will_close
            return Reply(status=response.status, body=bytes(self._received)), keep
        finally:
            response.close()


class _Incoming(io.RawIOBase):
    """A socket to read from; every read is given only what is left of the deadline, so dripping cannot stretch it."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._connected = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connected.settimeout(self._deadline.left())
        return self._connected.recv_into(buffer)


def _readable(connected: socket.socket) -> bool:
    """Whether an idle connection has something to say: it was closed, or what follows is not our answer."""
    with selectors.DefaultSelector() as selector:
        selector.register(connected, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


def _close_all(connections: deque[_Connection]) -> None:
    while connections:
        connections.popleft().close()


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
