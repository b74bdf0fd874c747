"""`DocumentMapping`: what one kind of record says in one message type.

A record that cannot be mapped never raises: all its faults are collected, each cause once, however many elements miss
out because of it::

    for outcome in mapping.apply(record, lookups):
        match outcome:
            case Mapped(content=content): ...
            case Unmappable(faults=faults): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TypeAlias

from connector.mapping.compiler import Element, value_of
from connector.mapping.converters import as_text, is_absent
from connector.mapping.facts import Fact
from connector.mapping.files import When
from connector.mapping.outcomes import Fault, FaultCode, Mapped, Original, Refused, Unmappable, shown
from connector.messages.catalogue import BEIJING, Field, MessageType
from connector.messages.documents import Content
from connector.messages.records import Lookups, LookupShape, Row, SourceRecord, Value
from connector.messages.sites import Areas

NamedLookup: TypeAlias = tuple[str, LookupShape]
"""A lookup by its name."""

_FILL_IN = "fill it in in the source system"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentMapping:
    """A mapping file, checked and ready to use."""

    name: str
    """The file's name without its ending, e.g. ``CEB213``."""
    message_type: MessageType
    collection: str
    """Name of the records file whose records it maps."""
    document: str
    """Which of several documents of its type it makes of a record; empty for the only one."""
    each: str
    """The column that tells its documents apart where it makes one of each line; empty where it makes one."""
    areas: Areas
    version: int
    valid_from: datetime | None
    """From when on it is in effect; None: from ever."""
    valid_until: datetime | None
    """When its next version begins; None where there is none."""
    dated: str
    """The column that tells the time of a record; empty for its time of change."""
    when: When | None
    """Of which records it makes a document; None: of all."""
    digest: str
    """SHA-256 of `basis`, lower-case hex."""
    basis: str
    """The file's text with the values and code lists it uses, as canonical JSON."""
    head: tuple[Element, ...]
    """In the order of the schema."""
    lines: tuple[Element, ...]
    """In the order of the schema; none for a type without lines."""
    original: tuple[Fact, ...]
    """What it tells the rules of the original export list."""
    original_lines: tuple[Fact, ...]
    """The same of the original line of each line."""
    head_lookups: tuple[NamedLookup, ...]
    """The lookups it reads once for a record."""
    line_lookups: tuple[NamedLookup, ...]
    """The lookups it reads for each line."""
    is_first: bool = True
    """Whether no version of it is older: it answers for records that are."""

    @property
    def lookups(self) -> tuple[str, ...]:
        """Names of the lookups it needs."""
        return tuple(name for name, _ in (*self.head_lookups, *self.line_lookups))

    @property
    def facts(self) -> frozenset[str]:
        """What it tells the rules at all, whatever a record holds."""
        return frozenset(one.name for one in (*self.original, *self.original_lines))

    def apply(self, record: SourceRecord, lookups: Lookups) -> tuple[Mapped | Unmappable, ...]:
        """Map one record of the collection: one outcome, or one for each line; none where it is not meant.

        lookups: as its source answered for `DocumentMapping.lookups`.
        """
        faults = _Faults()
        scope = _Scope(rows={"record": record.row})
        scope.find(self.head_lookups, lookups, faults)
        if (self.valid_from or self.valid_until) and not self._is_in_effect(record, scope, faults):
            return (self._outcome(Content(head={}), Original(), faults, self.document),) if faults.listed() else ()
        if self.when is not None and not self.each and not self._is_meant(scope):
            return ()
        if not self.each:
            return (self._document(scope, record.lines, lookups, faults, self.document),)
        if not record.lines:
            faults.add(_NO_LINES)
            return (self._outcome(Content(head={}), Original(), faults, self.document),)
        scopes = [scope.for_line(row, number) for number, row in enumerate(record.lines, start=1)]
        made = [(one, outcome) for one in scopes if (outcome := self._of_line(one, lookups)) is not None]
        self._refuse_repeats([one for one, _ in made], faults)
        if faults.listed():
            return (self._outcome(Content(head={}), Original(), faults, self.document),)
        return tuple(outcome for _, outcome in made)

    def moment(self, record: SourceRecord) -> datetime:
        """The time of a record: what decides about its version, and when its goods came back."""
        found = value_of({"record": record.row}, self.dated) if self.dated.startswith("record.") else None
        return _moment(found) or record.changed_at

    def _is_in_effect(self, record: SourceRecord, scope: _Scope, faults: _Faults) -> bool:
        moment = _moment(value_of(scope.rows, self.dated)) if self.dated else record.changed_at
        if moment is None:
            if self.is_first:
                faults.add(scope.empty(self.dated), "version")
            return False
        if self.valid_from is not None and moment < self.valid_from:
            if self.is_first:
                what = f"no version of the mapping is in effect on {moment.astimezone(BEIJING)}"
                remedy = f"add one, or have {self.name} begin earlier than {self.valid_from}"
                faults.add(_Cause(FaultCode.NOT_IN_EFFECT, self.name, what, remedy))
            return False
        return self.valid_until is None or moment < self.valid_until

    def _refuse_repeats(self, scopes: Sequence[_Scope], faults: _Faults) -> None:
        """Documents of lines are told apart by what stands in them: of two that say the same, one would be lost."""
        seen: dict[Value, _Scope] = {}
        for scope in scopes:
            value = value_of(scope.rows, self.each)
            if is_absent(value):
                faults.add(scope.empty(self.each), "each")
            elif (known := seen.setdefault(value, scope)) is not scope:
                what = f"lines {known.line} and {scope.line} both have {shown(value)}"
                faults.add(
                    _Cause(FaultCode.SAME_LINE, self.each, what, "name a column in `each` that tells lines apart")
                )

    def _is_meant(self, scope: _Scope) -> bool:
        when = self.when
        if when is None:
            return True
        value = value_of(scope.rows, when.field)
        text = "" if is_absent(value) or isinstance(value, float | date) else as_text(value)
        return text in when.is_ if when.is_ is not None else text not in (when.is_not or ())

    def _of_line(self, scope: _Scope, lookups: Lookups) -> Mapped | Unmappable | None:
        faults = _Faults()
        scope.find(self.line_lookups, lookups, faults)
        if not self._is_meant(scope):
            return None
        part = f"{self.document}/{value_of(scope.rows, self.each)}"
        return self._document(scope, (), lookups, faults, part)

    def _document(
        self, scope: _Scope, rows: Sequence[Row], lookups: Lookups, faults: _Faults, part: str
    ) -> Mapped | Unmappable:
        kind = self.message_type
        head = _texts(self.head, scope, faults)
        lines, original_lines = self._map_lines(rows, scope, lookups, faults) if self.lines else ((), ())
        original = Original(head=_values(self.original, scope, faults), lines=original_lines)
        if kind.areas:
            site = head.get(kind.site_field, "")
            self._locate(head, site, kind.head_fields, faults)
            for number, line in enumerate(lines, start=1):
                self._locate(line, site, kind.line_fields, faults, number)
        if kind.one_of and not head.keys() & set(kind.one_of):
            what = f"none of {', '.join(kind.one_of)} is there"
            faults.add(_Cause(FaultCode.REQUIRED_MISSING, kind.one_of[0], what, _FILL_IN, scope.line))
        for name, companion in kind.together.items():
            if name in head and companion not in head:
                what = f"{name} is there without {companion}"
                faults.add(_Cause(FaultCode.REQUIRED_MISSING, companion, what, _FILL_IN, scope.line), companion)
        return self._outcome(Content(head=head, lines=lines), original, faults, part)

    def _locate(
        self, texts: dict[str, str], site: str, fields: Sequence[Field], faults: _Faults, line: int = 0
    ) -> None:
        """Add the functional areas that locations lie in, where no line of the mapping gave them."""
        required = {one.name for one in fields if one.required}
        for area_field, location_field in self.message_type.areas.items():
            location = texts.get(location_field)
            if location is None or area_field in texts:
                continue
            if area := self.areas.of(site, location):
                texts[area_field] = area
            elif area_field in required:
                what = f"location {shown(location)} lies in no functional area of the site {shown(site)}"
                cause = _Cause(FaultCode.NO_AREA, location_field, what, f"add it to [sites.{site}.areas]", line)
                faults.add(cause, area_field)

    def _outcome(self, content: Content, original: Original, faults: _Faults, part: str) -> Mapped | Unmappable:
        kind, head = self.message_type, content.head
        known = all(name in head for name in kind.key_fields)
        business_key = kind.business_key(head) if known else ""
        waybill, export_list = head.get(kind.waybill_field, ""), head.get(kind.export_list_field, "")
        if found := faults.listed():
            return Unmappable(
                type=kind.name,
                business_key=business_key,
                waybill=waybill,
                export_list=export_list,
                part=part,
                faults=found,
            )
        return Mapped(
            type=kind.name,
            content=content,
            original=original,
            business_key=business_key,
            waybill=waybill,
            export_list=export_list,
            part=part,
        )

    def _map_lines(
        self, rows: Sequence[Row], head: _Scope, lookups: Lookups, faults: _Faults
    ) -> tuple[tuple[dict[str, str], ...], tuple[Row, ...]]:
        """The lines, and what is known of the original of each."""
        most = self.message_type.line_limit
        if not rows:
            faults.add(_NO_LINES)
        if len(rows) > most:
            what = f"the record has {len(rows)} lines, {most} are allowed"
            faults.add(_Cause(FaultCode.TOO_MANY_LINES, "lines", what, "enter it as several returns"))
            return (), ()
        lines: list[dict[str, str]] = []
        originals: list[Row] = []
        for number, row in enumerate(rows, start=1):
            scope = head.for_line(row, number)
            scope.find(self.line_lookups, lookups, faults)
            lines.append(_texts(self.lines, scope, faults))
            originals.append(_values(self.original_lines, scope, faults))
        return tuple(lines), tuple(originals)


@dataclass(frozen=True, slots=True)
class _Cause:
    """Something wrong with a record, whichever elements miss out because of it."""

    code: FaultCode
    subject: str
    """Column, lookup or part of the record."""
    what: str
    remedy: str
    line: int = 0
    """Number of the line from 1; 0 where it concerns the head or all lines."""


_NO_LINES = _Cause(FaultCode.NO_LINES, "lines", "the record has no lines", "enter what was returned")


class _Faults:
    """The causes found in one record, each with the elements that miss out."""

    def __init__(self) -> None:
        self._elements: dict[_Cause, dict[str, None]] = {}

    def add(self, cause: _Cause, *elements: str) -> None:
        self._elements.setdefault(cause, {}).update(dict.fromkeys(elements))

    def listed(self) -> tuple[Fault, ...]:
        return tuple(_fault(cause, tuple(elements)) for cause, elements in self._elements.items())


def _fault(cause: _Cause, elements: tuple[str, ...]) -> Fault:
    fields = ", ".join(elements)
    place = f"line {cause.line}: " if cause.line else ""
    needed = f" (for {fields})" if fields else ""
    return Fault(code=cause.code, field=fields or cause.subject, text=f"{place}{cause.what}: {cause.remedy}{needed}")


@dataclass(slots=True)
class _Scope:
    """The rows in reach of the head, or of one line."""

    rows: dict[str, Row]
    line: int = 0
    shared: frozenset[str] = frozenset()
    """Names of the rows that all lines have in common."""
    missing: dict[str, _Cause] = field(default_factory=dict)
    """Why a lookup has no row here."""

    def for_line(self, row: Row, number: int) -> _Scope:
        return _Scope({**self.rows, "line": row}, number, frozenset(self.rows), dict(self.missing))

    def find(self, needed: Sequence[NamedLookup], lookups: Lookups, faults: _Faults) -> None:
        """Bring the row of each lookup in reach, or the reason why there is none."""
        for name, shape in needed:
            found = self._row(name, shape, lookups)
            if isinstance(found, _Cause):
                self.rows[name], self.missing[name] = {}, found
                if found.code is FaultCode.LOOKUP_AMBIGUOUS:  # also where every element may be absent: never a guess
                    faults.add(found)
            else:
                self.rows[name] = found

    def _row(self, name: str, shape: LookupShape, lookups: Lookups) -> Row | _Cause:
        key: list[str] = []
        for reference in shape.match:
            value = value_of(self.rows, reference)
            if is_absent(value):
                return self.empty(reference)
            key.append(str(value))
        rows = lookups.get(name, {}).get(tuple(key), ())
        if len(rows) == 1:
            return rows[0]
        wanted = ", ".join(f"{reference} = {shown(value)}" for reference, value in zip(shape.match, key, strict=True))
        line = self.line if shape.per_line else 0
        if rows:
            what = f"{name} has {len(rows)} rows for {wanted}"
            return _Cause(FaultCode.LOOKUP_AMBIGUOUS, name, what, "leave only the right one", line)
        what, remedy = f"{name} has no row for {wanted}", f"add it, or correct {' or '.join(shape.match)}"
        return _Cause(FaultCode.LOOKUP_MISSING, name, what, remedy, line)

    def empty(self, reference: str) -> _Cause:
        """That a column which is needed is empty."""
        line = 0 if reference.partition(".")[0] in self.shared else self.line
        return _Cause(FaultCode.REQUIRED_MISSING, reference, f"{reference} is empty", _FILL_IN, line)

    def why_absent(self, element: Element) -> _Cause:
        """Why an element has no text: its lookup, its column, or what the conversions left of it."""
        for reference in element.references:
            if cause := self.missing.get(reference.partition(".")[0]):
                return cause
            if is_absent(value_of(self.rows, reference)):
                return self.empty(reference)
        what = f"{element.label} gives no text"
        return _Cause(FaultCode.REQUIRED_MISSING, element.label, what, "correct it or its mapping", self.line)


def _moment(value: Value) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, time.min, BEIJING) if isinstance(value, date) else None


def _texts(elements: Sequence[Element], scope: _Scope, faults: _Faults) -> dict[str, str]:
    """The texts of the elements that have one."""
    texts: dict[str, str] = {}
    for element in elements:
        try:
            text = element.text(scope.rows)
        except Refused as refused:
            faults.add(_refusal(refused, element.label, scope), element.name)
            continue
        if text is not None:
            texts[element.name] = text
        elif element.required:
            faults.add(scope.why_absent(element), element.name)
    return texts


def _values(facts: Sequence[Fact], scope: _Scope, faults: _Faults) -> Row:
    """The facts that are known."""
    values: dict[str, Value] = {}
    for fact in facts:
        try:
            value = fact.value(scope.rows)
        except Refused as refused:
            faults.add(_refusal(refused, fact.label, scope), f"original {fact.name}")
            continue
        if value is not None:
            values[fact.name] = value
    return values


def _refusal(refused: Refused, label: str, scope: _Scope) -> _Cause:
    subject = refused.source or label
    what = f"{subject} = {shown(refused.value)} {refused.problem}"
    return _Cause(refused.code, subject, what, refused.remedy, scope.line)
