"""The proof that one entry is in the log, as a text that is complete in itself.

The format is C2SP's (https://c2sp.org/tlog-proof), with the body of the entry as its extra data::

    c2sp.org/tlog-proof@v1
    extra eyJhY3RvciI6…
    index 16
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=

    wms.example.com/log
    4711
    4FzYqLQpTrOcKBQ…=

    — wms.example.com/log 1kpZ…
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIRST_LINE = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """What proves one entry to whoever has the public key of the log."""

    index: int
    """Counted from 0."""
    body: bytes
    """The entry, exactly as it was hashed."""
    hashes: Sequence[bytes]
    """From the leaf upwards."""
    note: str
    """The signed checkpoint."""

    @property
    def text(self) -> str:
        """As it is handed out."""
        return "".join(f"{line}\n" for line in self._lines()) + f"\n{self.note}"

    def _lines(self) -> Iterator[str]:
        yield FIRST_LINE
        yield f"extra {_base64(self.body)}"
        yield f"index {self.index}"
        yield from map(_base64, self.hashes)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
