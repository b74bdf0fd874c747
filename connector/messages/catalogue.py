"""The message types we know, and the shape of each as its schema in ``schemas/`` gives it.

A type says where its records lie and which fields make the business key; names, order, formats and occurrence of the
fields are read from the schema, so that mapping, builder and receipts never disagree with it. A new family is one
schema and its entries here. In the schemas the elements that hold fields have the complex type of their own name::

    >>> ceb215 = message_type("CEB215")
    >>> ceb215.business_key({"operatorCode": "4401000001", "coElNo": "RK10098845"})
    '4401000001/RK10098845'
    >>> ceb215.head_fields[5]
    Field(name='operatorCode', kind=<FieldKind.TEXT: 'text'>, required=True, min_length=1, max_length=18, \
total_digits=None, fraction_digits=None)

Facts: field tables of CEB213 to CEB216 and CEB900, edition 202205. WOD is a family of this project, HCHX_DATA one of
bonded warehouses: no public standard for operating data exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from lxml import etree

from connector.errors import UnreadableMessage, UsageError
from connector.messages.namespaces import CEB, WOD
from connector.messages.parser import Element, local_name, schema_document
from connector.messages.receipts import CustomsStatus
from connector.messages.records import digest

REVISION_FIELDS = ("guid", "appType", "appTime")
"""Fields that belong to the revision: the builder sets them where a type has them, a mapping never does."""

BEIJING = timezone(timedelta(hours=8))
"""The zone of every time that a message or receipt holds without one (appTime, returnTime)."""


class FieldKind(StrEnum):
    """What the text of a field stands for."""

    TEXT = "text"
    """Characters."""
    DECIMAL = "decimal"
    """A decimal number in plain notation."""
    INTEGER = "integer"
    """A whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One element that holds a value. None means that there is no such limit."""

    name: str
    kind: FieldKind
    required: bool
    min_length: int | None
    """Characters."""
    max_length: int | None
    """Characters."""
    total_digits: int | None
    fraction_digits: int | None


class Frame(StrEnum):
    """What stands around the records of a message."""

    SIGNED = "signed"
    """The root has guid and version; BaseTransfer and the signature follow the records."""
    BARE = "bare"
    """Nothing: the envelope around the message is signed instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """How a type tells its documents apart whose key follows from what they say: a change is a document of its own."""

    id_field: str
    """Head field of the key, which the connector sets."""
    corrects_field: str
    """Head field that names the document this one replaces."""
    reason_field: str
    """Head field that says why it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageType:
    """One kind of message that we send, and of the documents in it."""

    name: str
    """E.g. ``CEB213``."""
    root: str
    """Local name of the root element."""
    namespace: str
    """Empty for a family without one."""
    prefix: str
    """How we write the namespace."""
    schema: str
    """The packaged schema, without its ending."""
    record: str
    """The element of one document; empty where that is the root."""
    head: str = ""
    """The element that holds the fields; empty where the record does itself."""
    line: str = ""
    """The element of one goods line; empty where there are none."""
    key_fields: tuple[str, ...]
    """Head fields that customs recognises a document by, outermost first."""
    declarant_field: str
    """Head field of the enterprise that declares, whose key must sign."""
    waybill_field: str
    export_list_field: str
    """Head field of the original export list."""
    batch_limit: int
    """Documents in one message."""
    line_limit: int
    """Lines in one document."""
    receipt: str
    """The receipt type that answers it."""
    takes: bool = False
    """Whether its lines take qty, qty1 and qty2 of the lines (gnum) of the original export list."""
    frame: Frame = Frame.SIGNED
    envelope_type: str = ""
    """What the envelope calls it (MsgType); empty where that is the name of the root."""
    chain: Chain | None = None
    """None: the enterprise gives the key, and a change is a revision."""
    one_of: tuple[str, ...] = ()
    """Head fields of which at least one is there."""
    together: Mapping[str, str] = field(default_factory=dict)
    """Head field -> one that is there whenever it is."""
    site_field: str = ""
    """Head field of the supervised site; empty where there is none."""
    areas: Mapping[str, str] = field(default_factory=dict)
    """Field of a functional area -> field of the location that lies in it, both of the head or both of a line."""

    @property
    def own_fields(self) -> frozenset[str]:
        """Fields that the connector sets, a mapping never."""
        chain = self.chain
        return frozenset(REVISION_FIELDS) | ({chain.id_field, chain.corrects_field} if chain else set())

    @property
    def is_revisable(self) -> bool:
        """Whether customs can be asked to change or delete a document (appType)."""
        return any(one.name == "appType" for one in self.head_fields)

    @property
    def wire_name(self) -> str:
        """What its envelope says that it holds (MsgType)."""
        return self.envelope_type or self.root

    @property
    def head_fields(self) -> tuple[Field, ...]:
        """The fields of one document in the order of the schema, revision fields included."""
        return fields_of(self.schema, self.head or self.record)

    @property
    def line_fields(self) -> tuple[Field, ...]:
        """The fields of one line in the order of the schema."""
        return fields_of(self.schema, self.line) if self.line else ()

    def business_key(self, head: Mapping[str, str]) -> str:
        """The key fields joined by ``/``; the head must hold them all."""
        return _key(self.key_fields, head)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptType:
    """One kind of receipt message that customs sends."""

    name: str
    root: str
    namespace: str
    schema: str
    record: str
    """The element that holds the fields of one return record."""
    answers: tuple[str, ...]
    """The message types whose documents it answers; none for CEB900, which answers a message."""
    key_fields: tuple[str, ...]
    """Record fields that name the document answered; none for CEB900."""
    status_field: str = "returnStatus"
    time_field: str = "returnTime"
    info_field: str = "returnInfo"
    """Where the record has none, the texts of the rows that follow it."""
    rows: str = ""
    """The element of such a row; empty where there are none."""
    statuses: Mapping[str, CustomsStatus] = field(default_factory=lambda: RETURN_STATUS)
    """What its codes mean; any other below 0 is a failure."""

    def business_key(self, record: Mapping[str, str]) -> str:
        """The key fields joined by ``/``; empty for CEB900."""
        return _key(self.key_fields, record)


RETURN_STATUS: Mapping[str, CustomsStatus] = MappingProxyType(
    {
        "1": CustomsStatus.SAVED,
        "2": CustomsStatus.DECLARING,
        "3": CustomsStatus.FORWARDED,
        "4": CustomsStatus.FORWARD_FAILED,
        "100": CustomsStatus.REJECTED,
        "120": CustomsStatus.STORED,
        "300": CustomsStatus.MANUAL_REVIEW,
        "399": CustomsStatus.FINISHED,
        "500": CustomsStatus.INSPECTION,
        "505": CustomsStatus.HANDED_OVER,
        "600": CustomsStatus.SUSPENDED,
        "800": CustomsStatus.RELEASED,
    }
)
"""Specification 202205, returnStatus of CEB214 and CEB216. The codes grow with the stage."""

MESSAGE_TYPES: Mapping[str, MessageType] = MappingProxyType(
    {
        "CEB213": MessageType(
            name="CEB213",
            root="CEB213Message",
            namespace=CEB,
            prefix="ceb",
            schema="ceb213",
            record="InvtRefund",
            head="InvtRefundHead",
            line="InvtRefundList",
            key_fields=("agentCode", "coElNo"),
            declarant_field="agentCode",
            waybill_field="logisticsNo",
            export_list_field="invtNo",
            batch_limit=100,
            line_limit=100,
            receipt="CEB214",
            takes=True,
        ),
        "CEB215": MessageType(
            name="CEB215",
            root="CEB215Message",
            namespace=CEB,
            prefix="ceb",
            schema="ceb215",
            record="InvtRefundDetail",
            key_fields=("operatorCode", "coElNo"),
            declarant_field="operatorCode",
            waybill_field="logisticsNo",
            export_list_field="invtNo",
            batch_limit=100,
            line_limit=0,
            receipt="CEB216",
        ),
        "WOD101": MessageType(
            name="WOD101",
            root="WOD101Message",
            namespace=WOD,
            prefix="wod",
            schema="wod101",
            record="OperationEvent",
            key_fields=("eventId",),
            declarant_field="operatorCode",
            waybill_field="logisticsNo",
            export_list_field="invtNo",
            batch_limit=500,
            line_limit=0,
            receipt="WOD102",
            chain=Chain(id_field="eventId", corrects_field="correctsEventId", reason_field="reason"),
            one_of=("logisticsNo", "itemNo"),
            together={"qty": "unit"},
            site_field="siteCode",
            areas={"fromArea": "fromLocation", "toArea": "toLocation"},
        ),
        "WOD201": MessageType(
            name="WOD201",
            root="WOD201Message",
            namespace=WOD,
            prefix="wod",
            schema="wod201",
            record="StockSnapshot",
            head="StockSnapshotHead",
            line="StockSnapshotList",
            key_fields=("siteCode", "snapshotId"),
            declarant_field="operatorCode",
            waybill_field="",
            export_list_field="",
            batch_limit=1,
            line_limit=2000,
            receipt="WOD202",
            site_field="siteCode",
            areas={"area": "location"},
        ),
        **{
            f"HCHX_{line}": MessageType(
                name=f"HCHX_{line}",
                root="HCHX_DATA",
                namespace="",
                prefix="",
                schema="hchx",
                record="",
                head="TRANSMIT",
                line=line,
                key_fields=("SENDER_ID", "MESSAGE_ID"),
                declarant_field="SENDER_ID",
                waybill_field="",
                export_list_field="",
                batch_limit=1,
                line_limit=2000,
                receipt="HCHX_RESULT",
                frame=Frame.BARE,
                envelope_type=f"HCHX_{line}",
            )
            for line in ("STORE_TRANS", "STORE_AMOUNT")
        },
    }
)
"""By name: 出口退货申请单, 退货理货明细单（运抵）, and operating data, the last two of bonded sites."""

RECEIPT_TYPES: Mapping[str, ReceiptType] = MappingProxyType(
    {
        "CEB214": ReceiptType(
            name="CEB214",
            root="CEB214Message",
            namespace=CEB,
            schema="ceb214",
            record="RefundReturn",
            answers=("CEB213",),
            key_fields=("agentCode", "coElNo"),
        ),
        "CEB216": ReceiptType(
            name="CEB216",
            root="CEB216Message",
            namespace=CEB,
            schema="ceb216",
            record="InvtRefundDetailReturn",
            answers=("CEB215",),
            key_fields=("operatorCode", "coElNo"),
        ),
        "CEB900": ReceiptType(
            name="CEB900",
            root="CEB900Message",
            namespace=CEB,
            schema="ceb900",
            record="MessageReturn",
            answers=(),
            key_fields=(),
        ),
        "WOD102": ReceiptType(
            name="WOD102",
            root="WOD102Message",
            namespace=WOD,
            schema="wod102",
            record="OperationEventReturn",
            answers=("WOD101",),
            key_fields=("eventId",),
        ),
        "WOD202": ReceiptType(
            name="WOD202",
            root="WOD202Message",
            namespace=WOD,
            schema="wod202",
            record="StockSnapshotReturn",
            answers=("WOD201",),
            key_fields=("siteCode", "snapshotId"),
        ),
        "HCHX_RESULT": ReceiptType(
            name="HCHX_RESULT",
            root="HCHX_DATA",
            namespace="",
            schema="hchx-result",
            record="TRANSMIT",
            answers=("HCHX_STORE_TRANS", "HCHX_STORE_AMOUNT"),
            key_fields=("SENDER_ID", "MESSAGE_ID"),
            status_field="CHK_RESULT",
            time_field="MESSAGE_DATE",
            info_field="",
            rows="RESULT_LIST",
            statuses={"A001": CustomsStatus.FINISHED, "A000": CustomsStatus.REJECTED},
        ),
    }
)
"""By name: 退货申请单回执, 理货明细单回执, 报文格式校验回执, and the answers to operating data."""


def message_type(name: str) -> MessageType:
    """The message type of a name. Raises `UsageError` naming those there are."""
    try:
        return MESSAGE_TYPES[name]
    except KeyError:
        known = ", ".join(MESSAGE_TYPES)
        raise UsageError(f"there is no message type {name}", remedy=f"choose one of {known}") from None


def message_type_on_the_wire(name: str) -> MessageType:
    """The message type that envelopes call by this name (MsgType). Raises `UnreadableMessage`."""
    for known in MESSAGE_TYPES.values():
        if known.wire_name == name:
            return known
    raise _unknown_root(name)


def receipt_type(root: str) -> ReceiptType:
    """The receipt type whose root element has this local name. Raises `UnreadableMessage`."""
    for known in RECEIPT_TYPES.values():
        if known.root == root:
            return known
    raise _unknown_root(root)


@cache
def fields_of(schema: str, complex_type: str) -> tuple[Field, ...]:
    """The fields of one complex type of a packaged schema, in order."""
    types = _named_types(schema)
    return tuple(_field(element, types) for element in types[complex_type].iterfind("{*}sequence/{*}element"))


_KINDS = {
    "xs:string": FieldKind.TEXT,
    "xs:decimal": FieldKind.DECIMAL,
    "xs:int": FieldKind.INTEGER,
}

_LIMITS = frozenset({"length", "minLength", "maxLength", "totalDigits", "fractionDigits"})


@cache
def schema_digest(schema: str) -> str:
    """SHA-256 of a packaged schema with those it includes, comments left out; lower-case hex."""
    root = schema_document(schema).getroot()
    included = [one.get("schemaLocation", "").removesuffix(".xsd") for one in root if local_name(one) == "include"]
    return digest("".join([etree.tostring(root, method="c14n").decode(), *map(schema_digest, included)]))


@cache
def _named_types(schema: str) -> dict[str, Element]:
    """The named types of a schema and of those it includes."""
    root = schema_document(schema).getroot()
    types: dict[str, Element] = {}
    for child in root:
        if local_name(child) == "include":
            types |= _named_types(child.get("schemaLocation", "").removesuffix(".xsd"))
        elif local_name(child) in {"simpleType", "complexType"}:
            types[child.get("name", "")] = child
    return types


def _field(element: Element, types: Mapping[str, Element]) -> Field:
    limits: dict[str, int] = {}
    base = element.get("type", "")
    while base not in _KINDS:
        (restriction,) = types[base.rpartition(":")[2]]
        facets = {local_name(facet): facet.get("value", "") for facet in restriction}
        limits = {name: int(value) for name, value in facets.items() if name in _LIMITS} | limits
        base = restriction.get("base", "")
    return Field(
        name=element.get("name", ""),
        kind=_KINDS[base],
        required=element.get("minOccurs") != "0",
        min_length=limits.get("length", limits.get("minLength")),
        max_length=limits.get("length", limits.get("maxLength")),
        total_digits=limits.get("totalDigits"),
        fraction_digits=limits.get("fractionDigits"),
    )


def _key(fields: tuple[str, ...], values: Mapping[str, str]) -> str:
    return "/".join(values[name] for name in fields)


def _unknown_root(root: str) -> UnreadableMessage:
    return UnreadableMessage(
        f"no known message is called {root}",
        effect="the document is not used",
        remedy="a new message type needs a schema and an entry in the catalogue",
    )
