"""Documents whose key follows from what they say: a change is never a revision, but one more document in a chain.

An operation event happened once, as it was told; what is found out later is told by a new event that names the one it
corrects. So the key is a digest of the source row, of the part of it that is told, of the content and of the event that
it corrects: the same row told again has the same key, and one that was changed and changed back has a new one::

    first = link(content, chain, source, part="arriving")
    again = link(changed, chain, source, part="arriving", corrects=first.head["eventId"])
"""

from __future__ import annotations

from dataclasses import replace

from connector.messages.catalogue import Chain
from connector.messages.documents import Content
from connector.messages.records import SourceKey, digest, encode

_DIGITS = 40
"""Of the digest that make a key: nobody makes two contents with one, and people can still compare them."""
_CORRECTION = "更正：仓库记录已变更"


def link(content: Content, chain: Chain, source: SourceKey, *, part: str, corrects: str = "") -> Content:
    """The content as the document of a chain that follows another one, or begins it.

    part: which of several documents of the row; corrects: the key of the document before, empty for none. A content
    that has a reason of its own keeps it.
    """
    named = (chain.id_field, chain.corrects_field)
    told = {name: text for name, text in content.head.items() if name not in named}
    basis = {"source": str(source), "part": part, "head": told, "lines": list(content.lines), "corrects": corrects}
    head = told | {chain.id_field: digest(encode(basis))[:_DIGITS].upper()}
    if corrects:
        head = {chain.reason_field: _CORRECTION} | head | {chain.corrects_field: corrects}
    return replace(content, head=head)
