"""Fixtures for every folder of tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import pytest
from lxml import etree

from connector.config import SigningSettings
from connector.messages.namespaces import CEB, XSI, tag
from connector.messages.parser import Element
from connector.signing.certificates import key_name_of, read_certificates
from connector.signing.keyfiles import FileKey, load_key
from connector.signing.suites import SUITES

ROOT = Path(__file__).parent.parent
CheckEvidence = Callable[..., str]

# Tests start hundreds of processes, and each would compile the whole program anew where this is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test: one core would wait for the other at the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Published facts and samples, kept beside the repository; never part of it."""
    folder = Path(os.environ.get("CONNECTOR_REFERENCE", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference material in {folder}; set CONNECTOR_REFERENCE")
    return folder


@pytest.fixture(scope="session")
def development_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what certs/make_development_pki.py writes; the enterprise has an RSA key."""
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run(
        [sys.executable, ROOT / "certs/make_development_pki.py", folder, "--suite", "rsa-sha1"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def signing_key(development_pki: Path) -> FileKey:
    """The enterprise key of the development PKI."""
    settings = SigningSettings(
        suite="rsa-sha1",
        key_file=development_pki / "enterprise.key.pem",
        certificate_file=development_pki / "enterprise.crt.pem",
    )
    return load_key(settings)


@pytest.fixture(scope="session")
def sm2_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `development_pki`, but the enterprise has an SM2 key."""
    folder = tmp_path_factory.mktemp("sm2-pki")
    subprocess.run([sys.executable, ROOT / "certs/make_development_pki.py", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def sm2_key(sm2_pki: Path) -> FileKey:
    """The enterprise key of the SM2 development PKI."""
    return load_key(
        SigningSettings(key_file=sm2_pki / "enterprise.key.pem", certificate_file=sm2_pki / "enterprise.crt.pem")
    )


@pytest.fixture(scope="session")
def office_key(development_pki: Path) -> FileKey:
    """The key of the simulated office: ECDSA on P-256, which no configuration can name for messages of ours."""
    suite = SUITES["ecdsa-p256-sha256"]
    (certificate,) = read_certificates(development_pki / "office.crt.pem")
    return FileKey(
        certificate=certificate,
        key_name=key_name_of(certificate.serial_number),
        suite=suite,
        private_key=suite.scheme.from_pem((development_pki / "office.key.pem").read_bytes(), None),
    )


@pytest.fixture(scope="session")
def check_evidence(tmp_path_factory: pytest.TempPathFactory) -> CheckEvidence:
    """Runs the auditor's file as an auditor does: where nothing is installed but `cryptography`."""
    place = tmp_path_factory.mktemp("auditor")
    venv.create(place / "venv", symlinks=True)
    python = place / "venv/bin/python"
    (site,) = (place / "venv/lib").glob("python*/site-packages")
    for package in ("cryptography", "cffi", "pycparser"):
        for file in files(package) or ():
            if ".." not in file.parts:  # commands
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), site / file)
    program = place / "check_evidence.py"
    shutil.copy(ROOT / "connector/audit/standalone/check_evidence.py", program)
    assert subprocess.run([python, "-I", "-c", "import connector"], capture_output=True, check=False).returncode == 1

    def run(*arguments: object, code: int = 0) -> str:
        command = [str(python), "-I", str(program), *map(str, arguments)]
        done = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=60)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.returncode == code, done
        return (done.stderr if code == 2 else done.stdout).decode()

    return run


@pytest.fixture(scope="session")
def unsigned_message() -> Callable[..., Element]:
    """Builds a message of the shape of CEB213, with any text in its fields; what schemas demand is not looked at."""

    def build(*, names: tuple[str, ...] = ("骑行面罩",), extend_message: str | None = None) -> Element:
        root = etree.Element(tag(CEB, "CEB213Message"), nsmap={"ceb": CEB, "xsi": XSI}, guid="G-1", version="1.0")
        for number, name in enumerate(names):
            refund = etree.SubElement(root, tag(CEB, "InvtRefund"))
            head = etree.SubElement(refund, tag(CEB, "InvtRefundHead"))
            etree.SubElement(head, tag(CEB, "coElNo")).text = f"RK{number}"
            line = etree.SubElement(refund, tag(CEB, "InvtRefundList"))
            etree.SubElement(line, tag(CEB, "gname")).text = name
            etree.SubElement(line, tag(CEB, "note"))
        transfer = etree.SubElement(root, tag(CEB, "BaseTransfer"))
        etree.SubElement(transfer, tag(CEB, "copCode")).text = "4401000001"
        if extend_message is not None:
            extend = etree.SubElement(root, tag(CEB, "ExtendMessage"))
            etree.SubElement(extend, tag(CEB, "name")).text = extend_message
        return root

    return build
