"""`load_mappings`: a folder of files -> mappings, or every fault of every file at once.

A TOML file with a ``message`` key is a mapping; one with ``codes`` tables and no ``message`` holds code lists; one with
``records`` and no ``message`` belongs to the sources::

    mappings = load_mappings(settings.mappings, {shape.collection: shape}, settings.values, settings.codes)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from connector.errors import MappingError
from connector.mapping.checks import check_constants, check_rule, check_table, reference_problem, unknown
from connector.mapping.compiler import Constants, Element, compile_element
from connector.mapping.engine import DocumentMapping
from connector.mapping.facts import FACTS, Fact, compile_fact
from connector.mapping.files import CodesFile, ElementRule, MappingFile
from connector.messages.catalogue import MESSAGE_TYPES, Field
from connector.messages.records import RecordShape, digest, encode
from connector.messages.sites import NOWHERE, Areas
from connector.toml_file import TomlFile


def load_mappings(
    folder: Path,
    shapes: Mapping[str, RecordShape],
    values: Mapping[str, str],
    codes: Mapping[str, Mapping[str, str]],
    areas: Areas = NOWHERE,
) -> tuple[DocumentMapping, ...]:
    """Read, check and compile the mappings of a folder, in the order of their file names.

    shapes: what the sources offer, by collection; values, codes: constants and code lists of the enterprise; areas:
    where its locations lie. A code list may be spread over several files and ``codes``. Raises `MappingError` that
    names every fault of every file.
    """
    files = [TomlFile.read(path) for path in sorted(folder.glob("*.toml"))]
    constants = Constants(values=values, codes=_merge_codes(files, codes), areas=areas)
    drafts = [_Draft(file, shapes, constants) for file in files if "message" in file.document]
    _check_versions(drafts)
    for file in files:
        if file.document and not file.document.keys() & {"message", "records", "codes"}:
            file.faults.append(f"{file.path}: has no message, records or codes: add the one that says what it is")
    faults = [fault for file in files for fault in file.faults]
    if not (drafts or faults):
        faults.append(f"{folder} holds no mapping: no TOML file with a message key")
    if faults:
        raise MappingError(
            "\n".join(faults), effect="nothing was started", remedy="correct the lines named above and try again"
        )
    return _versions([draft.mapping() for draft in drafts])


_EVER = datetime.min.replace(tzinfo=UTC)


class _Draft:
    """A mapping file on its way to a mapping; what is wrong with it goes to its file."""

    def __init__(self, file: TomlFile, shapes: Mapping[str, RecordShape], constants: Constants) -> None:
        self._file = file
        self._shapes = shapes
        self._constants = constants
        self._written = file.validate(MappingFile, file.document)
        if self._written is not None:
            self._constants = constants = replace(constants, text=self._written.text)
        self.source = tuple(str(file.document.get(name, "")) for name in ("message", "records", "document"))
        """Message type, collection, and which of several documents: one mapping for each."""
        self._each = str(file.document.get("each", ""))
        self._kind = MESSAGE_TYPES.get(self.source[0])
        self._shape = shapes.get(self.source[1])
        if self._kind is None:
            self.refuse("message", unknown("message type", self.source[0], MESSAGE_TYPES))
        if self._shape is None and "records" in file.document:
            self.refuse("records", unknown("records file", self.source[1], shapes))
        if self._each and self._shape and self._each.removeprefix("line.") not in self._shape.line_columns:
            self.refuse("each", f"{self._each}: {self.source[1]} has no such column of a line")
        if self._each and self._kind and self._kind.line:
            self.refuse("each", f"{self.source[0]} has lines of its own; remove it")
        for key, reference in self._of_the_whole():
            of_line = bool(self._each) and key[0] == "when"
            if self._shape and (problem := reference_problem(reference, self._shape, of_line=of_line)):
                self._file.add([(key, problem)])
        self._head = self._rules("head", self._kind.head_fields if self._kind else None)
        self._lines = self._rules("lines", self._kind.line_fields if self._kind else None)
        self._facts = {table: self._fact_rules(table) for table in FACTS}

    @property
    def written(self) -> MappingFile | None:
        """The file as it is written; None where it has faults of its own."""
        return self._written

    def _of_the_whole(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """The columns that decide whether, and by which version, a document is made; each with its keys."""
        if self._written is not None and self._written.when is not None:
            yield ("when", "field"), self._written.when.field
        if self._written is not None and self._written.dated is not None:
            yield ("dated",), self._written.dated

    def refuse(self, key: str, message: str) -> None:
        self._file.add([((key,), message)])

    def _rules(self, table: str, fields: tuple[Field, ...] | None) -> dict[str, ElementRule]:
        """The sound rules of one table."""
        written = self._file.document.get(table, {})
        if not isinstance(written, dict):
            return {}  # said by the validation of the whole file
        if fields == () and written:
            self.refuse(table, f"{self.source[0]} has no lines; remove the table")
            return {}
        if self._kind is not None:
            self._file.add(check_table(table, written, fields or (), self._kind))
        rules: dict[str, ElementRule] = {}
        for name, content in written.items():
            rule = self._file.validate(ElementRule, content, table, name)
            if rule is not None and self._is_sound(table, name, rule, fields or ()):
                rules[name] = rule
        return rules

    def _fact_rules(self, table: str) -> dict[str, ElementRule]:
        """The sound rules of ``[original]`` or ``[original_lines]``."""
        rules: dict[str, ElementRule] = {}
        for name, content in dict(self._file.document.get(table) or {}).items():
            rule = self._file.validate(ElementRule, content, table, name)
            if name not in FACTS[table]:
                self._file.add([((table, name), f"is no fact; choose one of {', '.join(FACTS[table])}")])
            elif rule is not None and self._is_sound(table, name, rule, ()):
                rules[name] = rule
        return rules

    def _is_sound(self, table: str, name: str, rule: ElementRule, fields: tuple[Field, ...]) -> bool:
        if self._shape is None:
            return False
        of_line = table in {"lines", "original_lines"} or bool(self._each)
        findings = list(check_rule((table, name), rule, self._shape, self._constants, of_line=of_line))
        for element in fields:
            if element.name == name and not findings:
                findings.extend(check_constants(table, rule, element, self._constants))
        self._file.add(findings)
        return not findings

    def mapping(self) -> DocumentMapping:
        """The mapping; only for a file without faults."""
        kind, shape = self._kind, self._shape
        assert kind is not None
        assert shape is not None
        tables = (self._head, self._lines, *self._facts.values())
        rules = [rule for table in tables for rule in table.values()]
        written = self._written
        assert written is not None
        named = {reference.partition(".")[0] for rule in rules for _, reference in rule.references()}
        named |= {reference.partition(".")[0] for _, reference in self._of_the_whole()}
        lookups = [(name, shape.lookups[name]) for name in sorted(named & shape.lookups.keys())]
        basis = self._basis(rules)
        return DocumentMapping(
            name=self._file.path.stem,
            message_type=kind,
            collection=shape.collection,
            version=written.version,
            valid_from=written.valid_from,
            valid_until=None,
            dated=written.dated or "",
            when=written.when,
            document=self.source[2],
            each=self._each,
            areas=self._constants.areas,
            digest=digest(basis),
            basis=basis,
            head=self._elements(self._head, kind.head_fields),
            lines=self._elements(self._lines, kind.line_fields),
            original=self._compiled("original"),
            original_lines=self._compiled("original_lines"),
            head_lookups=tuple((name, lookup) for name, lookup in lookups if not lookup.per_line),
            line_lookups=tuple((name, lookup) for name, lookup in lookups if lookup.per_line),
        )

    def _elements(self, rules: Mapping[str, ElementRule], fields: tuple[Field, ...]) -> tuple[Element, ...]:
        return tuple(compile_element(rules[one.name], one, self._constants) for one in fields if one.name in rules)

    def _compiled(self, table: str) -> tuple[Fact, ...]:
        return tuple(compile_fact(table, name, rule, self._constants) for name, rule in self._facts[table].items())

    def _basis(self, rules: Iterable[ElementRule]) -> str:
        chain = [one for rule in rules for _, one in rule.chain()]
        constants = self._constants
        used: dict[str, object] = {
            "file": self._file.text,
            "values": {one.value: constants.values[one.value] for one in chain if one.value is not None},
            "codes": {one.codes: dict(constants.codes[one.codes]) for one in chain if one.codes is not None},
        }
        if self._kind is not None and self._kind.areas:
            used["areas"] = {site: dict(places) for site, places in constants.areas.places.items()}
        return encode(used)


def _merge_codes(files: Iterable[TomlFile], given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    merged = {name: dict(codes) for name, codes in given.items()}
    for file in files:
        if "codes" not in file.document or "message" in file.document:
            continue
        lists: CodesFile | None = file.validate(CodesFile, file.document)
        for name, codes in lists.codes.items() if lists else ():
            known = merged.setdefault(name, {})
            file.add((("codes", name, code), "is given elsewhere already; keep one") for code in codes if code in known)
            known |= codes
    return merged


def _check_versions(drafts: Iterable[_Draft]) -> None:
    """Files for the same documents are versions of one mapping: each has its number and its beginning."""
    seen: dict[tuple[str, ...], list[MappingFile]] = {}
    for draft in drafts:
        written = draft.written
        if written is None:
            continue
        for other in seen.setdefault(draft.source, []):
            if other.valid_from == written.valid_from:
                again = "{} of {} has a mapping in another file already; keep one, give this one a valid_from of "
                draft.refuse("message", again.format(*draft.source) + "its own, or tell them apart by document")
            elif other.version == written.version:
                draft.refuse("version", "is that of another file for the same documents; give this one its own")
            if other.dated != written.dated:
                draft.refuse("dated", "differs from that of another version; by one time only a record belongs to one")
        seen[draft.source].append(written)


def _versions(mappings: Sequence[DocumentMapping]) -> tuple[DocumentMapping, ...]:
    """The same mappings, each in effect until the next version of it begins."""
    begins: dict[tuple[str, str, str], list[datetime]] = {}
    for one in mappings:
        begins.setdefault(_of(one), []).append(one.valid_from or _EVER)
    return tuple(
        replace(
            one,
            valid_until=min((begin for begin in begins[_of(one)] if begin > (one.valid_from or _EVER)), default=None),
            is_first=(one.valid_from or _EVER) == min(begins[_of(one)]),
        )
        for one in mappings
    )


def _of(one: DocumentMapping) -> tuple[str, str, str]:
    return one.message_type.name, one.collection, one.document
