"""Documents made to exhaust a parser, and a program that gives them to ours and measures what each costs.

::

    python -m tests.unit.parser_abuse [NAME ...]

writes one line of JSON for each: whether it was refused, the seconds of processor time and the bytes of memory that
it took at most beyond what the document itself takes.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from connector.errors import SignatureInvalid, UnreadableMessage
from connector.messages.parser import EQUALS_LIMIT, MARKUP_LIMIT, NAMESPACE_LIMIT, SIZE_LIMIT
from connector.signing.envelopes import EnvelopeOpener
from tests.forgeries.material import Material

LONG = 10_500_000
"""Bytes, more than one text may have."""
_LEVELS = b"".join(b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 10))
_LARGE = b"<a>" + b"x" * 100_000 + b"</a>"


def _attributes(count: int, form: bytes) -> bytes:
    return b"<a" + b"".join(form % number for number in range(count)) + b"/>"


def _envelope(start: str, more: bytes) -> bytes:
    """A signed envelope with more in the start tag of an element: namespaces there are no fault to the schema."""
    before, found, after = _MATERIAL.genuine.partition(start.encode())
    assert found
    return before + found + more + after


def _namespaces(count: int) -> bytes:
    return b"".join(b' xmlns:n%d="u:%d"' % (number, number) for number in range(count))


_MATERIAL = Material.make()

CASES: Mapping[str, Callable[[], bytes]] = {
    "entities_in_entities": lambda: b'<!DOCTYPE a [<!ENTITY e0 "x">' + _LEVELS + b"]><a>&e9;</a>",
    "entities_in_an_attribute": lambda: b'<!DOCTYPE a [<!ENTITY e0 "x">' + _LEVELS + b']><a b="&e9;"/>',
    "entities_in_a_circle": lambda: b'<!DOCTYPE a [<!ENTITY b "&c;"><!ENTITY c "&b;">]><a>&b;</a>',
    "entity_again_and_again": lambda: (
        b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 100_000 + b'">]><a>' + b"&b;" * 100_000 + b"</a>"
    ),
    "entities_of_parameters": lambda: (
        b'<!DOCTYPE a [<!ENTITY % p "' + b"x" * 100_000 + b'">' + b"%p;" * 100_000 + b"]><a/>"
    ),
    "bytes": lambda: b"<a>" + b" " * SIZE_LIMIT + b"</a>",
    "text": lambda: b"<a>" + b"x" * LONG + b"</a>",
    "text_in_a_section": lambda: b"<a><![CDATA[" + b"x" * LONG + b"]]></a>",
    "attribute_value": lambda: b'<a b="' + b"x" * LONG + b'"/>',
    "comment": lambda: b"<a><!--" + b"x" * LONG + b"--></a>",
    "instruction": lambda: b"<a><?x " + b"x" * LONG + b"?></a>",
    "name": lambda: b"<" + b"a" * 9_000_000 + b"/>",
    "namespace": lambda: b'<a xmlns="urn:' + b"a" * LONG + b'"/>',
    "depth_300": lambda: b"<a>" * 300 + b"</a>" * 300,
    "depth_140_000": lambda: b"<a>" * 140_000 + b"</a>" * 140_000,
    "elements_2_million": lambda: b"<a>" + b"<b/>" * 2_000_000 + b"</a>",
    "elements_as_many_as_pass": lambda: b"<a>" + b"<b/>" * (MARKUP_LIMIT - 3) + b"</a>",
    "elements_in_pairs": lambda: b"<a>" + b"<b>x</b>" * (MARKUP_LIMIT // 2 - 2) + b"</a>",
    "attributes_100_000": lambda: _attributes(100_000, b' a%d=""'),
    "attributes_as_many_as_pass": lambda: _attributes(EQUALS_LIMIT, b' a%d=""'),
    "attributes_one_too_many": lambda: _attributes(17, b' a%d=""'),
    "attributes_of_one_name": lambda: _attributes(100_000, b' a="%d"'),
    "namespaces_too_many": lambda: _attributes(NAMESPACE_LIMIT + 1, b' xmlns:a%d="u:u"'),
    "namespaces_as_many_as_pass": lambda: _attributes(NAMESPACE_LIMIT, b' xmlns:a%d="u:u"'),
    "comments": lambda: b"<a>" + b"<!---->" * (MARKUP_LIMIT - 2) + b"</a>",
    "instructions": lambda: b"<a>" + b"<?a?>" * (MARKUP_LIMIT - 2) + b"</a>",
    "prefixes_without_namespace": lambda: b"<a>" + b"<x:b/>" * (MARKUP_LIMIT - 4) + b'<b xmlns="r"/></a>',
    "namespaces_that_warn": lambda: b"<a>" + b'<b xmlns="r"/>' * NAMESPACE_LIMIT + b"</a>",
    "references": lambda: b"<a>" + b"&#65;" * 3_000_000 + b"</a>",
    "end_missing": lambda: b"<a>" + b"<b>" * 250,
    "encoding_utf_16": lambda: _LARGE.decode().encode("utf-16"),
    "encoding_utf_16_without_mark": lambda: _LARGE.decode().encode("utf-16-be"),
    "encoding_utf_32": lambda: _LARGE.decode().encode("utf-32"),
    "encoding_utf_7_declared": lambda: b'<?xml version="1.0" encoding="UTF-7"?>' + _LARGE,
    "encoding_gbk_declared": lambda: '<?xml version="1.0" encoding="GBK"?><a>中</a>'.encode("gbk"),
    "encoding_ebcdic": lambda: '<?xml version="1.0"?><a>x</a>'.encode("cp037"),
    "encoding_unknown": lambda: b'<?xml version="1.0" encoding="x-none"?><a/>',
    "encoding_with_bytes_too_many": lambda: b"<a>\xc0\xbcb/></a>",
    "encoding_of_surrogates": lambda: b"<a>\xed\xa0\x80</a>",
    "encoding_cut_short": lambda: b"<a>" + b"\xe4\xb8\xad" * 100_000 + b"\xe4\xb8</a>",
    "nul": lambda: b"<a>\x00</a>",
    "gzip": lambda: gzip.compress(_LARGE),
    "gzip_of_a_gigabyte": lambda: _bomb(100),
    "deflate": lambda: zlib.compress(_LARGE),
    "envelope_with_namespaces_on_the_root": lambda: _envelope("<dxp:DxpMsg", _namespaces(NAMESPACE_LIMIT)),
    "envelope_with_namespaces_on_the_signature": lambda: _envelope("<ds:SignedInfo", _namespaces(NAMESPACE_LIMIT)),
    "envelope_with_fewer_namespaces_on_the_signature": lambda: _envelope("<ds:SignedInfo", _namespaces(4_900)),
    "envelope_with_the_largest_data": lambda: _envelope("<dxp:Data>", b"AAAA" * 2_400_000),
    "envelope_with_the_largest_digest": lambda: _envelope("<ds:DigestValue>", b"AAAA" * 2_400_000),
    "envelope_with_the_largest_certificate": lambda: _envelope("<ds:X509Certificate>", b"AAAA" * 2_400_000),
}
"""Each by what there is too much of, or wrong with it."""


def _bomb(times: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(10_000_000)) for _ in range(times)) + packer.flush()


def main() -> None:
    """Measure the cases named, or all."""
    opener = _MATERIAL.opener()
    measure("", _MATERIAL.genuine, opener)  # what is made once is made now
    for name in sys.argv[1:] or CASES:
        sys.stdout.write(measure(name, CASES[name](), opener) + "\n")


def measure(name: str, data: bytes, opener: EnvelopeOpener) -> str:
    """The line for one document."""
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would be used, and count as nothing
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _memory("VmRSS"), time.process_time()
    try:
        opener(data)
        refused = ""
    except (UnreadableMessage, SignatureInvalid) as error:
        refused = error.cause.splitlines()[0][:100]
    seconds, extra = time.process_time() - start, _memory("VmHWM") - before
    return json.dumps({"name": name, "refused": refused, "seconds": seconds, "bytes": extra})


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


if __name__ == "__main__":
    main()
