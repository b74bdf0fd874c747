"""Whether customs can be reached: a connection is opened and closed, no request is sent."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from connector.errors import CustomsUnreachable
from connector.transport.dialling import Deadline, dial

_REFUSAL_SECONDS = 1.0
"""How long to listen for a refusal after a handshake: with TLS 1.3 the client has finished its own before the server
looks at the client's certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A peer that took a connection."""

    spoken: str
    """What the connection speaks, e.g. ``TLSv1.3``."""
    certificate: bytes | None = None
    """The certificate of its own, DER, that the peer showed in the handshake; None over plain http."""


def reach(url: str, tls: ssl.SSLContext, *, seconds: float) -> Reached:
    """Connect to the host of a URL within so many seconds.

    Raises `CustomsUnreachable`, also where the certificate of either side is refused.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, deadline = parts.hostname or "", Deadline(seconds)
    try:
        with dial(host, parts.port or (443 if secure else 80), deadline) as dialled:
            if not secure:
                return Reached(spoken="plain http")
            dialled.settimeout(deadline.left())
            with tls.wrap_socket(dialled, server_hostname=host) as secured:
                _hear_refusal(secured, min(_REFUSAL_SECONDS, deadline.left()))
                return Reached(spoken=secured.version() or "TLS", certificate=secured.getpeercert(binary_form=True))
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
