"""Which receipts follow an incoming message, in which order, and when.

The office gives out one receipt message per incoming message and stage; each stage comes one delay after the one
before. A document that is refused early has fewer stages than its neighbours in the same message::

    CEB213 accepted   2 ── 3 ── 120 ── 800      rejected   2 ── 3 ── 100
    CEB215 accepted   2 ── 399                  rejected   2 ── 100    and so WOD101 and WOD201
    HCHX   accepted   A001                      rejected   A000, whatever is wrong
    a processing exception (below 0) is said at once and is the last word

Codes and texts as observed in practice; the specification's tables of returnStatus (CEB214, CEB216) name them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from connector.messages.catalogue import BEIJING
from connector.simulator.rules import Verdict

_SUBMITTED = Verdict(code="2", info="新增申报成功[{guid}]")
_FORWARDED = Verdict(code="3", info="发送海关成功")
_STORED = Verdict(code="120", info="[Code:1800;Desc:逻辑校验通过]")
_RELEASED = Verdict(code="800", info="[Code:2600;Desc:放行]")
_FINISHED = Verdict(code="399", info="海关审结")

_CEB = {"CEB213": ((_SUBMITTED, _FORWARDED), (_STORED, _RELEASED))}
_OTHERS = ((_SUBMITTED,), (_FINISHED,))
_HCHX_ACCEPTED = Verdict(code="A001", info="")
_HCHX_REJECTED = "A000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the receipts of one message are due. Times are milliseconds since 1970, as the tables hold them."""

    received_at: int
    step: int
    """Milliseconds between two stages; at least 1, because returnTime of one document must grow."""

    def due_at(self, stage: int) -> int:
        """When the receipt of a stage (from 0) is given out, which is also its returnTime."""
        return self.received_at + stage * self.step


def words(document_type: str, verdict: Verdict) -> tuple[Verdict, ...]:
    """What the office says about one document, stage by stage; ``{guid}`` in a text stands for the document's."""
    if document_type.startswith("HCHX_"):
        return (_HCHX_ACCEPTED if verdict.is_acceptance else Verdict(code=_HCHX_REJECTED, info=verdict.info),)
    if verdict.is_exception:
        return (verdict,)
    before, after = _CEB.get(document_type, _OTHERS)
    return (*before, *(after if verdict.is_acceptance else (verdict,)))


def said(document_type: str, verdict: Verdict, stage: int) -> Verdict:
    """The newest word about a document when its message has reached a stage."""
    all_words = words(document_type, verdict)
    return all_words[min(stage, len(all_words) - 1)]


def milliseconds(moment: datetime) -> int:
    """An aware moment as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """The UTC moment of so many milliseconds since 1970."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def return_time(milliseconds: int) -> str:
    """The 17 digits of returnTime, Beijing time.

    >>> return_time(0)
    '19700101080000000'
    """
    local = moment(milliseconds).astimezone(BEIJING)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03}"


def hchx_time(milliseconds: int) -> str:
    """MESSAGE_DATE of HCHX_DATA, Beijing time to the second."""
    return f"{moment(milliseconds).astimezone(BEIJING):%Y-%m-%dT%H:%M:%S}"
