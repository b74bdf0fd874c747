"""One PKCS#11 token and the session that this process has on it.

PKCS#11 logs in a process, not a session: all keys of a token share one login, and who logs out logs out everyone (PKCS
#11 2.40, section 5.6, C_Login). So there is one `Token` for each token, however many keys it holds. A session that was
lost, because the token was pulled out or another part of the process closed it, is opened again once. A PIN that the
token refused is never tried again in this process: tokens lock after a few wrong ones::

    token = token_at(Path("/usr/lib/softhsm/libsofthsm2.so"), "customs")
    found = token.log_in(PrivateKeyLabel("enterprise"), pin)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NewType

import pkcs11
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import (
    AttributeSensitive,
    AttributeTypeInvalid,
    FunctionNotSupported,
    MultipleObjectsReturned,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PKCS11Error,
    UserAlreadyLoggedIn,
)
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import PrivateKey, Session, SignMixin
from pydantic import SecretStr

from connector.signing.certificates import unusable
from connector.signing.token_errors import WRONG_PIN, DoesNotVerify, in_words, text_of

PrivateKeyLabel = NewType("PrivateKeyLabel", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """What a token says of one of its keys."""

    kind: KeyType | None
    """None: one of the vendor's own."""
    may_sign: bool
    curve: bytes | None
    """CKA_EC_PARAMS, DER; None where the token does not tell it."""
    mechanisms: frozenset[Mechanism | int]
    """All that the token can do."""


@cache
def token_at(module: Path, label: str) -> Token:
    """The token with this label that the library reaches. It need not be there yet."""
    return Token(module, label)


@cache
def _lock_of(module: Path) -> Lock:
    """python-pkcs11 tells the library (C_Initialize without arguments) that only one thread at a time will call it."""
    del module
    return Lock()


class Token:
    """A token. Threads may share it."""

    def __init__(self, module: Path, label: str) -> None:
        self.label = label
        self._module = module
        self._lock = _lock_of(module)
        self._session: Session | None = None
        self._labels: set[PrivateKeyLabel] = set()
        self._keys: dict[PrivateKeyLabel, list[PrivateKey]] = {}
        self._refused: set[SecretStr] = set()

    def log_in(self, label: PrivateKeyLabel, pin: SecretStr) -> FoundKey:
        """Log in anew, so that the PIN is checked, and look at the key. Raises `SigningError`."""
        with self._lock, self._in_words(label):
            self._labels.add(label)
            session = self._open(pin)
            key = self._key(label)
            return FoundKey(
                kind=_kind(key),
                may_sign=isinstance(key, SignMixin),
                curve=_curve(key),
                mechanisms=frozenset(session.token.slot.get_mechanisms()),
            )

    def sign(
        self,
        label: PrivateKeyLabel,
        pin: SecretStr,
        data: bytes,
        *,
        mechanism: Mechanism,
        verifies: Callable[[bytes], bool],
    ) -> bytes:
        """What the key makes of data by this mechanism. Raises `SigningError`.

        verifies: whether a value is right. A token that came back, or another one in its place, may know our handles
        as those of other keys, so no value leaves unchecked.
        """

        def signed() -> bytes:
            key = self._key(label)
            if not isinstance(key, SignMixin):  # another token in its place
                raise FunctionNotSupported
            value = key.sign(data, mechanism=mechanism)
            if not verifies(value):
                raise DoesNotVerify
            return value

        with self._lock, self._in_words(label):
            if self._session is not None:
                with suppress(PKCS11Error):
                    return signed()
            self._open(pin)
            return signed()

    def _open(self, pin: SecretStr) -> Session:
        """A new session, logged in, and all keys in it; what was open is closed.

        Keys are looked for here alone: a search in a session that was lost ends in errors that nobody can catch.
        """
        self._close()
        if pin in self._refused:
            raise PinIncorrect
        token = self._find()
        try:
            session = token.open(user_pin=pin.get_secret_value())
        except UserAlreadyLoggedIn:  # by a session of this process that is not ours
            session = token.open()
        except WRONG_PIN:
            self._refused.add(pin)
            raise
        self._session = session
        for label in self._labels:
            wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label}
            self._keys[label] = [one for one in session.get_objects(wanted) if isinstance(one, PrivateKey)]
        return session

    def _close(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            with suppress(PKCS11Error):  # it may be lost already
                session.close()

    def _find(self) -> pkcs11.Token:
        if not self._module.is_file():
            raise unusable(f"{self._module}: no such file", "name the PKCS#11 library of the token's vendor")
        try:
            slots = pkcs11.lib(str(self._module)).get_slots(token_present=True)
        except PKCS11Error as error:
            raise unusable(
                f"{self._module} cannot be used as a PKCS#11 library: {text_of(error)}",
                "name the PKCS#11 library of the token's vendor, and check its own configuration",
            ) from None
        found = []
        for slot in slots:
            with suppress(PKCS11Error):  # one that was pulled out must not hide the others
                token = slot.get_token()
                if token.label == self.label:
                    found.append(token)
        if not found:
            raise NoSuchToken
        if len(found) > 1:
            raise MultipleTokensReturned
        return found[0]

    def _key(self, label: PrivateKeyLabel) -> PrivateKey:
        found = self._keys.get(label, [])
        if not found:
            raise NoSuchKey
        if len(found) > 1:
            raise MultipleObjectsReturned
        return found[0]

    @contextmanager
    def _in_words(self, label: PrivateKeyLabel) -> Iterator[None]:
        """Errors of the library become ours; the next call starts with a session of its own."""
        try:
            yield
        except PKCS11Error as error:
            self._close()
            raise in_words(error, module=self._module, token=self.label, key=label) from None


def _kind(key: PrivateKey) -> KeyType | None:
    try:
        return key.key_type
    except ValueError:
        return None


def _curve(key: PrivateKey) -> bytes | None:
    if _kind(key) is not KeyType.EC:
        return None
    try:
        return bytes(key[Attribute.EC_PARAMS])
    except (AttributeTypeInvalid, AttributeSensitive):
        return None
