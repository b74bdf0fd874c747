"""Reading a receipt message (CEB214, CEB216, CEB900): by namespace, never by prefix. Pure.

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
from connector.messages.parser import Element, local_name, parse, validate
from connector.messages.receipts import Receipt


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
    for number, record in enumerate(root.iterchildren(f"{{{kind.namespace}}}{kind.record}"), start=1):
        try:
            receipts.append(_receipt(kind, record))
        except ValueError as error:
            problems.append(f"record {number}: {error}")
    return Parsed(receipts=tuple(receipts), problems=tuple(problems))


def _receipt(kind: ReceiptType, record: Element) -> Receipt:
    fields = {local_name(child): child.text or "" for child in record.iterchildren()}
    message_id = fields.get("oriCopMsgId")
    return Receipt(
        type=kind.name,
        answers=kind.answers,
        guid=fields["guid"].upper(),
        business_key=kind.business_key(fields),
        message_id=MessageId(message_id.lower()) if message_id else None,
        code=fields["returnStatus"].strip(),
        time=_time(fields["returnTime"]),
        info=fields["returnInfo"],
        pre_no=fields.get("preNo", ""),
        digest=_digest(record),
    )


def _digest(record: Element) -> str:
    try:
        # A copy has the namespaces that the record uses and no others: with thousands declared around it, each record
        # would take a twentieth of a second. The form is the same.
        canonical: bytes = etree.tostring(deepcopy(record), method="c14n", exclusive=True)
    except etree.C14NError:
        # A relative namespace URI: the schema lets it pass, Canonical XML knows no form of it.
        raise ValueError("it has no canonical form, so it cannot be told from others") from None
    return hashlib.sha256(canonical).hexdigest()


def _time(text: str) -> datetime:
    """returnTime: yyyyMMddHHmmssSSS, Beijing time."""
    try:
        if not re.fullmatch("[0-9]{17}", text):
            raise ValueError(text)  # noqa: TRY301 - told in the words below
        # Not strptime: it takes a month 13 for January, 3…, and ten times as long.
        moment = datetime.fromisoformat(f"{text[:8]}T{text[8:14]}.{text[14:]}")
        return moment.replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"returnTime {text!r} is no time of the form yyyyMMddHHmmssSSS") from None
