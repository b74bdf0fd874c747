"""What the doctor says of our own database, on both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.bootstrap import unchecked_database
from connector.config import Settings
from connector.demo.office import free_port
from connector.doctor.examination import Check, examine
from connector.doctor.findings import Finding, Level
from connector.doctor.records import database
from connector.storage import schema


def settings(url: str) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": url},
            "enterprise": {"dxp_id": "DXPENT0000011351", "cop_code": "4401", "cop_name": "某某"},
            "sources": {},
            "mappings": "mappings",
            "signing": {"main": {"key_file": "main.key.pem"}},
            "customs": {"submit_url": "https://customs.example/"},
        }
    )


def findings(url: str) -> list[Finding]:
    return list(examine(settings(url), [Check(name="database", look=database)]))


def test_doctor_names_the_schema_and_compares_the_clocks(database_url: str) -> None:
    ours = unchecked_database(settings(database_url))
    schema.upgrade(ours)
    ours.close()
    found = findings(database_url)
    assert [(one.check, one.level) for one in found][-2:] == [("database", Level.OK), ("clock", Level.OK)]
    assert f"schema is version {schema.versions()[-1]}" in found[-2].text


def test_doctor_says_so_when_the_schema_was_not_made(database_url: str) -> None:
    fault = findings(database_url)[-1]
    assert (fault.level, fault.exit_code) == (Level.FAULT, 4)
    assert "connector db upgrade" in fault.remedy


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_doctor_says_so_when_the_database_cannot_be_reached(kind: str, tmp_path: Path) -> None:
    nowhere = {
        "postgresql": f"postgresql+psycopg://connector@127.0.0.1:{free_port()}/connector",
        "sqlite": f"sqlite:///{tmp_path}/nowhere/connector.db",
    }
    fault = findings(nowhere[kind])[-1]
    assert (fault.level, fault.exit_code) == (Level.FAULT, 4)
    assert fault.remedy
