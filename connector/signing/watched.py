"""Which certificates of the configuration are watched for their end, and reading them.

One that stands beside its key in a PKCS#12 file can only be read with the pass phrase; where that is missing or wrong,
the error says so. Tokens are left alone: their certificates stand in files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from connector.config import Settings, SigningSettings
from connector.errors import ConnectorError
from connector.signing.certificates import Certificate, read_certificates
from connector.signing.expiry import Use, Watched
from connector.signing.keyfiles import load_key

_EVER = datetime.min.replace(tzinfo=UTC)

_CUSTOMS_CA = Use(role="customs CA", remedy="get the new certificate from customs and add it to the file")
_TLS_CLIENT = Use(role="TLS client", remedy="have a new one issued, and name it with its key in [customs]")

_RECEIPTS = Use(
    role="receipts of customs",
    remedy="get the new certificate from customs and add it to [customs] receipt_certificate_files",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFile:
    """A file with certificates."""

    use: Use
    file: Path
    opened_with: SigningSettings | None = None
    """The table of the key that the certificate stands beside, with its pass phrase; None for plain PEM."""

    def read(self) -> Sequence[Certificate]:
        """Its certificates, at least one. Raises `SigningError` or `ConfigurationError` when it cannot be read."""
        if self.opened_with is None:
            return read_certificates(self.file)
        return [load_key(self.opened_with).certificate]


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


def watched_files(settings: Settings) -> list[WatchedFile]:
    """Every file that the configuration names and that holds certificates."""
    uses, customs = key_uses(settings), settings.customs
    return [
        *(_of_key(uses[name], key) for name, key in settings.signing.items()),
        *(
            WatchedFile(use=use, file=file)
            for use, file in (
                (_CUSTOMS_CA, customs.ca_file),
                (_TLS_CLIENT, customs.client_certificate_file or customs.client_key_file),
                *((_RECEIPTS, file) for file in customs.receipt_certificate_files),
            )
            if file is not None
        ),
    ]


def _of_key(use: Use, key: SigningSettings) -> WatchedFile:
    if key.certificate_file is not None:
        return WatchedFile(use=use, file=key.certificate_file)
    assert key.key_file is not None  # a token needs a certificate_file
    return WatchedFile(use=use, file=key.key_file, opened_with=key)


def read_watched(settings: Settings) -> tuple[list[Watched], list[ConnectorError]]:
    """All certificates of these files, however many each holds; and what is wrong with files that cannot be read."""
    found: list[Watched] = []
    unreadable: list[ConnectorError] = []
    for one in watched_files(settings):
        try:
            found += [Watched(use=one.use, file=one.file, certificate=inside) for inside in one.read()]
        except ConnectorError as error:
            unreadable.append(error)
    return found, unreadable
