"""The body of an entry: the exact bytes that are hashed, and the columns that are read off them.

Canonical JSON in UTF-8: keys sorted, no blanks, nothing escaped that need not be, empty fields left out::

    {"actor":"9c…","detail":{"version":1},"event":"collected","sequence":17,"source_key":"returns/42",
     "time":"2026-04-15T02:30:00.123456Z"}

The columns of the table are for queries. They say nothing that the body does not say, so that whoever alters one is
found by `connector.audit.verification`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connector.audit.events import Entry

KEY_COLUMNS = ("source_key", "document_type", "business_key", "message_id", "waybill", "export_list")
"""Whom an entry concerns; column, field and key of the body have one name."""


_quoted = json.encoder.encode_basestring


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_SORTED, _OTHER_KEYS, _NOT_A_NUMBER = True, False, False
# JSONEncoder makes one of these for each text, which takes as long as the text itself.
_encoder = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, _refuse, _quoted, None, ":", ",", _SORTED, _OTHER_KEYS, _NOT_A_NUMBER
)


def write(value: Mapping[str, object]) -> str:
    """The text of JSON of which there is only one way to write it."""
    return "".join(_encoder(value, 0))


def time_text(time: datetime) -> str:
    """An aware time as bodies have it: UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(entry: Entry, *, sequence: int, time: str, actor: str) -> bytes:
    """The body of an entry. time: as `time_text` writes it; actor: digest of the name."""
    head, tail = frame(sequence, time, entry.event.value, actor, [getattr(entry, name) for name in KEY_COLUMNS])
    return utf8(f"{head}{write(entry.detail)}{tail}")


def frame(sequence: int, time: str, event: str, actor: str, keys: Sequence[str]) -> tuple[str, str]:
    """What stands before and after the detail; keys: in the order of `KEY_COLUMNS`.

    Put together by hand: the encoder of JSON takes twice as long. Raises `TypeError` for what is no text.
    """
    source_key, document_type, business_key, message_id, waybill, export_list = keys
    business_key = f',"business_key":{_quoted(business_key)}' if business_key else ""
    document_type = f',"document_type":{_quoted(document_type)}' if document_type else ""
    export_list = f',"export_list":{_quoted(export_list)}' if export_list else ""
    message_id = f',"message_id":{_quoted(message_id)}' if message_id else ""
    source_key = f',"source_key":{_quoted(source_key)}' if source_key else ""
    waybill = f',"waybill":{_quoted(waybill)}' if waybill else ""
    head = f'{{"actor":{_quoted(actor)}{business_key},"detail":'
    tail = (
        f'{document_type},"event":{_quoted(event)}{export_list}{message_id},"sequence":{sequence}{source_key}'
        f',"time":{_quoted(time)}{waybill}}}'
    )
    return head, tail


def utf8(text: str) -> bytes:
    """The bytes of a body. What is no Unicode stands as an escape."""
    return text.encode("utf-8", "backslashreplace")


def code_of(detail: Mapping[str, Any]) -> str:
    """What customs said, where an entry tells of that."""
    return str(detail.get("code", ""))


def state_of(detail: Mapping[str, Any]) -> str:
    """What a message or document came to, where an entry tells of that."""
    return str(detail.get("delivery_state", detail.get("status", "")))


def digest_of_name(salt: bytes, name: str) -> str:
    """How a body names a person: without the salt, which stands beside the name, nobody can guess who it is."""
    return hashlib.sha256(salt + name.encode()).hexdigest()
