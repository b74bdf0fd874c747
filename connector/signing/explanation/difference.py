"""Where two signed documents differ, in the bytes that are hashed and signed.

>>> print(first_difference(b"<a>1</a>", b"<a>2</a>").words)
this one goes on with '1</a>', the other with '2</a>'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from connector.errors import SignatureInvalid
from connector.messages.namespaces import DS, tag
from connector.messages.parser import parse
from connector.signing.canonical import canonical
from connector.signing.explanation.parts import parts
from connector.signing.explanation.reading import read
from connector.signing.place import signatures_in
from connector.signing.suites import SUITES, Suite

_CONTEXT = 40
_QUOTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first byte in which two texts differ."""

    offset: int
    """Bytes before it, in both."""
    line: int
    """From 1, in both."""
    ours: str
    """Of the first text, 40 bytes before the difference and 40 from it on; what is no UTF-8 is written as ``\\xe5``."""
    theirs: str
    """The same of the other."""
    words: str
    """What differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two documents, in canonical form."""

    same_bytes: bool
    """Whether the files are the same, byte for byte."""
    forms: Mapping[str, Difference | None]
    """``document`` (without its signature) and ``SignedInfo``, where both have it -> the first difference."""


def compare(data: bytes, other: bytes) -> Comparison:
    """Compare the canonical forms of two files; of envelopes, the messages in them.

    other may be unsigned, or the SignedInfo alone that a signing program wrote down; either is canonicalized as data
    names it. Raises `UnreadableMessage`, and `SignatureInvalid` where one has no canonical form.
    """
    suite = _suite(data)
    ours, theirs = _forms(data, suite), _forms(other, suite)
    forms = {name: first_difference(ours[name], theirs[name]) for name in ours if name in theirs}
    if not forms:
        raise SignatureInvalid("the two files have nothing to compare: one of them holds no signature")
    return Comparison(same_bytes=data == other, forms=forms)


def first_difference(ours: bytes, theirs: bytes) -> Difference | None:
    """The first byte in which two texts differ; None where they are the same."""
    if ours == theirs:
        return None
    # Where one text is the beginning of the other, they differ at its end.
    at = next(at for at in count() if ours[at : at + 1] != theirs[at : at + 1])
    return Difference(
        offset=at,
        line=ours.count(b"\n", 0, at) + 1,
        ours=_text(ours[max(0, at - _CONTEXT) : at + _CONTEXT]),
        theirs=_text(theirs[max(0, at - _CONTEXT) : at + _CONTEXT]),
        words=f"this one {_goes_on(ours, at)}, the other {_goes_on(theirs, at).removeprefix('goes on ')}",
    )


def _goes_on(text: bytes, at: int) -> str:
    rest = text[at : at + _CONTEXT]
    if not rest:
        return "ends there"
    attribute = text.rfind(b" ", 0, at + 1) + 1
    if text.startswith(b"xmlns", attribute) and text.count(b'"', attribute, at) < _QUOTES:
        what = "a namespace declaration: "
    elif rest.startswith(b"&#xD;"):
        what = "a carriage return: "
    else:
        what = "white space: " if rest[:1].isspace() else ""
    return f"goes on with {what}{_text(rest)!r}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="backslashreplace")


def _suite(data: bytes) -> Suite:
    """The algorithms that a file names; where it names none, those of customs messages."""
    root = parse(parts(data)[-1].data)
    found = [one for one in signatures_in(root) if one is not root]
    return (read(found[0]).stated if found else None) or SUITES["sm2-sm3"]


def _forms(data: bytes, suite: Suite) -> dict[str, bytes]:
    root = parse(parts(data)[-1].data)
    if root.tag == tag(DS, "SignedInfo"):
        return {"SignedInfo": canonical(root, suite)}
    found = [one for one in signatures_in(root) if one is not root]
    if not found:
        return {"document": canonical(root, suite)}
    reading = read(found[0])
    forms = {"document": reading.content, "SignedInfo": reading.signed_info}
    return {name: form for name, form in forms.items() if form is not None}
