"""What `connector doctor` says of the certificate that customs shows, to a real handshake."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.config import Settings
from connector.doctor.customs import addresses, shown_certificate
from connector.doctor.findings import Finding, Level, exit_code
from tests.integration.tls_peer import Authority, Server, speaking_tls

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def look(folder: Path, *, days: int) -> tuple[str, list[Finding]]:
    """What the check finds of a peer whose certificate ends in a little less than so many days; its address first."""
    authority = Authority(folder, "ours")
    server = Server(speaking_tls(authority.issue("127.0.0.1", days=days)))
    address = f"https://127.0.0.1:{server.port}"
    with closing(server):
        return address, list(addresses(settings(address, authority.file)))


def settings(address: str, ca_file: Path) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": "sqlite:///:memory:"},
            "enterprise": {"dxp_id": "DXPENT0000011351", "cop_code": "4401", "cop_name": "某某"},
            "sources": {},
            "mappings": "mappings",
            "signing": {"main": {"key_file": "main.key.pem"}},
            "customs": {"submit_url": f"{address}/receive", "ca_file": ca_file},
        }
    )


def test_days_left_are_told_when_they_are_many(tmp_path: Path) -> None:
    address, found = look(tmp_path, days=100)
    assert [one.level for one in found] == [Level.OK] * 2
    assert found[0].text == f"{address} takes connections over TLSv1.3; no request was sent"
    assert found[1].text == f"the certificate that {address} shows ends in 99 days"


@pytest.mark.parametrize(
    ("days", "words", "level", "code"),
    [
        (60, "expires in 59 days", Level.WARNING, 0),
        (30, "expires in 29 days", Level.WARNING, 0),
        (14, "expires in 13 days", Level.FAULT, 7),
        (7, "expires in 6 days", Level.FAULT, 7),
        (1, "expires in 23 hours", Level.FAULT, 7),
    ],
)
def test_certificate_that_ends_is_warned_of_and_a_fault_in_its_last_two_weeks(
    tmp_path: Path, days: int, words: str, level: Level, code: int
) -> None:
    address, found = look(tmp_path, days=days)
    reached, ending = found
    assert reached.level is Level.OK
    assert ending.level is level
    assert f"TLS server {address}: the certificate CN=127.0.0.1 that it shows {words}" in ending.text
    assert "ask customs" in ending.remedy
    assert exit_code(found) == code


def test_certificate_that_has_ended_is_refused_in_the_handshake(tmp_path: Path) -> None:
    _, (refused,) = look(tmp_path, days=-1)
    assert "certificate has expired" in refused.text
    assert exit_code([refused]) == 6


def test_certificate_that_cannot_be_read_is_told_and_is_no_fault() -> None:
    (found,) = shown_certificate("https://customs.example", b"0", NOW)
    assert (found.level, exit_code([found])) == (Level.WARNING, 0)
    assert "cannot be told" in found.text
