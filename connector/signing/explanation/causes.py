"""Why a signature does not fit, as far as it can be found out: what was done to the document, or to the signature.

1. Undo the usual changes in a copy, until digest and signature value fit (`undo`).
2. Where the digest still differs: another algorithm, or the text of the file instead of its canonical form.
3. Where the value still differs: DER instead of r || s, SignedInfo in another form, another key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from connector.errors import SignatureInvalid
from connector.messages.parser import Element, parse
from connector.signing.canonical import canonical
from connector.signing.explanation.notes import Note, Topic, Weight
from connector.signing.explanation.reading import HASHES, Reading, digest, read
from connector.signing.explanation.undo import undone
from connector.signing.place import NAMES, signatures_in
from connector.signing.schemes import RsaPkcs1v15
from connector.signing.suites import EXCLUSIVE, INCLUSIVE

_HALF = 32
_SIGNATURE = re.compile(rb"<((?:[\w.-]+:)?Signature)[\s>].*</\1\s*>", re.DOTALL)
_SIGNED_INFO = re.compile(rb"<((?:[\w.-]+:)?SignedInfo)[\s>].*</\1\s*>", re.DOTALL)
_ABOUT_NAMESPACES = {Topic.NAMESPACE_DROPPED, Topic.NAMESPACE_ADDED}
_DECLARATION = re.compile(rb"\A(?:\xef\xbb\xbf)?<\?xml[^>]*\?>\s*")

_UNDONE: Mapping[Topic, str] = MappingProxyType(
    {
        Topic.WHITE_SPACE_AROUND_SIGNATURE: "the white space before or after Signature was changed after signing; it "
        "belongs to what is signed. Put the signature in without any, and do not touch the document afterwards",
        Topic.WHITE_SPACE_BETWEEN_ELEMENTS: "the document was indented after signing: white space between elements is "
        "signed too. Send the very bytes that were signed, and switch off pretty-printing",
        Topic.NAMESPACE_DROPPED: "a namespace declaration of the root was dropped or moved after signing; in "
        "inclusive canonical form it is signed even where nothing uses it. Keep the root as signed",
        Topic.NAMESPACE_ADDED: "a namespace declaration was added to the root after signing; in inclusive canonical "
        "form it is signed even where nothing uses it. Do not build the document again after signing",
        Topic.LINE_ENDS: "the line ends inside texts were changed after signing (CRLF became LF, or the reverse). Do "
        "not send it through anything that converts text files",
    }
)


def causes(data: bytes, reading: Reading) -> Iterator[Note]:
    """Notes on why digest or signature value do not fit; none where both do.

    data: a document with one signature, which is not the root; reading: of that signature.
    """
    value = _halves(reading)
    if value is not None:
        fits = reading.signed_info is not None and reading.is_signature(value, reading.signed_info)
        yield _der_note(Weight.CAUSE if fits else Weight.SUSPECT)
        reading = replace(reading, value=value)
    if reading.certificate and reading.stated and reading.public_key is None:
        needed = reading.stated.scheme.needs
        yield _cause(Topic.WRONG_CERTIFICATE, f"the certificate holds another kind of key; the method needs {needed}")
    root = parse(data)
    topics, tree, reading = _best(root, reading)
    for topic in topics:
        names = [f"xmlns:{prefix}" for prefix, _ in root.nsmap.items() ^ tree.nsmap.items()]
        what = ", ".join(sorted(names)) + ": " if topic in _ABOUT_NAMESPACES else ""
        yield _cause(topic, what + _UNDONE[topic])
    if not reading.digest_fits:
        yield from _digest(data, reading)
    if reading.public_key is not None and not reading.value_fits:
        yield _value(data, root, reading)


def _best(root: Element, reading: Reading) -> tuple[tuple[Topic, ...], Element, Reading]:
    """The fewest changes to undo so that both fit, else so that the digest does; none where nothing helps."""
    best: tuple[tuple[Topic, ...], Element, Reading] = ((), root, reading)
    if (reading.digest_fits and reading.value_fits) or any(one.computed is None for one in reading.references):
        return best
    for topics, tree in undone(root):
        found = replace(read(signatures_in(tree)[0]), value=reading.value)
        if found.digest_fits and found.value_fits:
            return topics, tree, found
        if found.digest_fits and not best[2].digest_fits:
            best = topics, tree, found
    return best


def _digest(data: bytes, reading: Reading) -> Iterator[Note]:
    """Why a digest differs although nothing usual was done to the document."""
    for reference in reading.references:
        if reference.computed is None or reading.content is None:
            continue
        for uri, algorithm in HASHES.items():
            if uri != reference.digest_method and digest(algorithm, reading.content) == reference.stated:
                text = f"the digest is by {algorithm.name}, but DigestMethod names {reference.digest_method}"
                yield _cause(Topic.DIGEST_ALGORITHM, text)
                return
        if any(digest(HASHES[reference.digest_method], text) == reference.stated for text in _texts(data)):
            yield _cause(
                Topic.NOT_CANONICAL,
                "the digest is over the text of the file. It must be over the canonical form: no XML declaration, "
                '<a></a> instead of <a/>, attributes in order, "line feed" as the only line end',
            )
            return
    yield Note(
        weight=Weight.SUSPECT,
        topic=Topic.CONTENT_CHANGED,
        text="no usual change explains the digest: a value was changed after signing, or the signer hashed something "
        "else. Compare with what the signer wrote down: signature explain FILE --against OTHER",
    )


def _texts(data: bytes) -> Iterator[bytes]:
    """What a signer may have hashed that forgot to canonicalize."""
    bare = _SIGNATURE.sub(b"", data, count=1)
    for text in (bare, _DECLARATION.sub(b"", bare)):
        for ends in (text, text.replace(b"\r\n", b"\n"), text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
            yield from (ends, ends.strip())


def _value(data: bytes, root: Element, reading: Reading) -> Note:
    """Why a signature value does not fit SignedInfo."""
    assert reading.stated is not None
    info = signatures_in(root)[0].find("ds:SignedInfo", NAMES)
    for form in (EXCLUSIVE, INCLUSIVE):
        if info is None or form == reading.stated.canonicalization:
            continue
        try:
            other = canonical(info, replace(reading.stated, canonicalization=form))
        except SignatureInvalid:
            continue
        if reading.is_signature(reading.value, other):
            return _cause(
                Topic.SIGNED_INFO_ALONE,
                "SignedInfo was signed with other namespaces than are in scope where it stands, as if it stood alone "
                "or in another canonical form. Put Signature into the document, then canonicalize SignedInfo there",
            )
    written = _SIGNED_INFO.search(data)
    if written and reading.is_signature(reading.value, written[0]):
        return _cause(
            Topic.NOT_CANONICAL, "SignedInfo was signed as the text of the file, and not in its canonical form"
        )
    return _other_key(reading)


def _other_key(reading: Reading) -> Note:
    assert reading.stated is not None
    key = reading.public_key
    if not isinstance(key, RSAPublicKey):
        return Note(
            weight=Weight.SUSPECT,
            topic=Topic.WRONG_CERTIFICATE,
            text="the signature value is not of this certificate's key over this SignedInfo: the certificate belongs "
            "to another key, SignedInfo was changed after signing, or SM2 was made with ECDSA or another user id",
        )
    try:
        # RSA gives back what was signed, so that a wrong key can be told from a wrong SignedInfo.
        key.recover_data_from_signature(reading.value, PKCS1v15(), None)
    except (InvalidSignature, ValueError):
        return _cause(
            Topic.WRONG_CERTIFICATE,
            "the certificate in KeyInfo is not of the key that signed. Put in the one that was issued with the key",
        )
    return _cause(
        Topic.SIGNED_INFO_CHANGED,
        "the certificate's key made this signature, but over another SignedInfo: it was changed after signing, or the "
        "digest was put in afterwards",
    )


def _halves(reading: Reading) -> bytes | None:
    """The value as r || s where it is in DER and should not be; else None."""
    if reading.stated is None or isinstance(reading.stated.scheme, RsaPkcs1v15) or len(reading.value) == 2 * _HALF:
        return None
    try:
        return b"".join(half.to_bytes(_HALF) for half in decode_dss_signature(reading.value))
    except (ValueError, OverflowError):
        return None


def _der_note(weight: Weight) -> Note:
    text = "SignatureValue is in DER (it begins with 30); it must be r and s as they are, 32 bytes each, in Base64"
    return Note(weight=weight, topic=Topic.DER_VALUE, text=text)


def _cause(topic: Topic, text: str) -> Note:
    return Note(weight=Weight.CAUSE, topic=topic, text=text)
