"""One HTTP POST with one total deadline, and the knowledge of whether its first byte ever left us.

General HTTP libraries raise the same error for a peer that never saw a request and for one that processed it and then
hung up. Here the phase decides instead: a flag is set just before the first byte of a request is handed to a connected,
hand-shaken socket. What fails before it is `Unsent` and may be tried again; what fails after it is `Unanswered`.

A POST is never repeated here. A kept-alive connection is checked before it is used again and replaced when the peer has
closed it; if the peer closes it at that very moment, the request is unanswered, not resent. Redirects are not followed,
proxies of the environment are not used, and a response larger than the parser reads is cut::

    endpoint = Endpoint("https://customs.example/receive", headers={"Content-Type": "text/xml"}, deadline_seconds=30)
    match endpoint.post(Deed.SUBMIT, body):
        case Reply(status=status, body=raw): ...
        case Unsent(info=info): ...
        case Unanswered(raw=raw, info=info): ...
"""

from __future__ import annotations

import io
import selectors
import socket
import ssl
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from connector.deeds import Deed, Moment, Watch, unwatched
from connector.errors import ConfigurationError
from connector.messages.parser import SIZE_LIMIT
from connector.transport.dialling import Deadline, dial
from connector.transport.tls import tls_context

IDLE_SECONDS = 4.0
"""A connection idle for longer is replaced: servers commonly close theirs after 5 s, and one that closes while our next
request is on its way leaves that request in doubt."""

_PIECE = 64 * 1024
_RESET_AT_CLOSE, _FINISH_AT_CLOSE = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole response, whatever its status."""

    status: int
    body: bytes
    retry_after: str = ""
    """The header Retry-After as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """No byte of the request left us."""

    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """No byte of the request left us: when it should have, its guard said no."""

    info: str = "nothing was sent: meanwhile it was no longer ours to send"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """At least one byte of the request may have left us, and no whole response came."""

    raw: bytes
    """The part of the response body that did come."""
    info: str


Exchange: TypeAlias = Reply | Unsent | Withheld | Unanswered
"""What one POST came to."""

Guard: TypeAlias = Callable[[float], bool]
"""Asked just before the first byte leaves: whether we may still send, given the seconds that the call may yet take."""


def always(_seconds: float) -> bool:
    """No guard."""
    return True


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
        watch: Watch = unwatched,
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
        self._watch = watch
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(self, deed: Deed, body: bytes, may_send: Guard = always) -> Exchange:
        """Send the bytes once and wait for the whole response, all within the deadline.

        Never raises for what the network or the peer does; only what ``may_send`` raises comes through, and then
        nothing was sent.
        """
        deadline = Deadline(self._seconds)
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _Connection(self._host, self._port, self._tls, self._idle_seconds)
        call = _Call(request=request, deadline=deadline, may_send=may_send, watch=partial(self._watch, deed))
        try:
            return connection.exchange(call)
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections kept alive; the next call opens a new one."""
        _close_all(self._idle)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    request: bytes
    """Head and body."""
    deadline: Deadline
    may_send: Guard
    watch: Callable[[Moment], None]


class _Connection:
    """A socket to one peer, opened when needed, for one exchange at a time."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, idle_seconds: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._idle_seconds = idle_seconds
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def exchange(self, call: _Call) -> Exchange:
        where = f"{self._host}:{self._port}"
        self._deadline = call.deadline
        self._sent = False
        self._received = bytearray()
        keep = False
        try:
            connected = self._open()
            if not call.may_send(call.deadline.left()):
                return Withheld()
            self._send(connected, call)
            reply, keep = self._receive()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FINISH_AT_CLOSE)
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
            self._socket = self._secure(dial(self._host, self._port, self._deadline))
        return self._socket

    def _secure(self, dialled: socket.socket) -> socket.socket:
        if self._tls is None:
            return dialled
        try:
            dialled.settimeout(self._deadline.left())
            return self._tls.wrap_socket(dialled, server_hostname=self._host)
        except BaseException:
            dialled.close()
            raise

    def _send(self, connected: socket.socket, call: _Call) -> None:
        # Until the whole answer is here, closing the socket, or our death, must end the request too: the kernel would
        # go on delivering for minutes what it still holds of it, long after customs was asked about it.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        call.watch("before")
        rest = memoryview(call.request)
        while rest:
            connected.settimeout(self._deadline.left())
            self._sent = True  # from here on, whatever happens, customs may have the request
            rest = rest[connected.send(rest[:_PIECE]) :]
        call.watch("after")

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
            retry_after = response.headers.get("Retry-After", "")
            return Reply(status=response.status, body=bytes(self._received), retry_after=retry_after), keep
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
