"""Writes the receipts that the office has planned, each the same way however often it is fetched.

A receipt message answers one incoming message at one stage, with a record for each document the office has something
new to say about. The elements stand in the default namespace, as in real receipts.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree
from sqlalchemy import Connection, Row, select

from connector.messages.catalogue import RECEIPT_TYPES, ReceiptType, fields_of, message_type_on_the_wire
from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import tag
from connector.messages.parser import Element
from connector.simulator import tables
from connector.simulator.archive import signed_data
from connector.simulator.door import OFFICE
from connector.simulator.rules import Verdict
from connector.simulator.stages import hchx_time, moment, return_time, words

FORMAT_FAULT_CODE = "-625001"
"""returnStatus of CEB900; the published code whose text is a failed format check."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, OFFICE)
_MOST_ORIGINAL = 1_000_000
"""Characters of the original message that a CEB900 repeats, so that it always fits into an envelope."""


def write_receipt(connection: Connection, planned: Row[Any]) -> str:
    """The DxpMsg of one planned receipt message.

    planned: message_id, stage, said_at, due_at and wrapping of the receipt; type, sender and format_fault of the
    message.
    """
    receipt = RECEIPT_TYPES["CEB900" if planned.format_fault else message_type_on_the_wire(planned.type).receipt]
    records = _format_fault(connection, planned) if planned.format_fault else _returns(connection, planned, receipt)
    envelope = Envelope(
        message_id=_guid(planned, f"envelope{_wrapping(planned)}"),
        sender=OFFICE,
        receiver=planned.sender,
        created=moment(planned.due_at if planned.wrapping else planned.said_at),
        message_type=receipt.root,
        data=_message(receipt, _guid(planned, f"message{_wrapping(planned)}"), records),
    )
    return seal(envelope).decode()


def _returns(connection: Connection, planned: Row[Any], receipt: ReceiptType) -> Iterator[Mapping[str, str]]:
    declarations = tables.declarations
    rows = connection.execute(
        select(declarations).where(declarations.c.message_id == planned.message_id).order_by(declarations.c.number)
    )
    for row in rows:
        stages = words(row.type, Verdict(code=row.code, info=row.info))
        if planned.stage >= len(stages):
            continue
        echo = json.loads(row.echo)
        word = stages[planned.stage]
        said_at = return_time(planned.said_at) if not receipt.rows else hchx_time(planned.said_at)
        info = word.info.replace("{guid}", echo.get("guid", ""))
        said = {receipt.status_field: word.code, receipt.time_field: said_at, receipt.info_field: info}
        yield echo | said | ({"FUNCTION_CODE": "R", "RESULT_INFO": info} if receipt.rows else {})


def _format_fault(connection: Connection, planned: Row[Any]) -> Iterator[Mapping[str, str]]:
    original = signed_data(connection, planned.message_id).decode(errors="replace")
    yield {
        "guid": _guid(planned, "record"),
        "returnStatus": FORMAT_FAULT_CODE,
        "returnInfo": f"报文校验失败，[{planned.format_fault}]",
        "returnTime": return_time(planned.said_at),
        "oriCopMsgId": planned.message_id,
        "oriMessageType": planned.type,
        "oriBizMessage": original[:_MOST_ORIGINAL],
    }


def _message(receipt: ReceiptType, guid: str, records: Iterator[Mapping[str, str]]) -> bytes:
    namespaces: Any = {None: receipt.namespace} if receipt.namespace else {}
    root = etree.Element(tag(receipt.namespace, receipt.root), nsmap=namespaces)
    if receipt.namespace:
        root.set("guid", guid)
        root.set("version", "1.0")
    for record in records:
        _add(root, receipt, receipt.record, record)
        if receipt.rows and record["RESULT_INFO"]:
            _add(root, receipt, receipt.rows, record)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _add(root: Element, receipt: ReceiptType, name: str, values: Mapping[str, str]) -> None:
    parent = etree.SubElement(root, tag(receipt.namespace, name))
    for field in fields_of(receipt.schema, name):
        if field.name in values:
            child = etree.SubElement(parent, tag(receipt.namespace, field.name))
            child.text = values[field.name][: field.max_length]


def _wrapping(planned: Row[Any]) -> str:
    """What tells a second envelope around the same records from the first."""
    return f"/{planned.wrapping}" if planned.wrapping else ""


def _guid(planned: Row[Any], role: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{planned.message_id}/{planned.stage}/{role}")).upper()
