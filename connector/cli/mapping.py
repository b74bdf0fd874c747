"""``connector mapping``: look at mappings before they are used."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import JsonOption, MappingsOption, OutOption, TypeOption, settings_of, settings_with
from connector.cli.output import print_json, print_lines, print_object, print_table, say, shown, write_bytes
from connector.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connector.mapping.coverage import Coverage
    from connector.messages.documents import Difference
    from connector.pipeline.preview import Preview
    from connector.pipeline.wiring import Collection

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
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The key of the record in its source.")] = None,
    type_: TypeOption = None,
    mappings: MappingsOption = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="DIR", help="Hold them against the mappings of this folder instead."),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, metavar="N", help="With --against: so many records, those stored last.")
    ] = 100,
    case: Annotated[
        str | None,
        typer.Option("--case", metavar="NAME", help="Keep it as a golden case for `mapping test`."),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show only what differs from the newest revision that was made, not the XML."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a record would say if it were declared now, and what mapping, schema and rules have against it.

    Exit code 3 when a document cannot go out; with --diff also when it differs from the newest revision, or is the
    first. With --against and no KEY, the mappings in use, or those of --mappings, are held against those of another
    folder over the records stored last, each document element by element; what they look up is read now. Exit code 3
    when any document differs, for continuous integration. Nothing is stored, signed or sent.
    """
    from connector.bootstrap import build_collections, open_database, rule_book, transfer_of
    from connector.pipeline.preview import preview as previewed

    settings = settings_with(context, mappings)
    collections = build_collections(settings)
    if against is not None:
        if key is not None:
            raise UsageError("--against is for the records stored last, without a KEY", remedy="leave one of them out")
        _compare(context, collections, against, last, type_, as_json)
        return
    if key is None:
        raise UsageError("a KEY is missing", remedy="name a record, or give --against DIR")
    if case is not None:
        print_lines([f"kept as {_keep(collections, settings.mappings, key, case)}"])
    rules = rule_book(settings, collections)
    found = previewed(open_database(settings), collections, transfer_of(settings), rules, key, type_=type_)
    if as_json:
        print_object({"previews": [asdict(one) for one in found]})
    for one in [] if as_json else found:
        print_lines([*_told(one), *(_changes(one) if diff else [one.xml])])
    if any(one.faults or (diff and not one.is_same) for one in found):
        raise typer.Exit(_DIFFERS)


@app.command("test")
def try_cases(context: typer.Context, mappings: MappingsOption = None, as_json: JsonOption = False) -> None:
    """Try the golden cases that lie beside the mappings, in cases/; exit code 3 when one comes out otherwise.

    Nothing is connected to.
    """
    from connector.bootstrap import read_mappings
    from connector.mapping.cases import failures, load_cases

    settings = settings_with(context, mappings)
    _, loaded = read_mappings(settings)
    cases = load_cases(settings.mappings)
    found = {one.name: list(failures(one, loaded)) for one in cases}
    if as_json:
        print_object({"cases": [{"name": name, "failures": failed} for name, failed in found.items()]})
    else:
        print_lines(f"{name}: {shown(failure)}" for name, failed in found.items() for failure in failed)
        say(f"{sum(not failed for failed in found.values())} of {len(found)} cases come out as expected")
    if any(found.values()):
        raise typer.Exit(_DIFFERS)


@app.command()
def init(
    context: typer.Context,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="[sources.NAME] of the configuration.")],
    table: Annotated[str, typer.Option("--table", metavar="TABLE", help="The table the records are in.")],
    message: Annotated[str, typer.Option("--message", metavar="TYPE", help="What is to be made of them, e.g. CEB215.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The mapping folder; it may hold other files.")],
) -> None:
    """Draft a records file and a mapping from the columns of a table: guesses, for you to correct.

    No file that is there is overwritten.
    """
    from connector.bootstrap import source_database
    from connector.mapping.draft import DraftColumn, draft_mapping, draft_records
    from connector.messages.catalogue import message_type
    from connector.sources.tables import columns_of

    settings, kind = settings_of(context), message_type(message)
    if source not in settings.sources:
        known = ", ".join(settings.sources)
        raise UsageError(f"the configuration has no [sources.{source}]", remedy=f"choose one of {known}")
    columns = [
        DraftColumn(name=one.name, written=one.written, kind=one.kind.value, comment=one.comment, is_key=one.is_key)
        for one in columns_of(source_database(settings, source), table)
    ]
    drafts = {
        out / f"{table}.toml": draft_records(table, source, table, columns),
        out / f"{kind.name}-{table}.toml": draft_mapping(kind, table, columns),
    }
    if there := [str(path) for path in drafts if path.exists()]:
        raise UsageError(f"{', '.join(there)} exists", effect="nothing was written", remedy="name another folder")
    out.mkdir(parents=True, exist_ok=True)
    for path, text in drafts.items():
        path.write_text(text, "utf-8")
    print_lines(f"wrote {path}" for path in drafts)
    say("correct the guesses, then ask `connector mapping check --mappings DIR`")


@app.command()
def used(context: typer.Context, as_json: JsonOption = False) -> None:
    """List every version of a mapping that documents were made with, the last used first.

    `connector documents list --mapping "NAME VERSION"` names the documents.
    """
    from connector.bootstrap import open_database
    from connector.outbox.made_with import made_with

    with open_database(settings_of(context)).read() as connection:
        found = made_with(connection)
    if as_json:
        print_json("mappings", [asdict(one) for one in found])
        return
    print_table(
        f"{len(found)} versions",
        ["mapping", "type", "documents", "messages", "first", "last", "SHA-256"],
        [
            (one.mapping, one.type, one.documents, one.messages, one.first_at, one.last_at, one.digest[:16])
            for one in found
        ],
    )


def _keep(collections: Sequence[Collection], folder: Path, key: str, name: str) -> Path:
    """Write a golden case from a record as it stands now; where it is."""
    from connector.mapping.cases import FOLDER, case_of
    from connector.messages.records import SourceKey, SourceRecord

    path = folder / FOLDER / f"{name}.json"
    if path.exists() or not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{path} exists, or {name!r} is no name for a file", remedy="choose another --case NAME")
    found = []
    for collection in collections:
        source = SourceKey(collection=collection.name, key=key.removeprefix(f"{collection.name}/"))
        record = collection.source.current(source)
        if isinstance(record, SourceRecord):
            found.append((collection, record))
    if len(found) != 1:
        several = " or ".join(str(record.key) for _, record in found)
        raise UsageError(
            f"{'several sources have' if found else 'no source has'} a record {key}",
            remedy=f"say {several}" if found else "give the key that the record has in its source",
        )
    ((collection, record),) = found
    lookups = collection.source.look_up(collection.lookups, [record])
    path.parent.mkdir(exist_ok=True)
    path.write_text(case_of(name, record, lookups, collection.mappings).to_json(), "utf-8")
    return path


def _compare(
    context: typer.Context,
    collections: Sequence[Collection],
    against: Path,
    last: int,
    type_: str | None,
    as_json: bool,
) -> None:
    from connector.bootstrap import build_collections, open_database
    from connector.pipeline.compare import compare

    others = build_collections(settings_with(context, against))
    found = compare(open_database(settings_of(context)), others, collections, last=last, type_=type_)
    if as_json:
        print_object(
            {
                "records": found.records,
                "documents": found.documents,
                "changed": [asdict(one) | {"source": str(one.source)} for one in found.changed],
            }
        )
    else:
        for one in found.changed:
            print_lines([f"{one.type} of {one.source}{f' ({one.part})' if one.part else ''}"])
            if one.then != one.now:
                print_lines([f"  {shown(one.then)} -> {shown(one.now)}"])
            print_lines(_different(one.differences))
        say(f"{len(found.changed)} of {found.documents} documents differ, of {found.records} records")
    if found.changed:
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
    yield from _different(one.differences)


def _different(differences: Sequence[Difference]) -> Iterator[str]:
    for each in differences:
        yield f"  {each.field}: {shown(each.then) or '(absent)'} -> {shown(each.now) or '(absent)'}"
