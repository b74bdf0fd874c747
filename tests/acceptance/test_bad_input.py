"""What cannot be used gives one clear message and its exit code, and changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from connector.demo.office import free_port
from connector.signing.sm2 import Sm2PrivateKey

Run = Callable[..., subprocess.CompletedProcess[str]]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_bad_input")


def contents(folder: Path) -> list[str]:
    """Every table and row of our own database, but for who worked on it when, and with which configuration."""
    left_out = re.compile(r"""INSERT INTO "(lease|actor|audit_checkpoint)"|INSERT INTO "audit_entry".*'activated'""")
    with closing(sqlite3.connect(folder / "connector.db")) as connection:
        return sorted(line for line in connection.iterdump() if not left_out.match(line))


@pytest.fixture
def fails(enterprise: Path, connector: Run) -> Callable[..., str]:
    """Runs one cycle, which must end with an exit code and one message, and change nothing; the message."""

    def run(code: int) -> str:
        before = contents(enterprise)
        result = connector(enterprise, "run", "--once", code=code)
        assert result.stdout == ""
        assert result.stderr.count("error: ") == 1
        assert result.stderr.startswith("error: ")
        assert "\n  effect: " in result.stderr
        assert "\n  remedy: " in result.stderr
        assert contents(enterprise) == before
        return result.stderr

    return run


@pytest.fixture
def config(enterprise: Path) -> Path:
    return enterprise / "connector.toml"


def line_of(path: Path, start: str) -> int:
    lines = path.read_text("utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.startswith(start))


def test_command_fails_when_no_configuration_is_named(connector: Run) -> None:
    assert "--config FILE" in connector(None, "run", "--once", code=2).stderr


def test_command_fails_when_the_configuration_is_missing(config: Path, fails: Callable[..., str]) -> None:
    config.unlink()
    assert f"{config}: no such file" in fails(4)


def test_command_fails_when_the_configuration_is_no_toml(config: Path, fails: Callable[..., str]) -> None:
    config.write_text("[database\n", "utf-8")
    assert f"{config}:1: " in fails(4)


def test_command_names_all_faults_with_their_lines_when_the_configuration_has_several(
    config: Path, edit: Edit, fails: Callable[..., str]
) -> None:
    edit(config, 'timezone = "Asia/Shanghai"\n\n[sources.archive]', 'time_zone = "Asia/Shanghai"\n\n[sources.archive]')
    edit(config, "settle_seconds = 5", 'settle_seconds = "soon"')
    edit(config, 'submit_url = "http://127.0.0.1', 'submit_url = "http://customs.example')
    edit(config, "[enterprise]", "[enterprice]")
    said = fails(4)
    for start, words in (
        ("time_zone", "sources.warehouse.time_zone is not a known key"),
        ("settle_seconds", "customs.settle_seconds"),
        ("submit_url", "customs.submit_url must be https"),
        ("[enterprice]", "enterprice is not a known key"),
    ):
        assert f"{config}:{line_of(config, start)}: {words}" in said
    assert "sources.warehouse.timezone is missing" in said
    assert "enterprise is missing" in said


def test_command_names_all_faults_with_their_lines_when_a_mapping_has_several(
    enterprise: Path, edit: Edit, fails: Callable[..., str]
) -> None:
    mapping = enterprise / "mappings" / "CEB213.toml"
    edit(mapping, "ebpCode       =", "ebpNumber     =")
    edit(mapping, '"return_transport.traf_name"', '"return_transport.vessel_name"')
    other = enterprise / "mappings" / "CEB215.toml"
    edit(other, '{ value = "operator_code" }', '{ value = "operator_number" }')
    said = fails(4)
    assert f"CEB213.toml:{line_of(mapping, 'ebpNumber')}:" in said
    assert f"CEB213.toml:{line_of(mapping, 'trafName')}:" in said
    assert f"CEB215.toml:{line_of(other, 'operatorCode')}:" in said
    assert "ebpCode" in said
    assert "vessel_name" in said
    assert "operator_number" in said


def test_command_fails_when_the_key_is_missing(enterprise: Path, fails: Callable[..., str]) -> None:
    (enterprise / "certs" / "enterprise.key.pem").unlink()
    assert "enterprise.key.pem: No such file" in fails(7)


def test_command_fails_when_others_can_read_the_key(enterprise: Path, fails: Callable[..., str]) -> None:
    key = enterprise / "certs" / "enterprise.key.pem"
    key.chmod(0o644)
    assert f"chmod 600 {key}" in fails(7)


def test_command_fails_when_the_certificate_belongs_to_another_key(
    config: Path, edit: Edit, fails: Callable[..., str]
) -> None:
    edit(config, "certs/enterprise.crt.pem", "certs/ca.crt.pem")
    assert "ca.crt.pem" in fails(7)


def test_command_fails_when_the_pass_phrase_is_wrong(enterprise: Path, edit: Edit, fails: Callable[..., str]) -> None:
    path = enterprise / "certs" / "enterprise.key.pem"
    path.write_bytes(Sm2PrivateKey.from_pem(path.read_bytes(), None).to_pem("right"))
    (enterprise / "phrase").write_text("wrong\n")
    (enterprise / "phrase").chmod(0o600)
    edit(enterprise / "connector.toml", "[signing.main]\n", '[signing.main]\npassphrase_file = "phrase"\n')
    said = fails(7)
    assert "the pass phrase is wrong" in said
    assert "right" not in said


def test_command_fails_when_the_database_was_not_made(enterprise: Path, fails: Callable[..., str]) -> None:
    (enterprise / "connector.db").unlink()
    assert "connector db upgrade" in fails(4)


def test_missing_database_file_is_called_missing_and_a_new_one_new(enterprise: Path, connector: Run) -> None:
    (enterprise / "connector.db").unlink()
    said = connector(enterprise, "status", code=4).stderr
    assert "connector.db: no such file" in said
    assert "an empty one would declare them again" in said
    assert "in a new, empty database" in connector(enterprise, "db", "upgrade").stdout
    assert "in a new" not in connector(enterprise, "db", "upgrade").stdout


def test_receipts_of_a_lost_database_are_told_as_those_of_unknown_documents(
    enterprise: Path, office: Office, connector: Run
) -> None:
    with office(enterprise):
        connector(enterprise, "run", "--once")
        time.sleep(0.3)  # the office passes through all its stages in less
        for name in ("connector.db", "connector.db-wal", "connector.db-shm"):
            (enterprise / name).unlink(missing_ok=True)
        connector(enterprise, "db", "upgrade")
        (enterprise / "warehouse.db").rename(enterprise / "away.db")
        done = connector(enterprise, "run", "--once", "--json", code=9)
    assert json.loads(done.stdout)["unmatched_receipts"] > 0
    assert "receipts of unknown documents" in done.stderr
    assert "error: the audit log was altered: a checkpoint was signed for" in done.stderr


def test_one_cycle_says_what_waits_for_another_try_when_customs_is_away(
    enterprise: Path, edit: Edit, connector: Run
) -> None:
    done = connector(enterprise, "run", "--once", code=6)
    assert "note: 2 messages wait to be sent or asked about, the next at 20" in done.stderr
    edit(
        enterprise / "connector.toml", "retry_first_seconds = 1", "retry_first_seconds = 3e5\nretry_most_seconds = 3e5"
    )
    time.sleep(1)
    connector(enterprise, "run", "--once", code=6)
    again = json.loads(connector(enterprise, "run", "--once", "--json", code=6).stdout)
    assert again["waiting"] == 2
    assert again["next_at"] > "2026"


def test_command_fails_when_a_newer_program_made_the_database(
    enterprise: Path, query: Query, fails: Callable[..., str]
) -> None:
    query(enterprise / "connector.db", "UPDATE alembic_version SET version_num = '9999'")
    assert "made by a newer program" in fails(4)


def test_command_fails_when_postgresql_does_not_answer(config: Path, edit: Edit, fails: Callable[..., str]) -> None:
    url = f"postgresql+psycopg://connector@127.0.0.1:{free_port()}/connector"
    edit(config, "sqlite:///connector.db", url)
    assert url in fails(4)


@pytest.mark.parametrize("command", [["documents", "list"], ["status"], ["db", "check"]], ids=" ".join)
def test_reading_command_fails_when_the_database_was_not_made(
    enterprise: Path, connector: Run, command: list[str]
) -> None:
    (enterprise / "connector.db").unlink()
    result = connector(enterprise, *command, code=4)
    assert "connector db upgrade" in result.stderr
    assert result.stdout == ""


def test_office_fails_when_its_registry_is_missing(enterprise: Path, connector: Run) -> None:
    (enterprise / "registry.toml").unlink()
    said = connector(enterprise, "simulator", "serve", code=4).stderr
    assert said.startswith(f"error: {enterprise / 'registry.toml'}: ")


def test_run_once_fails_when_a_source_does_not_answer(
    enterprise: Path, office: Office, fails: Callable[..., str]
) -> None:
    (enterprise / "warehouse.db").unlink()
    with office(enterprise):
        said = run_without_news(fails(5))
    assert "source warehouse" in said
    assert "cannot be reached" in said


def test_run_once_fails_when_a_source_has_another_column(
    enterprise: Path, office: Office, query: Query, fails: Callable[..., str]
) -> None:
    query(enterprise / "warehouse.db", "ALTER TABLE wms_receipt_order RENAME COLUMN remark TO notes")
    with office(enterprise):
        said = run_without_news(fails(5))
    assert "remark" in said


def run_without_news(said: str) -> str:
    """The message of a cycle that did what it still could, which was nothing."""
    assert said.splitlines()[-1].startswith("collected 0 records; made 0 documents in 0 messages")
    return said


def test_run_once_keeps_everything_when_customs_does_not_answer(
    enterprise: Path, connector: Run, office: Office, query: Query, edit: Edit
) -> None:
    edit(enterprise / "connector.toml", "retry_first_seconds = 1", "retry_first_seconds = 0.01")
    edit(enterprise / "connector.toml", "breaker_open_seconds = 2", "breaker_open_seconds = 0.01")
    result = connector(enterprise, "run", "--once", code=6)
    assert "Connection refused" in result.stderr
    database = enterprise / "connector.db"
    assert query(database, "SELECT count(*) FROM document") == [(12,)]
    assert query(database, "SELECT DISTINCT state FROM message") == [("pending",)]

    # What is due is sent even when nothing new can be collected.
    shutil.move(enterprise / "warehouse.db", enterprise / "elsewhere.db")
    with office(enterprise):
        result = connector(enterprise, "run", "--once", code=5)
    assert "2 taken_in" in result.stderr
    assert query(database, "SELECT DISTINCT state FROM message") == [("delivered",)]
