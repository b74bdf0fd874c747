"""Checks of the way to customs. Connections are opened; no request is sent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from connector.config import Settings
from connector.doctor.findings import Finding, ending, faults, ok, warning
from connector.errors import ConfigurationError, ConnectorError
from connector.signing.certificates import Certificate
from connector.signing.envelopes import trusted_certificates
from connector.signing.expiry import Use, Watched, warnings
from connector.transport.reach import reach
from connector.transport.tls import tls_context

_RENEWED_BY_CUSTOMS = (
    "ask customs for the new one; where another authority issues it, add that one to [customs] ca_file before"
)


def tls(settings: Settings) -> Iterator[Finding]:
    """Its files can be used; and what TLS demands of customs, in words."""
    customs = settings.customs
    context = _context(settings)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    against = customs.ca_file or "the authorities of this system"
    client = f"our certificate is {customs.client_certificate_file}" if customs.client_certificate_file else ""
    used = "" if any(url.startswith("https:") for url in _addresses(settings)) else "; no address uses it yet"
    yield ok(
        "TLS",
        f"version {context.minimum_version.name.removeprefix('TLSv').replace('_', '.')} or newer; certificate and "
        f"host name of customs are always verified, against {against}, and nothing switches that off; "
        f"{client or 'we show no certificate of our own'}{used}",
    )


def receipts(settings: Settings) -> Iterator[Finding]:
    """What protects against receipts that customs never wrote."""
    customs = settings.customs
    if customs.receipts_url is None:
        yield ok("receipts", "none are fetched: [customs] receipts_url is not set")
    elif customs.require_signed_receipts:
        count = len(trusted_certificates(customs.receipt_certificate_files))
        yield ok(
            "receipts", f"only those that one of {count} certificates signed are applied; others are kept and shown"
        )
    elif customs.receipts_url.startswith("https:"):
        yield warning(
            "receipts",
            "they are applied without a signature: only the TLS certificate of the address says who wrote them",
            "set require_signed_receipts and receipt_certificate_files as soon as customs signs",
        )
    else:
        yield warning(
            "receipts",
            "they are applied without a signature, over plain http: any program of this machine could write them",
            "set require_signed_receipts and receipt_certificate_files, or use https",
        )


def addresses(settings: Settings) -> Iterator[Finding]:
    """Each address takes a connection, TLS included, and the certificate that it shows does not end soon."""
    try:
        context = _context(settings)
    except ConfigurationError:
        yield warning("customs", "not tried, because no TLS connection can be made", "correct [customs] first")
        return
    for address in _addresses(settings):
        try:
            reached = reach(address, context, seconds=settings.customs.deadline_seconds)
        except ConnectorError as error:
            yield from faults("customs", error)
            continue
        yield ok("customs", f"{address} takes connections over {reached.spoken}; no request was sent")
        if reached.certificate is not None:
            yield from shown_certificate(address, reached.certificate, datetime.now(UTC))


def shown_certificate(address: str, der: bytes, now: datetime) -> Iterator[Finding]:
    """When the certificate ends that customs shows; one that has ended already is refused in the handshake."""
    use = Use(role=f"TLS server {address}", remedy=_RENEWED_BY_CUSTOMS)
    try:
        watched = Watched(use=use, certificate=Certificate.of(der))
    except ValueError:
        yield warning("customs", f"when the certificate ends that {address} shows cannot be told", _RENEWED_BY_CUSTOMS)
        return
    found = warnings([watched], now)
    yield from (ending("customs", one) for one in found)
    if not found:
        yield ok("customs", f"the certificate that {address} shows ends in {watched.days_left(now)} days")


def _context(settings: Settings) -> ssl.SSLContext:
    customs = settings.customs
    return tls_context(
        ca_file=customs.ca_file,
        certificate_file=customs.client_certificate_file,
        key_file=customs.client_key_file,
    )


def _addresses(settings: Settings) -> list[str]:
    """Every host and port once."""
    urls = (settings.customs.submit_url, settings.customs.receipts_url)
    parts = [urlsplit(url) for url in urls if url]
    return list(dict.fromkeys(f"{one.scheme}://{one.netloc}" for one in parts))
