"""``connector mapping``: look at mappings before they are used."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, MappingsOption, OutOption, TypeOption, settings_with
from connector.cli.output import print_lines, print_object, shown, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connector.mapping.coverage import Coverage
    from connector.pipeline.preview import Preview

app = typer.Typer(help="Mappings: whether they are sound, and what they make of a record.", no_args_is_help=True)

_DIFFERS = 3


@app.command()
def check(context: typer.Context, mappings: MappingsOption = None, as_json: JsonOption = False) -> None:
    """Check every file of the mappings: all faults at once with exit code 4, else what is left open and unused.

    Nothing is connected to; `connector doctor` tries the queries.
    """
    from connector.bootstrap import read_mappings
    from connector.mapping.coverage import coverage, unused

    files, loaded = read_mappings(settings_with(context, mappings))
    found = [coverage(one) for one in loaded]
    left = {
        name: unused(file.shape, [one for one in loaded if one.collection == name], file.needed)
        for name, file in files.items()
    }
    if as_json:
        print_object({"mappings": [asdict(one) for one in found], "unused_columns": left})
        return
    for one in found:
        print_lines(_covered(one))
    for name, columns in left.items():
        told = f": {', '.join(columns)}" if columns else ""
        print_lines([f"{name}: {len(columns)} columns are read and used by no mapping{told}"])


@app.command()
def docs(
    context: typer.Context,
    type_: TypeOption = None,
    mappings: MappingsOption = None,
    out: OutOption = None,
) -> None:
    """Write the mappings as tables of fields that a customs officer can read, in Markdown."""
    from connector.bootstrap import read_mappings
    from connector.mapping.describe import describe

    _, loaded = read_mappings(settings_with(context, mappings))
    pages = [describe(one) for one in loaded if type_ in {None, one.message_type.name}]
    write_bytes("\n".join(pages).encode(), out)


@app.command()
def preview(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of the record in its source.")],
    type_: TypeOption = None,
    mappings: MappingsOption = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show only what differs from the newest revision that was made, not the XML."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a record would say if it were declared now, and what mapping, schema and rules have against it.

    Exit code 3 when a document cannot be made; with --diff also when it differs from the newest revision, or is the
    first. Nothing is stored, signed or sent.
    """
    from connector.bootstrap import build_collections, open_database, rule_book, transfer_of
    from connector.pipeline.preview import preview as previewed

    settings = settings_with(context, mappings)
    collections = build_collections(settings)
    rules = rule_book(settings, collections)
    found = previewed(open_database(settings), collections, transfer_of(settings), rules, key, type_=type_)
    if as_json:
        print_object({"previews": [asdict(one) for one in found]})
    for one in [] if as_json else found:
        print_lines([*_told(one), *(_changes(one) if diff else [one.xml])])
    if any(one.faults or (diff and not one.is_same) for one in found):
        raise typer.Exit(_DIFFERS)


def _covered(one: Coverage) -> Iterator[str]:
    yield (
        f"{one.mapping} version {one.version}: {one.records} -> {one.type}, "
        f"{one.elements - len(one.open)} of {one.elements} elements have a line"
    )
    if one.open:
        yield f"  left open: {', '.join(one.open)}"


def _told(one: Preview) -> Iterator[str]:
    yield f"{one.type} {shown(one.business_key) or '(no business key)'} by {one.mapping}"
    yield from (f"  cannot go out: {shown(fault)}" for fault in one.faults)
    yield from (f"  remark: {shown(remark)}" for remark in one.remarks)


def _changes(one: Preview) -> Iterator[str]:
    if not one.revision:
        yield "  no revision was made yet"
    elif one.is_same:
        yield f"  the same as revision {one.revision}"
    elif not (one.differences or one.faults):
        yield f"  differs from revision {one.revision}, whose content was archived"
    for each in one.differences:
        yield f"  {each.field}: {shown(each.then) or '(absent)'} -> {shown(each.now) or '(absent)'}"
