"""`play`: build the sample enterprise, start the office, run the connector until customs has answered everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.demo.enterprise import build
from connector.demo.office import free_port, running_office
from connector.demo.outcome import Outcome, read_outcome
from connector.pipeline.cycle import run_once
from connector.storage import schema

_PAUSE = 0.1
_PATIENCE = 60.0
"""Seconds without any progress before the demonstration gives up."""

Progress = Callable[[str, int, int], None]
"""Told what is under way, how many documents are done and how many there are."""


def play(directory: Path, *, returns: int, seed: int, mappings: Sequence[str], progress: Progress) -> Outcome:
    """Play the demonstration in a new folder, which afterwards holds everything; the figures it came to.

    mappings: which of the shipped folders are used.
    """
    port = free_port()
    progress("building the sample enterprise", 0, 2 * returns)
    enterprise = build(directory, returns=returns, seed=seed, port=port, mappings=mappings)
    settings = load(enterprise.config)
    schema.upgrade(unchecked_database(settings))
    progress("starting the simulated customs office", 0, 2 * returns)
    with running_office(enterprise.registry, port):
        connector = build_connector(settings)
        left, since = -1, time.monotonic()
        while True:
            run_once(connector)
            with connector.database.read() as connection:
                outcome = read_outcome(connection, enterprise)
            progress("waiting for customs' answers", outcome.expected - outcome.unanswered, outcome.expected)
            if outcome.unanswered != left:
                left, since = outcome.unanswered, time.monotonic()
            if not left or time.monotonic() - since > _PATIENCE:
                return outcome
            time.sleep(_PAUSE)
