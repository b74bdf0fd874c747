"""What a forger has to work with: two genuine envelopes, the public certificates, and keys of his own.

>>> material = Material.make()
>>> material.opener()(material.genuine).signed_by == material.office.certificate.key_id
True
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import CEB
from connector.messages.parser import parse
from connector.signing.certificates import Certificate, key_name_of
from connector.signing.envelopes import SUITE, EnvelopeOpener
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.signing.suites import SUITES

WRITTEN = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
"""When the genuine envelopes were written."""
YEAR = timedelta(days=365)
REJECTED, RELEASED = "100", "800"
"""What customs said, and what the forger would have it say."""
ID = "G-1"
"""Of the genuine envelope, so that there is something to double and to refer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that forgeries are made from. The office's key is there for those that a careless office would sign."""

    genuine: bytes
    """Signed by the office: a document was rejected."""
    other: bytes
    """Signed by the office: another document was released."""
    office: FileKey
    attacker: FileKey
    """A key nobody trusts; its certificate has the names and the serial number of the office's."""
    expired: FileKey
    """A key of the office that is still trusted, but ended before the envelopes were written."""
    future: FileKey
    """A key of the office that begins after the envelopes were written."""

    @classmethod
    def make(cls, random: Random | None = None) -> Material:
        """With fresh keys; random: where the same are to be made again."""
        drawn = random or Random()
        office = make_key(random=drawn)
        return cls(
            genuine=signed(envelope(1, REJECTED), office),
            other=signed(envelope(2, RELEASED), office),
            office=office,
            attacker=make_key(random=drawn),
            expired=make_key(random=drawn, serial=2, until=WRITTEN - timedelta(days=1)),
            future=make_key(random=drawn, serial=3, start=WRITTEN + timedelta(days=1)),
        )

    def opener(self) -> EnvelopeOpener:
        """Of a receiver that trusts all keys of the office, and takes nothing unsigned."""
        trusted = (self.office.certificate, self.expired.certificate, self.future.certificate)
        return EnvelopeOpener(trusted=trusted, is_required=True)

    @property
    def forged_data(self) -> bytes:
        """The receipts that the forger wants to be read."""
        return receipts(1, RELEASED)


def make_key(
    *,
    random: Random | None = None,
    serial: int = 1,
    start: datetime = WRITTEN - YEAR,
    until: datetime = WRITTEN + 9 * YEAR,
) -> FileKey:
    """A new ECDSA key with a certificate that it signed itself. A key for tests need not be hard to guess."""
    key = ec.derive_private_key((random or Random()).getrandbits(255) + 1, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "office")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(serial)
    builder = builder.not_valid_before(start).not_valid_after(until).public_key(key.public_key())
    certificate = builder.sign(key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)
    read = Certificate.of(certificate)
    return FileKey(certificate=read, key_name=key_name_of(serial), suite=SUITES[SUITE], private_key=key)


def signed(message: Envelope, key: FileKey) -> bytes:
    """The envelope with an Id, signed as our simulated office signs."""
    root = parse(seal(message))
    root.set("Id", ID)
    return Signer(key).sign(root).xml


def envelope(number: int, *codes: str, written: datetime = WRITTEN) -> Envelope:
    """An envelope with a refund receipt for each code."""
    return Envelope(
        message_id=_identity(number),
        sender="DXPEDCCEB0000003",
        receiver="DXPENT0000011351",
        created=written,
        message_type="CEB214Message",
        data=receipts(number, *codes),
    )


def receipts(number: int, *codes: str) -> bytes:
    """A CEB214 message with a record for each code."""
    inside = "".join(
        f"<RefundReturn><guid>{_identity(number * 1000 + at)}</guid><agentCode>4401000002</agentCode>"
        f"<coElNo>RK{number}-{at}</coElNo><preNo>B2026{number:04}</preNo><invtNo>22442026E000000001</invtNo>"
        f"<returnStatus>{code}</returnStatus><returnTime>20260415103000123</returnTime>"
        f"<returnInfo>条码不符 &lt;{at}&gt;</returnInfo></RefundReturn>"
        for at, code in enumerate(codes)
    )
    return f'<CEB214Message xmlns="{CEB}" guid="{_identity(number)}" version="1.0">{inside}</CEB214Message>'.encode()


def _identity(number: int) -> str:
    return str(uuid.UUID(int=number, version=4)).upper()
