"""Two clocks: the time that truly passes, and what the database takes for it, which may jump."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection


@dataclass(slots=True, kw_only=True)
class Clock:
    """Time of one world; nothing in it passes but by `advance`."""

    true: datetime = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
    """What customs and a connection's deadline go by."""
    offset: timedelta = timedelta()
    """How far the database's clock is ahead of it."""
    jumps: int = 0
    """How often that clock has jumped forwards so far."""
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Told whenever time has passed."""

    @property
    def read(self) -> datetime:
        """What the database's clock shows."""
        return self.true + self.offset

    def by_database(self, _connection: Connection) -> datetime:
        """The clock of a `Connector`."""
        return self.read

    def elapsed(self) -> float:
        """Seconds that have truly passed; how often a `Connector` looks at something goes by them."""
        return self.true.timestamp()

    def advance(self, length: timedelta) -> None:
        """Let time pass, truly and for the database alike."""
        self.true += length
        for watcher in self.watchers:
            watcher()

    def jump(self, length: timedelta) -> None:
        """Set the database's clock forwards or backwards; no time passes."""
        self.offset += length
        self.jumps += length > timedelta()
