"""The chain of a certificate: who issued it, who issued that, as far as the certificates of the issuers are at hand.

It is shown to people. Whom we trust is not decided by chains: the certificates that count are named one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connector.signing.certificates import Certificate
from connector.signing.sm2 import is_issued_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One step from a certificate to its issuer."""

    certificate: Certificate
    issuer: Certificate | None
    """None: none of the certificates at hand has that name, or none of them signed it."""

    @property
    def is_root(self) -> bool:
        """Whether the chain ends here because the certificate issued itself."""
        return self.issuer is not None and self.issuer.key_id == self.certificate.key_id


def chain(certificate: Certificate, authorities: Sequence[Certificate]) -> Iterator[Link]:
    """Every step up to a certificate that issued itself, or whose issuer is not at hand."""
    seen: set[str] = set()
    while certificate.key_id not in seen:
        seen.add(certificate.key_id)
        named = [one for one in (*authorities, certificate) if one.subject == certificate.issuer]
        issuer = next((one for one in named if is_issued_by(certificate.der, one.der)), None)
        yield Link(certificate=certificate, issuer=issuer)
        if issuer is None:
            return
        certificate = issuer
