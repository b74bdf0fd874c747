"""activate: the log says which keys, certificates, mappings, accounts and addresses are in use, at every change.

Which key signs changes by itself when its time has come or its certificate ends. Whoever works on for days asks
`signs_now` and, when that changes, activates once more.
"""

from __future__ import annotations

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.audit.queries import last_of
from connector.deeds import Deed
from connector.errors import SigningError
from connector.pipeline.wiring import ACTOR, Connector


def activate(connector: Connector) -> bool:
    """Tell of the configuration that is in use from now on; False when the log says so already."""
    now_in_use = _in_use(connector)
    with connector.database.read() as connection:
        last = last_of(connection, Event.ACTIVATED)
    if last and last.detail == now_in_use:
        return False
    with connector.database.write(Deed.ACTIVATE) as transaction:
        entry = Entry(event=Event.ACTIVATED, detail=now_in_use)
        log.append(transaction, [entry], actor=ACTOR, time=connector.clock(transaction))
    return True


def signs_now(connector: Connector) -> str:
    """The name of the key that signs now, e.g. ``main``; empty when none does, or its certificate is not valid."""
    with connector.database.read() as connection:
        now = connector.clock(connection)
    try:
        return connector.keys.active(now).name
    except SigningError:
        return ""


def _in_use(connector: Connector) -> dict[str, object]:
    """JSON values only."""
    opener = connector.open_envelope
    return {
        "signs": signs_now(connector),
        "keys": {
            one.name: {
                "key_id": one.key.certificate.key_id,
                "suite": one.key.suite.name,
                "active_from": one.active_from and one.active_from.isoformat(),
            }
            for one in connector.keys.keys
        },
        "receipts_signed_by": [one.key_id for one in opener.trusted],
        "receipts_must_be_signed": opener.is_required,
        "mappings": {
            mapping.name: {"version": mapping.version, "digest": mapping.digest}
            for collection in connector.collections
            for mapping in collection.mappings
        },
        "addresses": [connector.submit_endpoint, connector.endpoint],
        "accounts": {"sender": connector.transfer.dxp_id, "receiver": connector.receiver},
        "tls": {role: list(key_ids) for role, key_ids in connector.tls_certificates.items()},
    }
