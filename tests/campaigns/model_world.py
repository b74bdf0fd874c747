"""`World`: an outbox on a real database, workers that share it, customs as the model has it, and an operator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import select, update

from connector.audit import log
from connector.config import shipped
from connector.deeds import Deed
from connector.errors import CustomsUnreachable
from connector.messages.builder import Transfer
from connector.messages.catalogue import message_type
from connector.messages.deliveries import MessageId
from connector.messages.documents import AppType, Content, Document
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import documents, queue
from connector.outbox.breaker import BreakerPolicy
from connector.outbox.documents import Origin
from connector.outbox.retry import RetryPolicy
from connector.pipeline.checking import RuleBook
from connector.pipeline.deliver import deliver
from connector.pipeline.leasing import end_all
from connector.pipeline.packing import new_message, signed_entry
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import ACTOR, Connector
from connector.rules.offices import load_offices
from connector.signing.certificates import Certificate
from connector.signing.envelopes import EnvelopeOpener
from connector.signing.keyring import KeyRing, RingKey
from connector.signing.suites import SUITES
from connector.sources import inbox
from connector.storage.breakers import BREAKERS
from connector.storage.database import Database
from connector.storage.leases import LEASES
from connector.storage.outbox import MESSAGES
from tests.campaigns.model_clock import Clock
from tests.campaigns.model_customs import ASK, DEADLINE, POISON, SETTLE, SUBMIT, Office, WorkerCustoms
from tests.campaigns.model_judge import OPEN, Judge
from tests.campaigns.model_receipts import format_fault, returns
from tests.campaigns.model_worker import Orders, Worker

WORKERS = 3
LEASE = DEADLINE + timedelta(seconds=30)
GIVE_UP = timedelta(hours=72)
DXP_ID = "DXPENT0000011351"
_HEAD = {
    "appStatus": "2",
    "customsCode": "5141",
    "operatorCode": "4401000001",
    "operatorName": "某监管场所",
    "logisticsCode": "4401980001",
    "logisticsName": "某快递",
    "invtNo": "22442026E000000001",
    "ieFlag": "I",
    "trafMode": "5",
    "trafName": "CZ300",
    "voyageNo": "CZ300",
}
_MOMENT = timedelta(milliseconds=1)


class _Key:
    """A key store without secrets: nobody here verifies, and what is signed must only ever be the same."""

    certificate = Certificate(
        der=b"certificate",
        key_id="0" * 64,
        serial_number=0,
        subject="",
        issuer="",
        valid_from=datetime.min.replace(tzinfo=UTC),
        valid_until=datetime.max.replace(tzinfo=UTC),
    )
    key_name = "00000000"
    suite = SUITES["rsa-sha1"]

    def sign(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()


class World:
    """Everything of one run of the machine."""

    def __init__(self, database: Database, seed: int) -> None:
        self.clock = Clock()
        self.office = Office(clock=self.clock)
        self.judge = Judge(database, self.clock, self.office)
        self.workers = [Worker(f"worker {number}") for number in range(WORKERS)]
        self._roads = [WorkerCustoms(self.office, worker, self.judge) for worker in self.workers]
        self._database = database
        self.told: set[str] = set()
        """Messages that customs has refused by CEB900, and documents that it has said something of."""
        self._documents = 0
        self._records = 0
        random = Random(seed)
        self.connectors = [
            Connector(
                database=database,
                collections=(),
                rules=RuleBook(offices=load_offices(shipped("config") / "offices.toml")),
                keys=KeyRing([RingKey(name="main", key=_Key(), active_from=None)]),
                customs=road,
                submit_endpoint=SUBMIT,
                endpoint=ASK,
                answers_questions=True,
                open_envelope=EnvelopeOpener(trusted=(), is_required=False),
                transfer=Transfer(cop_code="4401000001", cop_name="广州云帆", dxp_id=DXP_ID),
                receiver="DXPEDCCEB0000003",
                policy=RetryPolicy(
                    first=timedelta(seconds=5), most=timedelta(hours=1), tries=20, settle=SETTLE, give_up=GIVE_UP
                ),
                breaker_policy=BreakerPolicy(),
                holder=worker.name,
                lease=LEASE,
                collection_lease=LEASE,
                clock=self.clock.by_database,
                elapsed=self.clock.elapsed,
                random=random,
                is_stopping=self._stopping(worker),
            )
            for worker, road in zip(self.workers, self._roads, strict=True)
        ]
        self.operators = replace(self.connectors[0], holder="operator", is_stopping=lambda: False)
        self._deaths = 0

    def break_after(self, failures: int) -> None:
        """Have the circuit breakers open after so many failures in a row."""
        policy = BreakerPolicy(failures=failures)
        self.connectors = [replace(connector, breaker_policy=policy) for connector in self.connectors]

    @property
    def idle(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.at is None]

    @property
    def stopped(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.at is not None]

    def message_ids(self) -> list[MessageId]:
        """Every message in the order the model met them, which is the same in every run."""
        return list(self.judge.messages)

    def queue(self, count: int, poisoned: int) -> None:
        """Store a message of so many documents; the first ``poisoned`` of them no format check takes."""
        made = [self._document(number < poisoned) for number in range(count)]
        connector = self.connectors[0]
        message = new_message(connector, message_type("CEB215"), made, created=self.clock.read)
        self._records += 1
        record = SourceRecord(
            key=SourceKey(collection="returns", key=str(self._records)), changed_at=self.clock.read, row={}
        )
        with self._database.write(Deed.PREPARE) as transaction:
            now = self.clock.read
            inbox.store(transaction, [record], now=now)
            record_id = inbox.waiting(transaction, "returns", after=0, at_most=1000)[-1].id
            origin = Origin(record_id=record_id, mapping="m 1", mapping_digest="", waybill="", export_list="")
            documents.add(transaction, [(document, origin) for document in made])
            queue.add(transaction, [message], now=now)
            log.append(transaction, [signed_entry(message)], actor=ACTOR, time=now)
        self.clock.advance(_MOMENT)  # so that no two messages are due at once

    def deliver(self, worker: Worker, orders: Orders, calls: int) -> None:
        """Have a worker deliver, at most so many calls."""
        connector = self._connector(worker)
        worker.begin(lambda: deliver(connector), orders, calls)
        self._look_after(worker)

    def receive(self, worker: Worker, orders: Orders) -> None:
        """Have a worker take receipts."""
        connector = self._connector(worker)

        def work() -> None:
            with suppress(CustomsUnreachable):
                take_receipts(connector)

        worker.begin(work, orders, 1000)
        self._look_after(worker)

    def go_on(self, worker: Worker, orders: Orders) -> None:
        """Let a stopped worker go on."""
        worker.go_on(orders)
        self._look_after(worker)

    def kill(self, worker: Worker) -> None:
        """End a worker's process; its connection ends with it."""
        self._roads[self.workers.index(worker)].hang_up()
        self.judge.probes.end(worker.name)
        worker.kill()
        number = self.workers.index(worker)
        self._deaths += 1
        self.connectors[number] = replace(self.connectors[number], holder=f"{worker.name} after {self._deaths} deaths")

    def restart(self) -> None:
        """Kill everyone; the next process knows that it is alone."""
        for worker in self.stopped:
            self.kill(worker)
        end_all(self.operators)

    def _untie(self) -> None:
        """Give messages that are due at the same moment an order: else the place of their rows in a file would decide.

        Where PostgreSQL puts a row also depends on when it cleans up, which is another moment in each run.
        """
        with self._database.read() as connection:
            rows = connection.execute(select(MESSAGES.c.id, MESSAGES.c.due_at).where(MESSAGES.c.state.in_(OPEN)))
            due = {row.id: row.due_at for row in rows}
        if len(set(due.values())) == len(due):
            return
        taken: set[datetime] = set()
        with self._database.write(Deed.PREPARE) as transaction:
            for message_id in filter(due.__contains__, self.message_ids()):
                moment = due[message_id]
                while moment in taken:
                    moment += timedelta(microseconds=1)
                taken.add(moment)
                if moment != due[message_id]:
                    transaction.execute(update(MESSAGES).where(MESSAGES.c.id == message_id).values(due_at=moment))

    def say(self, records: Sequence[tuple[str, str]]) -> None:
        """Customs says this of documents, (guid, code) each, in one envelope."""
        keys = self.judge.keys()
        self.told.update(guid for guid, _ in records)
        named = [(guid, keys.get(guid, "4401000001/X"), code) for guid, code in records]
        self.office.stream.append(returns(named, DXP_ID, self.clock.true, len(self.office.stream)))

    def refuse(self, message_id: str) -> None:
        """Customs says that a format check refuses a message (CEB900)."""
        self.told.add(message_id)
        self.office.stream.append(format_fault(message_id, DXP_ID, self.clock.true, len(self.office.stream)))

    def repeat(self, number: int) -> None:
        """Customs gives an envelope out once more."""
        if self.office.stream:
            self.office.stream.append(self.office.stream[number % len(self.office.stream)])

    def next_moment(self) -> timedelta:
        """How long until something of ours is due, by the database's clock."""
        with self._database.read() as connection:
            moments = [
                moment
                for query in (
                    select(MESSAGES.c.due_at, MESSAGES.c.lease_until).where(MESSAGES.c.state.in_(OPEN)),
                    select(BREAKERS.c.open_until, BREAKERS.c.probe_until),
                    select(LEASES.c.until, LEASES.c.until),
                )
                for row in connection.execute(query)
                for moment in row
                if moment is not None and moment > self.clock.read
            ]
        return min(moments, default=self.clock.read) - self.clock.read + _MOMENT

    def _look_after(self, worker: Worker) -> None:
        if worker.at is None:
            self.judge.probes.end(worker.name)

    def _connector(self, worker: Worker) -> Connector:
        return self.connectors[self.workers.index(worker)]

    def _stopping(self, worker: Worker) -> Callable[[], bool]:
        def is_stopping() -> bool:
            if worker.call is not None:  # it has just been written down
                self.judge.recorded(worker)
                worker.call = None
                worker.calls_left -= 1
            self._untie()
            return worker.calls_left <= 0

        return is_stopping

    def _document(self, is_poisoned: bool) -> Document:  # noqa: FBT001 - a property of the document, not a switch
        self._documents += 1
        number = f"{POISON if is_poisoned else 'RK'}{self._documents}"
        head = _HEAD | {"coElNo": number, "logisticsNo": f"YT{number}", "billNo": f"B{number}"}
        return Document(
            type="CEB215",
            business_key=f"4401000001/{number}",
            revision=1,
            app_type=AppType.NEW,
            app_time=self.clock.read,
            content=Content(head=head),
        )
