"""What a campaign is: numbered trials, each of which its seed alone repeats, and what may never happen in any of them.

A campaign proves by many trials what no single test can. Each trial hands back figures, which are added up, and
violations, of which there must be none. A plant is a bug put into a copy of the program on purpose: the campaign
proves something only if it finds a violation there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial, repeated by its number and the campaign's seed."""

    number: int
    seed: int
    """Of this trial alone; every random choice in it comes from this."""
    folder: Path
    """Empty at first and its own; kept when the trial finds a violation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one trial came to."""

    figures: Mapping[str, int] = field(default_factory=dict)
    """Counts, e.g. ``{"kills": 10, "documents": 1000}``; added up over all trials."""
    violations: tuple[str, ...] = ()
    """What should never have happened, each in a sentence that lets a reader find it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A bug: text that stands once in a file of the program, and what replaces it in the copy."""

    name: str
    """E.g. ``deferred-begin``."""
    file: str
    """Relative to ``connector/``."""
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Trials of one kind."""

    name: str
    """As a user types it."""
    proves: str
    """What holds when there is no violation, in one sentence."""
    run: Callable[[Trial], Outcome]
    full: int
    """Trials of the full campaign; it ends within 40 minutes on two cores."""
    small: int
    """Trials in `make test`, a few seconds in all."""
    demands: Mapping[str, int]
    """Figures that the full campaign must reach, e.g. ``{"kills": 500}``."""
    plants: tuple[Plant, ...] = ()
