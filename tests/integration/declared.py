"""A connector that has declared the returns of a sample enterprise, and a customs office that has answered."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.demo.office import free_port, running_office
from connector.outbox.queries import Filter, documents
from connector.pipeline.activation import activate
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.deliver import deliver
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.storage import schema

_PATIENCE = 30.0


def declare(enterprise: Path, port: int) -> None:
    """Declare its returns, and take receipts until all are answered.

    port: of the office that its files name.
    """
    own = free_port()
    for file in ("connector.toml", "registry.toml"):
        written = (enterprise / file).read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
        (enterprise / file).write_text(written.replace(str(port), str(own)), "utf-8")
    settings = load(enterprise / "connector.toml")
    with closing(unchecked_database(settings)) as empty:
        schema.upgrade(empty)
    connector = build_connector(settings)
    with closing(connector.database), running_office(enterprise / "registry.toml", own):
        activate(connector)
        collect_and_prepare(connector)
        checkpoint_now(connector)
        deliver(connector)
        end = time.monotonic() + _PATIENCE
        while not _all_answered(connector):
            assert time.monotonic() < end, "customs has not answered in time"
            take_receipts(connector)


def _all_answered(connector: Connector) -> bool:
    with connector.database.read() as connection:
        found = documents(connection, Filter())
    return all(one.customs_status in {"released", "finished", "rejected"} for one in found)
