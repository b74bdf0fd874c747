"""Writes what customs of the model says: envelopes with receipts of CEB215 documents, and with refusals of messages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from connector.messages.catalogue import BEIJING
from connector.messages.envelope import Envelope, seal


def returns(records: Sequence[tuple[str, str, str]], receiver: str, time: datetime, number: int) -> bytes:
    """An envelope with a receipt (CEB216) for each (guid, business key, code); number: its own, for its ids."""
    inside = "".join(_return(guid, key, code, _written(time)) for guid, key, code in records)
    return _sealed("CEB216Message", inside, receiver, time, number)


def format_fault(message_id: str, receiver: str, time: datetime, number: int) -> bytes:
    """An envelope that refuses a message as a whole (CEB900)."""
    inside = (
        f"<MessageReturn><guid>{uuid.UUID(int=number)}</guid><returnStatus>-625001</returnStatus>"
        f"<returnInfo>no</returnInfo><returnTime>{_written(time)}</returnTime><oriCopMsgId>{message_id}</oriCopMsgId>"
        f"<oriMessageType>CEB215Message</oriMessageType><oriBizMessage>x</oriBizMessage></MessageReturn>"
    )
    return _sealed("CEB900Message", inside, receiver, time, number)


def _return(guid: str, key: str, code: str, time: str) -> str:
    operator, _, number = key.partition("/")
    return (
        f"<InvtRefundDetailReturn><guid>{guid}</guid><operatorCode>{operator}</operatorCode>"
        f"<logisticsCode>4401980001</logisticsCode><logisticsNo>YT{number}</logisticsNo><coElNo>{number}</coElNo>"
        f"<returnStatus>{code}</returnStatus><returnTime>{time}</returnTime><returnInfo>so</returnInfo>"
        f"</InvtRefundDetailReturn>"
    )


def _sealed(root: str, inside: str, receiver: str, time: datetime, number: int) -> bytes:
    identity = str(uuid.UUID(int=number))
    data = f'<{root} xmlns="http://www.chinaport.gov.cn/ceb" guid="{identity}" version="1.0">{inside}</{root}>'
    envelope = Envelope(
        message_id=identity,
        sender="DXPEDCCEB0000003",
        receiver=receiver,
        created=time,
        message_type=root,
        data=data.encode(),
    )
    return seal(envelope)


def _written(time: datetime) -> str:
    """As returnTime: yyyyMMddHHmmssSSS, Beijing time."""
    here = time.astimezone(BEIJING)
    return f"{here:%Y%m%d%H%M%S}{here.microsecond // 1000:03}"
