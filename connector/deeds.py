"""`Deed`: every commit and every write to a socket, by name; what a process may die before, or after.

Whoever opens a transaction or posts a request names what it does, so none can be left out. `Watch` is told before and
after each; the connector itself ignores it, a test that ends the process there does not.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Literal, TypeAlias


class Deed(StrEnum):
    """What cannot be taken back."""

    UPGRADE = "upgrade"
    """Commit: the schema of our own database."""
    ACTIVATE = "activate"
    """Commit: the log says that another configuration is in use."""
    CHECKPOINT = "checkpoint"
    """Commit: a signed checkpoint of the audit log."""
    LEASE = "lease"
    """Commit: a collection or a receipt stream is ours for a while, or given back."""
    COLLECT = "collect"
    """Commit: a page of source records with its cursor."""
    TRY_AGAIN = "try_again"
    """Commit: records that waited for another row, or for an operator, wait to be prepared again."""
    PREPARE = "prepare"
    """Commit: documents, signed messages, quarantine entries."""
    BREAKER = "breaker"
    """Commit: what a call for receipts came to, for the circuit breaker."""
    RECOVER = "recover"
    """Commit: messages whose sender is gone are in doubt; those past their deadline are parked."""
    CLAIM = "claim"
    """Commit: a message is claimed, its attempt row written."""
    SUBMIT = "submit"
    """Socket: a message goes to customs."""
    ASK = "ask"
    """Socket: queryMessage."""
    RECORD = "record"
    """Commit: what an attempt came to."""
    FETCH = "fetch"
    """Socket: fetchReceipts."""
    TAKE_RECEIPTS = "take_receipts"
    """Commit: a page of receipts with its cursor."""
    RESEND = "resend"
    """Commit: a message is queued again, split or asked about."""
    REVISE = "revise"
    """Commit: an operator's corrected record waits to be prepared."""
    SETTLE = "settle"
    """Commit: an operator settles a message in doubt, or closes a conflict."""
    EXPORT = "export"
    """Commit: the log says that evidence is handed out."""
    FORGET = "forget"
    """Commit: the name of a person is erased."""
    ARCHIVE = "archive"
    """Commit: payloads that stand in a file leave the database."""


Moment: TypeAlias = Literal["before", "after"]
"""Before a commit or the first byte of a request; after the commit returned or the last byte was handed over."""

Watch: TypeAlias = Callable[[Deed, Moment], None]
"""Is told of every deed; may end the process."""


def unwatched(_deed: Deed, _moment: Moment) -> None:
    """Watch nothing."""
