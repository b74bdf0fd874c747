"""The registry of the simulated customs office: where it listens, what it knows, who may declare for whom.

::

    listen = "127.0.0.1:8900"
    database = "customs.db"
    export_lists = "export-lists.jsonl"

    [delays]
    stage_seconds = 2

    [faults]                    # what goes wrong; see `faults`
    drop = 0.01

    [signing]
    key_file = "certs/office.key.pem"
    certificate_file = "certs/office.crt.pem"

    [[senders]]
    dxp_id = "DXPENT0000011351"
    certificate_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    enterprise_codes = ["4401000001"]

Relative paths start at the folder of the file. A sender that changes its certificate stands in it twice for a while.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connector.errors import ConfigurationError
from connector.simulator.faults import FaultSettings
from connector.toml_file import TomlFile

_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_LARGEST_PORT = 65535


def _loopback(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if host not in _LOOPBACK or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise ValueError("must be 127.0.0.1:PORT; the office speaks plain http, so it serves this machine only")
    return listen


class _Table(BaseModel):
    """A table of the file: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Delays(_Table):
    """``[delays]``: how long the office takes."""

    stage_seconds: Annotated[float, Field(ge=0, le=86400)] = 2
    """Seconds between two receipts about one message; the first follows at once."""


class SigningKey(_Table):
    """``[signing]``: the key that signs the envelopes of receipts, ECDSA on P-256."""

    key_file: Path
    """PKCS#8 PEM, not readable by others."""
    certificate_file: Path
    """X.509 PEM of the same key; whoever fetches receipts names it too."""


class Sender(_Table):
    """``[[senders]]``: one enterprise system and one certificate it signs with."""

    dxp_id: Annotated[str, Field(min_length=1, max_length=16)]
    certificate_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Fingerprint of the certificate's DER form, lower-case hex."""
    enterprise_codes: Annotated[frozenset[str], Field(min_length=1)]
    """Enterprises it may declare for: agentCode of CEB213, operatorCode of CEB215."""


class Registry(_Table):
    """The whole file."""

    listen: Annotated[str, AfterValidator(_loopback)]
    """``127.0.0.1:PORT``; port 0 takes any free one."""
    database: Path
    """The office's own SQLite file; made when it is missing."""
    export_lists: Path
    """The original export lists customs knows, one JSON object a line."""
    delays: Delays = Field(default_factory=Delays)
    faults: FaultSettings = Field(default_factory=FaultSettings)
    signing: SigningKey | None = None
    """None: receipts are not signed."""
    senders: Annotated[tuple[Sender, ...], Field(min_length=1)]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)

    def entries_of(self, dxp_id: str) -> tuple[Sender, ...]:
        """What is registered for one sender, an entry for each of its certificates; empty for a stranger."""
        return tuple(sender for sender in self.senders if sender.dxp_id == dxp_id)


def load(path: Path) -> Registry:
    """Read a registry. Raises `ConfigurationError` that names every fault at once."""
    file = TomlFile.read(path)
    registry = None if file.faults else file.validate(Registry, file.document)
    if registry is None:
        raise ConfigurationError(
            "\n".join(file.faults), effect="the simulated customs office was not started", remedy=f"correct {path}"
        )
    folder = path.resolve().parent
    placed: dict[str, object] = {
        "database": folder / registry.database,
        "export_lists": folder / registry.export_lists,
    }
    if registry.signing is not None:
        files = {name: folder / path for name, path in registry.signing}
        placed["signing"] = SigningKey.model_validate(files)
    return registry.model_copy(update=placed)
