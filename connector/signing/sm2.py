"""SM2 signatures with SM3 (GB/T 32918.2) by OpenSSL 3's libcrypto, which every Linux of today has.

The package cryptography knows SM3 but refuses SM2 keys; why libcrypto and not another library:
``docs/decisions/0008-sm2-by-libcrypto.md``. All arithmetic is libcrypto's; here it is only called::

    key = Sm2PrivateKey.from_pem(pem, phrase=None)
    value = key.sign(data)                       # r || s, 64 bytes, as customs wants it
    assert key.public_key.verify(value, data)

Signer and verifier share the user id that GM/T 0009 fixes for when none is agreed on.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_long, c_size_t, c_void_p
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from connector.errors import SigningError

USER_ID = b"1234567812345678"
_HALF = 32
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""SubjectPublicKeyInfo (RFC 5480) of a key on curve 1.2.156.10197.1.301, up to the point."""
_LIBRARIES = ("libcrypto.so.3", "libcrypto.3.dylib")
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "ASN1_OCTET_STRING_new": (c_void_p, []),
    "ASN1_OCTET_STRING_set": (c_int, [c_void_p, c_char_p, c_int]),
    "BIO_new_mem_buf": (c_void_p, [c_char_p, c_int]),
    "BIO_new": (c_void_p, [c_void_p]),
    "BIO_s_mem": (c_void_p, []),
    "BIO_read": (c_int, [c_void_p, c_void_p, c_int]),
    "BIO_free": (c_int, [c_void_p]),
    "ERR_clear_error": (None, []),
    "EVP_DigestSign": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_size_t]),
    "EVP_DigestSignInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_DigestVerify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "EVP_DigestVerifyInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_MD_CTX_free": (None, [c_void_p]),
    "EVP_MD_CTX_new": (c_void_p, []),
    "EVP_MD_CTX_set_pkey_ctx": (None, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_free": (None, [c_void_p]),
    "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "EVP_PKEY_CTX_set1_id": (c_int, [c_void_p, c_char_p, c_int]),
    "EVP_PKEY_free": (None, [c_void_p]),
    "EVP_PKEY_generate": (c_int, [c_void_p, c_void_p]),
    "EVP_PKEY_is_a": (c_int, [c_void_p, c_char_p]),
    "EVP_PKEY_keygen_init": (c_int, [c_void_p]),
    "EVP_aes_256_cbc": (c_void_p, []),
    "EVP_sm3": (c_void_p, []),
    "PEM_read_bio_PrivateKey": (c_void_p, [c_void_p, c_void_p, c_void_p, c_char_p]),
    "PEM_write_bio_PKCS8PrivateKey": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_int, c_void_p, c_void_p]),
    "PKCS12_free": (None, [c_void_p]),
    "PKCS12_parse": (c_int, [c_void_p, c_char_p, c_void_p, c_void_p, c_void_p]),
    "X509_free": (None, [c_void_p]),
    "X509_get_pubkey": (c_void_p, [c_void_p]),
    "X509_set0_distinguishing_id": (None, [c_void_p, c_void_p]),
    "X509_verify": (c_int, [c_void_p, c_void_p]),
    "d2i_PKCS12": (c_void_p, [c_void_p, c_void_p, c_long]),
    "d2i_PUBKEY": (c_void_p, [c_void_p, c_void_p, c_long]),
    "d2i_X509": (c_void_p, [c_void_p, c_void_p, c_long]),
    "i2d_PUBKEY": (c_int, [c_void_p, c_void_p]),
    "i2d_X509": (c_int, [c_void_p, c_void_p]),
}
"""What is called, with the types of result and arguments (man pages of OpenSSL 3.0, section 3)."""


class NotAnSm2Key(Exception):
    """The bytes hold no key on the SM2 curve, or the pass phrase is wrong."""


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """A public key; two are equal when they are the same point."""

    spki: bytes
    """SubjectPublicKeyInfo, DER."""
    _handle: _Handle = field(repr=False, compare=False)

    @classmethod
    def from_point(cls, point: bytes) -> Sm2PublicKey:
        """The key of an uncompressed point, 65 bytes. Raises `NotAnSm2Key`."""
        return cls._of(_read_der("d2i_PUBKEY", _SPKI + point, "EVP_PKEY_free"))

    @classmethod
    def from_certificate(cls, certificate: bytes) -> Sm2PublicKey:
        """The key in a certificate, DER. Raises `NotAnSm2Key`."""
        holder = _read_der("d2i_X509", certificate, "X509_free")
        return cls._of(_Handle(_libcrypto().X509_get_pubkey(holder.pointer), "EVP_PKEY_free"))

    @classmethod
    def _of(cls, handle: _Handle) -> Sm2PublicKey:
        if not _libcrypto().EVP_PKEY_is_a(handle.pointer, b"SM2"):
            raise NotAnSm2Key("the key is not on the SM2 curve")
        return cls(_write_der("i2d_PUBKEY", handle), handle)

    def verify(self, value: bytes, data: bytes) -> bool:
        """Whether value, r || s, is the signature of this key over data."""
        if len(value) != 2 * _HALF:
            return False
        halves = (int.from_bytes(half) for half in (value[:_HALF], value[_HALF:]))
        der = encode_dss_signature(*halves)
        digest = _Digest(self._handle, "EVP_DigestVerifyInit")
        fits: int = _libcrypto().EVP_DigestVerify(digest.pointer, der, len(der), data, len(data))
        _libcrypto().ERR_clear_error()
        return fits == 1


@dataclass(frozen=True, slots=True)
class Sm2PrivateKey:
    """A private key, held by libcrypto."""

    public_key: Sm2PublicKey
    _handle: _Handle = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> Sm2PrivateKey:
        """A new key."""
        library = _libcrypto()
        context = _Handle(library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None), "EVP_PKEY_CTX_free")
        _require(library.EVP_PKEY_keygen_init(context.pointer))
        key = c_void_p()
        _require(library.EVP_PKEY_generate(context.pointer, byref(key)))
        return cls._of(_Handle(key.value, "EVP_PKEY_free"))

    @classmethod
    def from_pem(cls, data: bytes, phrase: str | None) -> Sm2PrivateKey:
        """A key in PKCS#8 PEM, encrypted or not. Raises `NotAnSm2Key`."""
        library = _libcrypto()
        source = _Handle(library.BIO_new_mem_buf(data, len(data)), "BIO_free")
        # Without a pass phrase, an empty one: libcrypto would ask for it at the terminal.
        key = library.PEM_read_bio_PrivateKey(source.pointer, None, None, (phrase or "").encode())
        return cls._of(_Handle(key, "EVP_PKEY_free"))

    @classmethod
    def from_pkcs12(cls, data: bytes, phrase: str | None) -> tuple[Sm2PrivateKey, bytes]:
        """Key and certificate (DER) of a PKCS#12 file. Raises `NotAnSm2Key`."""
        archive = _read_der("d2i_PKCS12", data, "PKCS12_free")
        key, certificate = c_void_p(), c_void_p()
        _require(
            _libcrypto().PKCS12_parse(archive.pointer, (phrase or "").encode(), byref(key), byref(certificate), None)
        )
        held = _Handle(key.value, "EVP_PKEY_free")
        return cls._of(held), _write_der("i2d_X509", _Handle(certificate.value, "X509_free"))

    @classmethod
    def _of(cls, handle: _Handle) -> Sm2PrivateKey:
        return cls(Sm2PublicKey._of(handle), handle)  # noqa: SLF001 - one key, seen from both sides

    def sign(self, data: bytes) -> bytes:
        """The signature over data: r || s, 64 bytes, each big-endian."""
        library, length = _libcrypto(), c_size_t(128)
        der = ctypes.create_string_buffer(length.value)
        digest = _Digest(self._handle, "EVP_DigestSignInit")
        _require(library.EVP_DigestSign(digest.pointer, der, byref(length), data, len(data)))
        return b"".join(half.to_bytes(_HALF) for half in decode_dss_signature(der.raw[: length.value]))

    def to_pem(self, phrase: str | None = None) -> bytes:
        """PKCS#8 PEM, encrypted where there is a pass phrase (AES-256, PBKDF2)."""
        library = _libcrypto()
        target = _Handle(library.BIO_new(library.BIO_s_mem()), "BIO_free")
        secret, cipher = (phrase.encode(), library.EVP_aes_256_cbc()) if phrase else (None, None)
        _require(
            library.PEM_write_bio_PKCS8PrivateKey(
                target.pointer, self._handle.pointer, cipher, secret, len(secret or b""), None, None
            )
        )
        buffer = ctypes.create_string_buffer(8192)
        length = library.BIO_read(target.pointer, buffer, len(buffer))
        return buffer.raw[:length]


def is_issued_by(certificate: bytes, issuer: bytes) -> bool:
    """Whether the key of one certificate, RSA, ECDSA or SM2, signed the other; both DER."""
    library = _libcrypto()
    try:
        issued, by = (_read_der("d2i_X509", one, "X509_free") for one in (certificate, issuer))
        key = _Handle(library.X509_get_pubkey(by.pointer), "EVP_PKEY_free")
    except NotAnSm2Key:
        return False
    if library.EVP_PKEY_is_a(key.pointer, b"SM2"):
        user_id = library.ASN1_OCTET_STRING_new()
        _require(library.ASN1_OCTET_STRING_set(user_id, USER_ID, len(USER_ID)))
        library.X509_set0_distinguishing_id(issued.pointer, user_id)  # which frees it from now on
    is_signed: int = library.X509_verify(issued.pointer, key.pointer)
    library.ERR_clear_error()
    return is_signed == 1


class _Handle:
    """A pointer that libcrypto frees when nobody holds it any more. Raises `NotAnSm2Key` for none."""

    def __init__(self, pointer: int | None, free: str) -> None:
        if not pointer:
            _libcrypto().ERR_clear_error()  # Python's ssl shares the queue of errors
            raise NotAnSm2Key("libcrypto cannot read it")
        self.pointer = pointer
        weakref.finalize(self, getattr(_libcrypto(), free), pointer)


class _Digest(_Handle):
    """A digest context that is ready to sign or to verify with a key."""

    def __init__(self, key: _Handle, begin: str) -> None:
        library = _libcrypto()
        super().__init__(library.EVP_MD_CTX_new(), "EVP_MD_CTX_free")
        self._of_key = _Handle(library.EVP_PKEY_CTX_new(key.pointer, None), "EVP_PKEY_CTX_free")
        _require(library.EVP_PKEY_CTX_set1_id(self._of_key.pointer, USER_ID, len(USER_ID)))
        library.EVP_MD_CTX_set_pkey_ctx(self.pointer, self._of_key.pointer)
        _require(getattr(library, begin)(self.pointer, None, library.EVP_sm3(), None, key.pointer))


@cache
def _libcrypto() -> Any:
    """The library with all functions declared. Raises `SigningError` where there is none."""
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                found = getattr(library, function)
                found.restype, found.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        if context := library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None):  # some are built without it
            library.EVP_PKEY_CTX_free(context)
            return library
    raise SigningError(
        "OpenSSL 3 with SM2 is not there (libcrypto.so.3)",
        effect="nothing can be signed or verified with sm2-sm3",
        remedy="install the system's package of OpenSSL 3 (Debian: libssl3)",
    )


def _require(result: int) -> None:
    if result <= 0:
        _libcrypto().ERR_clear_error()
        raise NotAnSm2Key("libcrypto refuses it")


def _read_der(function: str, data: bytes, free: str) -> _Handle:
    start = ctypes.cast(c_char_p(data), c_void_p)
    return _Handle(getattr(_libcrypto(), function)(None, byref(start), len(data)), free)


def _write_der(function: str, handle: _Handle) -> bytes:
    write: Callable[..., int] = getattr(_libcrypto(), function)
    buffer = ctypes.create_string_buffer(write(handle.pointer, None))
    start = ctypes.cast(buffer, c_void_p)
    length = write(handle.pointer, byref(start))
    return buffer.raw[:length]
