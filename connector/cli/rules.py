"""``connector rules``: the rules of customs that documents are held against before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, parse_time
from connector.cli.output import local, print_json, print_lines, print_object, print_table

if TYPE_CHECKING:
    from connector.rules.rule import Rule

app = typer.Typer(help="Rules of customs that documents are held against before they are sent.", no_args_is_help=True)

_LAST = timedelta(microseconds=1)
"""Before the first instant no longer in force."""


@app.command("list")
def list_(
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at",
            parser=parse_time,
            metavar="TIME",
            help="Tell which are in force then, instead of now; Beijing time.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List every rule: what must hold, what a breach costs, since when it is in force, and where it is written."""
    from connector.rules.book import RULES

    moment = at or datetime.now(UTC)
    if as_json:
        print_object({"at": moment, "rules": [_summary(rule, moment) for rule in RULES]})
        return
    columns = ("rule", "what must hold", "breach", "documents", "goes by", "from", "until", "in force", "source")
    print_table(f"Rules, in force at {local(moment)}", columns, (_row(rule, moment) for rule in RULES))


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Its id, such as R5.")],
    as_json: JsonOption = False,
) -> None:
    """Explain one rule: what must hold, where that is written, since when, what blocks, and how to put it right."""
    from connector.rules.book import rule_named

    found = rule_named(rule)
    if as_json:
        print_json("rule", _summary(found, datetime.now(UTC)) | _words(found))
    else:
        print_lines(_explained(found))


def _summary(rule: Rule, moment: datetime) -> dict[str, object]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": {type_: rule.severity_for(type_) for type_ in rule.applies_to},
        "goes_by": rule.basis,
        "valid_from": rule.valid_from,
        "valid_until": rule.valid_until,
        "in_force": rule.is_valid_at(moment),
        "source": rule.source,
    }


def _words(rule: Rule) -> dict[str, object]:
    return {
        "citation": rule.citation,
        "chinese": rule.chinese,
        "english": rule.english,
        "breaks": rule.breaks,
        "remedy": rule.remedy,
    }


def _row(rule: Rule, moment: datetime) -> tuple[object, ...]:
    return (
        rule.id,
        rule.title,
        _breach(rule),
        ", ".join(rule.applies_to),
        rule.basis,
        _day(rule.valid_from),
        _day(rule.valid_until and rule.valid_until - _LAST),
        "yes" if rule.is_valid_at(moment) else "no",
        rule.source,
    )


def _breach(rule: Rule) -> str:
    """``block``, or where types differ ``block, WOD101: warn``."""
    return ", ".join([rule.severity, *(f"{type_}: {severity}" for type_, severity in rule.severities.items())])


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _explained(rule: Rule) -> Iterator[str]:
    begun = f"from {_day(rule.valid_from)}" if rule.valid_from else "always"
    until = f" until {_day(rule.valid_until - _LAST)}, that day included" if rule.valid_until else ""
    yield f"{rule.id}: {rule.title}"
    yield f"must hold   {rule.chinese}"
    yield f"            {rule.english}"
    yield f"source      {rule.citation}"
    yield f"in force    {begun}{until}; what counts is the day of the {rule.basis} in Beijing"
    yield f"documents   {', '.join(rule.applies_to)}"
    yield f"a breach    {_breach(rule)}"
    yield f"is when     {rule.breaks}"
    yield f"put right   {rule.remedy}"
