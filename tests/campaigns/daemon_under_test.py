"""The daemon as ``connector run`` starts it, but mortal: at one chosen deed it ends by a true SIGKILL.

The program itself has no such switch; it only tells `Watch` of every deed. `begin` gives each life a process of its
own, forked from one that has loaded everything, so that a life begins in a fraction of a second::

    life = begin(Orders(config=..., log=..., aim=Aim(deed=Deed.RECORD, moment="before")))
    life.ended_within(5.0)      # -9: it died where it was to die
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import connector
from connector.bootstrap import build_connector, unchecked_database
from connector.config import Settings, load
from connector.daemon import Stop
from connector.daemon import run as run_daemon
from connector.deeds import Deed, Moment, Watch, unwatched
from connector.evidence.archive import archive
from connector.evidence.export import DocumentScope, export
from connector.evidence.forget import forget
from connector.evidence.payloads import Payload
from connector.messages.deliveries import MessageId
from connector.outbox import queries
from connector.outbox.queries import Filter
from connector.pipeline.leasing import end_all
from connector.pipeline.resend import carry_out, plan_documents, plan_messages
from connector.pipeline.settle import Verdict, settle
from connector.pipeline.wiring import Connector
from connector.storage import schema
from tests.forks import FORKS

LEASE_MARGIN = timedelta(seconds=1)
"""Instead of 30 s: what a dead peer held is free again soon, and a trial need not wait for it."""
_COLLECTION_LEASE = timedelta(seconds=1)
_PROGRAM = connector.__file__
_PAUSE = 0.01

KILLED = -signal.SIGKILL
"""Exit code of a life that was ended, by itself or from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where a life ends: at the so-many-th time that it comes there."""

    deed: Deed
    moment: Moment
    count: int = 1

    def __str__(self) -> str:
        return f"{self.deed} {self.moment}, time {self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What one life does."""

    config: Path
    log: Path
    """Gets what it says."""
    work: str = "daemon"
    """``daemon``, ``upgrade``, or what an operator does: a key of ``_WORK``."""
    subject: str = ""
    """The message or document that an operator's work is about."""
    aim: Aim | None = None
    workers: int = 1


class Death:
    """Ends the process at the aim. Threads share it."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim
        self._seen = 0
        self._counting = threading.Lock()

    def __call__(self, deed: Deed, moment: Moment) -> None:
        """Be told of a deed."""
        if (deed, moment) != (self._aim.deed, self._aim.moment):
            return
        with self._counting:
            self._seen += 1
            if self._seen == self._aim.count:
                os.kill(os.getpid(), signal.SIGKILL)


class Life:
    """One process, from outside."""

    def __init__(self, process: ForkServerProcess, log: Path, said: int) -> None:
        self._process = process
        self._log = log
        self._said = said

    @property
    def is_up(self) -> bool:
        """Whether a daemon says that it works."""
        with self._log.open("rb") as file:
            file.seek(self._said)
            return b" running\n" in file.read()

    @property
    def has_ended(self) -> bool:
        """Whether it lives no more."""
        return self._process.exitcode is not None

    def kill(self) -> None:
        """End it now, wherever it is; nothing happens when it has ended."""
        self._process.kill()
        self._process.join()

    def ended_within(self, seconds: float) -> int | None:
        """Its exit code; None when it still lives after so many seconds."""
        self._process.join(seconds)
        return self._process.exitcode

    def stop(self, seconds: float) -> int | None:
        """Have it end properly, by SIGTERM; its exit code, None when it would not."""
        with suppress(ProcessLookupError):
            if self._process.pid is not None and not self.has_ended:
                os.kill(self._process.pid, signal.SIGTERM)
        return self.ended_within(seconds)


def begin(orders: Orders) -> Life:
    """Start a life."""
    orders.log.touch()
    said = orders.log.stat().st_size
    process = FORKS.Process(target=_live, args=(orders, _PROGRAM), daemon=True)
    process.start()
    return Life(process, orders.log, said)


def _live(orders: Orders, program: str) -> None:
    with orders.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    assert program == _PROGRAM, f"{_PROGRAM} runs instead of {program}"
    settings = load(orders.config)
    watch = Death(orders.aim) if orders.aim else unwatched
    if orders.work == "upgrade":
        schema.upgrade(unchecked_database(settings, watch=watch))
        return
    if orders.work == "daemon":
        _run(settings, watch, orders.workers)
        return
    _WORK[orders.work](_built(settings, Stop(), watch), orders.subject)


def _run(settings: Settings, watch: Watch, workers: int) -> None:
    """What `connector.cli.run` does."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S%z")
    logging.getLogger("connector").setLevel(logging.INFO)
    stop = Stop()
    built = _built(settings, stop, watch)
    stop.on_signals()
    with built.database.held_alone() as alone:
        if alone:
            end_all(built)
        run_daemon(built, settings, stop, workers=workers, reload=lambda active: active)


def _built(settings: Settings, stop: Stop, watch: Watch) -> Connector:
    lease = timedelta(seconds=settings.customs.deadline_seconds) + LEASE_MARGIN
    built = build_connector(settings, is_stopping=stop.is_set, watch=watch)
    return replace(built, lease=lease, collection_lease=_COLLECTION_LEASE)


def _resend(built: Connector, message_id: str) -> None:
    """What ``connector resend MESSAGE`` does."""
    with built.database.read() as connection:
        view = queries.message(connection, message_id)
    assert view is not None
    plans = plan_messages(built, [view], split=False)
    _say([plan.action.value for plan in carry_out(built, plans, reason="a test", actor="tester")])


def _revise(built: Connector, business_key: str) -> None:
    """What ``connector resend DOCUMENT`` does where customs rejected it and its row was corrected."""
    with built.database.read() as connection:
        views = queries.documents(connection, Filter(business_key=business_key))[-1:]
    plans = plan_documents(built, views, split=False)
    _say([plan.action.value for plan in carry_out(built, plans, reason="a test", actor="tester")])


def _settle(built: Connector, message_id: str) -> None:
    """What ``connector messages settle MESSAGE`` does with the verdict not received."""
    state = settle(built.database, MessageId(message_id), Verdict.NOT_RECEIVED, reason="a test", actor="tester")
    _say([state.value])


def _export(built: Connector, business_key: str) -> None:
    """What ``connector audit export`` does; a file for each process, in the folder of the checkpoints."""
    assert built.checkpoints is not None
    (sink,) = built.checkpoints.sinks
    out = Path(sink.name).with_name(f"evidence-{os.getpid()}.zip")
    export(built, DocumentScope(name=business_key), out=out, reason="a test", actor="tester")


def _forget(built: Connector, name: str) -> None:
    """What ``connector audit forget NAME`` does."""
    _say([forget(built.database, name, reason="a test", actor="tester")])


def _archive(built: Connector, _subject: str) -> None:
    """What ``connector db archive`` does, of everything that was answered before now."""
    assert built.checkpoints is not None
    (sink,) = built.checkpoints.sinks
    policy = dict.fromkeys(Payload, timedelta())
    for one in archive(built, policy, Path(sink.name).parent, reason="a test", actor="tester"):
        _say([one.file.name])


_WORK: dict[str, Callable[[Connector, str], None]] = {
    "export": _export,
    "resend": _resend,
    "revise": _revise,
    "settle": _settle,
    "forget": _forget,
    "archive": _archive,
}


def _say(words: list[str]) -> None:
    os.write(1, f"{json.dumps(words)}\n".encode())


def until(is_true: Callable[[], object], seconds: float) -> bool:
    """Wait for it; whether it came true within so many seconds."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE)
    return True
