"""`Story`: the audit log read as it grows, and the state of every message that follows from it alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from connector.audit.events import Event

ARROWS = {
    "": {"pending"},
    "pending": {"sending", "delivered", "refused", "parked"},
    "sending": {"delivered", "refused", "pending", "in_doubt", "parked"},
    "in_doubt": {"delivered", "refused", "conflict", "pending", "parked"},
    "parked": {"delivered", "refused", "pending", "in_doubt", "closed"},
    "refused": {"pending", "closed"},
    "delivered": {"refused"},
    "conflict": {"closed"},
    "closed": set[str](),
}
"""Where a message may go from each state. The diagram of the design, with the arrows that it draws once for several
states written out: a receipt delivers, and a format check (CEB900) refuses, whatever state is not yet at rest."""


@dataclass(slots=True)
class Story:
    """What the log has told so far."""

    length: int = 0
    states: dict[str, str] = field(default_factory=dict)
    _decided: dict[str, int] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)

    def decided(self, message_id: str) -> int:
        """The place of the last decision of an operator that lets a message go again; 0 for none."""
        return self._decided.get(message_id, 0)

    def settled_closed(self, message_id: str) -> bool:
        """Whether an operator closed it for good."""
        return message_id in self._closed

    def tell(self, entry: Any, place: int) -> str:
        """Take the next entry in; what is wrong with it, or nothing."""
        if entry.sequence != self.length + 1:
            return f"audit: entry {entry.sequence} follows {self.length}"
        self.length += 1
        detail = json.loads(entry.body)["detail"]
        state = self._state(entry.event, entry.message_id, detail)
        if entry.event in {Event.RESENT, Event.SETTLED}:
            if not detail.get("reason"):
                return f"operator: entry {entry.sequence} has no reason"
            if state == "pending":
                self._decided[entry.message_id] = place
            if entry.event == Event.SETTLED and state == "closed":
                self._closed.add(entry.message_id)
        before = self.states.get(entry.message_id, "")
        if state is None or state == before == "in_doubt":
            return ""
        if state not in ARROWS[before]:
            return f"arrows: message {entry.message_id} went from {before or 'nothing'} to {state} ({entry.event})"
        self.states[entry.message_id] = state
        return ""

    @staticmethod
    def _state(event: str, message_id: str, detail: dict[str, Any]) -> str | None:
        """The state that an entry says a message is in now; None when it says nothing of it."""
        if not message_id:
            return None
        match event:
            case Event.SIGNED:
                return "pending"
            case Event.ATTEMPTED:
                return "sending" if detail["kind"] == "send" else None
            case Event.ANSWERED | Event.DELIVERY_CHANGED | Event.SETTLED | Event.RESENT:
                return None if "unchanged" in detail else str(detail["delivery_state"])
            case _:
                return None
