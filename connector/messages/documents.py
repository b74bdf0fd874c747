"""`Document` (单证): one customs record, its permanent business key and its revisions.

Customs recognises a document by its business key and by nothing else, so the key is derived from the business and is
never released. What we send under it may change only where the revision rules allow; the guid of a revision follows
from type, key and number, so that it is the same however often it is computed.

>>> guid_of("CEB213", "4401000001/RK10098845", 1)
'8686472B-D69C-50BD-8F42-1D7836E4331A'
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from connector.messages.records import digest

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "http://www.chinaport.gov.cn/ceb")


class AppType(StrEnum):
    """What a revision asks customs to do (appType in the field tables)."""

    NEW = "1"
    """New: customs holds nothing under the key."""
    CHANGE = "2"
    """Change of an accepted document; only an operator causes it."""
    DELETE = "3"
    """Deletion of an accepted document; only an operator causes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a mapping says about one document: lexical XML values by element name, absent elements left out.

    guid, appType and appTime are not content: they belong to the revision.
    """

    head: Mapping[str, str]
    lines: tuple[Mapping[str, str], ...] = ()

    def to_json(self) -> str:
        """The canonical text that two revisions are compared by."""
        body = {"head": dict(self.head), "lines": [dict(line) for line in self.lines]}
        return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Content:
        """Read back what `to_json` wrote."""
        body: dict[str, Any] = json.loads(text)
        return cls(head=body["head"], lines=tuple(body["lines"]))

    def digest(self) -> str:
        """SHA-256 of the canonical text, lower-case hex."""
        return digest(self.to_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that two contents do not have in common; empty where it is absent."""

    field: str
    """``coElNo`` of the head, or ``lines[2].qty``, counted from 1."""
    then: str
    now: str


def differences(then: Content, now: Content) -> list[Difference]:
    """Where two contents differ: the head by name, then line by line.

    >>> differences(Content(head={"qty": "1"}), Content(head={"qty": "2"}))
    [Difference(field='qty', then='1', now='2')]
    """
    found = list(_differing("", then.head, now.head))
    nothing: Mapping[str, str] = {}
    for number, (before, after) in enumerate(zip_longest(then.lines, now.lines, fillvalue=nothing), start=1):
        found += _differing(f"lines[{number}].", before, after)
    return found


def _differing(place: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*then, *now}):
        before, after = then.get(name, ""), now.get(name, "")
        if before != after:
            yield Difference(field=f"{place}{name}", then=before, now=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One revision of one customs record."""

    type: str
    """Message type that carries it, e.g. ``CEB213``."""
    business_key: str
    """The key fields joined by ``/``, e.g. ``4401000001/RK10098845``."""
    revision: int
    """1 for the first; a document that customs rejected goes out again as the next one."""
    app_type: AppType
    app_time: datetime
    """When the revision was made, UTC."""
    content: Content

    @property
    def guid(self) -> str:
        """36 characters, upper case; the identity of this revision."""
        return guid_of(self.type, self.business_key, self.revision)


@lru_cache(maxsize=4096)  # a document is asked for it several times within one page of records
def guid_of(message_type: str, business_key: str, revision: int) -> str:
    """UUIDv5 of (type, key, revision), upper case as the field tables demand."""
    return str(uuid.uuid5(_NAMESPACE, f"{message_type}/{business_key}/{revision}")).upper()
