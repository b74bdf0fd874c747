"""The daemon: each part of the flow at its own interval, until a signal ends it.

APScheduler only ticks, in memory: what there is to do is in the database, so a missed tick loses nothing and a tick
that comes while the last one still works is skipped. SIGTERM or SIGINT: no new work is begun, the call under way is
finished, exit 0; a second one exits at once.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler

from connector.config import ScheduleSettings
from connector.errors import ConnectorError
from connector.pipeline.cycle import collect_and_prepare, unanswered
from connector.pipeline.deliver import deliver
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector

_SECOND_SIGNAL_EXIT = 143

log = logging.getLogger(__name__)


class Stop:
    """Set by the first signal; everything that begins new work asks it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def is_set(self) -> bool:
        """Whether no new work may be begun."""
        return self._event.is_set()

    def set(self) -> None:
        """Begin no new work from now on."""
        self._event.set()

    def wait(self) -> None:
        """Wait for it."""
        while not self._event.wait(timeout=1):
            pass

    def on_signals(self) -> None:
        """Have SIGTERM and SIGINT set it, and a second one end the process at once."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            if self.is_set():
                os._exit(_SECOND_SIGNAL_EXIT)
            self.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


@dataclass(slots=True)
class _Part:
    """One part of the flow; says once when it starts to fail and once when it works again."""

    name: str
    work: Callable[[], bool]
    """Does what there is to do; whether there was anything, for idleness does not prove that it works again."""
    failing: str = ""

    def __call__(self) -> None:
        try:
            worked = self.work()
        except ConnectorError as error:
            if error.cause != self.failing:
                log.error("%s: %s", self.name, error)  # noqa: TRY400 - a known failure needs no traceback
            self.failing = error.cause
        except Exception:
            log.exception("%s: unexpected failure; it is tried again at the next tick", self.name)
            self.failing = "unexpected"
        else:
            if self.failing and worked:
                log.warning("%s: works again", self.name)
                self.failing = ""


def run(connector: Connector, schedule: ScheduleSettings, stop: Stop) -> None:
    """Work until told to stop; returns when the work under way is finished."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick skipped because the last one works is no news
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    )
    parts = [
        (_Part("collect", lambda: _collect(connector)), schedule.collect_seconds),
        (_Part("deliver", lambda: _deliver(connector)), schedule.deliver_seconds),
        (_Part("receipts", lambda: _receive(connector)), schedule.receipts_seconds),
    ]
    for part, seconds in parts:
        scheduler.add_job(part, "interval", seconds=seconds, name=part.name, next_run_time=datetime.now(UTC))
    scheduler.start()
    log.info("running")
    stop.wait()
    scheduler.shutdown(wait=True)
    log.info("stopped")


def _collect(connector: Connector) -> bool:
    cycle = collect_and_prepare(connector)
    if cycle.failures:
        raise cycle.failures[0]
    return True


def _deliver(connector: Connector) -> bool:
    delivered = deliver(connector)
    if delivered.unanswered:
        raise unanswered(delivered)
    return bool(delivered.outcomes)


def _receive(connector: Connector) -> bool:
    take_receipts(connector)
    return True
