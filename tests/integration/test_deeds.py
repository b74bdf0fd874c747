"""`Deed` names every commit and every request: a whole run is watched from below, and nothing may go by unannounced.

Commits are counted by SQLAlchemy, writes to sockets by the interpreter's own hook for calls of C functions: neither
knows of `Watch`.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import BuiltinFunctionType, FrameType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from connector.bootstrap import build_connector, unchecked_database
from connector.config import Settings, load
from connector.deeds import Deed, Moment
from connector.demo.office import free_port, running_office
from connector.demo.returns import Fault, generate
from connector.errors import CustomsUnreachable
from connector.evidence.archive import archive
from connector.evidence.export import DocumentScope, export
from connector.evidence.forget import forget
from connector.evidence.payloads import Payload
from connector.messages.deliveries import DeliveryState, MessageId
from connector.outbox import queries
from connector.outbox.queries import Filter, MessageView
from connector.pipeline.activation import activate
from connector.pipeline.checkpoint import checkpoint_now
from connector.pipeline.cycle import collect_and_prepare
from connector.pipeline.deliver import deliver, recover
from connector.pipeline.leasing import end_all
from connector.pipeline.resend import Action, carry_out, plan_documents, plan_messages
from connector.pipeline.settle import Verdict, settle
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.simulator.admin import NEXT_PATH
from connector.storage import schema

SAMPLE_PORT = 8610
REQUESTS = {Deed.SUBMIT, Deed.ASK, Deed.FETCH}
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP")
SENDING = {"send", "sendall", "sendto", "sendmsg", "sendfile", "write"}
PATIENCE = 30.0


class Died(BaseException):
    """The process ended here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that happened: a deed's moment by its name, ``commit`` or ``send``."""

    thread: int
    what: Deed | str
    moment: Moment | None = None


class Recorder:
    """Sees what is announced and what is done, in their order."""

    def __init__(self, url: str) -> None:
        self.seen: list[Seen] = []
        self.dies_at: tuple[Deed, Moment] | None = None
        self._database = str(url).rpartition("/")[2]

    def watch(self, deed: Deed, moment: Moment) -> None:
        self.seen.append(Seen(thread=threading.get_ident(), what=deed, moment=moment))
        if self.dies_at == (deed, moment):
            self.dies_at = None
            raise Died

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Have every commit that wrote and every write to a socket told, in whichever thread."""
        event.listen(Engine, "after_cursor_execute", self._executed)
        event.listen(Engine, "commit", self._committed)
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            event.remove(Engine, "commit", self._committed)
            event.remove(Engine, "after_cursor_execute", self._executed)

    def _executed(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(WRITES):
            connection.info["wrote"] = True

    def _committed(self, connection: Connection) -> None:
        if connection.info.pop("wrote", False) and str(connection.engine.url).endswith(self._database):
            self.seen.append(Seen(thread=threading.get_ident(), what="commit"))

    def _called(self, _frame: FrameType, what: str, function: Any) -> None:
        if what != "c_call" or not isinstance(function, BuiltinFunctionType) or function.__name__ not in SENDING:
            return
        if isinstance(function.__self__, socket.socket) or type(function.__self__).__name__ == "_SSLSocket":
            self.seen.append(Seen(thread=threading.get_ident(), what="send"))


def unannounced(seen: list[Seen]) -> list[str]:
    """Commits and writes to sockets that do not lie between the two moments of one deed, and deeds done by neither."""
    faults: list[str] = []
    under_way: dict[int, tuple[Deed, int]] = {}
    for number, one in enumerate(seen):
        deed, done = under_way.get(one.thread, (None, 0))
        if one.moment == "before":
            under_way[one.thread] = (Deed(one.what), 0)
        elif one.moment == "after":
            if deed != one.what or (deed in REQUESTS and not done):
                faults.append(f"{number}: after {one.what}, with {done} things done since before {deed}")
            under_way.pop(one.thread, None)
        elif deed is None or (one.what == "send") != (deed in REQUESTS) or (one.what == "commit" and done):
            faults.append(f"{number}: a {one.what} in {deed}, with {done} things done since")
        else:
            under_way[one.thread] = (deed, done + 1)
    return faults


@pytest.fixture
def recorder(database_url: str) -> Recorder:
    return Recorder(database_url)


@pytest.fixture
def folder(built: Callable[[int], Path], tmp_path: Path) -> Path:
    """A sample enterprise whose office hardly takes any time."""
    copy = tmp_path / "enterprise"
    shutil.copytree(built(60), copy)
    port = str(free_port())
    for file in ("connector.toml", "registry.toml"):
        written = (copy / file).read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
        (copy / file).write_text(written.replace(str(SAMPLE_PORT), port), "utf-8")
    return copy


@pytest.fixture
def settings(folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", database_url)
    loaded = load(folder / "connector.toml")
    changes = {"settle_seconds": 0, "retry_first_seconds": 0.01, "breaker_failures": 1, "breaker_open_seconds": 0.01}
    return loaded.model_copy(update={"customs": loaded.customs.model_copy(update=changes)})


def order(settings: Settings, fault: str, service: str) -> None:
    """Have the office fail the next request to a service."""
    url = settings.customs.submit_url.rpartition("/")[0] + NEXT_PATH
    body = json.dumps({"fault": fault, "times": 1, "service": service}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=10):
        pass


def messages(connector: Connector, state: DeliveryState) -> list[MessageView]:
    with connector.database.read() as connection:
        return queries.messages(connection, Filter(delivery_state=state))


def deliver_through_doubts(connector: Connector, recorder: Recorder) -> None:
    """Everything is sent in the end: one message after its sender has died, one after its answer was lost."""
    recorder.dies_at = (Deed.CLAIM, "after")
    with pytest.raises(Died):
        deliver(connector)
    end_all(connector)
    assert recover(connector).recovered == 1
    (unsent,) = messages(connector, DeliveryState.IN_DOUBT)
    settle(connector.database, MessageId(unsent.id), Verdict.NOT_RECEIVED, reason="it was not", actor="tester")
    recorder.dies_at = (Deed.RECORD, "after")
    with pytest.raises(Died):
        deliver(connector)
    (unanswered,) = messages(connector, DeliveryState.IN_DOUBT)
    (done,) = carry_out(connector, plan_messages(connector, [unanswered], split=False), reason="soon", actor="tester")
    assert done.action is Action.ASK
    until(lambda: is_delivered(connector))


def revise(connector: Connector, number: str) -> None:
    """Declare a document again whose row was corrected."""
    with connector.database.read() as connection:
        views = [view for view in queries.find_documents(connection, number) if view.type == "CEB213"]
    (done,) = carry_out(connector, plan_documents(connector, views, split=False), reason="it is", actor="tester")
    assert done.action is Action.REVISE
    collect_and_prepare(connector)
    until(lambda: is_delivered(connector))


def is_delivered(connector: Connector) -> bool:
    deliver(connector)
    with connector.database.read() as connection:
        return {view.delivery_state for view in queries.messages(connection, Filter())} == {"delivered"}


def is_rejected(connector: Connector, number: str) -> bool:
    time.sleep(0.02)
    try:
        take_receipts(connector)
    except CustomsUnreachable:
        return False
    with connector.database.read() as connection:
        return any(view.customs_status == "rejected" for view in queries.find_documents(connection, number))


def correct(folder: Path, number: str) -> None:
    waybill = f"YH{260_000_000 + int(number.removeprefix('RK')) - 10_000_000}CN"
    with closing(sqlite3.connect(folder / "archive.db")) as connection, connection:
        connection.execute("UPDATE return_transport SET voyage_no = 'CORRECTED' WHERE waybill = ?", [waybill])


def until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "it has not happened in time"


def test_deeds_announce_every_commit_and_every_request_when_everything_is_done_once(
    folder: Path, settings: Settings, recorder: Recorder
) -> None:
    wrong = next(one.order_no for one in generate(60, seed=1) if one.fault is Fault.LIST_UNKNOWN_TO_CUSTOMS)
    port = int(settings.customs.submit_url.rpartition(":")[2].partition("/")[0])
    with running_office(folder / "registry.toml", port):
        with recorder.counting():
            with closing(unchecked_database(settings, watch=recorder.watch)) as empty:
                schema.upgrade(empty)
            connector = build_connector(settings, watch=recorder.watch)
            assert activate(connector)
            assert not collect_and_prepare(connector).failures
            checkpoint_now(connector)
        order(settings, "drop", "submissions")
        with recorder.counting():
            deliver_through_doubts(connector, recorder)
        order(settings, "drop", "receipts")
        with recorder.counting():
            with pytest.raises(CustomsUnreachable):
                take_receipts(connector)
            until(lambda: is_rejected(connector, wrong))
        correct(folder, wrong)
        with recorder.counting():
            revise(connector, wrong)
            export(
                connector, DocumentScope(name=wrong), out=folder / "evidence.zip", reason="asked for", actor="tester"
            )
            forget(connector.database, "tester", reason="asked for it", actor="another")
            at_once = dict.fromkeys(Payload, timedelta())
            assert list(archive(connector, at_once, folder, reason="asked for", actor="another"))
    connector.database.close()
    assert unannounced(recorder.seen) == []
    told = Counter(Deed(one.what) for one in recorder.seen if one.moment == "after")
    assert told.keys() == set(Deed)
    done = Counter(one.what for one in recorder.seen if one.moment is None)
    assert done["send"] >= sum(told[deed] for deed in REQUESTS)
    assert done["commit"] >= len(set(Deed) - REQUESTS)


def test_deeds_are_missed_when_a_commit_or_a_request_is_not_announced(settings: Settings, recorder: Recorder) -> None:
    with closing(unchecked_database(settings)) as empty:
        schema.upgrade(empty)
    engine = create_engine(settings.database.url)
    with recorder.counting(), engine.begin() as connection:
        connection.execute(text("INSERT INTO actor (digest) VALUES ('of somebody')"))
    engine.dispose()
    ours, theirs = socket.socketpair()
    with recorder.counting(), closing(ours), closing(theirs):
        recorder.watch(Deed.RECORD, "before")
        ours.sendall(b"inside a commit's moments, a request is not announced either")
        recorder.watch(Deed.RECORD, "after")
        ours.send(b"nor is it after them")
    assert [fault.partition(": ")[2] for fault in unannounced(recorder.seen)] == [
        "a commit in None, with 0 things done since",
        "a send in record, with 0 things done since",
        "a send in None, with 0 things done since",
    ]
