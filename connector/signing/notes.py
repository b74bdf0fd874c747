"""Signed notes with Ed25519, which checkpoints of the audit log are written in.

The format is C2SP's (https://c2sp.org/signed-note): a text, an empty line, and a line for each signature, which holds
the name of the key, a digest of it, and the signature of the text. A *verifier key* is what an auditor needs::

    signer = load_note_signer("wms.example.com/log", Path("audit-key.pem"), phrase)
    note = signer.sign(checkpoint.text)
    NoteVerifier.parse(signer.verifier.key).open(note)
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from connector.errors import ConfigurationError, SignatureInvalid
from connector.signing.certificates import unusable
from connector.signing.keyfiles import read_key_file, require_phrase_fits

_ED25519 = b"\x01"
_DASH = "— "
_ID_BYTES = 4
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteVerifier:
    """A public key by the name under which it signs."""

    name: str
    public_key: bytes = field(repr=False)
    """32 bytes."""

    @classmethod
    def parse(cls, key: str) -> NoteVerifier:
        """Read a verifier key, ``NAME+ID+KEY``. Raises `ConfigurationError`."""
        name, _, rest = key.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        verifier = cls(name=name, public_key=raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES or verifier.identity.hex() != identity:
            raise ConfigurationError(
                f"{key!r} is no verifier key of Ed25519",
                effect="nothing was verified",
                remedy="copy it whole from `connector audit key`: NAME+ID+KEY",
            )
        return verifier

    @property
    def identity(self) -> bytes:
        """The four bytes by which a signature line names the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:_ID_BYTES]

    @property
    def key(self) -> str:
        """The verifier key as it is written."""
        return f"{self.name}+{self.identity.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"

    def open(self, note: str) -> str:
        """The text of a note that this key has signed. Raises `SignatureInvalid`."""
        text, gap, lines = note.rpartition("\n\n")
        for line in lines.splitlines() if gap else ():
            signature = self._signature(line)
            try:
                if signature is not None:
                    Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, f"{text}\n".encode())
                    return f"{text}\n"
            except InvalidSignature:
                pass
        raise SignatureInvalid(f"no signature of {self.name} ({self.identity.hex()}) under the note verifies")

    def _signature(self, line: str) -> bytes | None:
        """The signature that a line holds; None where it is of another key."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            return None
        is_ours = line.startswith(_DASH) and name == self.name and raw[:_ID_BYTES] == self.identity
        return raw[_ID_BYTES:] if is_ours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """A private key by the name under which it signs."""

    name: str
    private_key: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> NoteVerifier:
        """Its public half."""
        return NoteVerifier(name=self.name, public_key=self.private_key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """A note of a text that ends with a line end."""
        signed = self.verifier.identity + self.private_key.sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {base64.b64encode(signed).decode()}\n"


def keys_named_in(note: str) -> list[tuple[str, bytes]]:
    """The name and the identity of each key that a note says it is signed with; nothing is verified."""
    named = []
    for line in note.rpartition("\n\n")[2].splitlines():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        with contextlib.suppress(ValueError):
            if line.startswith(_DASH) and (raw := base64.b64decode(encoded, validate=True)):
                named.append((name, raw[:_ID_BYTES]))
    return named


def open_note(note: str, trusted: Iterable[NoteVerifier]) -> str:
    """The text of a note that one of these keys has signed. Raises `SignatureInvalid`."""
    problems = []
    for verifier in trusted:
        try:
            return verifier.open(note)
        except SignatureInvalid as error:
            problems.append(error.cause)
    raise SignatureInvalid("; ".join(problems) or "no key is trusted to sign checkpoints")


def load_note_signer(name: str, key_file: Path, phrase: str | None) -> NoteSigner:
    """The signer of ``[audit]``. Raises `SigningError`."""
    data = read_key_file(key_file)
    require_phrase_fits(key_file, phrase, encrypted=b"ENCRYPTED" in data)
    try:
        key = load_pem_private_key(data, phrase.encode() if phrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise unusable(
            f"{key_file}: the pass phrase is wrong, or the file does not hold an Ed25519 key in PKCS#8 PEM",
            "check the pass phrase and the file; `connector audit key --new` makes one",
        )
    return NoteSigner(name=name, private_key=key)


def new_note_key(key_file: Path, phrase: str | None = None) -> None:
    """Make a key in a file that only this user can read. Raises `SigningError` where there is a file already."""
    encryption = BestAvailableEncryption(phrase.encode()) if phrase else NoEncryption()
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        raise unusable(
            f"{key_file}: {error.strerror}", "name a file that does not exist, in a folder that does"
        ) from None
