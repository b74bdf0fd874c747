"""How verdicts, explanations and comparisons of signatures look."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from connector.cli.output import local, shown

if TYPE_CHECKING:
    from connector.signing.certificates import Certificate
    from connector.signing.chain import Link
    from connector.signing.explanation.difference import Comparison, Difference
    from connector.signing.explanation.explain import Explanation
    from connector.signing.explanation.reading import Reading

_EVENED_OUT = (
    "the files differ only in what canonicalization evens out, such as the order of attributes, quotes, "
    "<a/> or line ends: harmless"
)


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """One line: what the strict verifier says of one document."""
    if verdict["verdict"] == "refused":
        return shown(f"not verified: {verdict['document']}: {verdict['reason']}")
    certificate = verdict["certificate"]
    by = f"{certificate['subject']}, {certificate['sha256']}, valid until {local(certificate['valid_until'])}"
    if not certificate["is_valid_now"]:
        by += ", NOT VALID NOW"
    if verdict["verdict"] == "verified":
        return shown(f"verified: {verdict['document']}: {verdict['suite']}, by the trusted certificate of {by}")
    return shown(
        f"consistent, but nobody vouches for it: {verdict['document']}: {verdict['suite']}, checked only against the "
        f"certificate inside, which proves nothing about who signed; name one with --certificate FILE. Inside: {by}"
    )


def certificate_object(certificate: Certificate, *, now: datetime) -> dict[str, object]:
    """A certificate for programs."""
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": f"{certificate.serial_number:x}",
        "valid_from": certificate.valid_from,
        "valid_until": certificate.valid_until,
        "is_valid_now": certificate.is_valid_at(now),
        "sha256": certificate.key_id,
    }


def explanation_object(explanation: Explanation, issuers: Sequence[Certificate], *, now: datetime) -> dict[str, object]:
    """An explanation for programs."""
    reading = explanation.reading
    return {
        "document": explanation.name,
        "root": explanation.root,
        "signatures": explanation.signatures,
        "fault": explanation.fault,
        "signature": None if reading is None else _reading_object(reading, explanation.key_name_due, now),
        "chain": [
            {
                "certificate": certificate_object(link.certificate, now=now),
                "issuer": None if link.issuer is None else link.issuer.key_id,
            }
            for link in _chain(explanation, issuers)
        ],
        "notes": [asdict(note) for note in explanation.notes],
    }


def _reading_object(reading: Reading, key_name_due: str, now: datetime) -> dict[str, object]:
    return {
        "suite": reading.suite or None,
        "signature_method": reading.signature_method,
        "position": reading.position,
        "text_before": reading.before,
        "text_after": reading.after,
        "signed_info": None if reading.signed_info is None else reading.signed_info.decode(),
        "references": [
            {
                "uri": one.uri,
                "digest_method": one.digest_method,
                "stated": _base64(one.stated),
                "computed": None if one.computed is None else _base64(one.computed),
                "fits": one.fits,
            }
            for one in reading.references
        ],
        "value_fits": reading.value_fits,
        "key_name": reading.key_name,
        "key_name_due": key_name_due,
        "certificate": None if reading.certificate is None else certificate_object(reading.certificate, now=now),
    }


def explanation_lines(explanation: Explanation, issuers: Sequence[Certificate]) -> Iterator[str]:
    """An explanation for people."""
    yield f"{explanation.name:<14} {shown(explanation.root)}, signatures: {explanation.signatures}"
    yield f"verdict        {shown(f'bad: {explanation.fault}' if explanation.fault else 'good, in itself')}"
    if explanation.reading is not None:
        yield from _reading_lines(explanation.reading, explanation.key_name_due)
    for link in _chain(explanation, issuers):
        yield f"chain          {_link_words(link)}"
    for note in explanation.notes:
        yield f"{note.weight + ':':<14} {shown(note.text)}"


def _chain(explanation: Explanation, issuers: Sequence[Certificate]) -> Iterator[Link]:
    """Nothing where no issuers are given to look among."""
    from connector.signing.chain import chain

    certificate = explanation.reading.certificate if explanation.reading else None
    return chain(certificate, issuers) if certificate and issuers else iter(())


def _link_words(link: Link) -> str:
    if link.issuer is None:
        return f"ends: no certificate given signed that of {shown(link.certificate.subject)}"
    if link.is_root:
        return f"ends: {shown(link.certificate.subject)} signed its own certificate"
    validity = f"valid {local(link.issuer.valid_from)} to {local(link.issuer.valid_until)}"
    return f"{shown(link.certificate.subject)} is signed by {shown(link.issuer.subject)}, {validity}"


def _reading_lines(reading: Reading, key_name_due: str) -> Iterator[str]:
    yield f"stands as      {reading.position}; text before it: {reading.before!r}, after it: {reading.after!r}"
    yield f"suite          {reading.suite or 'none that is known'} ({shown(reading.signature_method)})"
    for one in reading.references:
        computed = "cannot be computed" if one.computed is None else f"computed {_base64(one.computed)}"
        state = "fits" if one.fits else "DIFFERS"
        yield f"digest         {state}: stated {_base64(one.stated)}, {computed} ({shown(one.digest_method)})"
    yield f"value          {'fits' if reading.value_fits else 'DOES NOT FIT'} SignedInfo and the certificate inside"
    yield f"key name       {shown(reading.key_name)}, by the certificate {key_name_due or 'there is none'}"
    certificate = reading.certificate
    if certificate is None:
        yield "certificate    none that can be read"
    else:
        yield f"certificate    {shown(certificate.subject)}"
        yield f"  issued by    {shown(certificate.issuer)}"
        yield f"  serial no    {certificate.serial_number:x}"
        yield f"  valid        {local(certificate.valid_from)} to {local(certificate.valid_until)}"
        yield f"  sha-256      {certificate.key_id}"
    info = reading.signed_info or b""
    yield f"signed bytes   {shown(info.decode())} ({len(info)} bytes of UTF-8)"


def comparison_object(comparison: Comparison) -> dict[str, object]:
    """A comparison for programs."""
    return {
        "same_bytes": comparison.same_bytes,
        "differences": {name: one and asdict(one) for name, one in comparison.forms.items()},
    }


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """A comparison for people."""
    for name, difference in comparison.forms.items():
        if difference is None:
            yield f"{name}: the canonical forms are the same"
        else:
            yield from _difference_lines(name, difference)
    if not comparison.same_bytes and not any(comparison.forms.values()):
        yield _EVENED_OUT


def _difference_lines(name: str, difference: Difference) -> Iterator[str]:
    yield f"{name}: the canonical forms differ from byte {difference.offset} on, in line {difference.line}"
    yield f"  {shown(difference.words)}"
    yield f"  this one     …{shown(difference.ours)}…"
    yield f"  the other    …{shown(difference.theirs)}…"


def _base64(data: bytes) -> str:
    return b64encode(data).decode() or "nothing"
