"""The connector on the sample enterprise: the steps of `connector run --once`, with a mark after each.

Everything it always does is in it: every source row kept, an audit entry for each thing that happens, the attempt
durable before the first byte leaves, every receipt kept raw, matched and added up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.messages.receipts import CustomsStatus
from connector.outbox.queries import count_documents
from connector.pipeline.collect import collect
from connector.pipeline.deliver import deliver
from connector.pipeline.prepare import prepare
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.storage import schema


def run(folder: Path, mark: Callable[[str], None]) -> None:
    """Carry every return in the folder to customs, and take receipts until each document has its final answer."""
    settings = load(folder / "connector.toml")
    schema.upgrade(unchecked_database(settings))
    connector = build_connector(settings)
    mark("begin")
    for collection in connector.collections:
        collect(connector, collection)
    mark("collect")
    for collection in connector.collections:
        prepare(connector, collection)
    mark("prepare")
    deliver(connector)
    mark("deliver")
    while not _all_final(connector):
        take_receipts(connector)
    mark("take receipts")


def _all_final(connector: Connector) -> bool:
    with connector.database.read() as connection:
        return all(CustomsStatus(status).is_final for _, status in count_documents(connection))
