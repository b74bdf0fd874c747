"""The fault proxy of the network campaign, with plain sockets: exact bytes, exact offsets, and the right end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.campaigns.fault_proxy import Direction, FaultProxy, Kind, Toxic

DATA = bytes(range(200))
UP, DOWN = Direction.UPSTREAM, Direction.DOWNSTREAM
Ends: TypeAlias = tuple[socket.socket, socket.socket]
Join: TypeAlias = Callable[[], Ends]

both_ways = pytest.mark.parametrize("direction", [UP, DOWN])
offsets = pytest.mark.parametrize("offset", [0, 1, 17, len(DATA)])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        yield listening


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[FaultProxy]:
    with FaultProxy(listener.getsockname(), keep=1000) as running:
        yield running


@pytest.fixture
def join(proxy: FaultProxy, listener: socket.socket) -> Iterator[Join]:
    """Connect through the proxy: the client's socket and the server's."""
    opened: list[socket.socket] = []

    def connect() -> Ends:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        server, _ = listener.accept()
        server.settimeout(5)
        opened.extend((client, server))
        return client, server

    yield connect
    for one in opened:
        one.close()


def ordered(ends: Ends, direction: Direction) -> Ends:
    """The sender of this direction, and the receiver."""
    return ends if direction is UP else (ends[1], ends[0])


def read(receiver: socket.socket, *, within: float = 5) -> tuple[bytes, str]:
    """Everything that comes, and how it ends: fin, reset or silence."""
    receiver.settimeout(within)
    data = b""
    try:
        while piece := receiver.recv(1000):
            data += piece
    except ConnectionResetError:
        return data, "reset"
    except TimeoutError:
        return data, "silence"
    return data, "fin"


def exactly(receiver: socket.socket, size: int) -> bytes:
    receiver.settimeout(5)
    data = b""
    while len(data) < size:
        piece = receiver.recv(size - len(data))
        assert piece, f"only {len(data)} of {size} bytes came"
        data += piece
    return data


@both_ways
def test_proxy_passes_on_counts_and_keeps_every_byte_when_nothing_is_armed(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA * 10)
    sender.shutdown(socket.SHUT_WR)
    assert read(receiver) == (DATA * 10, "fin")
    receiver.sendall(b"answer")  # the other direction lives on
    assert exactly(sender, 6) == b"answer"
    flow = proxy.links[0].upstream if direction is UP else proxy.links[0].downstream
    assert (flow.arrived, flow.passed, bytes(flow.kept)) == (2000, 2000, (DATA * 10)[:1000])


@both_ways
@offsets
@pytest.mark.parametrize(("kind", "end"), [(Kind.LIMIT_DATA, "fin"), (Kind.RESET_PEER, "reset")])
def test_proxy_ends_both_connections_when_the_last_byte_before_the_offset_has_passed(
    proxy: FaultProxy, join: Join, direction: Direction, offset: int, kind: Kind, end: str
) -> None:
    proxy.arm(Toxic(kind=kind, direction=direction, after=offset))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA)
    assert read(receiver) == (DATA[:offset], end)
    assert read(sender) == (b"", end)
    link = proxy.links[0]
    flow, other = (link.upstream, link.downstream) if direction is UP else (link.downstream, link.upstream)
    assert (flow.arrived, flow.passed) == (len(DATA), offset)
    assert (other.arrived, other.passed) == (0, 0)


@both_ways
def test_proxy_still_reads_what_the_sender_sends_when_it_has_closed_with_fin(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.LIMIT_DATA, direction=direction, after=5))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA * 2000)
    assert read(receiver) == (DATA[:5], "fin")
    sender.sendall(DATA)  # no reset has come
    flow = proxy.links[0].upstream if direction is UP else proxy.links[0].downstream
    end = time.monotonic() + 0.9
    while flow.arrived < len(DATA) * 2001 and time.monotonic() < end:
        time.sleep(0.01)
    assert (flow.arrived, flow.passed) == (len(DATA) * 2001, 5)


@both_ways
def test_proxy_counts_the_offset_over_pieces_when_they_come_one_by_one(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.LIMIT_DATA, direction=direction, after=5))
    sender, receiver = ordered(join(), direction)
    for number in range(5):
        assert proxy.links[0].toxic is not None
        sender.sendall(DATA[number : number + 1])
        assert exactly(receiver, 1) == DATA[number : number + 1]
    assert read(receiver) == (b"", "fin")


@both_ways
@pytest.mark.parametrize("offset", [0, 17])
def test_proxy_passes_on_nothing_more_when_the_timeout_begins_and_ends_it_in_time(
    proxy: FaultProxy, join: Join, direction: Direction, offset: int
) -> None:
    proxy.arm(Toxic(kind=Kind.TIMEOUT, direction=direction, after=offset, seconds=0.4))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA)
    assert read(receiver, within=0.1) == (DATA[:offset], "silence")
    assert read(receiver) == (b"", "fin")


@both_ways
def test_proxy_hangs_until_the_sender_ends_when_the_timeout_has_no_limit(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.TIMEOUT, direction=direction, after=3))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA)
    assert read(receiver, within=0.3) == (DATA[:3], "silence")
    sender.close()
    assert read(receiver) == (b"", "fin")


def test_proxy_ends_the_server_too_when_the_client_gives_up_on_a_hanging_answer(proxy: FaultProxy, join: Join) -> None:
    proxy.arm(Toxic(kind=Kind.TIMEOUT, direction=DOWN, after=0))
    client, server = join()
    client.sendall(b"question")
    assert exactly(server, 8) == b"question"
    server.sendall(DATA)
    client.close()
    assert read(server) == (b"", "fin")


@both_ways
@pytest.mark.parametrize("offset", [0, 17])
def test_proxy_passes_on_the_rest_later_when_the_latency_begins_though_the_sender_has_gone(
    proxy: FaultProxy, join: Join, direction: Direction, offset: int
) -> None:
    proxy.arm(Toxic(kind=Kind.LATENCY, direction=direction, after=offset, seconds=0.2))
    sender, receiver = ordered(join(), direction)
    began = time.monotonic()
    sender.sendall(DATA)
    sender.close()
    assert exactly(receiver, offset) == DATA[:offset]
    first = time.monotonic()
    assert exactly(receiver, len(DATA) - offset) == DATA[offset:]
    assert time.monotonic() - began >= 0.2
    assert time.monotonic() - first >= 0.1  # the first bytes were not held back
    assert read(receiver) == (b"", "fin")
    assert time.monotonic() - began >= 0.4  # the end is as late


@both_ways
def test_proxy_meters_the_rest_when_the_bandwidth_is_limited(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.BANDWIDTH, direction=direction, after=100, size=500))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA)
    assert exactly(receiver, 100) == DATA[:100]
    first = time.monotonic()
    assert exactly(receiver, 100) == DATA[100:]
    assert time.monotonic() - first >= 0.1  # 0.2, less the first step


@both_ways
def test_proxy_cuts_the_rest_into_pieces_when_the_slicer_begins(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.SLICER, direction=direction, after=100, size=40, seconds=0.05))
    sender, receiver = ordered(join(), direction)
    sender.sendall(DATA)
    assert exactly(receiver, 100) == DATA[:100]
    first = time.monotonic()
    pieces: list[bytes] = []
    while piece := receiver.recv(100 - len(b"".join(pieces))):
        pieces.append(piece)
    assert b"".join(pieces) == DATA[100:]
    assert len(pieces) > 1
    assert time.monotonic() - first >= 0.05  # two pauses, less the first


@both_ways
def test_proxy_passes_on_the_end_later_when_the_close_is_slow(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    proxy.arm(Toxic(kind=Kind.SLOW_CLOSE, direction=direction, after=10, seconds=0.2))
    sender, receiver = ordered(join(), direction)
    began = time.monotonic()
    sender.sendall(DATA)
    sender.shutdown(socket.SHUT_WR)
    assert exactly(receiver, len(DATA)) == DATA
    first = time.monotonic()
    assert read(receiver) == (b"", "fin")
    assert time.monotonic() - began >= 0.2
    assert time.monotonic() - first >= 0.1  # the data were not held back


@pytest.mark.parametrize(("kind", "end"), [(Kind.LIMIT_DATA, "fin"), (Kind.RESET_PEER, "reset")])
def test_proxy_shows_the_server_nothing_when_it_ends_the_connection_on_accept(
    proxy: FaultProxy, listener: socket.socket, kind: Kind, end: str
) -> None:
    proxy.arm(Toxic(kind=kind, after=None, seconds=0.05))  # a reset at once may come before connecting ends
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        assert read(client) == (b"", end)
    listener.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listener.accept()
    assert proxy.links[0].upstream.passed == 0


def test_proxy_resets_later_when_a_wait_is_asked_for(proxy: FaultProxy, join: Join) -> None:
    proxy.arm(Toxic(kind=Kind.RESET_PEER, direction=DOWN, after=2, seconds=0.4))
    client, server = join()
    server.sendall(DATA)
    assert read(client, within=0.1) == (DATA[:2], "silence")
    assert read(client) == (b"", "reset")


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_proxy_counts_from_the_next_request_when_the_connection_is_open(
    proxy: FaultProxy, join: Join, direction: Direction
) -> None:
    client, server = join()
    client.sendall(b"first")
    assert exactly(server, 5) == b"first"
    server.sendall(b"answer")
    assert exactly(client, 6) == b"answer"
    proxy.arm(Toxic(kind=Kind.LIMIT_DATA, direction=direction, after=3))
    client.sendall(b"second")
    if direction is UP:
        assert read(server) == (b"sec", "fin")
        assert read(client) == (b"", "fin")
    else:
        assert exactly(server, 6) == b"second"
        server.sendall(b"another")
        assert read(client) == (b"ano", "fin")


def test_proxy_spoils_one_connection_after_the_other_when_several_toxics_are_armed(
    proxy: FaultProxy, join: Join
) -> None:
    for offset in (1, 2, 3):
        proxy.arm(Toxic(kind=Kind.LIMIT_DATA, after=offset))
    found = []
    for _ in range(2):
        client, server = join()
        client.sendall(DATA)
        found.append(read(server))
    proxy.disarm()
    client, server = join()
    client.sendall(DATA)
    client.close()
    found.append(read(server))
    assert found == [(DATA[:1], "fin"), (DATA[:2], "fin"), (DATA, "fin")]


def test_proxy_refuses_new_connections_only_while_it_is_down(proxy: FaultProxy, join: Join) -> None:
    client, server = join()
    with proxy.down(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    client.sendall(b"still here")
    assert exactly(server, 10) == b"still here"
    again, new_server = join()
    again.sendall(b"back")
    assert exactly(new_server, 4) == b"back"
    assert len(proxy.links) == 2


def test_proxy_has_counted_everything_when_it_has_caught_up(proxy: FaultProxy, listener: socket.socket) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        client.sendall(DATA)
    proxy.catch_up()
    assert [link.upstream.arrived for link in proxy.links] == [len(DATA)]
    listener.accept()[0].close()


def test_proxy_resets_the_client_when_the_server_is_not_there(proxy: FaultProxy, listener: socket.socket) -> None:
    listener.close()

    def call() -> None:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            client.recv(1)

    with pytest.raises(ConnectionResetError):  # in connecting, or in reading right after
        call()
