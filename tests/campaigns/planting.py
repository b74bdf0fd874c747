"""Puts a bug into a copy of the program and has a process run that copy.

The copy stands in a folder that comes first on the path of that process and of every process it starts; the working
directory is taken off the path, for it may hold the true program.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import connector
from tests.campaigns.campaign import Plant

_PROGRAM = Path(connector.__file__).resolve().parent
_BESIDE = ("mappings", "config", "certs")
"""What the program finds next to its own folder when it is not installed from a wheel."""


class PlantRefused(Exception):
    """The bug cannot be put where it should stand, or the copy is not what runs."""


@contextmanager
def planted(plant: Plant, program: Path = _PROGRAM) -> Iterator[Path]:
    """A folder with a copy of the program that has the bug, gone after the block. Raises `PlantRefused`."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        folder = Path(name).resolve()
        shutil.copytree(program, folder / program.name)  # what was compiled before need not be compiled again
        for other in _BESIDE:
            if (program.parent / other).is_dir():
                shutil.copytree(program.parent / other, folder / other)
        _spoil(folder / program.name / plant.file, plant)
        yield folder


def run_in(folder: Path, arguments: Sequence[str]) -> int:
    """Run the campaigns' command line with the copy in place of the program; the exit code."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))),
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", "tests.campaigns", *arguments, "--planted-in", str(folder)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()  # it ends what it started; leaving the block waits for that
            raise


def require_copy(folder: Path, plant: Plant) -> None:
    """Raise `PlantRefused` unless this process runs the copy, and the file with the bug can be loaded."""
    if not _PROGRAM.is_relative_to(folder.resolve()):
        raise PlantRefused(f"{_PROGRAM} is not in {folder}: the program without the bug would run")
    if plant.file.endswith(".py"):
        module = ".".join(("connector", *Path(plant.file).with_suffix("").parts))
        try:
            importlib.import_module(module.removesuffix(".__init__"))
        except Exception as error:
            raise PlantRefused(f"{plant.name}: {plant.file} cannot be loaded: {error}") from error


def _spoil(file: Path, plant: Plant) -> None:
    if not file.is_file():
        raise PlantRefused(f"{plant.name}: there is no file {plant.file}; mend the plant")
    text = file.read_text("utf-8")
    found = text.count(plant.old)
    if found != 1:
        raise PlantRefused(
            f"{plant.name}: {plant.old!r} stands {found} times in {plant.file}, not once; mend the plant"
        )
    spoilt = text.replace(plant.old, plant.new)
    if spoilt == text:
        raise PlantRefused(f"{plant.name}: it changes nothing in {plant.file}; mend the plant")
    file.write_text(spoilt, "utf-8")
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()  # the same length and the same second would be taken for the same text
