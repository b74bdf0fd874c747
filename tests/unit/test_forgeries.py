"""Every forgery of the catalogue is refused, and for the reason that belongs to it."""

from __future__ import annotations

import pytest

from connector.errors import ConnectorError, SignatureInvalid, UnreadableMessage
from connector.messages.envelope import unseal
from connector.receipts.parse import read_receipts
from connector.signing.envelopes import SUITE, EnvelopeOpener
from connector.signing.verifier import verify
from tests.forgeries.catalogue import FAMILIES, Forgery, forgeries
from tests.forgeries.keys import certificate_expired, certificate_not_yet_valid
from tests.forgeries.material import REJECTED, Material
from tests.forgeries.wrapping import SHAPES, Shape, wrapped

AT_ANOTHER_TIME = {certificate_expired.__name__, certificate_not_yet_valid.__name__}
"""Right in all but the time, which the verifier leaves to who opens the envelope."""


def each(*entries: Forgery) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("forgery", entries, ids=[f"{one.family}-{one.name}" for one in entries])


@pytest.fixture(scope="module")
def material() -> Material:
    return Material.make()


@pytest.fixture(scope="module")
def opener(material: Material) -> EnvelopeOpener:
    return material.opener()


def test_genuine_envelopes_open(material: Material, opener: EnvelopeOpener) -> None:
    """Else every forgery might be refused for what it has in common with them."""
    opened = opener(material.genuine)
    assert [receipt.code for receipt in read_receipts(opened.envelope.data).receipts] == [REJECTED]
    assert opener(material.other).signed_by == opened.signed_by


def test_catalogue_has_every_family_and_more_than_sixty_forgeries() -> None:
    entries = forgeries().values()
    assert {entry.family for entry in entries} == set(FAMILIES)
    assert len(entries) >= 60


@each(*forgeries().values())
def test_forgery_is_refused_for_its_own_reason(forgery: Forgery, material: Material, opener: EnvelopeOpener) -> None:
    data = forgery.make(material)
    assert data not in {material.genuine, material.other}
    with pytest.raises((SignatureInvalid, UnreadableMessage)) as caught:
        opener(data)
    assert caught.match(forgery.refused)


@each(*(entry for name, entry in forgeries().items() if name not in AT_ANOTHER_TIME))
def test_forgery_gets_nothing_past_the_verifier_when_no_schema_stands_before_it(
    forgery: Forgery, material: Material, opener: EnvelopeOpener
) -> None:
    """The schema refuses many forgeries first; were it laxer, or another partner's, the verifier would have to."""
    assert opens_as_signed(forgery.make(material), material, opener)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_wrapped_envelope_is_refused_wherever_its_part_is(
    shape: Shape, material: Material, opener: EnvelopeOpener
) -> None:
    made = [one for by_id in (False, True) for one in wrapped(shape, material, by_id=by_id)]
    for place, data in made:
        with pytest.raises((SignatureInvalid, UnreadableMessage)):
            pytest.fail(f"{place}: {opener(data)}")
        assert opens_as_signed(data, material, opener), place
    assert len(made) >= 2 * 13


def opens_as_signed(data: bytes, material: Material, opener: EnvelopeOpener) -> bool:
    """Whether the verifier alone refuses a document, or hands back what the office signed and nothing else."""
    try:
        verified = verify(data, suites={SUITE}, fingerprints={one.key_id for one in opener.trusted})
    except ConnectorError:
        return True
    return unseal(verified.content) == unseal(material.genuine)
