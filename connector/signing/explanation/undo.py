"""Takes back what tools commonly do to a document after it was signed, to see whether the signature fits then.

Each change is undone in a copy, alone and together with one other. What makes digest and signature value fit again is
what was done; nobody has to believe a guess. None of this makes a document acceptable: it has to be sent as it was
signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import combinations
from types import MappingProxyType

from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.namespaces import DS, XSI
from connector.messages.parser import Element, parse
from connector.signing.explanation.notes import Topic
from connector.signing.place import signatures_in

_OFTEN_DROPPED = {"xsi": XSI, "ds": DS}


def undone(root: Element) -> Iterator[tuple[tuple[Topic, ...], Element]]:
    """Copies of a document with one signature, each with what was undone in it; the fewest changes first."""
    for topic, undo in _UNDO.items():
        for tree in undo(root):
            yield (topic,), tree
    for first, second in combinations(_UNDO, 2):
        for once in _UNDO[first](root):
            for twice in _UNDO[second](once):
                yield (first, second), twice


def _around_signature(root: Element) -> Iterator[Element]:
    """The text around the signature as one: none, a line end, or what stands between the other children."""
    between = [root.text, *(child.tail for child in root if child.tag != f"{{{DS}}}Signature")]
    for text in dict.fromkeys(["", "\n", *(one for one in between if one and not one.strip())]):
        tree = deepcopy(root)
        signature = signatures_in(tree)[0]
        before, parent = signature.getprevious(), signature.getparent()
        assert parent is not None
        around = ((parent.text if before is None else before.tail) or "") + (signature.tail or "")
        if around == text or around.strip():
            continue
        if before is None:
            parent.text = ""
        else:
            before.tail = ""
        signature.tail = text
        yield tree


def _between_elements(root: Element) -> Iterator[Element]:
    """No white space between elements, as a program would write them."""
    tree = deepcopy(root)
    found = False
    for element in tree.iter():
        if len(element) and element.text and not element.text.strip():
            element.text, found = None, True
        if element.tail and not element.tail.strip():
            element.tail, found = None, True
    if found:
        yield tree


def _declarations_dropped(root: Element) -> Iterator[Element]:
    """With a declaration on the root that it lacks."""
    text = etree.tostring(root, encoding="UTF-8")
    lacking = [(prefix, uri) for prefix, uri in _OFTEN_DROPPED.items() if prefix not in root.nsmap]
    for some in (*([one] for one in lacking), *([lacking] if len(lacking) > 1 else [])):
        declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in some).encode()
        end_of_name = re.match(rb"<[^\s/>]+", text)
        assert end_of_name
        yield parse(end_of_name[0] + declared + text[end_of_name.end() :])


def _declarations_added(root: Element) -> Iterator[Element]:
    """Without one declaration of the root that nothing below needs, and without all of them but xsi."""
    text = bare = etree.tostring(root, encoding="UTF-8")
    for prefix, uri in root.nsmap.items():
        if prefix is None:
            continue
        declaration = re.compile(rb" xmlns:" + re.escape(prefix.encode()) + rb"=(\"[^\"]*\"|'[^']*')")
        if (tree := _parsed(declaration.sub(b"", text, count=1))) is not None:
            yield tree
            bare = bare if uri == XSI else declaration.sub(b"", bare, count=1)
    if bare != text and (tree := _parsed(bare)) is not None:
        yield tree


def _carriage_returns(root: Element) -> Iterator[Element]:
    """Without the carriage returns in texts, and with one before each line end."""
    for pattern, replacement in ((r"\r\n?", "\n"), (r"(?<!\r)\n", "\r\n")):
        tree = deepcopy(root)
        found = 0
        for element in tree.iter():
            for place in ("text", "tail"):
                text, count = re.subn(pattern, replacement, getattr(element, place) or "")
                if count:
                    setattr(element, place, text)
                    found += count
        if found:
            yield tree


def _parsed(text: bytes) -> Element | None:
    try:
        return parse(text)
    except UnreadableMessage:
        return None


_UNDO: Mapping[Topic, Callable[[Element], Iterator[Element]]] = MappingProxyType(
    {
        Topic.WHITE_SPACE_AROUND_SIGNATURE: _around_signature,
        Topic.WHITE_SPACE_BETWEEN_ELEMENTS: _between_elements,
        Topic.NAMESPACE_DROPPED: _declarations_dropped,
        Topic.NAMESPACE_ADDED: _declarations_added,
        Topic.LINE_ENDS: _carriage_returns,
    }
)
