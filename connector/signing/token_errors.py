"""What a PKCS#11 library reports, in words a person understands. No PIN is ever in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pkcs11.exceptions import (
    DeviceRemoved,
    MultipleObjectsReturned,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
)

from connector.errors import SigningError
from connector.signing.certificates import unusable

WRONG_PIN = (PinIncorrect, PinInvalid, PinLenRange)


class DoesNotVerify(PKCS11Error):
    """The token gave a signature that is not one of the key whose certificate we have."""


_REFUSED = (
    "the token {token!r} refused the PIN; it is not tried again, because tokens lock after a few wrong ones",
    "put the right PIN in passphrase_file or the environment, and start again",
)
_ABSENT = (
    "{module} finds no token {token!r}",
    "put it in, or correct pkcs11_token; start again if it is in and not found",
)
_OTHER = (
    "the token {token!r} fails to sign with private key {key!r}: {error}",
    "look at the token with the tools of its vendor; start again if it works there",
)
_WORDS: Mapping[type[PKCS11Error], tuple[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(WRONG_PIN, _REFUSED),
        **dict.fromkeys((NoSuchToken, TokenNotPresent, DeviceRemoved), _ABSENT),
        PinLocked: ("the PIN of the token {token!r} is locked", "have it unlocked by the token's security officer"),
        MultipleTokensReturned: ("{module} finds more than one token {token!r}", "take out or rename the others"),
        NoSuchKey: (
            "the token {token!r} holds no private key {key!r}",
            "correct pkcs11_key; it is the label of the private key",
        ),
        MultipleObjectsReturned: (
            "the token {token!r} holds more than one private key {key!r}",
            "give each key a label of its own",
        ),
        DoesNotVerify: (
            "private key {key!r} of the token {token!r} is not the one of its certificate_file",
            "name the key and the certificate that were issued together",
        ),
    }
)
"""Cause and remedy."""


def in_words(error: PKCS11Error, *, module: Path, token: str, key: str) -> SigningError:
    """The error of ours for one of the library."""
    cause, remedy = _WORDS.get(type(error), _OTHER)
    return unusable(cause.format(module=module, token=token, key=key, error=text_of(error)), remedy)


def text_of(error: PKCS11Error) -> str:
    """What the library says; most of its errors are a name and nothing else."""
    return str(error) or type(error).__name__
