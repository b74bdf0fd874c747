"""What the demonstration came to, held against what was planted in it.

==========================  ===========  ===========
planted fault               CEB213       CEB215
==========================  ===========  ===========
quantity above the original quarantined  finished
list unknown to customs     rejected     finished
list unknown to us          quarantined  finished
control character in a name quarantined  finished
unknown unit                quarantined  finished
missing waybill             quarantined  quarantined
(none)                      released     finished
==========================  ===========  ===========
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from connector.audit.queries import count as count_entries
from connector.demo.enterprise import Enterprise
from connector.demo.returns import Fault
from connector.outbox.queries import DocumentView, Filter, count_messages, documents
from connector.sources.quarantine import waiting_entries

QUARANTINED = "quarantined"
UNANSWERED = "unanswered"

_PLANTED: Mapping[str, Mapping[str, str]] = {
    Fault.QUANTITY_ABOVE_ORIGINAL: {"CEB213": QUARANTINED, "CEB215": "finished"},
    Fault.LIST_UNKNOWN_TO_CUSTOMS: {"CEB213": "rejected", "CEB215": "finished"},
    Fault.LIST_UNKNOWN_TO_US: {"CEB213": QUARANTINED, "CEB215": "finished"},
    Fault.CONTROL_CHARACTER: {"CEB213": QUARANTINED, "CEB215": "finished"},
    Fault.UNKNOWN_UNIT: {"CEB213": QUARANTINED, "CEB215": "finished"},
    Fault.MISSING_WAYBILL: {"CEB213": QUARANTINED, "CEB215": QUARANTINED},
}
_SOUND = {"CEB213": "released", "CEB215": "finished"}
_FINAL = {"released": "released", "finished": "finished", "rejected": "rejected", "failed": "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of a demonstration."""

    returns: int
    expected: int
    """Documents that should exist: one CEB213 and one CEB215 for each return."""
    quarantined: int
    """Source records times message types."""
    documents: int
    messages: int
    released: int
    finished: int
    rejected: int
    """Rejected or failed."""
    unanswered: int
    operating: int
    """Events and stock snapshots that customs has finished with; they are not among the documents counted above."""
    audit_entries: int
    faults: Mapping[str, Mapping[str, int]]
    """Kind of planted fault -> how many were planted, and how many came out as they should."""
    surprises: tuple[str, ...]
    """Every document that came out otherwise than its return was planted; empty when all is well."""


def read_outcome(connection: Connection, enterprise: Enterprise) -> Outcome:
    """Count what there is, and compare every return that should or did go wrong."""
    views = list(documents(connection, Filter()))
    found = _outcomes(connection, [view for view in views if view.type in _SOUND])
    reported = [view for view in views if view.type not in _SOUND]
    finished = sum(view.customs_status == "finished" for view in reported)
    counts = dict.fromkeys([QUARANTINED, "released", "finished", "rejected", UNANSWERED], 0)
    for result in found.values():
        counts[result] += 1
    counts[UNANSWERED] += 2 * enterprise.returns - len(found) + len(reported) - finished
    caught, surprises = _compare(found, enterprise.faults)
    return Outcome(
        returns=enterprise.returns,
        expected=2 * enterprise.returns,
        documents=len(found) - counts[QUARANTINED],
        messages=sum(count_messages(connection).values()),
        operating=finished,
        audit_entries=count_entries(connection),
        faults=caught,
        surprises=surprises,
        **counts,
    )


def _outcomes(connection: Connection, views: Iterable[DocumentView]) -> dict[tuple[str, str], str]:
    """(receipt number, message type) -> what became of it."""
    found: dict[tuple[str, str], str] = {}
    for view in views:
        order_no = view.business_key.rpartition("/")[2]
        found[order_no, view.type] = _FINAL.get(view.customs_status, UNANSWERED)
    for one in waiting_entries(connection):
        if one.type in _SOUND:
            found[one.key.key, one.type] = QUARANTINED
    return found


def _compare(
    found: Mapping[tuple[str, str], str], faults: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    planted = {order_no: _PLANTED[kind] for kind, numbers in faults.items() for order_no in numbers}
    surprises = [
        f"{kind} {order_no}: {result} instead of {planted.get(order_no, _SOUND)[kind]}"
        for (order_no, kind), result in found.items()
        if result != planted.get(order_no, _SOUND)[kind]
    ]
    caught = {
        kind: {
            "planted": len(numbers),
            "caught": sum(all(found.get((n, t)) == r for t, r in _PLANTED[kind].items()) for n in numbers),
        }
        for kind, numbers in faults.items()
    }
    return caught, tuple(surprises)
