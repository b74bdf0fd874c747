"""``connector status``: how things stand, at a glance."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import local, print_lines, print_object, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from connector.config import Settings
    from connector.signing.expiry import Watched


_WAITS = {
    "refused": "`connector messages list --state refused` says why; correct it, then `connector resend`, which sends "
    "the same bytes, or `connector resend --split`, which makes new messages with the sender and key of now",
    "parked": "`connector messages list --state parked`; then `connector resend` or `connector messages settle`",
    "conflict": "clear up with customs what it holds, then `connector messages settle ID --as closed`",
}
"""What a person has to do about messages in these states."""

_UNKNOWN = "receipts of unknown: `connector documents unmatched`; if there are many, is [database] url the right one?"


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say how many documents and messages are where, and what waits for a person."""
    from connector.audit.checkpoints import uncovered
    from connector.audit.queries import count as count_entries
    from connector.bootstrap import open_database, receipt_deadlines
    from connector.outbox.overdue import overdue
    from connector.outbox.queries import count_documents, count_messages
    from connector.receipts.queries import count_unreadable, unmatched
    from connector.signing.expiry import warnings as expiry_warnings
    from connector.signing.watched import read_watched
    from connector.sources.inbox import count_not_prepared
    from connector.sources.quarantine import count_waiting
    from connector.storage.database import now_by_database

    settings = settings_of(context)
    database = open_database(settings)
    with database.read() as connection:
        now = now_by_database(connection)
        documents = count_documents(connection)
        found: dict[str, Any] = {
            "documents": [
                {"type": kind, "customs_status": customs_status, "count": count}
                for (kind, customs_status), count in documents.items()
            ],
            "messages": dict(count_messages(connection)),
            "overdue": len(overdue(connection, receipt_deadlines(settings), now=now)),
            "endpoints": [_endpoint(connection, url, now) for url in _urls(settings)],
            "not_prepared": count_not_prepared(connection),
            "quarantined": count_waiting(connection),
            "unmatched_receipts": len(unmatched(connection)),
            "unreadable_receipts": count_unreadable(connection),
            "audit_entries": count_entries(connection),
            "audit_uncovered": asdict(uncovered(connection)),
        }
    watched, unreadable = read_watched(settings)
    found["certificates"] = [_certificate(one, now) for one in watched]
    found["warnings"] = [
        *([database.warning] if database.warning else []),
        *_weak_trust(settings),
        *[f"{one.text}; {one.remedy}" for one in expiry_warnings(watched, now)],
        *[f"when a certificate ends cannot be told: {error.cause}; {error.remedy}" for error in unreadable],
    ]
    if as_json:
        print_object(found)
        return
    figures = {f"{one['type']} {one['customs_status']}": one["count"] for one in found["documents"]}
    figures |= {f"messages {state}": count for state, count in found["messages"].items()}
    figures |= {
        "overdue answers": found["overdue"],
        "not prepared yet": found["not_prepared"],
        "in quarantine": found["quarantined"],
        "receipts of unknown": found["unmatched_receipts"],
        "receipts unreadable": found["unreadable_receipts"],
        "audit entries": found["audit_entries"],
    }
    lines = [
        *[f"{name:<24} {count:>8}" for name, count in figures.items()],
        *[f"{state}: {_WAITS[state]}" for state in found["messages"] if state in _WAITS],
        *_uncovered(**found["audit_uncovered"]),
        *([_UNKNOWN] if found["unmatched_receipts"] else []),
        *[_line(endpoint) for endpoint in found["endpoints"] if endpoint["info"]],
        *[f"warning: {warning}" for warning in map(shown, found["warnings"])],
    ]
    print_lines(lines)


def _uncovered(entries: int, since: datetime | None) -> list[str]:
    when = f", the first of {local(since)}" if since else ""
    return [f"audit entries that no checkpoint covers yet: {entries}{when}"] if entries else []


def _weak_trust(settings: Settings) -> list[str]:
    from connector.signing.suites import SUITES

    customs = settings.customs
    unsigned = ["receipts are applied without a signature: `connector doctor` says what protects them then"]
    return (unsigned if customs.receipts_url and not customs.require_signed_receipts else []) + [
        f"[signing.{name}] signs with {key.suite}, which is weak: {weakness}"
        for name, key in settings.signing.items()
        if (weakness := SUITES[key.suite].weakness)
    ]


def _certificate(watched: Watched, now: datetime) -> dict[str, Any]:
    return {
        "role": watched.use.role,
        "file": str(watched.file),
        "subject": watched.certificate.subject,
        "fingerprint": watched.certificate.key_id,
        "valid_until": watched.certificate.valid_until,
        "days_left": watched.days_left(now),
    }


def _urls(settings: Settings) -> list[str]:
    return list(dict.fromkeys(url for url in (settings.customs.submit_url, settings.customs.receipts_url) if url))


def _endpoint(connection: Connection, url: str, now: datetime) -> dict[str, Any]:
    from connector.outbox.endpoints import breaker

    found = breaker(connection, url)
    return {
        "url": url,
        "breaker": found.state(now),
        "failures": found.failures,
        "probes": found.probes,
        "open_until": found.open_until,
        "info": found.info,
    }


def _line(endpoint: dict[str, Any]) -> str:
    until = f" until {local(endpoint['open_until'])}" if endpoint["breaker"] == "open" else ""
    if endpoint["breaker"] == "half open":
        until = f", {endpoint['probes']} probes answered since"
    return (
        f"{endpoint['url']}: failures in a row {endpoint['failures']}, circuit breaker {endpoint['breaker']}{until}; "
        f"the last: {endpoint['info']}"
    )
