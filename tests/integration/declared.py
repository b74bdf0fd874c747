"""A connector that has declared the returns of a sample enterprise, and a customs office that has answered."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.demo.office import free_port, running_office
from connector.pipeline.activation import activate
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.deliver import deliver
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.storage import schema
from tests.integration.conftest import SAMPLE_PORT

_PATIENCE = 30.0
_T = TypeVar("_T")


@contextmanager
def declared(sample: Path, folder: Path, answered: Callable[[Connector], _T | None]) -> Iterator[tuple[Connector, _T]]:
    """Copy the enterprise to the folder, declare its returns, and take receipts until there is an answer."""
    shutil.copytree(sample, folder)
    port = free_port()
    for file in ("connector.toml", "registry.toml"):
        written = (folder / file).read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
        (folder / file).write_text(written.replace(str(SAMPLE_PORT), str(port)), "utf-8")
    settings = load(folder / "connector.toml")
    with closing(unchecked_database(settings)) as empty:
        schema.upgrade(empty)
    connector = build_connector(settings)
    activate(connector)
    with running_office(folder / "registry.toml", port):
        collect_and_prepare(connector)
        checkpoint_now(connector)
        deliver(connector)
        found = _wait(connector, answered)
    try:
        yield connector, found
    finally:
        connector.database.close()


def _wait(connector: Connector, answered: Callable[[Connector], _T | None]) -> _T:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        take_receipts(connector)
        if found := answered(connector):
            return found
        time.sleep(0.05)
    raise AssertionError("customs has not answered in time")
