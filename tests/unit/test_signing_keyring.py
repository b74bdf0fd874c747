"""Which key signs when: one takes over from another, and none signs outside the validity of its certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from connector.errors import SigningError
from connector.signing.certificates import Certificate
from connector.signing.keyring import KeyRing, RingKey
from connector.signing.suites import SUITES, Suite

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Key:
    certificate: Certificate
    key_name: str = "01691f7f"
    suite: Suite = SUITES["rsa-sha1"]

    def sign(self, data: bytes) -> bytes:
        return data


def ring_key(name: str, active_from: datetime | None = None, *, start: int = -10, end: int = 10) -> RingKey:
    """A key whose certificate is valid from and until so many days from now."""
    certificate = Certificate(
        der=name.encode(),
        key_id=name,
        serial_number=1,
        subject="",
        issuer="",
        valid_from=NOW + start * DAY,
        valid_until=NOW + end * DAY,
    )
    return RingKey(name=name, key=Key(certificate), active_from=active_from)


@pytest.mark.parametrize("order", [1, -1])
def test_key_takes_over_at_its_time_to_the_moment(order: int) -> None:
    keys = [ring_key("old"), ring_key("new", NOW + DAY), ring_key("newest", NOW + 2 * DAY)]
    ring = KeyRing(keys[::order])
    assert [one.name for one in ring.keys] == ["old", "new", "newest"]
    for moment, name in [
        (NOW, "old"),
        (NOW + DAY - MOMENT, "old"),
        (NOW + DAY, "new"),
        (NOW + 2 * DAY - MOMENT, "new"),
        (NOW + 2 * DAY, "newest"),
        (NOW + 9 * DAY, "newest"),
    ]:
        assert ring.active(moment).name == name


def test_nothing_is_signed_before_the_first_key_is_active() -> None:
    ring = KeyRing([ring_key("main", NOW)])
    with pytest.raises(SigningError, match=r"no key is active yet: \[signing\.main\]") as caught:
        ring.at(NOW - MOMENT)
    assert caught.value.remedy


@pytest.mark.parametrize(("days", "words"), [(-10, "not valid before"), (10, "expired on")])
def test_nothing_is_signed_outside_the_validity_of_the_certificate(days: int, words: str) -> None:
    ring = KeyRing([ring_key("main")])
    edge = NOW + days * DAY
    assert ring.active(edge).name == "main"
    with pytest.raises(SigningError, match=words) as caught:
        ring.at(edge + (MOMENT if days > 0 else -MOMENT))
    assert "[signing.main]" in caught.value.cause
    assert caught.value.remedy


def test_expired_key_does_not_let_an_older_one_sign_again() -> None:
    ring = KeyRing([ring_key("old", end=1000), ring_key("new", NOW - DAY, end=1)])
    with pytest.raises(SigningError, match=r"signing\.new"):
        ring.at(NOW + 2 * DAY)


def test_key_that_would_begin_outside_its_validity_is_refused_at_once() -> None:
    with pytest.raises(SigningError, match="not valid at its active_from"):
        KeyRing([ring_key("old"), ring_key("new", NOW + 11 * DAY)])


def test_key_whose_certificate_has_expired_may_stand_there_once_another_signs() -> None:
    ring = KeyRing([ring_key("old", end=-1), ring_key("new", NOW - DAY)])
    assert ring.active(NOW).name == "new"


def test_message_is_signed_by_the_key_of_its_time() -> None:
    old = ring_key("old")
    new = replace(ring_key("new", NOW), key=Key(replace(old.key.certificate, key_id="second")))
    ring = KeyRing([old, new])
    root = etree.fromstring("<a><b>1</b></a>")
    assert [ring.at(moment).sign(root).key_id for moment in (NOW - DAY, NOW)] == ["old", "second"]
