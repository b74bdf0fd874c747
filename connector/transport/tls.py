"""TLS to customs: version 1.2 or newer, always verified, with a client certificate where customs demands one."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from connector.errors import ConfigurationError
from connector.secret_file import OTHERS


def tls_context(
    *, ca_file: Path | None = None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer, host name and certificate verified against ``ca_file`` or else the system's authorities.

    The client certificate and its key are PEM files; the key may stand in the certificate's file. Raises
    `ConfigurationError` naming the file that cannot be used.
    """
    reading = ca_file
    _require_private(key_file or certificate_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if reading := certificate_file or key_file:
            context.load_cert_chain(reading, key_file, password=_no_passphrase)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"[customs] {reading}: {error}",
            effect="no connection to customs can be made",
            remedy="name PEM files this user can read, and the key that belongs to the certificate",
        ) from None
    return context


def _require_private(key_file: Path | None) -> None:
    if key_file is None or not key_file.exists() or not stat.S_IMODE(key_file.stat().st_mode) & OTHERS:
        return
    raise ConfigurationError(
        f"[customs] {key_file} holds a private key and is readable by others",
        effect="no connection to customs can be made",
        remedy=f"chmod 600 {key_file}",
    )


def _no_passphrase() -> str:
    """OpenSSL asks for one only when the key is encrypted; without this it would ask on the terminal."""
    raise ConfigurationError(
        "[customs] client_key_file is encrypted",
        effect="no connection to customs can be made",
        remedy="name an unencrypted PEM key that only this user can read",
    )
