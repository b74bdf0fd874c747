"""Pass phrases and passwords are in no log, no export, no list of processes and nothing that is left after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from connector.signing.sm2 import Sm2PrivateKey

Run = Callable[..., subprocess.CompletedProcess[str]]
Edit = Callable[[Path, str, str], None]
Office = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.xdist_group("acceptance_secrets")

PHRASE, PASSWORD, OTHER = "s3cret-phrase-9610", "s3cret-password-9610", "s3cret-of-file-9610"
COMMANDS = (
    ("status", "--json"),
    ("doctor", "--offline", "--json"),
    ("audit", "list", "--limit", "100000", "--json"),
    ("documents", "list", "--json"),
    ("messages", "list", "--json"),
    ("quarantine", "list", "--json"),
    ("run", "--once"),
)


@pytest.fixture
def guarded(enterprise: Path, edit: Edit) -> dict[str, str]:
    """The key is encrypted; one secret comes from a file, the others from the environment. The environment."""
    key = enterprise / "certs" / "enterprise.key.pem"
    key.write_bytes(Sm2PrivateKey.from_pem(key.read_bytes(), None).to_pem(PHRASE))
    (enterprise / "password").write_text(OTHER, "utf-8")
    (enterprise / "password").chmod(0o600)
    edit(enterprise / "connector.toml", "[sources.archive]\n", '[sources.archive]\npassword_file = "password"\n')
    return {"CONNECTOR_SIGNING__MAIN__PASSPHRASE": PHRASE, "CONNECTOR_SOURCES__WAREHOUSE__PASSWORD": PASSWORD}


def hits(text: str) -> list[str]:
    return [secret for secret in (PHRASE, PASSWORD, OTHER) if secret in text]


def test_secrets_are_in_nothing_that_commands_say_or_keep(
    enterprise: Path, guarded: dict[str, str], connector: Run, office: Office
) -> None:
    with office(enterprise):
        for command in COMMANDS:
            done = connector(enterprise, *command, **guarded)
            assert hits(done.stdout + done.stderr) == []
    for file in enterprise.rglob("*"):
        if file.is_file() and file.name != "password":
            assert hits(file.read_bytes().decode("latin-1")) == [], file


def test_secrets_are_in_no_error(enterprise: Path, guarded: dict[str, str], connector: Run, edit: Edit) -> None:
    wrong = guarded | {"CONNECTOR_SIGNING__MAIN__PASSPHRASE": PHRASE + "x"}
    for command in (("run", "--once"), ("doctor", "--offline")):
        assert hits(connector(enterprise, *command, code=7, **wrong).stderr) == []
    edit(enterprise / "connector.toml", "sqlite:///warehouse.db", "mysql+pymysql://reader@127.0.0.1:1/wms")
    done = connector(enterprise, "run", "--once", code=5, **guarded)
    assert "127.0.0.1:1" in done.stderr
    assert hits(done.stdout + done.stderr) == []


def test_secrets_are_not_in_the_list_of_processes_nor_in_what_a_crash_leaves(
    enterprise: Path, guarded: dict[str, str], environment: dict[str, str]
) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "connector", "--config", str(enterprise / "connector.toml")]
    log = enterprise / "crash.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "run"], env=environment | guarded, stdout=output, stderr=output)
    end = time.monotonic() + 60
    while "running" not in log.read_text("utf-8"):
        assert time.monotonic() < end
        time.sleep(0.05)
    shown = Path(f"/proc/{process.pid}/cmdline").read_text("utf-8").replace("\0", " ")  # what `ps` shows to everybody
    assert "connector.toml run" in shown
    assert hits(shown) == []
    os.kill(process.pid, signal.SIGABRT)
    assert process.wait(60) < 0  # SIGABRT; or SIGSEGV, for the dump looks at threads that still run
    left = log.read_text("utf-8")
    assert "Fatal Python error: Aborted" in left
    assert hits(left) == []
