"""Every shell block of the README does what it says, typed in order by somebody who has just fetched the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# It installs the project, all its packages included.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("acceptance_readme")]


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """The files of the project and nothing else, in an otherwise empty folder."""
    folder = tmp_path / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("needs the project's git repository, which says what belongs to it")
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
            copy.chmod((ROOT / name).stat().st_mode)
    return folder


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """An empty home, no virtual environment, and no more variables than a shell must have."""
    home = tmp_path / "home"
    home.mkdir()
    programs = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != Path(sys.executable).parent]
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return kept | {
        "PATH": os.pathsep.join(programs),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        # Of what is installed, the commands below load a small part.
        "PIP_NO_COMPILE": "1",
        # `make test` would run this very test, which would run `make test` …: the tests are only collected there.
        "PYTEST_ADDOPTS": "--collect-only -q",
    }


def test_readme_blocks_work_when_typed_in_order(fetched: Path, bare_environment: dict[str, str]) -> None:
    blocks = BLOCK.findall((fetched / "README.md").read_text("utf-8"))
    assert len(blocks) >= 3
    script = "\n".join(["set -euo pipefail", *blocks, "echo the end"])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=fetched,
        env=bare_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=590,
        check=False,
    )
    told = done.stdout.decode()
    assert done.returncode == 0, told[-4000:]
    assert told.endswith("the end\n")
    assert "Traceback" not in told
    assert "unanswered                      0" in told
    assert re.search(r"test_readme\.py", told)
