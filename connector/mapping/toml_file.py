"""A TOML file read so that all its faults can be told at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from connector.config import describe_fault


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
            self.faults.append(describe_fault(self.path, self.text, location, message, ""))

    def validate(self, model: type[BaseModel], content: object, *path: str) -> Any:
        """The content as a model, None when it does not fit."""
        try:
            return model.model_validate(content)
        except ValidationError as error:
            for fault in error.errors():
                location = (*path, *fault["loc"])
                self.faults.append(describe_fault(self.path, self.text, location, fault["msg"], fault["type"]))
            return None


def _problem_and_line(error: tomllib.TOMLDecodeError) -> tuple[str, int]:
    """The parser's words and its line from 1."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error), re.DOTALL)
    return (found[1], int(found[2])) if found else (str(error), 1)
