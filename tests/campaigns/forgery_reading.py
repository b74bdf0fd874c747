"""What readers would make of an envelope of which nothing is verified: it tells which mutants are worth counting.

Three readers: one as ours, by namespace and to the first comment; one that takes the last element of a name; and one
that goes by local names and takes all the text. A mutant counts when one of them would return another value than it
returns for the genuine envelope.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from connector.messages.namespaces import DXP
from connector.messages.parser import Element, local_name, schema_document

_VALUES = ("CopMsgId", "SenderId", "ReceiverId", "CreatTime", "MsgType")
_SCHEMA = etree.XMLSchema(schema_document("dxp"))

Text = Callable[[Element], str]
Values = tuple[object, ...]
"""Of the envelope, then of each receipt in it; empty where no receipt can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the three make of a document."""

    values: tuple[Values, Values, Values]
    is_valid: bool
    """By the schema of envelopes."""

    def tells_more_than(self, genuine: Reading) -> bool:
        """Whether a reader returns something, and something else than for the genuine envelope."""
        return any(own and own != other for own, other in zip(self.values, genuine.values, strict=True))


def read(data: bytes) -> Reading | None:
    """Read a document with the parser's usual settings; None where it is no XML."""
    try:
        root = etree.fromstring(data)
    except (etree.XMLSyntaxError, ValueError):
        return None
    exact = {name: root.findall(f".//{{{DXP}}}{name}") for name in (*_VALUES, "Data")}
    loose = {name: [one for one in root.iter(f"{{*}}{name}")] for name in (*_VALUES, "Data")}  # noqa: C416
    values = (_values(exact, 0, _short), _values(exact, -1, _short), _values(loose, 0, _whole))
    return Reading(values=values, is_valid=bool(_SCHEMA.validate(root)))


def _values(found: dict[str, list[Element]], which: int, text: Text) -> Values:
    if not found["Data"]:
        return ()
    try:
        data = b64decode("".join(text(found["Data"][which]).split()), validate=True)
        message = etree.fromstring(data)
    except (etree.XMLSyntaxError, ValueError):
        return ()
    records = tuple(tuple((local_name(one), text(one)) for one in record.iterchildren("*")) for record in message)
    if not any(records):
        return ()
    envelope = (text(found[name][which]) if found[name] else "" for name in _VALUES)
    return (*envelope, message.tag, *records)


def _short(element: Element) -> str:
    return element.text or ""


def _whole(element: Element) -> str:
    return "".join(str(one) for one in element.itertext())
