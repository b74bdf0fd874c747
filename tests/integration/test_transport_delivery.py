"""Deliveries to peers that behave and misbehave, over real sockets; the peers are scripted byte by byte."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeAlias

import pytest

from connector.config import CustomsSettings
from connector.deeds import Deed
from connector.errors import ConfigurationError
from connector.messages.deliveries import InDoubt, NotSent, RefusedAtDoor, TakenIn
from connector.messages.parser import SIZE_LIMIT
from connector.transport.connection import Endpoint, Reply, Unanswered, Unsent
from connector.transport.customs import SoapCustoms

DEADLINE = 0.6
SLACK = 1.0

MO = (
    "<mo version='1.0.0'><head><businessType>RESULT</businessType></head><body><list><jkfResult><chkMark>{}</chkMark>"
    "<resultList><jkfResultDetail><resultInfo>处理成功</resultInfo></jkfResultDetail></resultList>"
    "</jkfResult></list></body></mo>"
)


def envelope(content: str) -> bytes:
    """A SOAP 1.1 envelope as a server would write it."""
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f"{content}</s:Body></s:Envelope>"
    ).encode()


def answer(mark: str) -> bytes:
    escaped = MO.format(mark).replace("&", "&amp;").replace("<", "&lt;")
    return envelope(
        f'<n:receiveResponse xmlns:n="http://ws.newyork.zjport.gov.cn/"><return>{escaped}</return></n:receiveResponse>'
    )


def response(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]).encode() + body


GOOD = response(answer("1"))

Script: TypeAlias = Callable[[socket.socket], None]


class Peer:
    """A server on loopback that plays one script after the other, each on the next connection; the last one again."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.connections = 0
        self.closed = 0
        self.said_too_much = threading.Event()
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/ws/receive?wsdl=no"
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            with closing(accepted):
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                self.connections += 1
                try:
                    script(accepted)
                except OSError:
                    continue
                finally:
                    accepted.close()
                    self.closed += 1

    def take(self, accepted: socket.socket) -> bytes:
        """Read and record one whole request; empty when the client closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := accepted.recv(65536)):
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += accepted.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return body

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def play() -> Iterator[Callable[..., Peer]]:
    """Start a peer whose scripts get the peer and the accepted socket."""
    peers: list[Peer] = []

    def start(*scripts: Callable[[Peer, socket.socket], None]) -> Peer:
        peer = Peer(*(lambda accepted, script=script: script(peers[-1], accepted) for script in scripts))
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.stop()


def customs(url: str, *, deadline_seconds: float = DEADLINE) -> SoapCustoms:
    return SoapCustoms(CustomsSettings(submit_url=url, deadline_seconds=deadline_seconds), "DXPENT0000011351")


def say(data: bytes) -> Callable[[Peer, socket.socket], None]:
    """Take one request, answer with these bytes, close."""

    def script(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        accepted.sendall(data)

    return script


def say_always(peer: Peer, accepted: socket.socket) -> None:
    while peer.take(accepted):
        accepted.sendall(GOOD)


def reset(accepted: socket.socket) -> None:
    """Close with RST instead of FIN."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_on_accept(_peer: Peer, accepted: socket.socket) -> None:
    time.sleep(0.05)  # let the connection stand for the client before it falls
    reset(accepted)


def process_then_close(peer: Peer, accepted: socket.socket) -> None:
    peer.take(accepted)


def process_then_reset(peer: Peer, accepted: socket.socket) -> None:
    peer.take(accepted)
    reset(accepted)


def process_then_hang(peer: Peer, accepted: socket.socket) -> None:
    peer.take(accepted)
    accepted.recv(1)


def drip(data: bytes, *, at_once: int = 0) -> Callable[[Peer, socket.socket], None]:
    """One byte every 50 ms, after the first few at once: each single read is quick."""

    def script(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        accepted.sendall(data[:at_once])
        for byte in data[at_once:]:
            accepted.sendall(bytes([byte]))
            time.sleep(0.05)

    return script


@pytest.mark.parametrize(
    ("script", "raw"),
    [
        pytest.param(reset_on_accept, b"", id="reset on accept"),
        pytest.param(process_then_close, b"", id="processed, then closed"),
        pytest.param(process_then_reset, b"", id="processed, then reset"),
        pytest.param(process_then_hang, b"", id="processed, then hangs"),
        pytest.param(say(GOOD[:-100]), answer("1")[:-100], id="processed, response cut"),
        pytest.param(
            say(GOOD.replace(b"Length: ", b"Length: 9")), answer("1"), id="processed, end of response missing"
        ),
        pytest.param(say(response(b"<html/>", "502 Bad Gateway")), b"<html/>", id="processed, gateway 502"),
        pytest.param(say(response(b"")), b"", id="processed, 200 empty"),
        pytest.param(say(response(answer("1"), "500 Oops")), answer("1"), id="chkMark 1 under status 500"),
        pytest.param(say(response(b"", "302 Found", "Location: /elsewhere")), b"", id="redirect is not followed"),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab<c/\r\n7\r\nxy"),
            b"ab<c/xy",
            id="chunks cut",
        ),
        pytest.param(say(b"HTTP/1.1 200 OK\r\n\r\n" + answer("1")[:-1]), answer("1")[:-1], id="cut without a length"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.2\r\n"), b"", id="not HTTP"),
    ],
)
def test_submit_is_in_doubt_when_the_first_byte_has_left(
    play: Callable[..., Peer], script: Callable[[Peer, socket.socket], None], raw: bytes
) -> None:
    peer = play(script)
    sender = customs(peer.url)
    result = sender.submit(sender.freeze(b"<a/>"))
    assert isinstance(result, InDoubt)
    assert result.raw == raw
    assert result.info
    assert peer.connections == 1  # a POST is never repeated
    assert len(peer.requests) <= 1


def test_submit_is_not_sent_when_the_connection_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = customs(f"http://127.0.0.1:{port}/").submit(b"<a/>")
    assert isinstance(result, NotSent)
    assert "refused" in result.info


def test_submit_is_not_sent_when_the_name_does_not_resolve() -> None:
    # Plain http to another host than loopback is refused by the configuration, so the endpoint is asked itself.
    endpoint = Endpoint("http://customs.invalid/", headers={}, deadline_seconds=DEADLINE)
    result = endpoint.post(Deed.SUBMIT, b"<a/>")
    assert isinstance(result, Unsent)
    assert "customs.invalid" in result.info


def test_submit_is_not_sent_in_time_when_the_resolver_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: release.wait(10) and [])
    began = time.monotonic()
    result = customs("http://localhost:1/").submit(b"<a/>")
    release.set()
    assert isinstance(result, NotSent)
    assert time.monotonic() - began < DEADLINE + SLACK


def test_submit_is_not_sent_in_time_when_the_peer_never_accepts() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)  # noqa: FBT003 - the signature of the standard library
            second.connect_ex(address)
            began = time.monotonic()
            result = customs(f"http://127.0.0.1:{address[1]}/").submit(b"<a/>")
    assert isinstance(result, NotSent)
    assert time.monotonic() - began < DEADLINE + SLACK


def test_submit_reaches_the_second_address_when_the_first_refuses(
    play: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = play(say_always)
    port = int(peer.url.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (closed, port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
    sender = customs("http://localhost/")
    assert isinstance(sender.submit(b"<a/>"), TakenIn)
    sender.close()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(drip(GOOD), id="head drips"),
        pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 9), id="interim responses drip"),
        pytest.param(drip(GOOD, at_once=60), id="body drips"),
    ],
)
def test_submit_ends_at_the_deadline_when_the_peer_drips(play: Callable[..., Peer], script: Script) -> None:
    sender = customs(play(script).url)
    began = time.monotonic()
    result = sender.submit(b"<a/>")
    assert isinstance(result, InDoubt)
    assert "deadline" in result.info or "timed out" in result.info
    assert DEADLINE - 0.1 < time.monotonic() - began < DEADLINE + SLACK


def test_submit_ends_at_the_deadline_when_the_peer_does_not_read(play: Callable[..., Peer]) -> None:
    release = threading.Event()
    sender = customs(play(lambda _peer, _accepted: release.wait(10)).url)
    began = time.monotonic()
    result = sender.submit(b"x" * 50_000_000)
    release.set()
    assert isinstance(result, InDoubt)
    assert time.monotonic() - began < DEADLINE + SLACK


def test_submit_reads_what_customs_said(play: Callable[..., Peer]) -> None:
    fault = envelope("<s:Fault><faultcode>s:Client</faultcode><faultstring>bad</faultstring></s:Fault>")
    peer = play(say(GOOD), say(response(answer("2"))), say(response(fault, "500 Internal Server Error")))
    results = [customs(peer.url).submit(b"<a/>") for _ in range(3)]  # this peer closes each connection
    assert results[0] == TakenIn(raw=answer("1"), info="处理成功")
    assert [type(result) for result in results[1:]] == [RefusedAtDoor, RefusedAtDoor]


def test_submit_sends_the_frozen_bytes_and_nothing_else_when_repeated(play: Callable[..., Peer]) -> None:
    peer = play(say_always)
    sender = customs(peer.url)
    body = sender.freeze("<?xml version='1.0' encoding='UTF-8'?><a>回\r\n😀&amp;</a>".encode())
    for _ in range(2):
        assert isinstance(sender.submit(body), TakenIn)
    sender.close()
    assert peer.connections == 1
    assert peer.requests[0] == peer.requests[1]
    head, _, sent = peer.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /ws/receive?wsdl=no HTTP/1.1"
    assert "Content-Type: text/xml; charset=utf-8" in lines
    assert 'SOAPAction: ""' in lines
    assert f"Host: {peer.url.split('/')[2]}" in lines


def test_submit_takes_a_new_connection_when_the_kept_one_was_closed(play: Callable[..., Peer]) -> None:
    peer = play(say(GOOD))
    sender = customs(peer.url)
    for count in (1, 2, 3):
        assert isinstance(sender.submit(b"<a/>"), TakenIn)
        assert peer.connections == count
        while peer.closed < count:
            time.sleep(0.01)


def test_submit_takes_a_new_connection_when_the_kept_one_brought_something_unasked(play: Callable[..., Peer]) -> None:
    def chatter(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        accepted.sendall(GOOD)
        time.sleep(0.05)
        accepted.sendall(response(answer("2")))
        peer.said_too_much.set()
        peer.take(accepted)

    peer = play(chatter, say(GOOD))
    sender = customs(peer.url)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)
    assert peer.said_too_much.wait(5)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)


def test_post_takes_a_new_connection_when_the_kept_one_was_idle_for_long(play: Callable[..., Peer]) -> None:
    peer = play(say_always)
    endpoint = Endpoint(peer.url, headers={}, deadline_seconds=DEADLINE, idle_seconds=0.05)
    assert isinstance(endpoint.post(Deed.SUBMIT, b"<a/>"), Reply)
    time.sleep(0.1)
    assert isinstance(endpoint.post(Deed.SUBMIT, b"<a/>"), Reply)
    endpoint.close()
    assert peer.connections == 2


def test_submit_is_in_doubt_and_not_repeated_when_a_kept_connection_dies_on_the_request(
    play: Callable[..., Peer],
) -> None:
    def once(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        accepted.sendall(GOOD)
        peer.take(accepted)

    peer = play(once, say_always)
    sender = customs(peer.url)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)
    assert isinstance(sender.submit(b"<a/>"), InDoubt)
    assert (peer.connections, len(peer.requests)) == (1, 2)


def test_submit_never_mixes_answers_when_a_late_one_follows_a_time_out(play: Callable[..., Peer]) -> None:
    def late(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        time.sleep(DEADLINE + 0.1)
        peer.said_too_much.set()
        accepted.sendall(response(answer("2")))

    peer = play(late, say(GOOD))
    sender = customs(peer.url)
    assert isinstance(sender.submit(b"<a/>"), InDoubt)
    assert peer.said_too_much.wait(5)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)


def test_submit_never_mixes_answers_when_one_follows_an_interim_response(play: Callable[..., Peer]) -> None:
    def early_hints(peer: Peer, accepted: socket.socket) -> None:
        peer.take(accepted)
        accepted.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        peer.take(accepted)
        accepted.sendall(response(answer("2")))

    sender = customs(play(early_hints, say(GOOD)).url)
    assert isinstance(sender.submit(b"<a/>"), InDoubt)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://127.0.0.1:9/报文"])
def test_customs_refuses_the_configuration_when_the_address_cannot_be_written(url: str) -> None:
    with pytest.raises(ConfigurationError, match=url):
        customs(url)


def test_submit_uses_a_connection_for_each_thread_when_shared() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = customs(f"http://127.0.0.1:{listener.getsockname()[1]}/", deadline_seconds=5)
        results: list[object] = []
        threads = [threading.Thread(target=lambda: results.append(sender.submit(b"<a/>"))) for _ in range(3)]
        for thread in threads:
            thread.start()
        accepted = [listener.accept()[0] for _ in threads]  # all three at the same time
        for each in accepted:
            each.sendall(GOOD)
        for thread in threads:
            thread.join()
        sender.close()
        for each in accepted:
            each.close()
    assert [type(result) for result in results] == [TakenIn] * 3


@pytest.mark.parametrize("framing", [f"Content-Length: {SIZE_LIMIT + 1}", "Connection: close"])
def test_post_is_cut_when_the_response_is_larger_than_the_parser_reads(play: Callable[..., Peer], framing: str) -> None:
    peer = play(say(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + b"x" * (SIZE_LIMIT + 1)))
    result = Endpoint(peer.url, headers={}, deadline_seconds=20).post(Deed.SUBMIT, b"<a/>")
    assert isinstance(result, Unanswered)
    assert len(result.raw) == SIZE_LIMIT


def test_post_returns_the_whole_body_when_it_comes_in_chunks(play: Callable[..., Peer]) -> None:
    peer = play(say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"))
    endpoint = Endpoint(peer.url, headers={}, deadline_seconds=5)
    assert endpoint.post(Deed.SUBMIT, b"") == Reply(status=200, body=b"abcde")
    endpoint.close()


def test_submit_ignores_the_proxies_of_the_environment(
    play: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    sender = customs(play(say(GOOD)).url)
    assert isinstance(sender.submit(b"<a/>"), TakenIn)
