"""Whether a freshly mapped content goes out, decided by what was sent under its business key before. Pure.

==========================================  =======================================================
newest revision of the key                  a content that differs from it
==========================================  =======================================================
none                                        goes out as revision 1
rejected or failed; or customs has said     goes out as the next revision: customs holds nothing
nothing of it, and every message that
carried it was refused or closed
on its way or unanswered                    waits until customs has answered
accepted                                    waits for an operator: never changed by itself
==========================================  =======================================================

The same content as the newest revision never goes out again by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from connector.messages.receipts import CustomsStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The newest revision of a business key."""

    guid: str
    number: int
    content_digest: str
    status: CustomsStatus
    is_carried: bool
    """Whether a message carries it that was neither refused nor closed."""


class Verdict(Enum):
    """What becomes of a mapped content."""

    SEND = auto()
    """It goes out as the next revision, as new."""
    NOTHING = auto()
    """It is what was sent last."""
    WAIT_FOR_ANSWER = auto()
    """It differs from what customs has not answered yet."""
    WAIT_FOR_OPERATOR = auto()
    """It differs from what customs has accepted."""


def judge(newest: Revision | None, content_digest: str) -> Verdict:
    """Decide by the rules above."""
    if newest is None:
        return Verdict.SEND
    if newest.content_digest == content_digest:
        return Verdict.NOTHING
    if newest.status.may_be_declared_again:
        return Verdict.SEND
    if newest.status.is_final:
        return Verdict.WAIT_FOR_OPERATOR
    is_unheard = newest.status is CustomsStatus.NONE and not newest.is_carried
    return Verdict.SEND if is_unheard else Verdict.WAIT_FOR_ANSWER
