"""The daemon: each part of the flow at its own interval, until a signal ends it.

APScheduler only ticks, in memory: what there is to do is in the database, so a missed tick loses nothing and a tick
that comes while the last one still works is skipped. SIGTERM or SIGINT: no new work is begun and the calls under way,
which have a deadline, are finished; whatever else still works a second after that is cut off, and done again after the
next start. A second signal exits at once. Ctrl-C is an interruption (exit 130), SIGTERM the way to end it (exit 0).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from connector.config import Settings
from connector.errors import ConnectorError, CustomsUnreachable, SigningError, UnreadableMessage
from connector.pipeline.activation import activate, signs_now
from connector.pipeline.checkpoint import checkpoint_now, checkpoint_when_due
from connector.pipeline.cycle import collect_and_prepare, unanswered
from connector.pipeline.deliver import deliver
from connector.pipeline.split import split_refused
from connector.pipeline.take_receipts import Received, read_again, take_receipts
from connector.pipeline.wiring import Connector

_MARGIN_SECONDS = 1.0
"""How long after the deadline of a call everything has ended."""
_LOOK_SECONDS = 0.2
_CHECKPOINT_SECONDS = 5.0
"""How often it is looked at least whether a checkpoint of the audit log is due."""
_KILLED_BY = 128
"""What a shell adds to the number of the signal that ended a program: 130 for SIGINT, 143 for SIGTERM."""

log = logging.getLogger(__name__)


class Stop:
    """Set by the first signal; everything that begins new work asks it."""

    def __init__(self) -> None:
        self._is_set = False  # no Event: its lock may be held by the very thread that the signal interrupts
        self._exit_code = 0
        self._is_reload_wanted = False

    @property
    def exit_code(self) -> int:
        """0, for SIGTERM is how a daemon ends; 130 once SIGINT has interrupted it."""
        return self._exit_code

    def is_set(self) -> bool:
        """Whether no new work may be begun."""
        return self._is_set

    def set(self) -> None:
        """Begin no new work from now on."""
        self._is_set = True

    def waits(self) -> Iterator[None]:
        """Wait for it; comes back each time that SIGHUP asks for the configuration to be read again."""
        while not self._is_set:
            if self._is_reload_wanted:
                self._is_reload_wanted = False
                yield
            time.sleep(_LOOK_SECONDS)

    def on_signals(self) -> None:
        """Have SIGTERM and SIGINT set it, and a second one end the process at once; SIGHUP asks to read again."""

        def stop(number: int, _frame: FrameType | None) -> None:
            if self.is_set():
                os._exit(_KILLED_BY + number)
            if number == signal.SIGINT:
                self._exit_code = _KILLED_BY + number
            self.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, self._want_reload)

    def _want_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._is_reload_wanted = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tick:
    """What one tick of a part came to."""

    failures: Sequence[ConnectorError] = ()
    idle: bool = False
    """There was nothing to do, which does not prove that it works again."""
    news: Sequence[str] = ()
    """What a person has to look at, each with the command that shows it."""


@dataclass(slots=True)
class _Part:
    """One part of the flow; says once each cause it starts to fail for, and once when it works again."""

    name: str
    work: Callable[[], _Tick]
    causes: set[str] = field(default_factory=set)
    """What it fails for now."""
    telling: threading.Lock = field(default_factory=threading.Lock)
    """Several workers may do the same part; only one tells of it."""

    def __call__(self) -> None:
        try:
            tick = self.work()
        except ConnectorError as error:
            tick = _Tick(failures=[error])
        except Exception as error:
            with self.telling:
                if (cause := f"unexpected: {error!r}") not in self.causes:
                    log.exception("%s: unexpected failure; it is tried again at the next tick", self.name)
                self.causes.add(cause)
            return
        with self.telling:
            self._tell(tick)

    def _tell(self, tick: _Tick) -> None:
        for one in tick.news:
            log.warning("%s: %s", self.name, one)
        failures = {failure.cause: failure for failure in tick.failures}
        for cause, failure in failures.items():
            if cause not in self.causes:
                log.error("%s: %s", self.name, failure)
        if self.causes and not failures and not tick.idle:
            log.warning("%s: works again", self.name)
        if failures:
            self.causes |= failures.keys()  # so that causes that take turns are said once each
        elif not tick.idle:
            self.causes = set()


@dataclass(slots=True)
class _Live:
    """What is in use; a tick that has begun goes on with what it began with."""

    connector: Connector
    read_again_by: Connector | None = None
    """With what the kept receipts that could not be read were last read again."""
    told: tuple[Connector, str] | None = None
    """With what, and which of its keys signing, it was last made sure that the log tells of it."""


def run(
    connector: Connector, settings: Settings, stop: Stop, *, workers: int, reload: Callable[[Connector], Connector]
) -> None:
    """Work until told to stop; returns when the work under way is finished.

    workers: how many messages are delivered at the same time; reload: what to work with after SIGHUP, in place of the
    connector in use; it may raise a `ConnectorError` when what is new cannot be used.
    """
    schedule, live = settings.schedule, _Live(connector)
    activate(connector)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick skipped because the last one works is no news
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(workers + 3)},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    deliver_part = _Part("deliver", lambda: _deliver(live.connector))
    parts = [
        (_Part("collect", lambda: _collect(live)), schedule.collect_seconds),
        *[(deliver_part, schedule.deliver_seconds)] * workers,
        (_Part("receipts", lambda: _receive(live)), schedule.receipts_seconds),
    ]
    if settings.audit is not None:
        seconds = min(settings.audit.every_seconds, _CHECKPOINT_SECONDS)
        parts.append((_Part("audit", lambda: _checkpoint(live.connector)), seconds))
    for part, seconds in parts:
        scheduler.add_job(part, "interval", seconds=seconds, name=part.name, next_run_time=datetime.now(UTC))
    scheduler.start()
    log.info("running")
    for _ in stop.waits():
        _reload(live, reload)
    log.info("stopping: calls under way are finished, within %g s", settings.customs.deadline_seconds)
    ending = threading.Thread(target=scheduler.shutdown, name="ending", daemon=True)  # it waits for what still works
    ending.start()
    ending.join(settings.customs.deadline_seconds + _MARGIN_SECONDS)
    _Part("audit", lambda: _checkpoint_at_end(live.connector))()
    if ending.is_alive():
        log.warning("stopped; what was still being done, and is not committed, is done again after the next start")
        os._exit(stop.exit_code)
    log.info("stopped")


def _reload(live: _Live, reload: Callable[[Connector], Connector]) -> None:
    """Change over to the configuration as it stands now, whole or not at all."""
    try:
        fresh = reload(live.connector)
        has_changed = activate(fresh)
    except ConnectorError as error:
        log.error("what was in use stays in use: %s", error)  # noqa: TRY400 - the error says all there is to say
        return
    except Exception:
        log.exception("what was in use stays in use: unexpected failure")
        return
    live.connector = fresh
    log.info(
        "the configuration is read again; %s",
        "what is in use has changed" if has_changed else "no key, certificate, mapping, account or address has changed",
    )


def _collect(live: _Live) -> _Tick:
    connector = live.connector
    _tell_of_takeover(live, connector)
    cycle = collect_and_prepare(connector)
    held = cycle.collected.unreadable + cycle.prepared.quarantined
    news = [f"{held} new in quarantine: `connector quarantine list`"] if held else []
    news += cycle.collected.warnings
    return _Tick(failures=cycle.failures, idle=cycle.collected.is_elsewhere, news=news)


def _tell_of_takeover(live: _Live, connector: Connector) -> None:
    """Have the log tell that another key signs, once its time has come; no configuration is read then."""
    in_use = connector, signs_now(connector)
    if in_use != live.told:
        if activate(connector) and in_use[1]:
            log.info("[signing.%s] signs from now on", in_use[1])
        live.told = in_use


def _deliver(connector: Connector) -> _Tick:
    delivered = deliver(connector)
    news = []
    if delivered.recovered:
        news.append(f"{delivered.recovered} messages are in doubt because their sender is gone; customs is asked")
    if delivered.stopped:
        news.append(f"{delivered.stopped} messages refused, parked or in conflict: `connector status` says what to do")
    failures = [unanswered(delivered)] if delivered.unanswered else []
    return _Tick(failures=failures, idle=not delivered.outcomes, news=news)


def _checkpoint(connector: Connector) -> _Tick:
    checkpoint_when_due(connector)
    return _Tick()


def _checkpoint_at_end(connector: Connector) -> _Tick:
    checkpoint_now(connector)
    return _Tick()


def _receive(live: _Live) -> _Tick:
    failures: list[ConnectorError] = []
    received, connector = Received(), live.connector
    try:
        if live.read_again_by is not connector:
            received = read_again(connector)
            live.read_again_by = None if received.is_elsewhere else connector
        received.add(take_receipts(connector))
    except CustomsUnreachable as error:
        failures.append(error)
    try:
        split_refused(connector)
    except (SigningError, UnreadableMessage) as error:
        failures.append(error)
    news = []
    if received.unreadable:
        news.append(f"{received.unreadable} receipts cannot be read: `connector documents unreadable`")
    if received.unmatched:
        news.append(f"{received.unmatched} receipts belong to nothing of ours: `connector documents unmatched`")
    if received.rejected:
        news.append(f"{received.rejected} documents rejected: `connector documents list --customs-status rejected`")
    return _Tick(failures=failures, idle=received.is_elsewhere, news=news)
