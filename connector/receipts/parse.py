"""Reading a receipt message (CEB214, WOD102, HCHX_DATA, …): by namespace, never by prefix. Pure.

The schema is checked before anything is read. A code that no table holds is kept as it is.
"""

from __future__ import annotations

import hashlib
import re
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.catalogue import BEIJING, ReceiptType, receipt_type
from connector.messages.deliveries import MessageId
from connector.messages.namespaces import tag
from connector.messages.parser import Element, local_name, parse, texts, validate
from connector.messages.receipts import Receipt

_MOMENT = re.compile(r"[0-9]{8}T[0-9]{6}[.][0-9]{3}|[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What could be read from one receipt message; one bad record does not keep the others from being read."""

    receipts: tuple[Receipt, ...]
    """In the order of the message."""
    problems: tuple[str, ...]
    """What is wrong with each record that could not be read."""


def read_receipts(data: bytes, *, message_type: str = "") -> Parsed:
    """Read the return records of one receipt message.

    message_type: what its envelope says that it holds (MsgType); empty where that says nothing.

    Raises `UnreadableMessage` when the message as a whole is not one of the receipt types, or not valid.
    """
    root = parse(data)
    kind = receipt_type(local_name(root))
    if message_type not in {"", kind.root}:
        raise UnreadableMessage(f"its envelope says {message_type}, and it is {kind.root}")
    validate(root, kind.schema)
    receipts: list[Receipt] = []
    problems: list[str] = []
    rows = "; ".join(_words(row) for row in root.iterchildren(tag(kind.namespace, kind.rows))) if kind.rows else ""
    for number, record in enumerate(root.iterchildren(tag(kind.namespace, kind.record)), start=1):
        try:
            receipts.append(_receipt(kind, record, rows))
        except ValueError as error:
            problems.append(f"record {number}: {error}")
    return Parsed(receipts=tuple(receipts), problems=tuple(problems))


def _receipt(kind: ReceiptType, record: Element, rows: str) -> Receipt:
    fields = texts(record)
    message_id = fields.get("oriCopMsgId")
    return Receipt(
        type=kind.name,
        answers=kind.answers,
        guid=fields.get("guid", "").upper(),
        business_key=kind.business_key(fields),
        message_id=MessageId(message_id.lower()) if message_id else None,
        code=fields[kind.status_field].strip(),
        time=_time(kind.time_field, fields[kind.time_field]),
        info=fields.get(kind.info_field, rows),
        pre_no=fields.get("preNo", ""),
        digest=_digest(record),
    )


def _words(row: Element) -> str:
    return " ".join(text for text in texts(row).values() if text)


def _digest(record: Element) -> str:
    try:
        # A copy has the namespaces that the record uses and no others: with thousands declared around it, each record
        # would take a twentieth of a second. The form is the same.
        canonical: bytes = etree.tostring(deepcopy(record), method="c14n", exclusive=True)
    except etree.C14NError:
        # A relative namespace URI: the schema lets it pass, Canonical XML knows no form of it.
        raise ValueError("it has no canonical form, so it cannot be told from others") from None
    return hashlib.sha256(canonical).hexdigest()


def _time(name: str, text: str) -> datetime:
    """A Beijing time: yyyyMMddHHmmssSSS, or yyyy-MM-ddTHH:mm:ss as HCHX writes it."""
    try:
        # Not strptime: it takes a month 13 for January, 3…, and ten times as long.
        written = f"{text[:8]}T{text[8:14]}.{text[14:]}" if re.fullmatch("[0-9]{17}", text) else text
        if not _MOMENT.fullmatch(written):
            raise ValueError(text)  # noqa: TRY301 - told in the words below
        return datetime.fromisoformat(written).replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {text!r} is no time of the form yyyyMMddHHmmssSSS") from None
