"""`Receipt` (回执): one thing customs said about a document or a message, and the status that receipts add up to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connector.messages.deliveries import MessageId


class CustomsStatus(StrEnum):
    """What the receipts of one revision add up to (specification: returnStatus of CEB214 and CEB216)."""

    NONE = "none"
    """Nothing said yet."""
    SAVED = "saved"
    """1 电子口岸已暂存."""
    DECLARING = "declaring"
    """2 申报中."""
    FORWARDED = "forwarded"
    """3 发送海关成功."""
    FORWARD_FAILED = "forward_failed"
    """4 发送海关失败."""
    STORED = "stored"
    """120 海关入库."""
    MANUAL_REVIEW = "manual_review"
    """300 待人工审核."""
    INSPECTION = "inspection"
    """500 查验."""
    HANDED_OVER = "handed_over"
    """505 移交."""
    SUSPENDED = "suspended"
    """600 挂起."""
    RELEASED = "released"
    """800 放行; final."""
    FINISHED = "finished"
    """399 海关审结; final."""
    REJECTED = "rejected"
    """100 海关退单 or CEB900; final, customs holds nothing under the key."""
    FAILED = "failed"
    """Below 0, 处理异常; final, customs holds nothing under the key."""
    UNKNOWN = "unknown"
    """A code that no published table holds; kept as it is."""

    @property
    def is_final(self) -> bool:
        """Nothing else is expected after it."""
        return self in _FINAL

    @property
    def may_be_declared_again(self) -> bool:
        """Customs holds nothing under the key, so a corrected revision goes out as new."""
        return self in {CustomsStatus.REJECTED, CustomsStatus.FAILED}


_FINAL = frozenset({CustomsStatus.RELEASED, CustomsStatus.FINISHED, CustomsStatus.REJECTED, CustomsStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One return record of a receipt message."""

    type: str
    """Type of the receipt message, e.g. ``CEB214``."""
    answers: tuple[str, ...]
    """Types of the documents it may answer, e.g. ``CEB213``; none for CEB900, which answers a message."""
    guid: str
    """The guid it echoes, upper case as ours are, empty where its type has none; matching decides whose it is."""
    business_key: str
    """Key fields joined by ``/``; empty for CEB900."""
    message_id: MessageId | None
    """CEB900: the message it refuses, lower case as our ids are."""
    code: str
    """returnStatus as it stands."""
    time: datetime
    """returnTime (Beijing time) in UTC."""
    info: str
    """returnInfo as it stands; the rows of an HCHX answer as text."""
    pre_no: str
    """preNo, the E-Port's number; often empty in early receipts."""
    digest: str
    """SHA-256 of the record's exclusive canonical form, lower-case hex: the same record is applied once."""
