"""Who takes part in the sample: names and numbers are made up, their forms are those of customs.

Enterprise codes are ten-character customs registration codes; a customs office has four digits, of which the first two
name its region.
"""

from __future__ import annotations

from dataclasses import dataclass

DXP_ID = "DXPENT0000011351"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A registered enterprise."""

    code: str
    name: str


ENTERPRISE = Party(code="44019A0K2R", name="广州云帆跨境电子商务有限公司")
"""The e-commerce enterprise whose goods come back; it transmits the messages too."""
AGENT = Party(code="4401980A31", name="广州南港报关有限公司")
"""Declares for the enterprise."""
OPERATOR = Party(code="4401660B27", name="广州空港跨境退货监管作业场所有限公司")
"""Runs the supervised return sites."""
PLATFORMS = (
    Party(code="4403962D18", name="远航全球购平台"),
    Party(code="33019608Q5", name="丝路优品跨境平台"),
    Party(code="31149609T3", name="海纳集市平台"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """A return warehouse in a supervised site."""

    id: int
    """Of its unpacking area: 若依WMS knows no smaller places, so each functional area is a warehouse there."""
    name: str
    office: str
    """Customs office the site belongs to."""
    site: str
    """Code of the supervised site."""

    @property
    def areas(self) -> dict[str, int]:
        """Kind of functional area -> the warehouse that it is."""
        kinds = ("unpacking", "inspection", "storage", "holding", "dispatch")
        return {kind: self.id + 10 * number for number, kind in enumerate(kinds)}


WAREHOUSES = (
    Warehouse(id=1940317750635581441, name="广州空港退货仓", office="5141", site="GZKG01"),
    Warehouse(id=1940317750635581442, name="宁波保税退货仓", office="3105", site="NBBS01"),
    Warehouse(id=1940317750635581443, name="郑州经开退货仓", office="4612", site="ZZJK01"),
)

AREA_NAMES = {
    "unpacking": "拆包区",
    "inspection": "查验区",
    "storage": "存储区",
    "holding": "暂存区",
    "dispatch": "出库区",
}
"""What each kind of functional area is called."""

EXPORT_OFFICES = ("5141", "5141", "3105", "2244", "4612", "2991", "5349")
"""Offices of the original exports; Guangzhou, where the enterprise sits, is the most frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way parcels come back."""

    carrier: Party
    mode: str
    """Transport mode: 5 by air, 2 by sea."""
    vessel: str
    country: str
    """Numeric code of the country they come from."""
    ports: tuple[str, ...]
    """Customs offices of the ports of entry."""


_AIR = Party(code="4401981C66", name="南方云运国际物流有限公司")
_SEA = Party(code="3302981F09", name="宁波海联国际货运有限公司")

ROUTES = (
    Route(carrier=_AIR, mode="5", vessel="CZ", country="502", ports=("5141", "2244")),
    Route(carrier=_AIR, mode="5", vessel="CA", country="303", ports=("5141", "4612")),
    Route(carrier=_AIR, mode="5", vessel="MU", country="305", ports=("2244",)),
    Route(carrier=_AIR, mode="5", vessel="HO", country="132", ports=("5141",)),
    Route(carrier=_SEA, mode="2", vessel="NEW OCEAN", country="116", ports=("3105",)),
    Route(carrier=_SEA, mode="2", vessel="EASTERN STAR", country="133", ports=("3105",)),
)
