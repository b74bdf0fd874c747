"""A TOML file that people write, read so that all its faults can be told at once, each with its line.

::

    file = TomlFile.read(path)
    rules = file.validate(Rules, file.document)     # None when it does not fit
    file.faults                                     # "mapping.toml:7: head.coElNo is given twice; keep one line"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)

_IN_WORDS = {
    "missing": "is missing; add it",
    "extra_forbidden": "is not a known key; remove it or correct its name",
}


@dataclass(slots=True)
class TomlFile:
    """A TOML file and what is wrong with it."""

    path: Path
    text: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    """Its content, empty where it is not TOML."""
    faults: list[str] = field(default_factory=list)
    """Each with file and line, for people."""

    @classmethod
    def read(cls, path: Path) -> TomlFile:
        """Read and parse a file; what cannot be read or parsed becomes a fault."""
        file = cls(path)
        try:
            file.text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            file.faults.append(f"{path}: {error}")
        file._parse()
        return file

    def _parse(self) -> None:
        """Parse the text, leaving out keys that are given a second time, so that other faults are found as well."""
        lines = [*self.text.split("\n"), ""]
        while True:
            try:
                self.document = tomllib.loads("\n".join(lines))
            except tomllib.TOMLDecodeError as error:
                problem, number = _problem_and_line(error)
                if problem != "Cannot overwrite a value":
                    self.faults.append(f"{self.path}:{number}: {problem}; correct the TOML")
                    return
                key = lines[number - 1].partition("=")[0].strip()
                self.faults.append(f"{self.path}:{number}: {key} is given twice; keep one line")
                lines[number - 1] = ""
            else:
                return

    def add(self, findings: Iterable[tuple[tuple[str, ...], str]]) -> None:
        """Note faults, each as the keys that lead to it and what is wrong there."""
        for location, message in findings:
            self.faults.append(self._describe(location, message))

    def note(
        self, error: ValidationError, *path: str, elsewhere: Callable[[Sequence[str | int]], str] = lambda _keys: ""
    ) -> None:
        """Note what a model found wrong with the content under these keys.

        A fault may name the place itself: the keys from where it was found are its context ``at``.
        elsewhere: where the content of such keys comes from, when it is not this file.
        """
        for fault in error.errors():
            message = _IN_WORDS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
            location = (*path, *fault["loc"], *fault.get("ctx", {}).get("at", ()))
            place = elsewhere(location)
            self.faults.append(f"{place}: {message}" if place else self._describe(location, message))

    def validate(self, model: type[Model], content: object, *path: str, context: Any = None) -> Model | None:
        """The content as a model, None when it does not fit."""
        try:
            return model.model_validate(content, context=context)
        except ValidationError as error:
            self.note(error, *path)
            return None

    def _describe(self, location: Sequence[str | int], message: str) -> str:
        """One line for a person: file, line, table and key, what is wrong."""
        keys = [str(part) for part in location]
        line = line_of(self.text, keys)
        return f"{self.path}:{line}: {'.'.join(keys)} {message}" if line else f"{self.path}: {'.'.join(keys)} {message}"


def line_of(text: str, keys: Sequence[str]) -> int:
    """The line (from 1) on which a key stands, else the one on which its table starts, else 0."""
    keys = list(keys)
    table_line, found = 0, 0
    here: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", stripped):
            here = [part.strip().strip("\"'") for part in header.group(1).split(".")]
        elif assignment := re.match(r"([^=#]+?)\s*=", stripped):
            written = here + [part.strip().strip("\"'") for part in assignment.group(1).split(".")]
            if written == keys[: len(written)] and len(written) > len(here):
                found = found or number
        if here and here == keys[: len(here)]:
            table_line = table_line or number
    return found or table_line


def _problem_and_line(error: tomllib.TOMLDecodeError) -> tuple[str, int]:
    """The parser's words and its line from 1."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error), re.DOTALL)
    return (found[1], int(found[2])) if found else (str(error), 1)
