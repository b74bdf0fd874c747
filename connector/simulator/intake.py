"""Takes one admitted message in: its row, its documents with their verdicts, and the plan of its receipts.

All of it is written in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from connector.messages.catalogue import RECEIPT_TYPES, fields_of
from connector.simulator import tables
from connector.simulator.books import close_books, open_books
from connector.simulator.declarations import Declaration
from connector.simulator.door import Admitted, Letter
from connector.simulator.plan import Plan
from connector.simulator.rules import Verdict
from connector.simulator.stages import Schedule, return_time, words

_PRE_NO_LETTER = {"CEB213": "B", "CEB215": "O"}


def take_in(connection: Connection, admitted: Admitted, answer: str, schedule: Schedule, plan: Plan) -> None:
    """Write a message whose id was not known before, its documents and the plan of its receipts."""
    letter = admitted.letter
    message = {
        "id": letter.message_id,
        "type": letter.type.wire_name,
        "sender": letter.dxp_id,
        "digest": letter.digest,
        "received_at": schedule.received_at,
        "times_received": 1,
        "answer": answer,
        "format_fault": admitted.format_fault,
        "fault": "",
    }
    connection.execute(insert(tables.messages), message)
    stages = 1 if admitted.format_fault else _enter(connection, admitted, schedule)
    planned, fault = plan.receipts(schedule, stages)
    if fault:
        connection.execute(update(tables.messages).where(tables.messages.c.id == letter.message_id).values(fault=fault))
    rows = [{"message_id": letter.message_id, "sender": letter.dxp_id} | asdict(one) for one in planned]
    connection.execute(insert(tables.receipts), rows)


def count_repeat(connection: Connection, letter: Letter) -> None:
    """Count a message that came again, byte for byte, and with it every document it carries."""
    messages, declarations = tables.messages, tables.declarations
    connection.execute(
        update(messages).where(messages.c.id == letter.message_id).values(times_received=messages.c.times_received + 1)
    )
    of_message = select(declarations.c.business_key).where(declarations.c.message_id == letter.message_id)
    count_received(connection, letter.type.name, set(connection.scalars(of_message)))


def count_received(connection: Connection, document_type: str, keys: Collection[str]) -> None:
    """Count one more request that carried these keys, where the ledger has them."""
    documents = tables.documents
    connection.execute(
        update(documents)
        .where(documents.c.type == document_type, documents.c.business_key.in_(keys))
        .values(times_received=documents.c.times_received + 1)
    )


def _enter(connection: Connection, admitted: Admitted, schedule: Schedule) -> int:
    """Judge the documents and write what follows; the answer is how many stages of receipts there will be."""
    declarations, letter = admitted.declarations, admitted.letter
    books = open_books(connection, declarations)
    last = connection.scalar(select(func.max(tables.declarations.c.number))) or 0
    numbered = list(enumerate(declarations, start=last + 1))
    verdicts = [books.judge(one, number, admitted.enterprise_codes, schedule) for number, one in numbered]
    rows = [
        _row(letter, one, verdict, number, schedule) for (number, one), verdict in zip(numbered, verdicts, strict=True)
    ]
    connection.execute(insert(tables.declarations), rows)
    close_books(connection, books, letter.type.name)
    count_received(connection, letter.type.name, set(books.ledger))
    return max(len(words(letter.type.name, verdict)) for verdict in verdicts)


def _row(letter: Letter, declaration: Declaration, verdict: Verdict, number: int, schedule: Schedule) -> dict[str, Any]:
    receipt = RECEIPT_TYPES[letter.type.receipt]
    names = (field.name for field in fields_of(receipt.schema, receipt.record))
    echo = {name: declaration.head[name] for name in names if name in declaration.head}
    if not verdict.is_exception and declaration.type in _PRE_NO_LETTER:
        day = return_time(schedule.received_at)[:8]
        echo["preNo"] = f"{_PRE_NO_LETTER[declaration.type]}{day}{number % 10**9:09}"
    return {
        "number": number,
        "message_id": letter.message_id,
        "type": declaration.type,
        "business_key": declaration.business_key,
        "digest": declaration.digest,
        "app_type": declaration.app_type,
        "code": verdict.code,
        "info": verdict.info,
        "echo": json.dumps(echo, ensure_ascii=False),
    }
