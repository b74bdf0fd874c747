"""The XML namespaces of the wire formats; elements are known by these, never by a prefix."""

from __future__ import annotations

CEB = "http://www.chinaport.gov.cn/ceb"
"""Messages of cross-border e-commerce, edition 202205."""
WOD = "urn:customs-warehouse-connector:wod:1"
"""Warehouse operating data, a family of this project."""
DXP = "http://www.chinaport.gov.cn/dxp"
"""The envelope of the data exchange platform."""
DS = "http://www.w3.org/2000/09/xmldsig#"
"""XML signatures."""
XSI = "http://www.w3.org/2001/XMLSchema-instance"
"""Declared on the root of every message of ours, because accepted signatures carry it on SignedInfo."""


def tag(namespace: str, name: str) -> str:
    """An element's name as lxml writes it; a family without a namespace has the empty one.

    >>> tag(DXP, "Data"), tag("", "HCHX_DATA")
    ('{http://www.chinaport.gov.cn/dxp}Data', 'HCHX_DATA')
    """
    return f"{{{namespace}}}{name}" if namespace else name
