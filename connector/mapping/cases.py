"""Golden cases: a record as it came, what was looked up for it, and what the mappings are to make of that. Pure.

They lie beside the mappings, ``cases/NAME.json``, and are tried without any database; `mapping preview KEY --case NAME`
writes one from a record as it stands::

    {"record": {…}, "lookups": {"export_list": [{"for": ["260…"], "rows": [{…}]}]},
     "expected": [{"type": "CEB215", "part": "", "head": {…}, "lines": []},
                  {"type": "CEB213", "part": "", "faults": ["code_unknown"]}]}

What the configuration gives, constants and code lists, is part of what a case expects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.errors import MappingError
from connector.mapping.engine import DocumentMapping
from connector.mapping.outcomes import Mapped, Unmappable
from connector.messages.documents import Content, differences
from connector.messages.records import Lookups, SourceKey, SourceRecord, decode, encode

FOLDER = "cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One golden case."""

    name: str
    record: SourceRecord
    lookups: Lookups
    expected: Sequence[Mapping[str, Any]]
    """What each document is to be: type and part, then head and lines, or the codes of the faults."""

    def to_json(self) -> str:
        """As it stands in its file: exact, and readable in a comparison of versions."""
        body = {
            "record": {
                "collection": self.record.key.collection,
                "key": self.record.key.key,
                "changed_at": self.record.changed_at,
                "row": self.record.row,
                "lines": list(self.record.lines),
            },
            "lookups": {
                name: [{"for": list(key), "rows": list(rows)} for key, rows in sorted(found.items())]
                for name, found in self.lookups.items()
            },
            "expected": list(self.expected),
        }
        return json.dumps(json.loads(encode(body)), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def case_of(name: str, record: SourceRecord, lookups: Lookups, mappings: Sequence[DocumentMapping]) -> Case:
    """The case that holds what these mappings make of a record now."""
    return Case(name=name, record=record, lookups=lookups, expected=[*_made(record, lookups, mappings).values()])


def load_cases(folder: Path) -> list[Case]:
    """The cases of a mapping folder, by name. Raises `MappingError` naming every file that is none."""
    cases: list[Case] = []
    faults: list[str] = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            cases.append(_case(path))
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"{path}: is no golden case: {error!r}")
    if faults:
        remedy = "correct them, or write them anew with `connector mapping preview KEY --case NAME`"
        raise MappingError("\n".join(faults), effect="no case was tried", remedy=remedy)
    return cases


def failures(case: Case, mappings: Sequence[DocumentMapping]) -> Iterator[str]:
    """What the mappings make of the record otherwise than the case expects; nothing when all is as expected."""
    expected = {(one["type"], one.get("part", "")): one for one in case.expected}
    made = _made(case.record, case.lookups, mappings)
    for place in sorted(expected.keys() | made.keys()):
        label = " ".join(filter(None, place))
        was, is_ = expected.get(place), made.get(place)
        if was is None or is_ is None:
            yield f"{label}: {'is made and not expected' if was is None else 'is expected and not made'}"
        elif "faults" in was or "faults" in is_:
            if was.get("faults") != is_.get("faults"):
                yield f"{label}: {_told(was)} expected, {_told(is_)} found"
        else:
            for one in differences(_content(was), _content(is_)):
                yield f"{label}: {one.field}: {one.then or '(absent)'} expected, {one.now or '(absent)'} found"


def _case(path: Path) -> Case:
    body = decode(path.read_text("utf-8"))
    record, lookups = body["record"], body["lookups"]
    if not isinstance(record["changed_at"], datetime):
        raise TypeError("changed_at of its record is no time")
    return Case(
        name=path.stem,
        record=SourceRecord(
            key=SourceKey(collection=record["collection"], key=record["key"]),
            changed_at=record["changed_at"],
            row=record["row"],
            lines=tuple(record["lines"]),
        ),
        lookups={name: {tuple(one["for"]): one["rows"] for one in found} for name, found in lookups.items()},
        expected=body["expected"],
    )


def _made(
    record: SourceRecord, lookups: Lookups, mappings: Sequence[DocumentMapping]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    chosen = [one for one in mappings if one.collection == record.key.collection]
    return {(one.type, one.part): _expected(one) for mapping in chosen for one in mapping.apply(record, lookups)}


def _expected(outcome: Mapped | Unmappable) -> Mapping[str, Any]:
    own = {"type": outcome.type, "part": outcome.part}
    if isinstance(outcome, Unmappable):
        return {**own, "faults": sorted({fault.code.value for fault in outcome.faults})}
    return {**own, "head": dict(outcome.content.head), "lines": [dict(line) for line in outcome.content.lines]}


def _content(one: Mapping[str, Any]) -> Content:
    return Content(head=one["head"], lines=tuple(one["lines"]))


def _told(one: Mapping[str, Any]) -> str:
    return ", ".join(one["faults"]) if "faults" in one else "a document"
