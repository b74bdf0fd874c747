"""A TCP proxy on loopback that spoils a connection after an exact number of bytes, and counts what went through.

The kinds of fault bear the names that Toxiproxy gave them (https://github.com/Shopify/toxiproxy). Each takes effect in
one direction, exactly when its first N bytes have been passed on; where N is 0, when the first byte comes::

    with FaultProxy(("127.0.0.1", 8610)) as proxy:
        proxy.arm(Toxic(kind=Kind.RESET_PEER, direction=Direction.DOWNSTREAM, after=17))
        ...                               # a client of ("127.0.0.1", proxy.port) reads 17 bytes and then a reset
        proxy.links[-1].downstream.passed # 17
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Self

_PIECE = 64 * 1024
_DRAIN_SECONDS = 1.0
_STEPS_A_SECOND = 50
"""How finely the bandwidth is metered."""
_BACKLOG = 128
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""


class Kind(StrEnum):
    """What a toxic does once it has started."""

    LATENCY = "latency"
    """Every piece, and the end, is passed on ``seconds`` later, even when the sender has gone meanwhile."""
    BANDWIDTH = "bandwidth"
    """At most ``size`` bytes a second are passed on."""
    SLOW_CLOSE = "slow_close"
    """The end is passed on ``seconds`` later."""
    TIMEOUT = "timeout"
    """Nothing is passed on; after ``seconds``, or when the sender ends, both connections are closed. 0: no limit."""
    SLICER = "slicer"
    """Pieces of ``size`` bytes are passed on, ``seconds`` apart."""
    LIMIT_DATA = "limit_data"
    """Both connections are closed at once, with FIN."""
    RESET_PEER = "reset_peer"
    """Both connections are closed after ``seconds``, with RST."""


DEADLY = frozenset({Kind.TIMEOUT, Kind.LIMIT_DATA, Kind.RESET_PEER})
"""Kinds that end the connection."""


class Direction(StrEnum):
    """Which way bytes go."""

    UPSTREAM = "upstream"
    """From the client to the server."""
    DOWNSTREAM = "downstream"
    """From the server to the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """One fault, for one connection or one exchange on it."""

    kind: Kind
    direction: Direction = Direction.UPSTREAM
    after: int | None = 0
    """Bytes of its direction that are passed on first; None: it starts on accept, and the server sees nothing."""
    seconds: float = 0.0
    size: int = 1
    """Bytes, see `Kind`."""


@dataclass(slots=True, kw_only=True)
class Flow:
    """What went one way on one connection."""

    arrived: int = 0
    """Bytes read from the sender."""
    passed: int = 0
    """Bytes handed to the receiver."""
    start: int = 0
    """Bytes passed on when the toxic was taken; it counts from there."""
    kept: bytearray = field(default_factory=bytearray)
    """The first bytes that were passed on, as many as were asked for."""


@dataclass(slots=True, kw_only=True)
class Link:
    """One connection of a client, its twin to the server, and what is wrong with it."""

    toxic: Toxic | None
    upstream: Flow = field(default_factory=Flow)
    downstream: Flow = field(default_factory=Flow)

    @property
    def may_take(self) -> bool:
        """Whether what the client sends now is not what the toxic was taken for."""
        return self.toxic is None or self.downstream.passed > self.downstream.start

    def take(self, toxic: Toxic) -> None:
        """From now on, this is wrong with it."""
        self.toxic = toxic
        for flow in (self.upstream, self.downstream):
            flow.start = flow.passed


class _End(Enum):
    """How one direction ended: by its sender, with FIN both ways, with RST both ways."""

    HALF = auto()
    CLOSED = auto()
    RESET = auto()


class FaultProxy:
    """Listens on a free port for as long as its block lasts; may be told what to do from any thread."""

    def __init__(self, target: tuple[str, int], *, keep: int = 0) -> None:
        """Give the address of the server, and how many bytes of each direction of a connection are kept."""
        self._target = target
        self._keep = keep
        self._armed: deque[Toxic] = deque()
        self.links: list[Link] = []
        """Every connection, in the order they were accepted."""

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        # A port that was asked for by its number outlives `down`.
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=_BACKLOG)
        self._listener.setblocking(False)  # noqa: FBT003 - the standard library's
        self._loop = asyncio.new_event_loop()
        self._listening, self._stopping = asyncio.Event(), asyncio.Event()
        self._listening.set()
        self._thread = threading.Thread(target=self._serve, name=f"fault proxy {self.port}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def arm(self, toxic: Toxic) -> None:
        """Spoil the next connection, or the next request on one that is open; several are taken in turn."""
        self._armed.append(toxic)

    def disarm(self) -> None:
        """Forget what was armed and not taken."""
        self._armed.clear()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse new connections for a while; those that are open stay."""
        self._call(self._listen(0))
        try:
            yield
        finally:
            self._call(self._listen(_BACKLOG))

    def catch_up(self) -> None:
        """Wait until whatever has reached the proxy by now is counted."""
        while select.select([self._listener], [], [], 0)[0]:  # on a busy machine several may wait to be accepted
            self._call(asyncio.sleep(0))
        for _ in range(3):  # seen, accepted, read
            self._call(asyncio.sleep(0))

    def _call(self, act: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(act, self._loop).result()

    async def _listen(self, backlog: int) -> None:
        """Let so many connections wait; 0: none is let in."""
        if backlog:
            self._listener.listen(backlog)
            self._listening.set()
        else:
            self._listening.clear()
            self._listener.shutdown(socket.SHUT_RD)

    def _serve(self) -> None:
        with closing(self._listener), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            accepting = runner.get_loop().create_task(self._accept())
            runner.run(self._stopping.wait())
            accepting.cancel()  # the runner cancels the rest

    async def _accept(self) -> None:
        links = set()
        while True:
            await self._listening.wait()
            try:
                client, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # shut down by `down`
                await asyncio.sleep(0.01)
                continue
            self.links.append(Link(toxic=self._armed.popleft() if self._armed else None))
            links.add(asyncio.create_task(self._carry(self.links[-1], client)))  # the loop keeps no task alive

    async def _carry(self, link: Link, client: socket.socket) -> None:
        with closing(client), socket.socket() as server:
            server.setblocking(False)  # noqa: FBT003 - the signature of the standard library
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if link.toxic and link.toxic.after is None:
                end = await self._spoil(link.toxic, client, link.upstream)
            else:
                end = await self._both_ways(link, client, server)
            if end is _End.RESET:
                for one in (client, server):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                await self._finish((client, link.upstream), (server, link.downstream))

    async def _both_ways(self, link: Link, client: socket.socket, server: socket.socket) -> _End:
        try:
            await self._loop.sock_connect(server, self._target)
        except OSError:
            return _End.RESET
        ways = {
            asyncio.create_task(self._pump(link, Direction.UPSTREAM, client, server)),
            asyncio.create_task(self._pump(link, Direction.DOWNSTREAM, server, client)),
        }
        try:
            end = _End.HALF
            while ways and end is _End.HALF:
                done, ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                end = next((way.result() for way in done if way.result() is not _End.HALF), _End.HALF)
            return end
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _finish(self, *ends: tuple[socket.socket, Flow]) -> None:
        """Close with FIN: what still comes is read, for a socket that is closed with something unread sends RST."""
        for end, _ in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await asyncio.gather(*(self._discard(end, flow) for end, flow in ends), return_exceptions=True)

    async def _discard(self, source: socket.socket, flow: Flow) -> None:
        while piece := await self._loop.sock_recv(source, _PIECE):
            flow.arrived += len(piece)

    async def _pump(self, link: Link, way: Direction, source: socket.socket, target: socket.socket) -> _End:
        """Pass on what comes one way, until its end or until the toxic ends it."""
        flow = link.upstream if way is Direction.UPSTREAM else link.downstream
        try:
            while True:
                piece = await self._loop.sock_recv(source, _PIECE)
                flow.arrived += len(piece)
                if piece and way is Direction.UPSTREAM and self._armed and link.may_take:
                    link.take(self._armed.popleft())
                toxic = link.toxic if link.toxic and link.toxic.direction is way else None
                left = flow.start + (toxic.after or 0) - flow.passed if toxic else len(piece)
                await self._pass(flow, target, piece[: max(0, left)])
                if toxic and left <= len(piece):
                    if piece and toxic.kind in DEADLY:
                        return await self._spoil(toxic, source, flow)
                    await self._slow(toxic, flow, target, piece[max(0, left) :])
                if not piece:
                    target.shutdown(socket.SHUT_WR)
                    return _End.HALF
        except OSError:
            return _End.RESET

    async def _pass(self, flow: Flow, target: socket.socket, piece: bytes) -> None:
        await self._loop.sock_sendall(target, piece)
        flow.passed += len(piece)
        flow.kept += piece[: max(0, self._keep - len(flow.kept))]

    async def _spoil(self, toxic: Toxic, source: socket.socket, flow: Flow) -> _End:
        if toxic.kind is Kind.LIMIT_DATA:
            return _End.CLOSED
        if toxic.kind is Kind.RESET_PEER:
            await asyncio.sleep(toxic.seconds)
            return _End.RESET
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(toxic.seconds or None):
                await self._discard(source, flow)
        return _End.CLOSED

    async def _slow(self, toxic: Toxic, flow: Flow, target: socket.socket, piece: bytes) -> None:
        """Pass on a piece, or the end, the way a toxic does that ends nothing."""
        if toxic.kind is Kind.LATENCY or (toxic.kind is Kind.SLOW_CLOSE and not piece):
            await asyncio.sleep(toxic.seconds)
        size, pause = len(piece) or 1, 0.0
        if toxic.kind is Kind.SLICER:
            size, pause = toxic.size, toxic.seconds
        elif toxic.kind is Kind.BANDWIDTH:
            size = max(1, toxic.size // _STEPS_A_SECOND)
            pause = size / toxic.size
        for start in range(0, len(piece), size):
            await self._pass(flow, target, piece[start : start + size])
            await asyncio.sleep(pause)
