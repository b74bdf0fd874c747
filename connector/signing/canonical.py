"""The bytes that are hashed: Canonical XML 1.0 without comments, of documents that leave no doubt about it.

Comments and processing instructions are refused, not skipped: a reader that stops at one sees another value than the
one that was signed. What libxml2 2.14 canonicalizes wrongly is refused with them.
"""

from __future__ import annotations

from lxml import etree

from connector.errors import SignatureInvalid
from connector.messages.parser import Element
from connector.signing.suites import Suite

_XML = "{http://www.w3.org/XML/1998/namespace}"


def require_plain(root: Element) -> None:
    """Refuse a document whose canonical form depends on more than its elements, attributes and text.

    Raises `SignatureInvalid` for comments, processing instructions and entity references wherever they stand, and for
    three forms that libxml2 does not write as Canonical XML demands: a default namespace after a comment before the
    root (wrong ``xmlns=""``), ``&`` in a namespace (not escaped), ``xml:`` attributes of the root (section 2.4: they
    belong to every part cut out of the document, such as SignedInfo).
    """
    odd = next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None)
    if odd is not None or root.getprevious() is not None or root.getnext() is not None:
        raise SignatureInvalid("the document holds a comment, a processing instruction or an entity reference")
    if any("&" in uri for _, (_, uri) in etree.iterwalk(root, events=("start-ns",))):
        raise SignatureInvalid("the document has a namespace with the character &")
    if any(str(name).startswith(_XML) for name in root.attrib):
        raise SignatureInvalid("the root has an attribute in the xml: namespace")


def canonical(element: Element, suite: Suite) -> bytes:
    """The canonical form of an element, UTF-8: inclusive, with every namespace in scope, or exclusive.

    Raises `SignatureInvalid`.
    """
    try:
        form: bytes = etree.tostring(element, method="c14n", with_comments=False, exclusive=suite.is_exclusive)
    except etree.C14NError as error:
        raise SignatureInvalid(f"the document has no canonical form: {error}") from None
    if not form.startswith(b"<"):
        raise SignatureInvalid("the canonical form is empty")
    return form
