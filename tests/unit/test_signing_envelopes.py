"""Opening envelopes: whose signature counts, when a certificate counts, and what is read afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import SignatureInvalid, SigningError, UnreadableMessage
from connector.messages.envelope import Envelope, seal
from connector.receipts.parse import read_receipts
from connector.signing.envelopes import EnvelopeOpener, OpenedEnvelope, sign_envelope
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from tests.forgeries.material import RELEASED, WRITTEN, YEAR, Material, envelope, make_key


@pytest.fixture(scope="module")
def material() -> Material:
    return Material.make()


def opener(*keys: FileKey, is_required: bool = True) -> EnvelopeOpener:
    return EnvelopeOpener(trusted=tuple(key.certificate for key in keys), is_required=is_required)


def signed(message: Envelope, key: FileKey) -> bytes:
    return sign_envelope(seal(message), Signer(key))


def test_envelope_opens_when_a_trusted_key_signed_it(material: Material) -> None:
    message = envelope(7, RELEASED)
    opened = opener(material.office)(signed(message, material.office))
    assert opened == OpenedEnvelope(envelope=message, signed_by=material.office.certificate.key_id)
    assert [receipt.code for receipt in read_receipts(opened.envelope.data).receipts] == [RELEASED]


def test_envelope_is_refused_when_nobody_signed_it_and_somebody_must(material: Material) -> None:
    with pytest.raises(SignatureInvalid, match="it is not signed"):
        opener(material.office)(seal(envelope(7, RELEASED)))


def test_envelope_opens_when_nobody_signed_it_and_nobody_must() -> None:
    message = envelope(7, RELEASED)
    assert opener(is_required=False)(seal(message)) == OpenedEnvelope(envelope=message, signed_by="")


def test_signature_must_verify_when_none_is_required(material: Material) -> None:
    data = signed(envelope(7, RELEASED), material.office)
    assert opener(material.office, is_required=False)(data).signed_by == material.office.certificate.key_id
    with pytest.raises(SignatureInvalid, match="the digest differs"):
        opener(material.office, is_required=False)(data.replace(b">DXPENT0000011351<", b">DXPENT0000011352<"))
    with pytest.raises(SignatureInvalid, match="is not one that is trusted here"):
        opener(is_required=False)(data)


def test_envelope_is_refused_when_another_key_signed_it(material: Material) -> None:
    data = signed(envelope(7, RELEASED), material.attacker)
    with pytest.raises(SignatureInvalid, match=f"{material.attacker.certificate.key_id} is not one that is trusted"):
        opener(material.office)(data)


def test_envelope_is_refused_when_the_certificate_had_expired_or_not_begun_when_it_was_written() -> None:
    key = make_key(start=WRITTEN, until=WRITTEN + YEAR)
    second = timedelta(seconds=1)
    for written in (WRITTEN, WRITTEN + YEAR):
        assert opener(key)(signed(envelope(7, RELEASED, written=written), key)).signed_by
    for written in (WRITTEN - second, WRITTEN + YEAR + second):
        with pytest.raises(SignatureInvalid, match=r"was not valid on .*, when it signed"):
            opener(key)(signed(envelope(7, RELEASED, written=written), key))


def test_envelope_opens_when_the_certificate_was_valid_then_and_has_expired_since() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    key = make_key(start=start, until=start + YEAR)
    assert not key.certificate.is_valid_at(datetime.now(UTC))
    assert opener(key)(signed(envelope(7, RELEASED, written=start + timedelta(days=9)), key)).signed_by


def test_envelopes_open_when_old_and_new_key_overlap(material: Material) -> None:
    new = make_key(serial=9)
    both = opener(material.office, new)
    for key in (material.office, new):
        assert both(signed(envelope(7, RELEASED), key)).signed_by == key.certificate.key_id
    with pytest.raises(SignatureInvalid, match="is not one that is trusted here"):
        opener(new)(signed(envelope(7, RELEASED), material.office))


def test_signature_of_another_suite_is_refused_when_its_certificate_is_trusted(signing_key: FileKey) -> None:
    with pytest.raises(SignatureInvalid, match=r"the signature method .*rsa-sha1 is not allowed here"):
        opener(signing_key)(signed(envelope(7, RELEASED), signing_key))


@pytest.mark.parametrize("data", [b"", b"<a/>", b"\x1f\x8b\x08", b'<DxpMsg ver="1.0"/>', "<信/>".encode("utf-16")])
def test_document_is_refused_when_it_is_no_envelope(data: bytes) -> None:
    for strict in (True, False):
        with pytest.raises(UnreadableMessage):
            opener(is_required=strict)(data)


def test_envelope_is_refused_when_it_is_invalid_though_it_was_signed_so(material: Material) -> None:
    data = sign_envelope(seal(envelope(7, RELEASED)).replace(b"SenderId>", b"Sender>"), Signer(material.office))
    for strict in (True, False):
        with pytest.raises(UnreadableMessage, match="Sender"):
            opener(material.office, is_required=strict)(data)


def test_envelope_is_not_signed_twice(material: Material) -> None:
    data = signed(envelope(7, RELEASED), material.office)
    with pytest.raises(SigningError, match="holds a signature already"):
        sign_envelope(data, Signer(material.office))


def test_time_that_counts_is_the_signed_one_when_it_is_in_another_zone() -> None:
    """23:59 in Beijing on the last day is within, though the same figures in UTC would be past the end."""
    key = make_key(start=WRITTEN - YEAR, until=datetime(2026, 4, 30, 16, 0, tzinfo=UTC))
    message = envelope(7, RELEASED, written=datetime(2026, 4, 30, 15, 59, tzinfo=UTC))
    assert b"2026-04-30T23:59:00+08:00" in seal(message)
    assert opener(key)(signed(message, key)).envelope == message
    with pytest.raises(SignatureInvalid, match="was not valid on"):
        opener(key)(signed(replace(message, created=datetime(2026, 4, 30, 16, 1, tzinfo=UTC)), key))
