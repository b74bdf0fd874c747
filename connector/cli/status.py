"""``connector status``: how things stand, at a glance."""

from __future__ import annotations

from typing import Any

import typer

from connector.cli.context import JsonOption, settings_of
from connector.cli.output import print_lines, print_object


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say how many documents and messages are where, and what waits for a person."""
    from connector.audit.queries import count as count_entries
    from connector.bootstrap import open_database
    from connector.outbox.queries import count_documents, count_messages
    from connector.receipts.ledger import count_unreadable, unmatched
    from connector.sources.quarantine import count_waiting

    settings = settings_of(context)
    with open_database(settings).read() as connection:
        documents = count_documents(connection)
        found: dict[str, Any] = {
            "documents": [
                {"type": kind, "customs_status": customs_status, "count": count}
                for (kind, customs_status), count in documents.items()
            ],
            "messages": dict(count_messages(connection)),
            "quarantined": count_waiting(connection),
            "unmatched_receipts": len(unmatched(connection)),
            "unreadable_receipts": count_unreadable(connection),
            "audit_entries": count_entries(connection),
        }
    warnings = []
    if settings.signing.suite == "rsa-sha1":
        warnings.append("signatures use SHA-1, as the certificate and the specification demand; it is weak")
    found["warnings"] = warnings
    if as_json:
        print_object(found)
        return
    lines = [f"{one['type']}  {one['customs_status']:<14} {one['count']:>8}" for one in found["documents"]]
    lines += [f"messages {state:<14} {count:>6}" for state, count in found["messages"].items()]
    lines += [
        f"in quarantine          {found['quarantined']:>6}",
        f"receipts of unknown    {found['unmatched_receipts']:>6}",
        f"receipts unreadable    {found['unreadable_receipts']:>6}",
        f"audit entries          {found['audit_entries']:>6}",
        *[f"warning: {warning}" for warning in warnings],
    ]
    print_lines(lines)
