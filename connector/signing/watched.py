"""Which certificates of the configuration are watched for their end, and reading them; no key, no pass phrase.

A certificate inside a PKCS#12 file is not among them, for that needs the pass phrase; `connector doctor` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from connector.config import Settings
from connector.errors import SigningError
from connector.signing.certificates import read_certificates
from connector.signing.expiry import Use, Watched

_EVER = datetime.min.replace(tzinfo=UTC)

_CUSTOMS_CA = Use(role="customs CA", remedy="get the new certificate from customs and add it to the file")
_TLS_CLIENT = Use(role="TLS client", remedy="have a new one issued, and name it with its key in [customs]")

_RECEIPTS = Use(
    role="receipts of customs",
    remedy="get the new certificate from customs and add it to [customs] receipt_certificate_files",
)


def key_uses(settings: Settings) -> Mapping[str, Use]:
    """What the certificate of each ``[signing.NAME]`` is for, by name.

    The order is that of `KeyRing`: of keys that begin at the same time the one named last signs.
    """
    order = sorted(settings.signing.items(), key=lambda one: one[1].active_from or _EVER)
    ends = {name: later.active_from or _EVER for (name, _), (_, later) in pairwise(order)}
    return {
        name: Use(
            role=f"signing key {name}",
            remedy="have it renewed, and name the new key with an active_from in a [signing] table of its own",
            needed_from=key.active_from,
            needed_until=ends.get(name),
        )
        for name, key in order
    }


def watched_files(settings: Settings) -> list[tuple[Use, Path]]:
    """Every file that the configuration names and that holds certificates."""
    uses, customs = key_uses(settings), settings.customs
    named = [
        *((uses[name], key.certificate_file) for name, key in settings.signing.items()),
        (_CUSTOMS_CA, customs.ca_file),
        (_TLS_CLIENT, customs.client_certificate_file),
        *((_RECEIPTS, file) for file in customs.receipt_certificate_files),
    ]
    return [(use, file) for use, file in named if file is not None]


def read_watched(settings: Settings) -> tuple[list[Watched], list[SigningError]]:
    """All certificates of these files, however many each holds; and what is wrong with files that cannot be read."""
    found: list[Watched] = []
    unreadable: list[SigningError] = []
    for use, file in watched_files(settings):
        try:
            found += [Watched(use=use, file=file, certificate=one) for one in read_certificates(file)]
        except SigningError as error:
            unreadable.append(error)
    return found, unreadable
