"""What the receipts of one revision add up to. Pure.

Receipts come late, twice and in any order, so the status is a fold over all of them, ordered by (time, stage): a final
status beats any other, among final ones the later wins. "Already declared" (…已经申报过…) answers a repeat, not the
document: it is kept and never changes the status.

>>> from datetime import UTC, datetime
>>> early, late = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)
>>> fold([Said(code="800", time=early, info="放行"), Said(code="120", time=late, info="入库")]).status.value
'released'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connector.messages.catalogue import RECEIPT_TYPES
from connector.messages.receipts import CustomsStatus

_STATUS = {code: status for kind in RECEIPT_TYPES.values() for code, status in kind.statuses.items()}
"""No two families use one code for different things."""

_REPEAT = re.compile("已经申报过")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The part of a receipt that the status depends on."""

    code: str
    time: datetime
    info: str
    is_format_check: bool = False
    """CEB900: the message was refused as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What customs has said so far."""

    status: CustomsStatus
    code: str
    info: str
    time: datetime | None


NOTHING_SAID = Standing(status=CustomsStatus.NONE, code="", info="", time=None)


def status_of(said: Said) -> CustomsStatus:
    """What one receipt alone says."""
    if said.is_format_check:
        return CustomsStatus.REJECTED
    stage = _stage(said.code)
    if stage is not None and stage < 0:
        return CustomsStatus.FAILED
    return _STATUS.get(said.code if stage is None else str(stage), CustomsStatus.UNKNOWN)


def fold(receipts: Iterable[Said]) -> Standing:
    """Add up the receipts of one revision, given in any order and any number of times."""
    standing = NOTHING_SAID
    for said in sorted(receipts, key=_order):
        if _REPEAT.search(said.info):
            continue
        status = status_of(said)
        if status.is_final or not standing.status.is_final:
            standing = Standing(status=status, code=said.code, info=said.info, time=said.time)
    return standing


def _order(said: Said) -> tuple[datetime, int, str, str, bool]:
    stage = _stage(said.code)
    return said.time, stage if stage is not None else 0, said.code, said.info, said.is_format_check


def _stage(code: str) -> int | None:
    return int(code) if re.fullmatch(r"-?[0-9]{1,9}", code) else None
