"""`Judge`: what must hold in the model, looked at whenever a claim is made, a byte leaves, an outcome is written down
and a step ends. The sentences it raises bear the names that `tests.campaigns.model` gives them."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from connector.messages.deliveries import MessageId
from connector.outbox import endpoints
from connector.outbox.retry import QUESTION_PERIOD, QUESTIONS
from connector.storage.audit import AUDIT_ENTRIES
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS, DOCUMENTS, MESSAGE_BYTES, MESSAGE_DOCUMENTS, MESSAGES
from connector.storage.receipts import RECEIPT_CURSORS, RECEIPT_ENVELOPES
from tests.campaigns.model_breaker import Probes
from tests.campaigns.model_clock import Clock
from tests.campaigns.model_customs import SETTLE, Departure, Office, Question
from tests.campaigns.model_story import Story
from tests.campaigns.model_worker import Call, Worker

OPEN = ("pending", "sending", "in_doubt")
WAITS_FOR_OPERATOR = ("parked", "refused", "conflict")
HEARD = ("delivered", "refused")
"""What a receipt makes of a message, whoever is sending it."""


class Violated(AssertionError):
    """Something happened that must not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What can never change of a message."""

    digest: str
    """Of the signed bytes."""
    body: str
    """SHA-256 of the frozen body."""
    guids: tuple[str, ...]


class Judge:
    """Knows what has happened so far."""

    def __init__(self, database: Database, clock: Clock, office: Office) -> None:
        self._database = database
        self._clock = clock
        self._office = office
        self._story = Story()
        self.messages: dict[MessageId, Known] = {}
        self.figures: Counter[str] = Counter()
        self.probes = Probes()
        self._cursor = 0

    @property
    def unread(self) -> int:
        """Envelopes that we have not taken yet."""
        return len(self._office.stream) - self._cursor

    # Called in a worker's thread.

    def begins(self, worker: Worker, endpoint: str, message_id: MessageId | None) -> Call | None:
        """A call begins: its claim has just been committed."""
        with self._database.read() as connection:
            fault = self.probes.begin(worker.name, endpoint, endpoints.breaker(connection, endpoint), self._clock.read)
            _demand(not fault, fault)
            if message_id is None:
                return None
            row = _row(connection, message_id)
            attempt = _open_attempts(connection, message_id)
        self.figures["claims"] += 1
        _demand(len(attempt) == 1, f"message {message_id} has {len(attempt)} open attempts when it is claimed")
        until = row.lease_until
        _demand(until is not None and until > self._clock.read, f"message {message_id} is claimed without a lease")
        return Call(message_id=message_id, token=row.lease_token, attempt=attempt[0].number, jumps=self._clock.jumps)

    def guarded(self, worker: Worker) -> None:
        """A worker has looked for the last time, and found that it may send."""
        call = worker.call
        assert call is not None
        with self._database.read() as connection:
            row = _row(connection, call.message_id)
        _demand(_holds(row, call), f"stale holder: {worker.name} {_differs(row, call)}, and may send it")

    def departs(self, worker: Worker, departure: Departure) -> None:
        """The first byte of a message is about to leave.

        No look at the database is the same moment as the first byte. Between the two a receipt for an earlier copy
        may come: that copy left before a decision or a jump, or nothing would be sent again. Nobody else may have taken
        the message: its lease covers the whole call.
        """
        call, message_id = worker.call, departure.message_id
        assert call is not None
        self.figures["submits"] += 1
        with self._database.read() as connection:
            row = _row(connection, message_id)
            attempts = _attempts(connection, message_id)
        earlier = [one for one in self._office.departures if one.message_id == message_id]
        digest = hashlib.sha256(departure.body).hexdigest()
        _demand(digest == self.messages[message_id].body, f"bytes: message {message_id} is sent with other bytes")
        _demand(
            sum(one.kind == "send" and one.body_digest == digest for one in attempts) > len(earlier),
            f"attempt first: message {message_id} is sent without an attempt row of its own",
        )
        if departure.jumps == self._clock.jumps and not _holds(row, call):
            self.figures["heard_after_the_last_look"] += 1
            newest = max(one.number for one in attempts)
            _demand(
                row.state in HEARD and bool(earlier) and newest == call.attempt,
                f"stale holder: {worker.name} {_differs(row, call)}, and sends it",
            )
        self._look_for_blind_resend(departure)

    def recorded(self, worker: Worker) -> None:
        """A worker has written an outcome down; ``call.before`` is the message's row just before that."""
        call = worker.call
        assert call is not None
        self.probes.end(worker.name)
        if call.before is None:
            return
        with self._database.read() as connection:
            after = _row(connection, call.message_id)
        if call.before.lease_token != call.token or call.before.lease_until is None:
            self.figures["stale_holders"] += 1
            _demand(
                call.before == after,
                f"stale holder: {worker.name} changed message {call.message_id} from {call.before} to {after}",
            )

    def note_before(self, call: Call) -> None:
        """An outcome is about to be written down."""
        with self._database.read() as connection:
            call.before = _row(connection, call.message_id)

    def _look_for_blind_resend(self, departure: Departure) -> None:
        message_id = departure.message_id
        earlier = [one for one in self._office.departures if one.message_id == message_id]
        self.figures["resends"] += bool(earlier)
        questions = [one for one in self._office.questions if one.message_id == message_id and one.says_not_known]
        for one in earlier:
            if self._story.decided(message_id) > one.place or departure.jumps < self._clock.jumps:
                continue
            _demand(
                any(_resolves(question, one) for question in questions),
                f"blind resend: message {message_id} leaves at {self._clock.true}, though its connection ended at "
                f"{one.ends} and no question since {SETTLE} after that was answered with not known",
            )

    # Called after every step.

    def look(self) -> None:
        """Everything that must hold between two steps."""
        with self._database.read() as connection:
            rows = {row.id: row for row in connection.execute(select(MESSAGES))}
            self._meet(connection, sorted(rows.keys() - self.messages.keys()))
            self._look_at_bytes(connection, rows)
            self._look_at_attempts(connection, rows)
            self._look_at_receipts(connection)
            self._look_at_log(connection, rows)
        self._look_at_questions()
        self._look_at_ledger()

    def told(self) -> Counter[str]:
        """Figures."""
        return self.figures + self.probes.figures

    def keys(self) -> Mapping[str, str]:
        """Business keys by guid."""
        with self._database.read() as connection:
            return {row.guid: row.business_key for row in connection.execute(select(DOCUMENTS))}

    def states(self) -> dict[MessageId, Any]:
        """The row of each message."""
        with self._database.read() as connection:
            return {MessageId(row.id): row for row in connection.execute(select(MESSAGES))}

    def look_at_the_end(self) -> None:
        """Nothing is lost: every document is accepted once, or waits for an operator with a reason."""
        states = self.states()
        for message_id, row in states.items():
            _demand(row.state not in OPEN, f"liveness: message {message_id} is {row.state} for ever: {row.info}")
        carriers: dict[str, list[MessageId]] = defaultdict(list)
        for message_id, known in self.messages.items():
            for guid in known.guids:
                carriers[guid].append(message_id)
        for guid, inside in carriers.items():
            if self._office.accepted[guid]:
                continue
            rows = [states[message_id] for message_id in inside]
            waits = any(row.state in WAITS_FOR_OPERATOR and row.info for row in rows)
            ended = any(self._story.settled_closed(message_id) for message_id in inside)
            _demand(
                waits or ended, f"lost: document {guid} was not accepted; {[(r.id, r.state, r.info) for r in rows]}"
            )
            self.figures["waits_for_operator"] += 1

    def _meet(self, connection: Connection, new: Sequence[str]) -> None:
        found = []
        for message_id in new:
            part = MESSAGE_BYTES.c.message_id == message_id
            stored = connection.execute(select(MESSAGE_BYTES).where(part)).one()
            inside = select(MESSAGE_DOCUMENTS.c.guid).where(MESSAGE_DOCUMENTS.c.message_id == message_id)
            guids = tuple(connection.execute(inside.order_by(MESSAGE_DOCUMENTS.c.position)).scalars())
            known = Known(digest=_sha256(stored.xml), body=_sha256(stored.body), guids=guids)
            found.append((guids, MessageId(message_id), known))
        self.messages |= {message_id: known for _, message_id, known in sorted(found, key=lambda one: one[0])}

    def _look_at_bytes(self, connection: Connection, rows: Mapping[str, Any]) -> None:
        for stored in connection.execute(select(MESSAGE_BYTES)):
            known = self.messages[stored.message_id]
            same = (_sha256(stored.xml), _sha256(stored.body), rows[stored.message_id].digest)
            _demand(same == (known.digest, known.body, known.digest), f"bytes: those of {stored.message_id} changed")
        _demand(len(rows) == len(self.messages), "bytes: a message is gone")

    def _look_at_attempts(self, connection: Connection, rows: Mapping[str, Any]) -> None:
        started: dict[str, list[datetime]] = defaultdict(list)
        open_ones: Counter[str] = Counter()
        for row in connection.execute(select(ATTEMPTS).order_by(ATTEMPTS.c.message_id, ATTEMPTS.c.number)):
            open_ones[row.message_id] += row.ended_at is None
            if row.kind == "query":
                started[row.message_id].append(row.started_at)
        for message_id, count in open_ones.items():
            _demand(count <= 1, f"one claim: message {message_id} has {count} open attempts")
        for message_id, row in rows.items():
            if row.state == "sending":
                _demand(open_ones[message_id] == 1, f"one claim: {message_id} is being sent without an attempt")
        for message_id, moments in started.items():
            for first, later in zip(moments, moments[QUESTIONS:], strict=False):
                _demand(later >= first + QUESTION_PERIOD, f"questions: {message_id} was asked about 11 times an hour")

    def _look_at_questions(self) -> None:
        asked: dict[str, list[Question]] = defaultdict(list)
        for question in self._office.questions:
            asked[question.message_id].append(question)
        for message_id, questions in asked.items():
            for first, later in zip(questions, questions[QUESTIONS:], strict=False):
                _demand(
                    later.at >= first.at + QUESTION_PERIOD - timedelta(minutes=1) or later.jumps != first.jumps,
                    f"questions: customs was asked about {message_id} 11 times in an hour",
                )

    def _look_at_receipts(self, connection: Connection) -> None:
        cursor = connection.execute(select(RECEIPT_CURSORS.c.sequence)).scalar() or 0
        _demand(cursor >= self._cursor, f"receipts: the cursor went back from {self._cursor} to {cursor}")
        kept = connection.execute(select(func.count()).select_from(RECEIPT_ENVELOPES)).scalar_one()
        _demand(kept == cursor, f"receipts: {kept} envelopes are kept, the cursor is at {cursor}")
        self._cursor = cursor

    def _look_at_log(self, connection: Connection, rows: Mapping[str, Any]) -> None:
        table = AUDIT_ENTRIES.c
        new = connection.execute(
            select(AUDIT_ENTRIES).where(table.sequence > self._story.length).order_by(table.sequence)
        )
        for entry in new:
            fault = self._story.tell(entry, self._office.place())
            _demand(not fault, fault)
        count = connection.execute(select(func.count()).select_from(AUDIT_ENTRIES)).scalar_one()
        _demand(count == self._story.length, f"audit: {count} entries are numbered 1 to {self._story.length}")
        for message_id, row in rows.items():
            told = self._story.states.get(message_id)
            _demand(told == row.state, f"audit: message {message_id} is {row.state}; the log says {told}")

    def _look_at_ledger(self) -> None:
        for guid, count in self._office.accepted.items():
            if count <= 1:
                continue
            carrying = [one for one in self._office.departures if guid in self.messages[one.message_id].guids]
            jumped = min(one.jumps for one in carrying) < self._clock.jumps
            _demand(jumped, f"double: document {guid} was accepted {count} times")


def _holds(row: Any, call: Call) -> bool:
    """Whether the claim of a call still holds."""
    return bool(row.state == "sending" and row.lease_token == call.token)


def _differs(row: Any, call: Call) -> str:
    return f"holds token {call.token} of message {row.id}, which is {row.state} with token {row.lease_token}"


def _resolves(question: Question, departure: Departure) -> bool:
    """Whether after this question the message may go again, as far as that request is concerned."""
    if question.place < departure.place:
        return False
    return question.at >= departure.ends + SETTLE or question.jumps > departure.jumps


def _row(connection: Connection, message_id: str) -> Any:
    return connection.execute(select(MESSAGES).where(MESSAGES.c.id == message_id)).one()


def _attempts(connection: Connection, message_id: str) -> Sequence[Any]:
    return connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.message_id == message_id)).all()


def _open_attempts(connection: Connection, message_id: str) -> Sequence[Any]:
    return [row for row in _attempts(connection, message_id) if row.ended_at is None]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _demand(holds: bool, sentence: str) -> None:  # noqa: FBT001 - what is demanded
    if not holds:
        raise Violated(sentence)
