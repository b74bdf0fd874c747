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
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connector.audit.events import Entry

KEY_COLUMNS = ("source_key", "document_type", "business_key", "message_id", "waybill", "export_list")
"""Whom an entry concerns; column, field and key of the body have one name."""


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_SORTED, _OTHER_KEYS, _NOT_A_NUMBER = True, False, False
# JSONEncoder makes one of these for each text, which takes as long as the text itself.
_encoder = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, _refuse, json.encoder.encode_basestring, None, ":", ",", _SORTED, _OTHER_KEYS, _NOT_A_NUMBER
)


def write(value: Mapping[str, object]) -> str:
    """The text of JSON of which there is only one way to write it."""
    return "".join(_encoder(value, 0))


def time_text(time: datetime) -> str:
    """An aware time as bodies have it: UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(entry: Entry, *, sequence: int, time: str, actor: str) -> bytes:
    """The body of an entry. time: as `time_text` writes it; actor: digest of the name."""
    said = {
        "sequence": sequence,
        "time": time,
        "event": entry.event.value,
        "actor": actor,
        "detail": entry.detail,
    }
    return canonical(said | {name: value for name in KEY_COLUMNS if (value := getattr(entry, name))})


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON of which there is only one way to write it. What is no Unicode stands as an escape."""
    return write(value).encode("utf-8", "backslashreplace")


def code_of(detail: Mapping[str, Any]) -> str:
    """What customs said, where an entry tells of that."""
    return str(detail.get("code", ""))


def state_of(detail: Mapping[str, Any]) -> str:
    """What a message or document came to, where an entry tells of that."""
    return str(detail.get("delivery_state", detail.get("status", "")))


def digest_of_name(salt: bytes, name: str) -> str:
    """How a body names a person: without the salt, which stands beside the name, nobody can guess who it is."""
    return hashlib.sha256(salt + name.encode()).hexdigest()
