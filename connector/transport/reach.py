"""Whether customs can be reached: a connection is opened and closed, no request is sent."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from connector.errors import CustomsUnreachable
from connector.transport.dialling import Deadline, dial

_REFUSAL_SECONDS = 1.0
"""How long to listen for a refusal after a handshake: with TLS 1.3 the client has finished its own before the server
looks at the client's certificate."""


def reach(url: str, tls: ssl.SSLContext, *, seconds: float) -> str:
    """Connect to the host of a URL within so many seconds; what the connection speaks, e.g. ``TLSv1.3``.

    Raises `CustomsUnreachable`, also where the certificate of either side is refused.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, deadline = parts.hostname or "", Deadline(seconds)
    try:
        with dial(host, parts.port or (443 if secure else 80), deadline) as dialled:
            if not secure:
                return "plain http"
            dialled.settimeout(deadline.left())
            with tls.wrap_socket(dialled, server_hostname=host) as secured:
                _hear_refusal(secured, min(_REFUSAL_SECONDS, deadline.left()))
                return secured.version() or "TLS"
    except (OSError, ValueError) as error:
        raise CustomsUnreachable(
            f"{parts.scheme}://{parts.netloc} cannot be reached: {error}",
            effect="what is due for customs waits",
            remedy="check the network, the address, and the certificates of [customs]",
        ) from None


def _hear_refusal(secured: ssl.SSLSocket, seconds: float) -> None:
    """Wait for a peer that has something to say although nothing was asked. Raises `OSError` for what it says."""
    secured.settimeout(seconds)
    try:
        said = secured.recv(1)
    except TimeoutError:
        return
    if not said:
        raise ConnectionResetError("it hangs up right after the handshake")
