"""Documents made to exhaust the parser are refused soon and in little memory, and nothing is fetched for them.

The figures are taken in a process of its own (`parser_abuse`), whose memory nothing else has raised.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.parser_abuse import CASES

WITHIN_THE_LIMITS = {"envelope_with_fewer_namespaces_on_the_signature"}
"""Not refused, for a signed envelope it is; but it must cost no more than the others."""


@pytest.fixture(scope="module")
def measured() -> Mapping[str, Mapping[str, str | float]]:
    done = subprocess.run([sys.executable, "-m", "tests.unit.parser_abuse"], capture_output=True, text=True, check=True)
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.xdist_group("parser_abuse")  # all is measured at once
@pytest.mark.parametrize("name", CASES)
def test_abuse_is_refused_in_a_second_and_a_hundred_megabytes(
    name: str, measured: Mapping[str, Mapping[str, str | float]]
) -> None:
    found = measured[name]
    assert bool(found["refused"]) is (name not in WITHIN_THE_LIMITS)
    assert float(found["seconds"]) < 1
    assert float(found["bytes"]) < 100_000_000


PLACES = (
    '<!DOCTYPE a SYSTEM "{place}"><a/>',
    '<!DOCTYPE a PUBLIC "-//X//EN" "{place}"><a/>',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "{place}">]><a>&x;</a>',
    '<!DOCTYPE a [<!ENTITY % x SYSTEM "{place}"> %x;]><a/>',
    '<!DOCTYPE a [<!NOTATION n SYSTEM "{place}"><!ENTITY x SYSTEM "{place}" NDATA n>]><a/>',
    '<?xml-stylesheet type="text/xsl" href="{place}"?><a/>',
    '<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{place}"/></a>',
    '<a xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:noNamespaceSchemaLocation="{place}"/>',
    '<d:DxpMsg xmlns:d="urn:d" xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:schemaLocation="urn:d {place}"/>',
    '<a xml:base="{place}"/>',
)
OPENS = """
import os, sys
from connector.errors import ConnectorError
from tests.forgeries.material import Material

material = Material.make()
opener = material.opener()
opener(material.genuine)  # what is loaded once is loaded now
documents = sys.stdin.buffer.read().split(b"\\0")
os.write(2, b"from here on")
for document in documents:
    try:
        opener(document)
        sys.exit("not refused")
    except ConnectorError:
        pass
os.write(2, b"up to here")
"""


def test_no_file_is_opened_and_no_connection_made_when_a_document_names_one(tmp_path: Path) -> None:
    """The system calls of a process that opens such envelopes, and a listener at the address that they name."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace, and it is not installed")
    secret = tmp_path / "secret"
    secret.write_text("open sesame")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        places = (f"http://127.0.0.1:{server.getsockname()[1]}/x", secret.as_uri(), str(secret))
        documents = [form.format(place=place).encode() for form in PLACES for place in places]
        calls = tmp_path / "calls"
        command = [strace, "-f", "-e", "trace=%file,%network,write", "-o", str(calls), sys.executable, "-c", OPENS]
        done = subprocess.run(command, input=b"\0".join(documents), capture_output=True, check=False)
        if b"ptrace" in done.stderr:
            pytest.skip("no process may be traced here")
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):
            server.accept()
    said = calls.read_text()
    assert said.count("from here on") == said.count("up to here") == 1
    between = re.split("from here on|up to here", said)[1].splitlines()[1:-1]
    assert between == []
