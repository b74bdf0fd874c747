"""Connecting a warehouse that the program has never seen: by a configuration, a records file and a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from connector.demo.enterprise import build

WOD_HEAD = """\
customsCode  = { const = "5141" }
siteCode     = { const = "GZKG01" }
operatorCode = { value = "operator_code" }
"""


def connect(folder: Path, port: int, sources: str, files: Mapping[str, str]) -> Path:
    """Keys, office and configuration of the sample enterprise, with other sources and mapping files; the configuration.

    sources: the ``[sources.NAME]`` tables; files: name -> TOML, all that the mapping folder holds.
    """
    sample = build(folder, returns=1, seed=1, port=port)
    for file in (folder / "mappings").glob("*.toml"):
        if file.name != "codes.toml":
            file.unlink()
    for name, text in files.items():
        (folder / "mappings" / name).write_text(text, "utf-8")
    config = sample.config.read_text("utf-8")
    theirs = re.compile(r"\[sources\.warehouse\].*?(?=\[enterprise\])", re.DOTALL)
    config, count = theirs.subn(lambda _: sources + "\n", config)
    assert count == 1
    sample.config.write_text(config, "utf-8")
    registry = sample.registry.read_text("utf-8").replace("stage_seconds = 0.2", "stage_seconds = 0.01")
    sample.registry.write_text(registry, "utf-8")
    return sample.config
