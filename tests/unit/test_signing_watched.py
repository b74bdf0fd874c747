"""Which certificates of a configuration are watched, and what for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.config import Settings
from connector.signing.watched import key_uses, read_watched, watched_files

EARLIER, LATER = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
EVER = datetime.min.replace(tzinfo=UTC)


def settings(signing: dict[str, Any], **customs: Path) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": "sqlite:///:memory:"},
            "enterprise": {"dxp_id": "DXPENT0000011351", "cop_code": "4401", "cop_name": "某某"},
            "sources": {},
            "mappings": "mappings",
            "signing": {name: {"key_file": f"{name}.key.pem"} | one for name, one in signing.items()},
            "customs": {"submit_url": "https://customs.example/", **customs},
        }
    )


def test_every_file_of_the_configuration_is_watched() -> None:
    signing = {"main": {"certificate_file": "main.pem"}, "packed": {}}
    found = watched_files(
        settings(signing, ca_file=Path("ca.pem"), client_certificate_file=Path("tls.pem"), client_key_file=Path("k"))
    )
    assert [(use.role, file.name) for use, file in found] == [
        ("signing key main", "main.pem"),
        ("customs CA", "ca.pem"),
        ("TLS client", "tls.pem"),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_key_is_needed_from_its_own_time_until_that_of_the_next(order: int) -> None:
    signing = {"newest": {"active_from": LATER}, "old": {}, "new": {"active_from": EARLIER}}
    uses = key_uses(settings(dict(list(signing.items())[::order])))
    assert {name: (use.needed_from, use.needed_until) for name, use in uses.items()} == {
        "old": (None, EARLIER),
        "new": (EARLIER, LATER),
        "newest": (LATER, None),
    }


def test_key_is_never_needed_when_one_named_later_begins_with_it() -> None:
    uses = key_uses(settings({"first": {}, "second": {}}))
    assert uses["first"].needed_until == EVER
    assert uses["second"].needed_until is None


def test_all_certificates_of_a_bundle_are_read_and_an_unreadable_file_hides_none(
    development_pki: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join((development_pki / f"{name}.crt.pem").read_bytes() for name in ("ca", "office")))
    signing = {"main": {"certificate_file": tmp_path / "nothing.pem"}}
    found, unreadable = read_watched(settings(signing, ca_file=bundle))
    assert [one.use.role for one in found] == ["customs CA"] * 2
    assert len({one.certificate.key_id for one in found}) == 2
    assert "nothing.pem" in str(*unreadable)
