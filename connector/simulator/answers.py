"""The ``mo`` document that answers one submission at once, as the Zhejiang E-Port writes it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from lxml import etree

from connector.messages.catalogue import BEIJING

TAKEN_IN_TEXT = "处理成功"
"""resultInfo of every message taken in."""


class Mark(StrEnum):
    """``chkMark``: what became of the submission at the door."""

    TAKEN_IN = "1"
    """Receipts follow."""
    REFUSED = "2"
    """Nothing follows; resultInfo says why."""


def write(business_type: str, mark: Mark, info: str, now: datetime) -> str:
    """The document as text.

    business_type: root name of the message, empty where it could not be read; now: an aware moment.
    """
    local = now.astimezone(BEIJING)
    root = etree.Element("mo", version="1.0.0")
    etree.SubElement(etree.SubElement(root, "head"), "businessType").text = "RESULT"
    result = etree.SubElement(etree.SubElement(etree.SubElement(root, "body"), "list"), "jkfResult")
    for name, text in (
        ("companyCode", None),
        ("businessNo", None),
        ("businessType", business_type or None),
        ("declareType", "1"),
        ("chkMark", mark.value),
        ("noticeDate", f"{local:%Y-%m-%d}"),
        ("noticeTime", f"{local:%H:%M}"),
    ):
        etree.SubElement(result, name).text = text
    detail = etree.SubElement(etree.SubElement(result, "resultList"), "jkfResultDetail")
    etree.SubElement(detail, "resultInfo").text = info
    return etree.tostring(root, encoding="unicode")
