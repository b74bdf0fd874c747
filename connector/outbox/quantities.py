"""How much of the lines of original export lists our documents have taken.

A document counts from its first revision on, whether or not customs has answered, until customs holds nothing of it:
rejected, failed, or deleted there. Of a change that customs rejected, what it had accepted before counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, insert, select

from connector.messages.amounts import Amounts
from connector.messages.documents import AppType, Document
from connector.messages.receipts import CustomsStatus
from connector.storage.limits import portions
from connector.storage.outbox import DOCUMENT_LINES, DOCUMENTS

Taken: TypeAlias = Mapping[str, Mapping[int, Amounts]]
"""Business key -> number of the original line (gnum) -> what the document takes of it."""


def add(transaction: Connection, documents: Iterable[Document]) -> None:
    """Store what these revisions take."""
    rows = [
        {"guid": document.guid, "position": position, "gnum": int(line["gnum"])}
        | {name: line.get(name, "0") for name in ("qty", "qty1", "qty2")}
        for document in documents
        for position, line in enumerate(document.content.lines)
    ]
    if rows:
        transaction.execute(insert(DOCUMENT_LINES), rows)


def taken(connection: Connection, message_type: str, export_lists: Sequence[str]) -> dict[str, Taken]:
    """What the documents of one type take of each of these export lists (invtNo)."""
    line, document = DOCUMENT_LINES.c, DOCUMENTS.c
    revisions: dict[tuple[str, str], list[Any]] = defaultdict(list)
    lines: dict[str, dict[int, Amounts]] = defaultdict(lambda: defaultdict(Amounts))
    for some in portions(sorted(set(export_lists))):
        query = (
            select(
                document.guid, document.business_key, document.export_list, document.app_type, document.customs_status
            )
            .where(document.type == message_type, document.export_list.in_(some))
            .order_by(document.revision.desc())
        )
        for row in connection.execute(query):
            revisions[row.export_list, row.business_key].append(row)
        of_lines = (
            select(line.guid, line.gnum, line.qty, line.qty1, line.qty2)
            .join(DOCUMENTS, document.guid == line.guid)
            .where(document.type == message_type, document.export_list.in_(some))
        )
        for row in connection.execute(of_lines):
            lines[row.guid][row.gnum] += Amounts.of({"qty": row.qty, "qty1": row.qty1, "qty2": row.qty2})
    found: dict[str, dict[str, Mapping[int, Amounts]]] = defaultdict(dict)
    for (export_list, key), newest_first in revisions.items():
        if guid := _standing(newest_first):
            found[export_list][key] = lines[guid]
    return dict(found)


def _standing(newest_first: Sequence[Any]) -> str:
    """The revision that customs holds or may hold; empty where it holds none."""
    for row in newest_first:
        status = CustomsStatus(row.customs_status)
        if status.may_be_declared_again:
            continue
        return "" if row.app_type == AppType.DELETE and status.is_final else str(row.guid)
    return ""
