"""One of the threads of the campaign `threads`: it commits what the stages commit, and counts what was committed.

A transaction reads before it writes, as the real ones do: the newest revision of a key before the next one, the message
that has been due longest before its claim, the last number of the log before the next entries.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import Connection, func, select

from connector.audit import log
from connector.audit import queries as audit
from connector.audit.events import Entry, Event
from connector.audit.queries import EntryFilter
from connector.deeds import Deed
from connector.messages.deliveries import DeliveryState, MessageId, SignedMessage
from connector.messages.documents import AppType, Content, Document
from connector.outbox import documents, queries, queue
from connector.outbox.delivery import Step
from connector.outbox.documents import Origin
from connector.outbox.queue import Claim, NewMessage
from connector.sources import inbox
from connector.storage.audit import AUDIT_ENTRIES
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS

TRANSACTIONS = 50
"""Of one thread in one trial."""
NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
_KEYS = 10
"""Business keys that all threads revise."""
_LEASE = timedelta(hours=1)

Transacted = Callable[[Connection], list[Entry]]
"""What a transaction does; the entries that the log gets of it."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """One thread: what it does, and what it counts of what was committed."""

    number: int
    database: Database
    random: Random
    figures: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Errors by what they said."""
    violations: list[str] = field(default_factory=list)
    held: list[Claim] = field(default_factory=list)
    """Messages that are ours to record."""

    @property
    def name(self) -> str:
        return f"thread {self.number}"

    def work(self) -> None:
        for _ in range(TRANSACTIONS):
            if self.random.random() < 0.3:
                self._guarded(self._look)
            if self.held and self.random.random() < 0.5:
                self._record(self.held[self.random.randrange(len(self.held))])
            elif self.random.random() < 0.6:
                self._claim()
            else:
                self._commit(Deed.PREPARE, "messages", self._prepare)

    def _look(self) -> None:
        """At any time the log is gapless and knows every claim there is."""
        with self.database.read() as connection:
            last = connection.execute(select(func.max(AUDIT_ENTRIES.c.sequence))).scalar() or 0
            count = audit.count(connection)
            claims = connection.execute(select(func.count()).select_from(ATTEMPTS)).scalar_one()
            entries = len(audit.entries(connection, EntryFilter(event=Event.ATTEMPTED)))
            queries.count_messages(connection)
        self.figures["reads"] += 1
        if last != count or claims != entries:
            seen = f"entries 1 to {last} are {count}, {claims} claims have {entries} entries"
            self.violations.append(f"a view showed half a transaction: {seen}")

    def _prepare(self, transaction: Connection) -> list[Entry]:
        key = f"A/{self.random.randrange(_KEYS)}"
        newest = documents.newest_revisions(transaction, "CEB213", [key]).get(key)
        document = Document(
            type="CEB213",
            business_key=key,
            revision=newest.number + 1 if newest else 1,
            app_type=AppType.NEW,
            app_time=NOW,
            content=Content(head={"coElNo": key}),
        )
        record_id = inbox.waiting(transaction, "returns", after=0, at_most=1)[0].id
        origin = Origin(record_id=record_id, mapping="m 1", mapping_digest="", waybill="", export_list="")
        documents.add(transaction, [(document, origin)])
        message = MessageId(str(uuid.UUID(int=self.random.getrandbits(128))))
        signed = SignedMessage(xml=self.random.randbytes(2_000), key_id="k", suite="rsa-sha1")
        new = NewMessage(id=message, type="CEB213", signed=signed, body=signed.xml * 2, guids=(document.guid,))
        queue.add(transaction, [new], now=NOW)
        return [
            Entry(event=Event.MAPPED, document_type="CEB213", business_key=key),
            Entry(event=Event.SIGNED, message_id=message),
        ]

    def _claim(self) -> None:
        claims: list[Claim] = []

        def claim(transaction: Connection) -> list[Entry]:
            taken = queue.claim(transaction, "send", now=NOW, lease=_LEASE)
            if taken is None:
                return self._prepare(transaction)
            claims.append(taken)
            detail = {"token": taken.token}
            return [Entry(event=Event.ATTEMPTED, message_id=taken.message_id, detail=detail)]

        if self._commit(Deed.CLAIM, "", claim):
            self.held += claims
            self.figures["claims" if claims else "messages"] += 1

    def _record(self, claim: Claim) -> None:
        is_taken_in = self.random.random() < 0.7
        state = DeliveryState.DELIVERED if is_taken_in else DeliveryState.PENDING
        step = Step(state=state, info="", due_at=NOW, settle_at=NOW)
        outcome = "taken_in" if is_taken_in else "not_sent"

        def record(transaction: Connection) -> list[Entry]:
            if not queue.record(transaction, claim, step, outcome=outcome, response=b"1", now=NOW):
                self.violations.append(f"{self.name} lost its claim {claim.token} of {claim.message_id} to another")
            detail = {"token": claim.token}
            return [Entry(event=Event.ANSWERED, message_id=claim.message_id, detail=detail)]

        if self._commit(Deed.RECORD, "records", record):
            self.held.remove(claim)

    def _commit(self, deed: Deed, figure: str, does: Transacted) -> bool:
        def transact() -> None:
            with self.database.write(deed) as transaction:
                entries = does(transaction)
                log.append(transaction, entries, actor=self.name, time=NOW)
            self.figures.update({"transactions": 1, "entries": len(entries)} | ({figure: 1} if figure else {}))

        return self._guarded(transact)

    def _guarded(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - any error is a finding, and the other threads go on
            self.failures[" ".join(str(error).split())[:300] or repr(error)] += 1
            return False
        return True
