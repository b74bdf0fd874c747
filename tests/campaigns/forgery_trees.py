"""Mutations of a tree: elements doubled, moved, swapped, removed, renamed, wrapped; other texts and attributes.

Each is a function of a random source, what a forger has, and the document as it is by now. Where a tree has become
none, or lxml does not allow the change, the document is handed back as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

from lxml import etree

from connector.messages.namespaces import CEB, DS, DXP, tag
from connector.messages.parser import Element
from tests.forgeries import editing
from tests.forgeries.material import Material

Mutation = Callable[[Random, Material, bytes], bytes]

NAMESPACES = (DXP, DS, CEB, "urn:x", "", "http://www.w3.org/2000/09/xmldsig")
_TEXTS = (
    "",
    "0",
    "100",
    "800",
    "399",
    "-1",
    "\n",
    " ",
    "AAAA",
    "DXPENT0000099999",
    "2025-06-01T10:30:00+08:00",
    "放行",
)
_URIS = (
    "#G1",
    "#xpointer(/)",
    "http://www.w3.org/2000/09/xmldsig#sha1",
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/TR/1999/REC-xslt-19991116",
    "",
)


def tree_of(data: bytes) -> Element | None:
    """The document, read as a careless receiver would; None where it is no XML."""
    try:
        return etree.fromstring(data)
    except (etree.XMLSyntaxError, ValueError):
        return None


def elements_of(root: Element) -> list[Element]:
    return list(root.iter(etree.Element))


def _oftree_of(change: Callable[[Random, Element], object]) -> Mutation:
    """A mutation of the tree; one that lxml does not allow changes nothing."""

    def mutate(random: Random, _material: Material, data: bytes) -> bytes:
        root = tree_of(data)
        if root is None:
            return data
        try:
            change(random, root)
            return editing.text(root)
        except (ValueError, TypeError):
            return data

    return mutate


def _duplicate(random: Random, root: Element) -> None:
    elements = elements_of(root)
    parent = random.choice(elements)
    parent.insert(random.randint(0, len(parent)), deepcopy(random.choice(elements)))


def _double_in_place(random: Random, root: Element) -> None:
    one = random.choice(elements_of(root)[1:] or [root])
    copy = deepcopy(one)
    copy.text = random.choice(_TEXTS)
    (one.addnext if random.random() < 0.5 else one.addprevious)(copy)


def _move(random: Random, root: Element) -> None:
    elements = elements_of(root)
    one, parent = random.choice(elements[1:] or elements), random.choice(elements)
    if one is not parent and one not in parent.iterancestors():
        parent.insert(random.randint(0, len(parent)), one)


def _swap(random: Random, root: Element) -> None:
    one, other = random.choice(elements_of(root)), random.choice(elements_of(root))
    one.text, other.text = other.text, one.text
    if random.random() < 0.3:
        one.tag, other.tag = other.tag, one.tag


def _remove(random: Random, root: Element) -> None:
    one = random.choice(elements_of(root)[1:] or [root])
    parent = one.getparent()
    if parent is not None:
        parent.remove(one)


def _rename(random: Random, root: Element) -> None:
    one, other = random.choice(elements_of(root)), random.choice(elements_of(root))
    one.tag = other.tag if random.random() < 0.5 else tag(random.choice(NAMESPACES), etree.QName(one).localname)


def _wrap(random: Random, root: Element) -> None:
    one = random.choice(elements_of(root)[1:] or [root])
    around = etree.Element(random.choice((tag(DXP, "AddInfo"), tag(DS, "Object"), "Extensions", one.tag)))
    one.addprevious(around)
    around.append(one)


def _retext(random: Random, root: Element) -> None:
    one = random.choice([leaf for leaf in elements_of(root) if not len(leaf)] or [root])
    old = one.text or ""
    at = random.randint(0, len(old))
    if random.random() < 0.3:
        one.text = random.choice(_TEXTS)
    elif random.random() < 0.5 and old:
        one.text = old[:at] + random.choice("0123456789ABCDEFabcdef") + old[at + 1 :]
    else:
        one.text = random.choice((old[:at], old[at:], old[:at] + " " + old[at:], old + old))


def _attribute(random: Random, root: Element) -> None:
    one = random.choice(elements_of(root))
    name = random.choice([*one.attrib, "Id", "ver", "URI", "Algorithm", "xsi", "{urn:x}Id"])
    if random.random() < 0.2 and name in one.attrib:
        one.attrib.pop(name)
    else:
        one.set(name, random.choice((*_TEXTS, *_URIS, "G1", "1.0")))


def _in_signature(random: Random, root: Element) -> None:
    inside = [one for one in root.iter(f"{{{DS}}}*")]  # noqa: C416 - a list is chosen from
    if inside:
        one = random.choice(inside)
        one.set("Algorithm" if "Algorithm" in one.attrib else "URI", random.choice(_URIS))
        random.choice((_duplicate, _remove, _swap, _retext))(random, random.choice(inside))


STRUCTURE = (
    _oftree_of(_duplicate),
    _oftree_of(_double_in_place),
    _oftree_of(_move),
    _oftree_of(_swap),
    _oftree_of(_remove),
    _oftree_of(_rename),
    _oftree_of(_wrap),
)


def restructure(random: Random, material: Material, data: bytes) -> bytes:
    return random.choice(STRUCTURE)(random, material, data)


retext, reattribute, reshape = _oftree_of(_retext), _oftree_of(_attribute), _oftree_of(_in_signature)
