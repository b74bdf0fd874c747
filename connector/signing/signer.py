"""Signs a message: an enveloped XML signature over the whole document.

The canonical form of a document is itself a proper way to write it down. So it is made once, hashed, and sent: what
customs reads is byte for byte what was hashed, with the signature put in at its place::

    signed = Signer(key).sign(root)
    signed.xml  # the exact bytes to store and to send
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from lxml import etree

from connector.errors import SigningError
from connector.messages.deliveries import SignedMessage
from connector.messages.namespaces import DS, tag
from connector.messages.parser import Element, local_name
from connector.signing.canonical import canonical, require_plain
from connector.signing.interface import SigningKey
from connector.signing.suites import Suite

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
"""What every signed message starts with; it is not part of the canonical form."""


class Signer:
    """Signs documents with one key."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._suite = key.suite
        self._key_info = (
            f"<ds:KeyInfo><ds:KeyName>{key.key_name}</ds:KeyName><ds:X509Data><ds:X509Certificate>"
            f"{_base64(key.certificate.der)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        )

    def sign(self, root: Element) -> SignedMessage:
        """Sign the whole document; root is left as it was.

        The signature stands after everything but ExtendMessage, as the schema of export messages demands, without
        white space. Raises `SigningError` when the document holds a signature already, when its canonical form is in
        doubt (`require_plain`), and when the key cannot sign.
        """
        require_plain(root)
        if next(root.iter(tag(DS, "Signature")), None) is not None:
            raise SigningError(
                "the message holds a signature already", effect="it was not signed", remedy="sign the unsigned message"
            )
        before, after = self._split(root)
        digest = self._suite.digest(before + after)
        # The same text twice: as it stands in the message, and as it is signed, with every namespace in scope.
        plain = _signed_info(self._suite, digest, "")
        scope: dict[str | None, str] = {"ds": DS} if self._suite.is_exclusive else {**root.nsmap, "ds": DS}
        value = self._key.sign(_signed_info(self._suite, digest, _declared(scope)).encode())
        signature = (
            f'<ds:Signature xmlns:ds="{DS}">{plain}<ds:SignatureValue>{_base64(value)}</ds:SignatureValue>'
            f"{self._key_info}</ds:Signature>"
        )
        xml = b"".join((DECLARATION, before, signature.encode(), after))
        return SignedMessage(xml=xml, key_id=self._key.certificate.key_id, suite=self._suite.name)

    def _split(self, root: Element) -> tuple[bytes, bytes]:
        """The canonical form, cut where the signature goes.

        A processing instruction marks the place: it has no namespace that could change the form, and the document holds
        no other one. Text cannot look like it, because ``<`` is always escaped.
        """
        place = etree.ProcessingInstruction("signature")
        last = root[-1] if len(root) else None
        if last is not None and local_name(last) == "ExtendMessage":
            last.addprevious(place)
        else:
            root.append(place)
        try:
            before, after = canonical(root, self._suite).split(b"<?signature?>")
        finally:
            root.remove(place)
        return before, after


def _signed_info(suite: Suite, digest: bytes, namespaces: str) -> str:
    """SignedInfo in canonical form, with these namespace declarations."""
    transforms = "".join(f'<ds:Transform Algorithm="{one}"></ds:Transform>' for one in suite.transforms)
    return (
        f"<ds:SignedInfo{namespaces}>"
        f'<ds:CanonicalizationMethod Algorithm="{suite.canonicalization}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{suite.signature_method}"></ds:SignatureMethod>'
        f'<ds:Reference URI=""><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{suite.digest_method}"></ds:DigestMethod>'
        f"<ds:DigestValue>{_base64(digest)}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )


def _declared(scope: Mapping[str | None, str]) -> str:
    """Canonical declarations of the namespaces in scope of SignedInfo, by prefix."""
    by_prefix = {prefix or "": uri for prefix, uri in scope.items()}
    names = ((f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in sorted(by_prefix.items()))
    return "".join(f' {name}="{uri}"' for name, uri in names)


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
