"""What is given before the command, and the options that several commands share."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What stands before the command."""

    config_path: Path | None

    def settings(self) -> Settings:
        """The configuration. Raises `UsageError` when none is named and `ConfigurationError` for its faults."""
        from connector.config import load

        if self.config_path is None:
            raise UsageError(
                "no configuration is named",
                effect="nothing was done",
                remedy="put --config FILE before the command, or set CONNECTOR_CONFIG",
            )
        return load(self.config_path)


def settings_of(context: typer.Context) -> Settings:
    """The configuration of the command under way."""
    given: Given = context.obj
    return given.settings()


def _current_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


USER = _current_user()
"""Who is at the keyboard, for the audit log."""


def settings_with(context: typer.Context, mappings: Path | None) -> Settings:
    """The same, with the mappings of another folder where one is given."""
    settings = settings_of(context)
    return settings if mappings is None else settings.model_copy(update={"mappings": mappings})


def parse_time(text: str) -> datetime:
    """A time of the command line in UTC: ISO 8601; without a zone it is Beijing time."""
    from connector.messages.catalogue import BEIJING

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write it like 2026-06-01 or 2026-06-01T08:30:00+08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=BEIJING)).astimezone(UTC)


def parse_type(text: str) -> str:
    """A message type of the command line."""
    from connector.messages.catalogue import MESSAGE_TYPES

    return _one_of(MESSAGE_TYPES, text)


def parse_state(text: str) -> str:
    """A delivery state of the command line."""
    from connector.messages.deliveries import DeliveryState

    return _one_of(DeliveryState, text)


def parse_status(text: str) -> str:
    """A customs status of the command line."""
    from connector.messages.receipts import CustomsStatus

    return _one_of(CustomsStatus, text)


def parse_verdict(text: str) -> str:
    """What an operator says of a message on the command line."""
    from connector.pipeline.settle import Verdict

    return _one_of(Verdict, text)


def parse_suite(text: str) -> str:
    """A signature suite of the command line."""
    from connector.signing.suites import SUITES

    return _one_of(SUITES, text)


def parse_name(text: str) -> str:
    """Whoever asks for something."""
    if not text.strip():
        raise typer.BadParameter("name somebody")
    return text


def parse_reason(text: str) -> str:
    """Why something is done. Raises `UsageError` for none."""
    if not text.strip():
        raise UsageError("--reason is empty", effect="nothing was done", remedy="say why, for the audit log")
    return text


def parse_event(text: str) -> str:
    """An event of the audit log, as the command line names it."""
    from connector.audit.events import Event

    return _one_of(Event, text)


def parse_format(text: str) -> str:
    """How a list is written."""
    return _one_of(("table", "json", "csv"), text)


def _one_of(known: Iterable[str], text: str) -> str:
    names = list(known)
    if text not in names:
        raise typer.BadParameter(f"{text} is none of {', '.join(names)}")
    return text


ActorOption = Annotated[
    str, typer.Option("--actor", parser=parse_name, metavar="NAME", help="Who asks for it; whose name the log has.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", parser=parse_reason, metavar="TEXT", help="Why; it goes into the audit log.")
]
MappingsOption = Annotated[
    Path | None,
    typer.Option(
        "--mappings",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Mappings and records files in this folder, instead of those of the configuration.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write to a file that does not exist yet.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, max=10**9, help="Only the newest N.", metavar="N")]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", parser=parse_time, metavar="TIME", help="From this time on; without a zone, Beijing time."),
]
UntilOption = Annotated[
    datetime | None, typer.Option("--until", parser=parse_time, metavar="TIME", help="Before this time.")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Business key, e.g. 4401000001/RK10098845.")
]
WaybillOption = Annotated[str | None, typer.Option("--waybill", metavar="NO", help="Waybill number 运单号.")]
ExportListOption = Annotated[
    str | None, typer.Option("--export-list", metavar="NO", help="Number of the original export list 原出口清单号.")
]
TypeOption = Annotated[
    str | None, typer.Option("--type", parser=parse_type, metavar="TYPE", help="Message type, e.g. CEB213.")
]
StateOption = Annotated[
    str | None,
    typer.Option(
        "--state",
        parser=parse_state,
        metavar="STATE",
        help="Delivery state: pending, sending, delivered, refused, in_doubt, conflict, parked, closed.",
    ),
]
StatusOption = Annotated[
    str | None,
    typer.Option(
        "--customs-status",
        parser=parse_status,
        metavar="STATUS",
        help="Customs status, e.g. released, finished, rejected, none.",
    ),
]
EventOption = Annotated[
    str | None, typer.Option("--event", parser=parse_event, metavar="EVENT", help="Event, e.g. answered.")
]
