"""Mutants of envelopes, by mutations that know what one is made of: its text, its parts, the receipts inside it.

Those of the tree alone are in `forgery_trees`. Where a random choice does not apply, the document stays as it is.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from random import Random

from lxml import etree

from connector.messages.namespaces import DXP, tag
from tests.campaigns.forgery_trees import (
    NAMESPACES,
    STRUCTURE,
    Mutation,
    elements_of,
    reattribute,
    reshape,
    restructure,
    retext,
    tree_of,
)
from tests.forgeries import editing
from tests.forgeries.catalogue import forgeries
from tests.forgeries.material import Material
from tests.forgeries.wrapping import SHAPES, wrapped_somewhere

_MARKUP = (
    "<!---->",
    "<!-- 800 -->",
    "<?x y?>",
    "<![CDATA[]]>",
    "<![CDATA[800]]>",
    "&e;",
    "&#56;",
    "&amp;",
    "\n",
    "\t",
    "<x/>",
)
_DECLARATIONS = (
    '<!DOCTYPE r [<!ENTITY e "800">]>',
    "<!DOCTYPE r [<!ATTLIST dxp:Data ver ID #IMPLIED>]>",
    "<!-- -->",
    "<?x y?>",
    "",
)


def remark(random: Random, _material: Material, data: bytes) -> bytes:
    """Comments, instructions, entities and sections in a text."""
    at = random.choice([at for at, byte in enumerate(data) if byte == ord(">")] or [0]) + 1
    at = min(len(data), at + random.choice((0, 0, 1, 3, 10, 100)))
    changed = data[:at] + random.choice(_MARKUP).encode() + data[at:]
    start = changed.find(b"?>") + 2 if changed.startswith(b"<?xml") else 0
    if b"&e;" in changed and b"<!DOCTYPE" not in changed:
        return changed[:start] + _DECLARATIONS[0].encode() + changed[start:]
    return changed[:start] + (random.choice(_DECLARATIONS) if random.random() < 0.1 else "").encode() + changed[start:]


def rename_spaces(random: Random, _material: Material, data: bytes) -> bytes:
    """Namespaces bound anew, other prefixes, declarations that are void."""
    places = [at for at, byte in enumerate(data[:-1]) if byte == ord("<") and data[at + 1] not in b"/?!"]
    at = data.find(b">", random.choice(places)) if places else -1
    if at < 0:
        return data
    at -= data[at - 1 : at] == b"/"
    prefix = random.choice(("", ":dxp", ":ds", ":x", ":xsi"))
    uri = random.choice((*NAMESPACES, "relative", "urn:a&amp;b"))
    changed = data[:at] + f' xmlns{prefix}="{uri}"'.encode() + data[at:]
    return changed.replace(b"dxp:Data", b"x:Data") if prefix == ":x" and random.random() < 0.5 else changed


def rebyte(random: Random, _material: Material, data: bytes) -> bytes:
    at = random.randrange(len(data)) if data else 0
    end = min(len(data), at + random.choice((1, 1, 2, 8, 64)))
    changes = (
        data[:at] + bytes([random.randrange(256)]) + data[at + 1 :],
        data[:at] + data[end:],
        data[:at] + data[at:end] * 2 + data[end:],
        data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :] if data else b"<",
    )
    return random.choice(changes)


def splice(random: Random, material: Material, data: bytes) -> bytes:
    """An element of another genuine envelope beside or in place of the one of its name, or anywhere."""
    root, other = tree_of(data), editing.tree(material.other)
    if root is None:
        return data
    new = random.choice(elements_of(other))
    same = list(root.iter(new.tag))
    old = random.choice(same or elements_of(root))
    parent = old.getparent()
    if parent is None:
        root.append(new)
    elif random.random() < 0.6:
        parent.replace(old, new)
    else:
        parent.insert(random.randint(0, len(parent)), new)
    return editing.text(root)


OF_RECEIPTS = (retext, retext, retext, *STRUCTURE, reattribute, remark, rename_spaces, rebyte)
"""What receipts are mutated by."""


def inside(random: Random, material: Material, data: bytes) -> bytes:
    """A mutation of the receipts, put back as Base64."""
    root = tree_of(data)
    element = None if root is None else root.find(tag(DXP, "Data"))
    if root is None or element is None:
        return data
    try:
        message = b64decode("".join((element.text or "").split()), validate=True)
    except ValueError:
        return data
    return editing.text(editing.with_data(root, random.choice(OF_RECEIPTS)(random, material, message)))


def rebase64(random: Random, _material: Material, data: bytes) -> bytes:
    """Single signs of the Base64 itself."""
    start, end = data.find(b"Data>") + 5, data.rfind(b"</", 0, data.rfind(b"Data>"))
    if start < 5 or end <= start:
        return data
    at = random.randrange(start, end)
    return data[:at] + bytes([random.choice(b"ABCDEFxyz0189+/= \n-_")]) + data[at + random.randint(0, 1) :]


def revalue(random: Random, material: Material, data: bytes) -> bytes:
    """Another value of the envelope that the schema takes as well."""
    root = tree_of(data)
    name, value = random.choice(
        (
            ("CopMsgId", f"{random.getrandbits(64):x}"),
            ("SenderId", f"DXP{random.randrange(10**9)}"),
            ("ReceiverId", f"DXP{random.randrange(10**9)}"),
            ("MsgType", random.choice(("CEB214Message", "CEB216Message", "CEB900Message", "x"))),
            ("CreatTime", f"20{random.randint(10, 40)}-01-01T00:00:00Z"),
        )
    )
    found = None if root is None else root.find(f".//{tag(DXP, name)}")
    if root is None or found is None or found.text == value:
        return inside(random, material, data)
    found.text = value
    return editing.text(root)


def resign(random: Random, material: Material, data: bytes) -> bytes:
    """The digest made right; then as a rule signed by the attacker, with one certificate or the other."""
    root = tree_of(data)
    if root is None or root.find(editing.SIGNATURE, editing.NAMES) is None:
        return data
    try:
        editing.digested(root)
        if random.random() < 0.8:
            key = random.choice((material.attacker, material.attacker, material.office))
            editing.valued(editing.certified(root, key), material.attacker)
    except (AssertionError, etree.C14NError):
        return data
    return editing.text(root)


def from_catalogue(random: Random, material: Material, data: bytes) -> bytes:
    """A forgery made by hand, to be mutated on; those of megabytes take too long."""
    try:
        made = random.choice(_BY_HAND).make(material)
    except (AssertionError, ValueError):
        return inside(random, material, data)  # it looks for something that this envelope does not have
    return made if len(made) < _LONG else inside(random, material, data)


def wrap(random: Random, material: Material, _data: bytes) -> bytes:
    """One of the eight shapes, its part somewhere."""
    return wrapped_somewhere(random.choice(SHAPES), material, random)


_BY_HAND = tuple(forgeries().values())
_LONG = 100_000
ANY = (inside, restructure, reattribute, remark, rename_spaces, rebyte, rebase64, splice, reshape, revalue, resign)
"""What any mutant may go through as well."""

FAMILIES: Mapping[str, tuple[Mutation, ...]] = {
    "receipts": (inside,),
    "receipts resigned": (inside, resign),
    "values": (revalue,),
    "values resigned": (revalue, resign),
    "base64": (rebase64,),
    "structure": (restructure, inside),
    "attributes": (reattribute, inside),
    "markup": (remark, inside),
    "namespaces": (rename_spaces, revalue),
    "splices": (splice,),
    "splices resigned": (splice, resign),
    "signature": (revalue, reshape),
    "bytes": (rebyte,),
    "wrapping": (wrap,),
    "catalogue": (from_catalogue,),
}
"""What a mutant of each family has been through."""


def mutant(random: Random, material: Material) -> tuple[str, bytes]:
    """A mutant of the genuine envelope and its family; one in three is mutated on in any way."""
    family = random.choice(_DRAWN)
    data = material.genuine
    for mutate in FAMILIES[family]:
        data = mutate(random, material, data)
    while random.random() < _FURTHER:
        data = random.choice(ANY)(random, material, data)
    return family, data


_FURTHER = 0.3
_DRAWN = (*FAMILIES, *(family for family in FAMILIES if FAMILIES[family][0] in {inside, revalue}))
"""Families by weight: those twice whose mutants are valid as a rule, for at least half of all must be."""
