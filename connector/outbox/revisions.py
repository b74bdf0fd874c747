"""Whether a freshly mapped content goes out, decided by what was sent under its business key before. Pure.

==========================================  =======================================================
newest revision of the key                  a content that differs from it
==========================================  =======================================================
none                                        goes out as revision 1
rejected or failed; or customs has said     goes out as the next revision: customs holds nothing
nothing of it, and every message that
carried it was refused or closed
on its way or unanswered                    waits until customs has answered
accepted, or a change or deletion of what   waits for an operator: never changed by itself
was accepted, whatever customs said to it
deleted at customs                          waits for an operator, also the same content where a later
                                            version of the record says it
==========================================  =======================================================

The same content as the newest revision never goes out again by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from connector.messages.documents import AppType
from connector.messages.receipts import CustomsStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The newest revision of a business key."""

    guid: str
    number: int
    app_type: AppType
    content_digest: str
    status: CustomsStatus
    is_carried: bool
    """Whether a message carries it that was neither refused nor closed."""
    record_id: int
    """The stored version of the source record that it was made of; later ones have higher numbers."""

    @property
    def is_unheard(self) -> bool:
        """Whether customs never got it, and does not get it either."""
        return self.status is CustomsStatus.NONE and not self.is_carried

    @property
    def is_unanswered(self) -> bool:
        """Whether customs may still say what becomes of it."""
        return not (self.status.is_final or self.is_unheard)

    @property
    def is_deleted(self) -> bool:
        """Whether customs has deleted what it held under the key."""
        return self.app_type is AppType.DELETE and self.status.is_final and not self.status.may_be_declared_again

    @property
    def is_held(self) -> bool:
        """Whether customs has accepted something under the key and still holds it."""
        match self.app_type:
            case AppType.NEW:
                return self.status.is_final and not self.status.may_be_declared_again
            case AppType.CHANGE:  # turned down or never heard of, what was accepted before still counts
                return self.status.is_final or self.is_unheard
            case AppType.DELETE:
                return (self.status.is_final or self.is_unheard) and not self.is_deleted


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
    WAIT_TO_BE_DECLARED_ANEW = auto()
    """Customs has deleted what it held, and the record still says it."""


def judge(newest: Revision | None, content_digest: str, record_id: int) -> Verdict:
    """Decide by the rules above.

    record_id: the stored version of the record that says the content.
    """
    if newest is None:
        return Verdict.SEND
    if newest.is_deleted and (newest.content_digest != content_digest or newest.record_id < record_id):
        return Verdict.WAIT_TO_BE_DECLARED_ANEW
    if newest.content_digest == content_digest:
        return Verdict.NOTHING
    if newest.is_unanswered:
        return Verdict.WAIT_FOR_ANSWER
    is_free = newest.status.may_be_declared_again or newest.is_unheard
    return Verdict.SEND if is_free and newest.app_type is AppType.NEW else Verdict.WAIT_FOR_OPERATOR
