"""HTTP in front of the office: two SOAP services and their WSDL, on loopback.

::

    POST /ReceiveCebDeclare      receive
    POST /ReceiptService         fetchReceipts, queryMessage, queryDocuments (this project's own interface)
    GET  /ReceiveCebDeclare?wsdl, /ReceiptService?wsdl
    GET  /admin/faults           and POST: what goes wrong, see `admin`
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.resources import files

import uvicorn
from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connector.errors import ConfigurationError, UnreadableMessage
from connector.messages.parser import parse
from connector.simulator import admin, soap
from connector.simulator.archive import Arrival
from connector.simulator.enquiries import DocumentQuery
from connector.simulator.faults import Service
from connector.simulator.mishaps import Counter, Line, Mishaps
from connector.simulator.office import Office
from connector.simulator.registry import Registry
from connector.simulator.soap import Call, Parts
from connector.simulator.stages import milliseconds, moment

SUBMIT_PATH = "/ReceiveCebDeclare"
"""Where messages are taken in."""
RECEIPTS_PATH = "/ReceiptService"
"""Where receipts are fetched and questions asked."""

_WSDL = {SUBMIT_PATH: "receive_ceb_declare.wsdl", RECEIPTS_PATH: "receipt_service.wsdl"}
_MOST_ITEMS = 1000
_KEEP_ALIVE_SECONDS = 75
"""As long as common front servers keep an idle connection."""


def application(office: Office, mishaps: Mishaps) -> Starlette:
    """The web application around an office."""
    submissions = Counter(
        service=Service.SUBMISSIONS,
        answer=partial(_answer, _receive, office),
        note=partial(_note_submission, office),
    )
    receipts = Counter(
        service=Service.RECEIPTS, answer=partial(_answer, _ask, office), note=partial(_note_question, office)
    )

    async def submit(request: Request) -> Response:
        return await mishaps.respond(request, submissions)

    async def ask(request: Request) -> Response:
        return await mishaps.respond(request, receipts)

    return Starlette(
        routes=[
            Route(SUBMIT_PATH, submit, methods=["POST"]),
            Route(RECEIPTS_PATH, ask, methods=["POST"]),
            Route(SUBMIT_PATH, _describe, methods=["GET"]),
            Route(RECEIPTS_PATH, _describe, methods=["GET"]),
            *admin.routes(office.plan, mishaps),
        ]
    )


def open_socket(registry: Registry) -> socket.socket:
    """Start to listen where the registry says; requests wait until `serve` takes them.

    Raises `ConfigurationError` when the port is taken.
    """
    # With the protocol named, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for a delayed ACK.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(registry.address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {registry.listen}: {error.strerror}",
            effect="the simulated customs office was not started",
            remedy="stop the program that uses the port, or name another in the registry's listen",
        ) from None
    return listener


def serve(office: Office, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are finished first.

    ready: called once signals end it properly and requests are waited for.

    Peers that are kept waiting by a fault are let go, and what was to be processed later is processed at the end.
    """
    mishaps = Mishaps(office)
    config = uvicorn.Config(
        application(office, mishaps),
        http=Line,
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)

    def stop(_number: int, _frame: object) -> None:
        """Before uvicorn listens for signals; and again after, when it raises them once more, for nothing to fail."""
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ready()
    try:
        server.run(sockets=[listener])
    finally:
        mishaps.finish()


async def _describe(request: Request) -> Response:
    if "wsdl" not in {name.lower() for name in request.query_params}:
        return PlainTextResponse("POST a SOAP request here, or GET ?wsdl", status_code=405)
    path = request.url.path
    root = parse(files("connector.transport").joinpath("wsdl", _WSDL[path]).read_bytes())
    for address in root.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address"):
        address.set("location", f"{request.url.scheme}://{request.url.netloc}{path}")
    return Response(etree.tostring(root, xml_declaration=True, encoding="UTF-8"), media_type="text/xml")


def _answer(
    service: Callable[[Office, bytes, Arrival], bytes], office: Office, body: bytes, arrival: Arrival
) -> Response:
    try:
        return Response(service(office, body, arrival), media_type="text/xml")
    except UnreadableMessage as error:
        return Response(soap.write_fault(error.cause), status_code=500, media_type="text/xml")


def _receive(office: Office, body: bytes, arrival: Arrival) -> bytes:
    return soap.write_received(office.receive(body, _content(body), arrival))


def _content(body: bytes) -> str:
    """The DxpMsg of a submission."""
    call = soap.read_call(body, arguments_namespace="")
    if (call.namespace, call.operation) != (soap.RECEIVE, "receive"):
        raise UnreadableMessage(f"there is no operation {call.operation} in {call.namespace}")
    return _text(call, "content")


def _note_submission(office: Office, body: bytes, arrival: Arrival) -> Arrival:
    """Note a submission that is not processed, or not yet."""
    try:
        content = _content(body)
    except UnreadableMessage:
        content = ""
    return office.note_submission(body, content, arrival)


def _ask(office: Office, body: bytes, arrival: Arrival) -> bytes:
    call = soap.read_call(body, arguments_namespace=soap.RECEIPTS)
    operation = _OPERATIONS.get(call.operation) if call.namespace == soap.RECEIPTS else None
    if operation is None:
        raise UnreadableMessage(f"there is no operation {call.operation} in {call.namespace}")
    return soap.write_response(call.operation, operation(office, call, arrival))


def _note_question(office: Office, body: bytes, arrival: Arrival) -> Arrival:
    """Note a queryMessage that is not answered; other questions leave no trace."""
    with suppress(UnreadableMessage):
        call = soap.read_call(body, arguments_namespace=soap.RECEIPTS)
        if call.operation == "queryMessage":
            office.note_query(_text(call, "dxpId"), _text(call, "copMsgId"), arrival)
    return arrival


def _fetch_receipts(office: Office, call: Call, _arrival: Arrival) -> Parts:
    issued, more = office.fetch_receipts(
        _text(call, "dxpId"), after=_number(call, "afterSequence"), at_most=_count(call)
    )
    for one in issued:
        yield "item", [("sequence", str(one.sequence)), ("content", one.content)]
    yield "more", str(more).lower()


def _query_message(office: Office, call: Call, arrival: Arrival) -> Parts:
    found = office.find_message(_text(call, "dxpId"), _text(call, "copMsgId"), arrival)
    yield "known", str(found is not None).lower()
    if found:
        yield "receivedAt", moment(found.received_at).isoformat(timespec="milliseconds")
        yield "dataDigest", found.digest
        for status in found.statuses:
            yield "latestStatus", status


def _query_documents(office: Office, call: Call, _arrival: Arrival) -> Parts:
    found, more = office.find_documents(
        DocumentQuery(
            dxp_id=_text(call, "dxpId"),
            document_type=_text(call, "messageType").removesuffix("Message"),
            received_from=_moment(call, "from"),
            received_to=_moment(call, "to"),
            after_key=call.arguments.get("afterKey", ""),
            at_most=_count(call),
        )
    )
    for one in found:
        yield "document", [("businessKey", one.business_key), ("digest", one.digest), ("status", one.status)]
    yield "more", str(more).lower()


_OPERATIONS: Mapping[str, Callable[[Office, Call, Arrival], Parts]] = {
    "fetchReceipts": _fetch_receipts,
    "queryMessage": _query_message,
    "queryDocuments": _query_documents,
}


def _text(call: Call, name: str) -> str:
    try:
        return call.arguments[name]
    except KeyError:
        raise UnreadableMessage(f"{call.operation} needs {name}") from None


def _number(call: Call, name: str) -> int:
    try:
        return int(_text(call, name))
    except ValueError:
        raise UnreadableMessage(f"{name} is no whole number") from None


def _count(call: Call) -> int:
    return max(1, min(_number(call, "maxCount"), _MOST_ITEMS))


def _moment(call: Call, name: str) -> int | None:
    text = call.arguments.get(name)
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UnreadableMessage(f"{name} is no xs:dateTime") from None
    if read.tzinfo is None:
        raise UnreadableMessage(f"{name} has no time zone")
    return milliseconds(read)
