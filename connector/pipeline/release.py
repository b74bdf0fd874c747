"""release: an operator lets go out what waits because only a person may decide it, with a reason.

What customs accepted goes as a change or a deletion; what a rule forbids goes as it is. The next cycle prepares it, and
only if its row is still the one that the operator saw.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.audit import log
from connector.audit.events import Event
from connector.deeds import Deed
from connector.errors import UsageError
from connector.messages.catalogue import message_type
from connector.pipeline.entries import decided
from connector.pipeline.wiring import Connector
from connector.sources import inbox, quarantine
from connector.sources.quarantine import RELEASES, Release, Waiting
from connector.storage.database import lock


def release(
    connector: Connector, waiting: Sequence[Waiting], *, release_as: Release | None, reason: str, actor: str
) -> list[tuple[Waiting, Release]]:
    """Have these go out with the next cycle, and audit it with the reason; those that still wait, and how each goes.

    release_as: None for what their reasons mean: a change, or as it is. Raises `UsageError` before anything is done
    where one of them cannot go out that way.
    """
    chosen = [(one, _how(one, release_as)) for one in waiting]
    with connector.database.write(Deed.TRY_AGAIN) as transaction:
        lock(transaction, "prepare")
        held = quarantine.held_among(transaction, [one.key for one, _ in chosen])
        free = [(one, how) for one, how in chosen if (one.key, one.type) in held]
        for how in Release:
            quarantine.set_free(transaction, [one.id for one, its in free if its is how], how)
        inbox.wait_again(transaction, dict.fromkeys(one.key for one, _ in free))
        entries = [decided(Event.RELEASED, one, reason=reason, **{"as": how.value}) for one, how in free]
        log.append(transaction, entries, actor=actor, time=connector.clock(transaction))
    return free


def _how(one: Waiting, wanted: Release | None) -> Release:
    possible = RELEASES.get(one.reason, frozenset())
    usual = possible - {Release.DELETE}
    how = wanted or next(iter(usual), None)
    if how in {Release.CHANGE, Release.DELETE} and not message_type(one.type).is_revisable:
        raise UsageError(
            f"{one.type} {one.business_key}: customs changes and deletes no documents of this type",
            effect="nothing was released",
            remedy="put the row back as it was, and tell what is right under another key",
        )
    if how is None or how not in possible or one.record_id is None:
        ways = {
            Release.CHANGE: "as a change",
            Release.DELETE: "with --void",
            Release.ANEW: "as new",
            Release.AGAINST_RULES: "as it is",
        }
        remedy = (
            f"it may go {' or '.join(sorted(ways[way] for way in possible))}"
            if possible
            else "correct its row, its lookups or its mapping; then it goes by itself, or after `quarantine retry`"
        )
        raise UsageError(
            f"{one.type} of {one.key} waits for {one.reason} and cannot be released {ways[how] if how else 'so'}",
            effect="nothing was released",
            remedy=remedy,
        )
    return how
