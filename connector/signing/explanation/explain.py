"""Explains a signature to a person: what it states, what comes out when it is computed again, and why they differ.

The verdict is the strict verifier's own; everything else is told for a person to look at and never trusted::

    for one in explain(data, now=now):
        print(one.fault or "good", one.notes)

The certificate inside the document is the only one used: that shows whether the document agrees with itself, and says
nothing about who signed it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from connector.errors import SignatureInvalid, SigningError
from connector.messages.namespaces import CEB, XSI
from connector.messages.parser import Element, local_name, parse
from connector.signing.certificates import key_name_of
from connector.signing.explanation.causes import causes
from connector.signing.explanation.notes import Note, Topic, Weight
from connector.signing.explanation.parts import Part, parts
from connector.signing.explanation.reading import OTHER_SM2, Reading, read
from connector.signing.place import fingerprint_inside, signatures_in
from connector.signing.suites import SUITES
from connector.signing.verifier import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One signed document, explained."""

    name: str
    """Which one of the file: ``document``, ``envelope``, or ``message in Data``."""
    root: str
    """Name of its root element, with the namespace in braces."""
    signatures: int
    """How many it holds."""
    fault: str
    """What the strict verifier says against it when it trusts the certificate inside; empty: nothing."""
    reading: Reading | None
    """The first signature; None where there is none, or where it is the root."""
    key_name_due: str
    """KeyName as it should be by the certificate's serial number; empty where there is no telling."""
    notes: tuple[Note, ...]


def explain(data: bytes, *, now: datetime) -> Sequence[Explanation]:
    """Explain every signed document of a file (see `parts`); now: aware.

    Raises `UnreadableMessage` for what the strict parser does not take.
    """
    # Certificates that break the rules of X.509 are warned of; here they are only shown.
    with warnings.catch_warnings(action="ignore"):
        return [_explain(part, now) for part in parts(data)]


def _explain(part: Part, now: datetime) -> Explanation:
    root, used_up = parse(part.data), parse(part.data)
    found = signatures_in(used_up)
    reading = read(found[0]) if found and found[0] is not used_up else None
    certificate = reading.certificate if reading else None
    due = _key_name(certificate.serial_number) if certificate else ""
    notes: list[Note] = []
    if reading is not None:
        notes += _about_methods(reading)
        notes += causes(part.data, reading) if len(found) == 1 else ()
        notes += _about_certificate(reading, due, now)
        notes += _about_appearance(part.data, root, {one.topic for one in notes})
    return Explanation(
        name=part.name,
        root=str(root.tag),
        signatures=len(found),
        fault=_fault(part.data, root),
        reading=reading,
        key_name_due=due,
        notes=tuple(notes),
    )


def _fault(data: bytes, root: Element) -> str:
    """The verdict of the strict verifier, told to trust whatever certificate stands in the first signature."""
    try:
        verify(data, suites=SUITES, fingerprints={fingerprint_inside(root)})
    except SignatureInvalid as error:
        return error.cause
    return ""


def _about_methods(reading: Reading) -> Iterator[Note]:
    method = reading.signature_method
    if method == OTHER_SM2:
        digests = ", ".join(one.digest_method for one in reading.references)
        yield Note(
            weight=Weight.CAUSE,
            topic=Topic.OTHER_VENDOR,
            text=f"{method} with the digest {digests} is another vendor's pair; the specification of 202205 has "
            f"{SUITES['sm2-sm3'].signature_method} with {SUITES['sm2-sm3'].digest_method}",
        )
    elif not reading.suite:
        allowed = ", ".join(f"{suite.signature_method} ({suite.name})" for suite in SUITES.values())
        text = f"the signature method {method or 'is missing, or'} is of no known suite; there are {allowed}"
        yield Note(weight=Weight.CAUSE, topic=Topic.UNKNOWN_METHOD, text=text)
    else:
        due = SUITES[reading.suite].digest_method
        for one in reading.references:
            if one.digest_method != due:
                text = f"the digest method {one.digest_method} does not go with {reading.suite}, which has {due}"
                yield Note(weight=Weight.CAUSE, topic=Topic.DIGEST_ALGORITHM, text=text)


def _about_certificate(reading: Reading, due: str, now: datetime) -> Iterator[Note]:
    certificate = reading.certificate
    if certificate is None:
        return
    if reading.key_name != due:
        text = f"KeyName is {reading.key_name!r}, {_how_it_differs(reading.key_name, certificate.serial_number)}; "
        text += f"customs wants the serial number of the certificate in lower-case hex of 8 or 16 digits: {due!r}"
        if not due:
            text = (
                "the serial number of the certificate is longer than 8 bytes, so it has no KeyName as customs wants it"
            )
        yield Note(weight=Weight.SUSPECT, topic=Topic.KEY_NAME, text=text)
    if not certificate.is_valid_at(now):
        told = "is not valid before" if now < certificate.valid_from else "expired on"
        moment = certificate.valid_from if now < certificate.valid_from else certificate.valid_until
        text = f"the certificate {told} {moment:%Y-%m-%d %H:%M:%S} UTC; customs refuses what comes to it outside that"
        yield Note(weight=Weight.SUSPECT, topic=Topic.VALIDITY, text=text)


def _how_it_differs(key_name: str, serial_number: int) -> str:
    bare = key_name.strip().replace(":", "").replace(" ", "").lower().removeprefix("0x")
    if bare == str(serial_number):
        return "the serial number in decimal"
    if bare.lstrip("0") == f"{serial_number:x}":
        return "the right number in another form"
    return "which is not its serial number" if key_name.strip() else "so it is empty"


def _about_appearance(data: bytes, root: Element, told: set[Topic]) -> Iterator[Note]:
    signature = signatures_in(root)[0]
    following = signature.getnext()
    is_message = etree.QName(root).namespace == CEB
    if is_message and following is not None and local_name(following) != "ExtendMessage":
        text = "the schema has Signature after everything but ExtendMessage"
        yield Note(weight=Weight.SUSPECT, topic=Topic.POSITION, text=text)
    if is_message and XSI not in root.nsmap.values() and Topic.NAMESPACE_DROPPED not in told:
        text = f'the root does not declare xmlns:xsi="{XSI}", as accepted messages do; what is added later breaks it'
        yield Note(weight=Weight.SUSPECT, topic=Topic.NAMESPACE_DROPPED, text=text)
    if Topic.LINE_ENDS not in told and (b"\r\n" in data or any("\r" in (one.text or "") for one in signature.iter())):
        text = "there are line ends CRLF, or &#13; in Base64; a parser reads CRLF as LF, so this does not break it"
        yield Note(weight=Weight.HARMLESS, topic=Topic.LINE_ENDS, text=text)
    if any(_order(one) != sorted(_order(one)) for one in root.iter()):
        text = "attributes do not stand in canonical order; canonicalization sorts them, so this does not break it"
        yield Note(weight=Weight.HARMLESS, topic=Topic.ATTRIBUTE_ORDER, text=text)


def _order(element: Element) -> list[tuple[str, str]]:
    names = [etree.QName(name) for name in element.attrib]
    return [(name.namespace or "", name.localname) for name in names]


def _key_name(serial_number: int) -> str:
    try:
        return key_name_of(serial_number)
    except SigningError:
        return ""
