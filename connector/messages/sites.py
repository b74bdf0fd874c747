"""`Areas`: which functional area (功能区) of a supervised site a location of the warehouse lies in.

>>> areas = Areas({"GZ01": {"A-01-*": "storage", "DOCK": "unpacking"}})
>>> areas.of("GZ01", "A-01-07"), areas.of("GZ01", "B-9"), areas.of("NB02", "DOCK")
('storage', '', '')
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _pattern(place: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, place.split("*"))), re.DOTALL)


class Areas:
    """The locations of all sites.

    places: code of the site -> location, in which ``*`` stands for any characters -> name of the area.
    """

    def __init__(self, places: Mapping[str, Mapping[str, str]]) -> None:
        self._places = places
        self._patterns = {
            site: [(_pattern(place), area) for place, area in named.items() if "*" in place]
            for site, named in places.items()
        }

    @property
    def places(self) -> Mapping[str, Mapping[str, str]]:
        """What it was made of."""
        return self._places

    def of(self, site: str, location: str) -> str:
        """The name of the area; empty where nothing says so. A location named in full counts before a pattern."""
        named = self._places.get(site, {}).get(location)
        if named is not None:
            return named
        return next((area for pattern, area in self._patterns.get(site, ()) if pattern.fullmatch(location)), "")


NOWHERE = Areas({})
"""No site is known."""
