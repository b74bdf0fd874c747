"""The admin calls from outside: what a command does to an office that runs as another process.

::

    state = call(registry.address, FAULTS_PATH, {"drop": 0.2})
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

from connector.errors import CustomsUnreachable, UsageError

_SECONDS = 10


def call(address: tuple[str, int], path: str, content: Mapping[str, object] | None = None) -> dict[str, Any]:
    """GET a path of an office, or POST an object to it; what it answers.

    Raises `CustomsUnreachable` when no office answers there and `UsageError` when it finds the object wrong.
    """
    host, port = address
    connection = HTTPConnection(host, port, timeout=_SECONDS)
    try:
        if content is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
        response = connection.getresponse()
        status, answer = response.status, json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise _no_office(f"{host}:{port}", error) from None
    finally:
        connection.close()
    if status == HTTPStatus.BAD_REQUEST and isinstance(answer, dict) and "problems" in answer:
        raise UsageError(
            "\n".join(answer["problems"]),
            effect="the faults in force stay as they were",
            remedy="correct it; connector simulator faults --help lists the faults, show the settings",
        )
    if status != HTTPStatus.OK or not isinstance(answer, dict):
        raise _no_office(f"{host}:{port}", f"{path} is answered by status {status}")
    return answer


def _no_office(where: str, problem: object) -> CustomsUnreachable:
    return CustomsUnreachable(
        f"no simulated customs office answers at {where}: {problem}",
        effect="nothing was done",
        remedy="start it first: connector simulator serve; or name the registry it runs with by --registry",
    )
