"""The admin calls: what goes wrong at the office, seen and changed while it runs.

::

    GET  /admin/faults           {"settings": {…}, "next": […], "played": {"drop": 3}, "held": 0}
    POST /admin/faults           {"seed": 7, "drop": 0.2}          replaces everything; {} ends all faults
    POST /admin/faults/next      {"fault": "drop", "times": 2}     for the next two submissions

Each answers with what is in force then. No fault hits an admin call.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.simulator.faults import FaultSettings, Order
from connector.simulator.mishaps import Mishaps
from connector.simulator.plan import Plan

FAULTS_PATH = "/admin/faults"
"""Where the faults in force are."""
NEXT_PATH = "/admin/faults/next"
"""Where a fault is ordered for the next requests."""

_Model = TypeVar("_Model", bound=BaseModel)


def routes(plan: Plan, mishaps: Mishaps) -> list[Route]:
    """The admin calls about a plan."""

    def state() -> Response:
        return JSONResponse(
            {
                "settings": plan.settings.model_dump(mode="json"),
                "next": [order.model_dump(mode="json") for order in plan.waiting],
                "played": plan.played,
                "held": mishaps.held,
            }
        )

    async def show(_request: Request) -> Response:
        return state()

    async def replace(request: Request) -> Response:
        found = _read(FaultSettings, await request.body())
        if isinstance(found, Response):
            return found
        plan.replace(found)
        return state()

    async def order(request: Request) -> Response:
        found = _read(Order, await request.body())
        if isinstance(found, Response):
            return found
        plan.order(found)
        return state()

    return [
        Route(FAULTS_PATH, show, methods=["GET"]),
        Route(FAULTS_PATH, replace, methods=["POST"]),
        Route(NEXT_PATH, order, methods=["POST"]),
    ]


def _read(model: type[_Model], body: bytes) -> _Model | Response:
    """The body as a model, else a 400 that says what is wrong with it."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = [_in_words(tuple(map(str, fault["loc"])), fault["type"], fault["msg"]) for fault in error.errors()]
        return JSONResponse({"problems": problems}, status_code=400)


def _in_words(location: tuple[str, ...], kind: str, message: str) -> str:
    said = "is not a known key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
    return f"{'.'.join(location)}: {said}" if location else said
