"""A program that only commits: several threads, the connector's own database and stage functions, no network.

``python -m tests.campaigns.power_loss_writer FOLDER SEED COMMITS``. After each commit it writes one line to
``connector.db-acknowledged``: what is there now, and must never be lost again (`Acknowledged` reads it).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState, MessageId, SignedMessage
from connector.messages.documents import AppType, Content, Document
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import documents, queue
from connector.outbox.delivery import Step
from connector.outbox.documents import Origin
from connector.outbox.queue import Claim, NewMessage
from connector.sources import inbox
from connector.storage import schema
from connector.storage.database import Database, now_by_database

THREADS = 3
_PARTS = 3
"""How often the database is closed and opened again: its write-ahead log is removed and begun anew."""
_MOST_BYTES = 40_000


class _ChangedItsMind(Exception):
    """Ends a transaction that must leave nothing."""


@dataclass(slots=True)
class _Worker:
    """One thread's share of the work."""

    database: Database
    acknowledge: Callable[[dict[str, object]], None]
    random: Random
    name: str
    made: int = 0

    def work(self, commits: int) -> None:
        """Commit so many times."""
        done = 0
        while done < commits:
            if self.random.random() < 0.1:
                self._begin_and_roll_back()
            if self.random.random() < 0.5:
                self._take_in()
                done += 1
            elif claim := self._claim():
                self._record(claim)
                done += 2

    def _take_in(self) -> None:
        with self.database.write(Deed.PREPARE) as transaction:
            said = self._store(transaction)
        self.acknowledge(said)

    def _begin_and_roll_back(self) -> None:
        name, self.name = self.name, "rolled-back"
        with suppress(_ChangedItsMind), self.database.write(Deed.PREPARE) as transaction:
            self._store(transaction)
            raise _ChangedItsMind
        self.name = name

    def _store(self, transaction: Connection) -> dict[str, object]:
        """Records with a document each, one message of them all, and the audit entries."""
        now = now_by_database(transaction)
        self.made += 1
        named = [f"{self.name}-{self.made}-{number}" for number in range(self.random.randint(1, 6))]
        records = [
            SourceRecord(key=SourceKey(collection="returns", key=name), changed_at=now, row={"text": self._text(2000)})
            for name in named
        ]
        inbox.store(transaction, records, now=now)
        ids = {inbox.key_of(transaction, one.id).key: one.id for one in _all_waiting(transaction)}
        made = [
            Document(
                type="CEB213",
                business_key=f"A/{name}",
                revision=1,
                app_type=AppType.NEW,
                app_time=now,
                content=Content(head={"coElNo": name, "note": self._text(2000)}),
            )
            for name in named
        ]
        origins = [
            Origin(record_id=ids[name], mapping="m 1", mapping_digest="", waybill="", export_list="") for name in named
        ]
        documents.add(transaction, list(zip(made, origins, strict=True)))
        inbox.mark_prepared(transaction, [ids[name] for name in named])
        message = NewMessage(
            id=MessageId(f"M-{self.name}-{self.made}"),
            type="CEB213",
            signed=SignedMessage(xml=self._text(_MOST_BYTES).encode(), key_id="k", suite="rsa-sha1"),
            body=self._text(_MOST_BYTES).encode(),
            guids=tuple(document.guid for document in made),
        )
        queue.add(transaction, [message], now=now)
        entries = [Entry(event=Event.COLLECTED, source_key=f"returns/{name}") for name in named]
        entries += [Entry(event=Event.MAPPED, business_key=one.business_key, message_id=message.id) for one in made]
        entries.append(Entry(event=Event.SIGNED, message_id=message.id))
        log.append(transaction, entries, actor=self.name, time=now)
        return {"records": named, "documents": [one.guid for one in made], "messages": [message.id]}

    def _claim(self) -> Claim | None:
        with self.database.write(Deed.CLAIM) as transaction:
            now = now_by_database(transaction)
            claim = queue.claim(transaction, "send", now=now, lease=timedelta(hours=1))
            if claim is not None:
                entry = Entry(event=Event.ATTEMPTED, message_id=claim.message_id, detail={"attempt": claim.number})
                log.append(transaction, [entry], actor=self.name, time=now)
        if claim is not None:
            self.acknowledge({"attempts": [[claim.message_id, claim.number]]})
        return claim

    def _record(self, claim: Claim) -> None:
        delivered = self.random.random() < 0.5
        with self.database.write(Deed.RECORD) as transaction:
            now = now_by_database(transaction)
            step = Step(
                state=DeliveryState.DELIVERED if delivered else DeliveryState.PENDING,
                info=self._text(100),
                due_at=now,
                settle_at=now,
            )
            outcome = "taken_in" if delivered else "not_sent"
            queue.record(transaction, claim, step, outcome=outcome, response=self._text(9000).encode(), now=now)
            entry = Entry(event=Event.ANSWERED, message_id=claim.message_id, detail={"attempt": claim.number})
            log.append(transaction, [entry], actor=self.name, time=now)
        self.acknowledge({"outcomes": [[claim.message_id, claim.number]]})

    def _text(self, most: int) -> str:
        return self.random.randbytes(self.random.randint(1, most // 2)).hex()


def _all_waiting(transaction: Connection) -> list[inbox.StoredRecord]:
    return inbox.waiting(transaction, "returns", after=0, at_most=100)


def main(folder: Path, seed: int, commits: int) -> None:
    """Make the database and commit to it so many times, in several threads."""
    file = folder / "connector.db"
    acknowledged = os.open(f"{file}-acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(said: dict[str, object]) -> None:
        os.write(acknowledged, json.dumps(said).encode() + b"\n")

    share = commits // _PARTS // THREADS
    for part in range(_PARTS):
        database = Database(f"sqlite:///{file}")
        if part == 0:
            acknowledge({"schema": schema.upgrade(database)})
        workers = [
            _Worker(database, acknowledge, Random(seed * 100 + part * 10 + number), f"{part}-{number}")
            for number in range(THREADS)
        ]
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda worker: worker.work(share), workers))
        database.close()
    os.close(acknowledged)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
