"""The office's books about the documents of one message: what it holds under each key, and who has taken which goods.

Opened from the tables for one message, changed document by document in their order, so that of two that want the same
goods the first one gets them, and written back. The identity rules live here: a key that is held is not declared again,
and it is free again once its rejection has been said::

    books = open_books(connection, declarations)
    verdicts = [books.judge(declaration, number, codes, schedule) for number, declaration in …]
    close_books(connection, books, …)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select

from connector.messages.documents import AppType
from connector.simulator import export_lists, tables
from connector.simulator.declarations import Declaration
from connector.simulator.rules import (
    ACCEPTED,
    Amounts,
    Verdict,
    already_declared,
    judge,
    not_declarant,
    nothing_to_change,
)
from connector.simulator.stages import Schedule, words


@dataclass(slots=True, kw_only=True)
class Document:
    """What the ledger says about one business key."""

    declaration: int
    """Number of the declaration that the office goes by."""
    free_at: int | None
    """When the key is free to be declared again, in milliseconds; None while a declaration holds it."""
    times_received: int
    times_accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The documents, original export lists and shares of them that one message touches."""

    ledger: dict[str, Document]
    """By business key."""
    originals: Mapping[str, export_lists.ExportList]
    """By invtNo; unknown ones are missing."""
    shares: dict[tuple[str, int], dict[str, Amounts]]
    """Who has taken how much of a line: (invtNo, gnum) -> business key -> amounts."""

    def judge(
        self, declaration: Declaration, number: int, enterprise_codes: frozenset[str], schedule: Schedule
    ) -> Verdict:
        """Give the verdict on a document and enter what follows from it.

        number: of the declaration; enterprise_codes: whom the sender may declare for.
        """
        key, app_type = declaration.business_key, declaration.app_type
        document = self.ledger.get(key)
        held = document if document and (document.free_at is None or document.free_at >= schedule.received_at) else None
        verdict = self._verdict(declaration, enterprise_codes, held)
        document = document or Document(declaration=number, free_at=None, times_received=0, times_accepted=0)
        self.ledger[key] = document
        if verdict.is_acceptance:
            self._take(declaration)
            document.times_accepted += app_type == AppType.NEW
        if verdict.is_acceptance or not held:
            document.declaration = number
            stays = verdict.is_acceptance and app_type != AppType.DELETE
            document.free_at = None if stays else schedule.due_at(len(words(declaration.type, verdict)) - 1)
        return verdict

    def _verdict(self, declaration: Declaration, enterprise_codes: frozenset[str], held: Document | None) -> Verdict:
        key, app_type = declaration.business_key, declaration.app_type
        if declaration.declarant not in enterprise_codes:
            return not_declarant(key)
        if held and app_type == AppType.NEW:
            return already_declared(key)
        if not held and app_type != AppType.NEW:
            return nothing_to_change(key)
        if app_type == AppType.DELETE:
            return ACCEPTED
        original = self.originals.get(declaration.head.get("invtNo", ""))
        return judge(declaration, original, self._taken_by_others(key, original) if original else {})

    def _taken_by_others(self, key: str, original: export_lists.ExportList) -> dict[tuple[str, int], Amounts]:
        places = ((original.invt_no, line.gnum) for line in original.lines)
        return {
            place: sum((share for owner, share in self.shares.get(place, {}).items() if owner != key), Amounts())
            for place in places
        }

    def _take(self, declaration: Declaration) -> None:
        """Let a document have what it declares, instead of what its key had before."""
        key = declaration.business_key
        for shares in self.shares.values():
            shares.pop(key, None)
        if declaration.app_type == AppType.DELETE:
            return
        for line in declaration.lines if declaration.type == "CEB213" else ():
            shares = self.shares.setdefault((declaration.head["invtNo"], int(line["gnum"])), {})
            shares[key] = shares.get(key, Amounts()) + Amounts.of(line)


def open_books(connection: Connection, declarations: Iterable[Declaration]) -> Books:
    """Read what is on record about the keys and export lists of a message."""
    documents, returned = tables.documents, tables.returned
    names = {(declaration.type, declaration.business_key) for declaration in declarations}
    keys = {key for _, key in names}
    numbers = {one.head["invtNo"] for one in declarations if one.type == "CEB213"}
    ledger = connection.execute(
        select(documents).where(documents.c.type.in_({name for name, _ in names}), documents.c.business_key.in_(keys))
    )
    shares: dict[tuple[str, int], dict[str, Amounts]] = {}
    concerned = returned.c.invt_no.in_(numbers) | returned.c.business_key.in_(keys)
    for row in connection.execute(select(returned).where(concerned)) if numbers else ():
        amounts = Amounts(qty=Decimal(row.qty), qty1=Decimal(row.qty1), qty2=Decimal(row.qty2))
        shares.setdefault((row.invt_no, row.gnum), {})[row.business_key] = amounts
    return Books(
        ledger={
            row.business_key: Document(
                declaration=row.declaration,
                free_at=row.free_at,
                times_received=row.times_received,
                times_accepted=row.times_accepted,
            )
            for row in ledger
        },
        originals=export_lists.find(connection, numbers),
        shares=shares,
    )


def close_books(connection: Connection, books: Books, document_type: str) -> None:
    """Write the ledger rows and shares of a message back; its declarations are stored already."""
    ledger = [
        {
            "type": document_type,
            "business_key": key,
            "declaration": document.declaration,
            "free_at": document.free_at,
            "times_received": document.times_received,
            "times_accepted": document.times_accepted,
        }
        for key, document in books.ledger.items()
    ]
    connection.execute(insert(tables.documents).prefix_with("OR REPLACE"), ledger)
    if not books.shares:
        return
    connection.execute(delete(tables.returned).where(tables.returned.c.business_key.in_(books.ledger)))
    taken = [
        {
            "business_key": key,
            "invt_no": invt_no,
            "gnum": gnum,
            "qty": str(amounts.qty),
            "qty1": str(amounts.qty1),
            "qty2": str(amounts.qty2),
        }
        for (invt_no, gnum), shares in books.shares.items()
        for key, amounts in shares.items()
        if key in books.ledger
    ]
    if taken:
        connection.execute(insert(tables.returned), taken)
