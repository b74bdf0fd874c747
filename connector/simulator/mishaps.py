"""Plays the faults of `plan` on the wire, and has every request processed, or not, as its fault says.

A fault that HTTP can express is an ordinary response. The others need the connection itself: `Line` is uvicorn's
protocol, which puts itself where the application finds it, in the state of each request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from connector.simulator import soap
from connector.simulator.archive import Arrival
from connector.simulator.faults import Fault, Service
from connector.simulator.office import Office
from connector.simulator.plan import Stroke

_PAGE = "<html><head><title>{0} {1}</title></head><body><h1>{0} {1}</h1><hr>nginx</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One service of the office."""

    service: Service
    answer: Callable[[bytes, Arrival], Response]
    """Processes a request body and answers it."""
    note: Callable[[bytes, Arrival], Arrival]
    """Only notes that it arrived; the answer is the arrival that knows where it is noted."""


class Line(H11Protocol):
    """A connection that can be treated badly."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, "line": self}, _loop)
        self._gone = asyncio.Event()
        self._is_played_on = False
        self._is_stopped = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or we have."""
        self._gone.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The office stops: a peer that is kept waiting on purpose is not waited for."""
        self._is_stopped = True
        if self._is_played_on:
            self.transport.abort()
        super().shutdown()

    async def reset(self) -> None:
        """Close with RST instead of FIN, whatever the peer has still to say."""
        self._is_played_on = True
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self._gone.wait()

    async def close(self) -> None:
        """Close after what is written already."""
        self._is_played_on = True
        self.transport.close()
        await self._gone.wait()

    async def hang(self, seconds: float) -> None:
        """Say nothing until the peer goes, but not for ever."""
        await self._wait(seconds)
        await self.close()

    async def cut(self, response: Response, place: float) -> None:
        """Say a part of a response, at least one byte and not all, and close."""
        raw = _raw(response)
        self.transport.write(raw[: 1 + int(place * (len(raw) - 1))])
        await self.close()

    async def drip(self, response: Response, seconds: float) -> None:
        """Say a response byte by byte and close."""
        for byte in _raw(response):
            self.transport.write(bytes([byte]))
            await self._wait(seconds)
            if self._gone.is_set():
                return
        await self.close()

    async def _wait(self, seconds: float) -> None:
        """Wait, but not for a peer that has gone or an office that stops."""
        self._is_played_on = True
        if self._is_stopped:
            self.transport.abort()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)


Play: TypeAlias = Callable[[Line], Awaitable[None]]


class OnTheWire(Response):
    """No response: something done to the connection instead, which is closed in the end."""

    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play it."""
        del receive, send
        await self._play(scope["state"]["line"])


class Mishaps:
    """Answers the requests of an office as its plan of faults says."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._held: set[_Held] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def held(self) -> int:
        """How many requests are read and will be processed later."""
        return len(self._held)

    async def respond(self, request: Request, counter: Counter) -> Response:
        """Answer a request, or fail to."""
        stroke = self._office.plan.pick(counter.service, time.monotonic())
        if stroke and stroke.fault is Fault.RESET_ON_ACCEPT:
            return OnTheWire(Line.reset)
        try:
            body = await request.body()
        except ClientDisconnect:
            return OnTheWire(Line.close)
        arrival = self._office.arrival(stroke.fault if stroke else "")
        if stroke is None:
            return await run_in_threadpool(counter.answer, body, arrival)
        if stroke.fault is Fault.PROCESSED_LATE:
            return await self._put_off(counter, body, arrival)
        if stroke.processed:
            response = await run_in_threadpool(counter.answer, body, arrival)
        else:
            await run_in_threadpool(counter.note, body, arrival)
            response = Response()
        return self._spoil(response, stroke)

    def finish(self) -> None:
        """Process at once what was to be processed later; the office stops."""
        for held in list(self._held):
            held.process()

    async def _put_off(self, counter: Counter, body: bytes, arrival: Arrival) -> Response:
        noted = await run_in_threadpool(counter.note, body, arrival)
        held = _Held(lambda: counter.answer(body, noted))
        self._held.add(held)
        # The event loop itself keeps no hold of its tasks.
        task = asyncio.create_task(self._process_later(held, self._office.plan.settings.late_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return OnTheWire(Line.close)

    async def _process_later(self, held: _Held, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await run_in_threadpool(held.process)
        self._held.discard(held)

    def _spoil(self, response: Response, stroke: Stroke) -> Response:
        """What the peer gets instead of the response; the response has no meaning where nothing was processed."""
        settings = self._office.plan.settings
        plays: dict[Fault, Play] = {
            Fault.DROP: Line.close,
            Fault.HANG: lambda line: line.hang(settings.hang_seconds),
            Fault.CUT: lambda line: line.cut(response, stroke.place),
            Fault.DRIP: lambda line: line.drip(response, settings.drip_seconds),
        }
        play = plays.get(stroke.fault)
        return OnTheWire(play) if play else _substitute(response, stroke)


class _Held:
    """A request to be processed later, by whoever comes first, once."""

    def __init__(self, process: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._process: Callable[[], object] | None = process

    def process(self) -> None:
        """Process it unless that is done; when this returns, it is."""
        with self._lock:
            if self._process is not None:
                self._process()
                self._process = None


_STATUS = {
    Fault.BAD_GATEWAY: HTTPStatus.BAD_GATEWAY,
    Fault.MAINTENANCE: HTTPStatus.SERVICE_UNAVAILABLE,
    Fault.RATE_LIMIT: HTTPStatus.TOO_MANY_REQUESTS,
}


def _substitute(response: Response, stroke: Stroke) -> Response:
    """Another response, whole as HTTP."""
    if stroke.fault is Fault.EMPTY:
        return Response(media_type="text/xml")
    if stroke.fault is Fault.MALFORMED:
        body = bytes(response.body)
        return Response(body[: 1 + int(stroke.place * (len(body) - 1))], media_type="text/xml")
    if stroke.fault is Fault.SERVER_FAULT:
        fault = soap.write_fault("the service is in trouble", code="soap:Server")
        return Response(fault, status_code=500, media_type="text/xml")
    status = _STATUS[stroke.fault]
    headers = None if stroke.fault is Fault.BAD_GATEWAY else {"Retry-After": str(stroke.retry_after)}
    return HTMLResponse(_PAGE.format(status.value, status.phrase), status_code=status, headers=headers)


def _raw(response: Response) -> bytes:
    """A response as the bytes of a server that closes the connection after it."""
    status = HTTPStatus(response.status_code)
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", b""]) + bytes(response.body)
