"""The one strict XML parser: all XML that others wrote comes in through `parse`, and is trusted after `validate`.

Refused before anything is built in memory: more bytes or markup than any message needs, and a document type, so that
no entity is ever declared. Refused after parsing: comments and processing instructions inside the root, for they split
a text in two and canonicalization drops the comments, so that what is read would not be what was signed. Nothing is
fetched: the schemas are those of this package, and they import only each other.

>>> parse(b'<a><b>1</b></a>')[0].text
'1'
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, TypeAlias, cast

from lxml import etree

from connector.errors import UnreadableMessage

Element: TypeAlias = etree._Element  # noqa: SLF001 - the public name of the class is a factory function
"""An element of a parsed or built tree."""

SCHEMAS = Path(__file__).with_name("schemas")
"""Folder of the packaged schemas."""

SIZE_LIMIT = 20_000_000
"""Bytes of one document. One text is at most 10,000,000 bytes, and the depth at most 256: libxml2 sees to these."""

MARKUP_LIMIT = 300_000
"""Signs ``<`` in one document: none has more elements. The largest CEB213 message has some 123,000, hence 246,000 such
signs."""

EQUALS_LIMIT = 200_000
"""Signs ``=`` in one document: none has more attributes. That many take some 70 MB."""

NAMESPACE_LIMIT = 5_000
"""Times that ``xmlns`` stands in one document. A schema lets any number of declarations pass, and to canonicalize them
takes a time that grows with their square: of 5,000 a tenth of a second, of 300,000 more than six minutes. A receipt
message that declares its namespace on each of its elements has some 1,200."""

ATTRIBUTE_LIMIT = 16
"""Attributes of one element; ours have two."""

_LIMITS = (
    (b"<", "elements", MARKUP_LIMIT),
    (b"=", "attributes", EQUALS_LIMIT),
    (b"xmlns", "namespaces", NAMESPACE_LIMIT),
)
_FAULTS_NAMED = 5

_OTHER_ENCODING = re.compile(rb"""\A(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["'](?!utf-8["'])""", re.IGNORECASE)
_TOO_MANY_ATTRIBUTES = etree.XPath(f"boolean(descendant-or-self::*[@*[{ATTRIBUTE_LIMIT + 1}]])")


# libxml2 fills its table of built-in types when the first schema is compiled. Two threads that do that at once spoil
# the table for the life of the process, so one is compiled here: an import is done by one thread.
etree.XMLSchema(etree.XML('<schema xmlns="http://www.w3.org/2001/XMLSchema"/>'))


class _CompiledSchemas(threading.local):
    """Compiled schemas of one thread: a schema keeps its errors in itself, so threads must not share one."""

    def __init__(self) -> None:
        self.by_name: dict[str, etree.XMLSchema] = {}


_compiled = _CompiledSchemas()


def parse(data: bytes, *, size_limit: int = SIZE_LIMIT) -> Element:
    """Parse one UTF-8 document and return its root.

    size_limit: bytes; a caller that knows its messages to be smaller may lower it. Raises `UnreadableMessage`.
    """
    _check_before_parsing(data, size_limit)
    parser = _new_parser()
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _refused(f"not well-formed XML: {error.msg}") from None
    # lxml looks at the last complaint alone: a warning, of a relative namespace URI, hides that a prefix has none.
    errors = parser.error_log.filter_from_errors()
    if errors:
        raise _refused(f"not well-formed XML: {errors[0].message}")
    # Not by XPath: libxml2 takes minutes to collect a hundred thousand comments.
    if next(root.iter(etree.Comment, etree.ProcessingInstruction), None) is not None:
        raise _refused("it holds a comment or a processing instruction")
    if _TOO_MANY_ATTRIBUTES(root):
        raise _refused(f"an element has more than {ATTRIBUTE_LIMIT} attributes")
    return root


def validate(root: Element, schema: str) -> None:
    """Check a tree against a packaged schema, such as ``ceb213`` or ``dxp``.

    Raises `UnreadableMessage` with the first faults, each with its place in the tree and its line (0 where the tree was
    built, not parsed).
    """
    compiled = _compiled.by_name.get(schema)
    if compiled is None:
        compiled = _compiled.by_name[schema] = etree.XMLSchema(schema_document(schema))
    if compiled.validate(root):
        return
    faults: list[Any] = [*cast("Any", compiled.error_log)]
    lines = [_describe(root, fault) for fault in faults[:_FAULTS_NAMED]]
    if len(faults) > _FAULTS_NAMED:
        lines.append(f"and {len(faults) - _FAULTS_NAMED} more")
    raise _refused("\n".join(lines))


def schema_document(name: str) -> etree._ElementTree:
    """The source of a packaged schema; raises `OSError` where the package has none of that name."""
    return etree.parse(str(SCHEMAS / f"{name}.xsd"), etree.XMLParser(no_network=True, remove_comments=True))


def local_name(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def texts(element: Element) -> dict[str, str]:
    """The texts of an element's children by local name; an empty child has the empty text.

    For records of a valid document, where each child occurs once and holds nothing but text.
    """
    return {local_name(child): child.text or "" for child in element}


def _check_before_parsing(data: bytes, size_limit: int) -> None:
    if len(data) > size_limit:
        raise _refused(f"{len(data):,} bytes, where {size_limit:,} are allowed")
    if b"<!DOCTYPE" in data:
        raise _refused("it declares a document type (DOCTYPE)")
    if _OTHER_ENCODING.match(data):
        raise _refused("it declares an encoding other than UTF-8")
    for sign, what, limit in _LIMITS:
        if data.count(sign) > limit:
            raise _refused(f"more {what} than any message has ({data.count(sign):,} times {sign.decode()})")


def _new_parser() -> etree.XMLParser:
    # One for each call, so that threads share nothing; making one costs less than a thousandth of a message. The stubs
    # do not know all options.
    options: dict[str, Any] = {"dtd_validation": False, "attribute_defaults": False, "recover": False}
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=False,
        remove_pis=False,
        collect_ids=False,
        **options,
    )


def _describe(root: Element, fault: Any) -> str:
    """One line: where in the tree, and the schema's words without namespaces and internal names."""
    words = re.sub(r"\{[^}]*\}", "", fault.message)
    words = re.sub(r"^Element '[^']*'(?:, |: )(?:\[facet '\w+'\] )?", "", words)
    return f"{_place(root, fault.path)} (line {fault.line}): {words[:300]}"


def _place(root: Element, path: str) -> str:
    """The names and positions from the root to a fault, e.g. ``/CEB214Message/RefundReturn[2]/invtNo``.

    libxml2 gives the path with prefixes, and with ``*`` where an element has the default namespace.
    """
    steps = [re.sub(r"^(?:[^:\[]+:)?([^*\[]+)", r"*[local-name()='\1']", step) for step in path.split("/")[2:]]
    found = cast("list[Element]", root.xpath("/".join([".", *steps])))
    if not found:  # libxml2 cuts a name short after a hundred bytes
        return re.sub(r"/[^/:]+:", "/", path)
    inner = etree.ElementTree(root).getelementpath(found[0])
    names = [local_name(root)] if inner == "." else [local_name(root), re.sub(r"\{[^}]*\}", "", inner)]
    return "/" + "/".join(names)


def _refused(cause: str) -> UnreadableMessage:
    return UnreadableMessage(
        cause,
        effect="the document is not used",
        remedy="its sender has to send it well-formed and as the schema demands",
    )
