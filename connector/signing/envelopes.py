"""Signed envelopes: how the simulated office signs its receipts, and how we open what comes in.

An envelope is signed as a whole, with ``ecdsa-p256-sha256``. Which keys may have signed is configured; the certificate
inside only selects one of them. What is read afterwards are the bytes that were signed, and nothing else::

    opener = EnvelopeOpener(trusted=certificates, is_required=True)
    opened = opener(fetched)
    opened.envelope.data        # the receipt message
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from connector.errors import SignatureInvalid
from connector.messages.envelope import Envelope, unseal
from connector.messages.namespaces import DS, tag
from connector.messages.parser import parse, validate
from connector.signing.certificates import Certificate, read_certificates, unusable
from connector.signing.signer import Signer
from connector.signing.suites import SUITES
from connector.signing.verifier import verify

SUITE = "ecdsa-p256-sha256"
"""What envelopes are signed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEnvelope:
    """An envelope that may be read, and who vouches for it."""

    envelope: Envelope
    signed_by: str
    """SHA-256 fingerprint of the certificate, lower-case hex; empty when nobody signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeOpener:
    """Opens the envelopes of one partner."""

    trusted: tuple[Certificate, ...]
    """Certificates that may sign; an old one stays here as long as its receipts may come again."""
    is_required: bool
    """Whether an envelope without a signature is refused. One with a signature must verify in any case."""

    def __call__(self, data: bytes) -> OpenedEnvelope:
        """Open an envelope.

        The certificate must have been valid when the envelope says it was written, not now: a receipt stays what it is
        when the key that signed it has expired. Raises `SignatureInvalid` at any doubt and `UnreadableMessage` where it
        is no DxpMsg.
        """
        root = parse(data)
        validate(root, "dxp")
        if next(root.iter(tag(DS, "Signature")), None) is None:
            if self.is_required:
                raise SignatureInvalid("it is not signed, and customs signs what it sends here")
            return OpenedEnvelope(envelope=unseal(data), signed_by="")
        by_fingerprint = {one.key_id: one for one in self.trusted}
        verified = verify(data, suites={SUITE}, fingerprints=by_fingerprint.keys())
        envelope = unseal(verified.content)
        certificate = by_fingerprint[verified.key_id]
        if not certificate.is_valid_at(envelope.created):
            raise SignatureInvalid(
                f"the certificate {verified.key_id} was not valid on {envelope.created}, when it signed"
            )
        return OpenedEnvelope(envelope=envelope, signed_by=verified.key_id)


def trusted_certificates(files: Iterable[Path]) -> tuple[Certificate, ...]:
    """Every certificate in these PEM files. Raises `SigningError`, also for one whose key cannot sign an envelope."""
    found = tuple(one for file in files for one in read_certificates(file))
    scheme = SUITES[SUITE].scheme
    for one in found:
        if scheme.public_key_of(one.der) is None:
            raise unusable(
                f"the certificate {one.subject} ({one.key_id}) holds no key that signs receipts: {SUITE} needs "
                f"{scheme.needs}",
                "name in receipt_certificate_files only those that customs signs receipts with, no authorities",
            )
    return found


def sign_envelope(envelope: bytes, signer: Signer) -> bytes:
    """The same envelope with a signature as its last element. Raises `SigningError`."""
    return signer.sign(parse(envelope)).xml
