"""`Office`: the simulated customs office without its wires; `server` puts HTTP in front of it.

Whatever it answers is committed before the answer leaves. Writers go one at a time, readers block nobody::

    office = Office(registry, lambda: datetime.now(UTC))
    answer = office.receive(body, content)
    issued, more = office.fetch_receipts("DXPENT0000011351", after=0, at_most=100)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from connector.signing.envelopes import SUITE, sign_envelope
from connector.signing.keyfiles import read_key
from connector.signing.signer import Signer
from connector.simulator import answers, enquiries, export_lists, tables
from connector.simulator.answers import Mark
from connector.simulator.archive import Arrival, Processed, last_place, note_request, store_query, store_request
from connector.simulator.door import Letter, Refusal, admit, open_envelope
from connector.simulator.enquiries import HeldMessage, Issued, LedgerEntry
from connector.simulator.intake import count_received, count_repeat, take_in
from connector.simulator.plan import Plan
from connector.simulator.registry import Registry
from connector.simulator.stages import Schedule, milliseconds

_ID_TAKEN = "[Code:2999;Desc:其他业务逻辑错误] 报文编号[{message_id}]已被另一报文使用"


class Office:
    """Takes messages in, judges them and gives out receipts; all its state is in its database."""

    def __init__(self, registry: Registry, clock: Callable[[], datetime]) -> None:
        """Open the database and bring the export lists up to date.

        clock: the present moment, aware. Raises `ConfigurationError` when a file of the registry cannot be used, and
        `SigningError` when its key cannot.
        """
        self._registry = registry
        self._clock = clock
        self._step = max(1, round(registry.delays.stage_seconds * 1000))
        self._writing = threading.Lock()
        self._engine = tables.open_database(registry.database)
        self._reader = tables.reading(self._engine)
        self._notebook = tables.open_database(registry.database, synchronous="NORMAL")
        self._plan = Plan(registry.faults)
        self._signer = _signer(registry)
        with self._engine.begin() as connection:
            export_lists.import_file(connection, registry.export_lists)
            self._place = last_place(connection)

    @property
    def plan(self) -> Plan:
        """What goes wrong here."""
        return self._plan

    def arrival(self, fault: str = "") -> Arrival:
        """A request that has just come, and which fault its peer gets."""
        return Arrival(at=milliseconds(self._clock()), fault=fault)

    def close(self) -> None:
        """Close the database."""
        self._notebook.dispose()
        self._engine.dispose()

    def receive(self, body: bytes, content: str, arrival: Arrival | None = None) -> str:
        """Take one submission and answer it with a mo document.

        body: the whole request, kept for tests; content: the DxpMsg in it; arrival: None when it comes just now.
        """
        now = self._clock()
        letter = open_envelope(content, self._registry)
        message_id, root = (None, "") if isinstance(letter, Refusal) else (letter.message_id, letter.type.wire_name)
        with self._writing, self._engine.begin() as connection:
            outcome = letter if isinstance(letter, Refusal) else self._receive(connection, letter, now)
            answer = answers.write(root, Mark.REFUSED, outcome.info, now) if isinstance(outcome, Refusal) else outcome
            store_request(
                connection,
                body=body,
                message_id=message_id,
                arrival=arrival or Arrival(at=milliseconds(now)),
                said=(Mark.REFUSED, outcome.info)
                if isinstance(outcome, Refusal)
                else (Mark.TAKEN_IN, answers.TAKEN_IN_TEXT),
                processed=self._processed(),
            )
        return answer

    def note_submission(self, body: bytes, content: str, arrival: Arrival) -> Arrival:
        """Note a submission without processing it; with the arrival it answers, it can be received later.

        content: the DxpMsg in it, empty where it could not be read.
        """
        letter = open_envelope(content, self._registry)
        message_id = None if isinstance(letter, Refusal) else letter.message_id
        with self._writing, self._engine.begin() as connection:
            return replace(arrival, number=note_request(connection, body=body, message_id=message_id, arrival=arrival))

    def _receive(self, connection: Connection, letter: Letter, now: datetime) -> str | Refusal:
        """Take a letter in, or find that it came before; only a message that was taken in owns its id."""
        messages = tables.messages
        known = connection.execute(select(messages).where(messages.c.id == letter.message_id)).one_or_none()
        if known and (known.digest, known.sender) == (letter.digest, letter.dxp_id):
            count_repeat(connection, letter)
            return str(known.answer)
        admitted = admit(letter)
        if isinstance(admitted, Refusal):
            return admitted
        if known:
            keys = {declaration.business_key for declaration in admitted.declarations}
            count_received(connection, letter.type.name, keys)
            return Refusal(info=_ID_TAKEN.format(message_id=letter.message_id))
        answer = answers.write(letter.type.wire_name, Mark.TAKEN_IN, answers.TAKEN_IN_TEXT, now)
        schedule = Schedule(received_at=milliseconds(now), step=self._step)
        take_in(connection, admitted, answer, schedule, self._plan)
        return answer

    def fetch_receipts(self, dxp_id: str, *, after: int, at_most: int) -> tuple[list[Issued], bool]:
        """Receipts of a sender that are due, above a sequence and in order, and whether there are more."""
        now = milliseconds(self._clock())
        with self._reader.connect() as connection:
            due = enquiries.due(connection, dxp_id, now)
        if due:
            with self._writing, self._engine.begin() as connection:
                enquiries.issue(connection, enquiries.due(connection, dxp_id, now))
        with self._reader.connect() as connection:
            issued, more = enquiries.fetch(connection, dxp_id, after, at_most)
        if self._signer is not None:
            issued = [
                replace(one, content=sign_envelope(one.content.encode(), self._signer).decode()) for one in issued
            ]
        return issued, more

    def find_message(self, dxp_id: str, message_id: str, arrival: Arrival | None = None) -> HeldMessage | None:
        """A message of a sender, None where the office has not taken it in.

        arrival: of the question; None when it comes just now. Question and answer are kept for tests, and the writers'
        turn is taken, so that every message is processed clearly before or clearly after the answer.
        """
        arrival = arrival or self.arrival()
        with self._writing, self._notebook.begin() as connection:
            found = enquiries.find_message(connection, dxp_id, message_id, milliseconds(self._clock()))
            store_query(
                connection,
                sender=dxp_id,
                message_id=message_id,
                arrival=arrival,
                processed=self._processed(),
                digest=found.digest if found else "",
            )
        return found

    def note_query(self, dxp_id: str, message_id: str, arrival: Arrival) -> None:
        """Note a question about a message without answering it."""
        with self._writing, self._notebook.begin() as connection:
            store_query(connection, sender=dxp_id, message_id=message_id, arrival=arrival, processed=None, digest="")

    def find_documents(self, query: enquiries.DocumentQuery) -> tuple[list[LedgerEntry], bool]:
        """Ledger entries of a sender in order of business key, and whether there are more."""
        with self._reader.connect() as connection:
            return enquiries.find_documents(connection, query, milliseconds(self._clock()))

    def _processed(self) -> Processed:
        """What is done now, in its place; to be asked for only in a writer's turn."""
        self._place += 1
        return Processed(at=milliseconds(self._clock()), place=self._place)


def _signer(registry: Registry) -> Signer | None:
    if registry.signing is None:
        return None
    return Signer(read_key(SUITE, registry.signing.key_file, registry.signing.certificate_file))
