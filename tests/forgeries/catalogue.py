"""The catalogue of forgeries made by hand: one function each, named after what is wrong with what it makes.

`forgery` enters a function and says for what reason its work has to be refused. Where the forger alone could not get a
rule to be the only one that is broken, the office's own key signs: as if the office had been careless enough.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.forgeries.material import Material

DOCTYPE = "it declares a document type"
COMMENT = "it holds a comment or a processing instruction"
MALFORMED = "not well-formed XML"
ENCODING = "it declares an encoding other than UTF-8"
SIZE = "where 20,000,000 are allowed"
SCHEMA = r"\A/\S+ \(line \d+\): "
BASE64 = "is not Base64"
UNSIGNED = "it is not signed"
COUNT = "signatures instead of one"
METHOD = "the signature method .* is not allowed here"
SHAPE = r"the signature has \["
TRUST = "is not one that is trusted here"
VALUE = "the signature value does not fit"
DIGEST = "the digest differs"
VALIDITY = "was not valid on"
CANONICAL = "the document has no canonical form|has a namespace with the character &"
PLAIN = "the document holds a comment"

Make = Callable[[Material], bytes]

FAMILIES = ("wrapping", "signatures", "values", "keys", "transforms", "markup", "namespaces", "content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """One way to forge an envelope."""

    name: str
    family: str
    refused: str
    """What the reason for the refusal matches."""
    make: Make


_ENTERED: dict[str, Forgery] = {}


def forgery(refused: str) -> Callable[[Make], Make]:
    """Enter a function under its own name; the family is its module's name."""

    def enter(make: Make) -> Make:
        name = make.__name__
        assert name not in _ENTERED, name
        family = make.__module__.rpartition(".")[2]
        _ENTERED[name] = Forgery(name=name, family=family, refused=refused, make=make)
        return make

    return enter


def forgeries() -> dict[str, Forgery]:
    """The whole catalogue by name."""
    for family in FAMILIES:
        importlib.import_module(f"tests.forgeries.{family}")
    return dict(_ENTERED)
