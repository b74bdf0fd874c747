"""A small log and the evidence of it, built in the open so that a test can spoil any part."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connector.signing.notes import NoteSigner
from tests.unit.rfc9162 import PlainTree

ORIGIN = "example.com/log"
SIGNED = b"<signed/>"
DIGEST = hashlib.sha256(SIGNED).hexdigest()


def body_of(sequence: int) -> str:
    detail = {"digest": DIGEST} if sequence == 5 else {}
    entry = {"detail": detail, "event": "signed", "sequence": sequence, "time": "2026-04-15T02:30:00Z"}
    return json.dumps(entry, sort_keys=True, separators=(",", ":"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(slots=True)
class Log:
    """Twenty entries, and whoever signs."""

    signer: NoteSigner = field(
        default_factory=lambda: NoteSigner(name=ORIGIN, private_key=Ed25519PrivateKey.generate())
    )
    bodies: list[str] = field(default_factory=lambda: [body_of(number) for number in range(1, 21)])

    @property
    def key(self) -> str:
        return self.signer.verifier.key

    @property
    def tree(self) -> PlainTree:
        return PlainTree([hashlib.sha256(b"\x00" + body.encode()).digest() for body in self.bodies])

    def note(self, size: int) -> str:
        return self.signer.sign(f"{ORIGIN}\n{size}\n{b64(self.tree.mth(0, size))}\n")

    def proof(self, sequence: int, size: int = 20) -> list[str]:
        return [b64(one) for one in self.tree.path(sequence - 1, 0, size)]

    def proof_file(self, sequence: int, size: int = 20) -> str:
        extra = b64(self.bodies[sequence - 1].encode())
        lines = ["c2sp.org/tlog-proof@v1", f"extra {extra}", f"index {sequence - 1}", *self.proof(sequence, size)]
        return "".join(f"{line}\n" for line in lines) + "\n" + self.note(size)


@dataclass(slots=True)
class Bundle:
    """A bundle before it is packed: change anything, then `write`."""

    log: Log = field(default_factory=Log)
    entries: list[dict[str, Any]] = field(init=False)
    checkpoints: list[str] = field(init=False)
    consistency: list[dict[str, Any]] = field(init=False)
    digests: Any = field(default_factory=lambda: {"messages/1.xml": ["digest", 5]})
    files: dict[str, bytes] = field(default_factory=lambda: {"messages/1.xml": SIGNED, "report.html": b"<html>"})
    manifest: dict[str, Any] = field(default_factory=dict)
    """What stands in the manifest in place of what belongs there."""

    def __post_init__(self) -> None:
        log = self.log
        self.entries = [self.entry(number) for number in (3, 5, 20)]
        self.checkpoints = [log.note(size) for size in (4, 12, 20)]
        self.consistency = [
            {"old": old, "new": new, "proof": [b64(one) for one in log.tree.proof(old, new)]}
            for old, new in ((4, 12), (12, 20))
        ]

    def entry(self, sequence: int) -> dict[str, Any]:
        return {
            "sequence": sequence,
            "body": self.log.bodies[sequence - 1],
            "proof": self.log.proof(sequence),
        }

    def members(self) -> dict[str, bytes]:
        """Every file, the manifest first."""
        made = {
            "checkpoint.txt": self.log.note(20).encode(),
            "entries.jsonl": "".join(f"{json.dumps(one)}\n" for one in self.entries).encode(),
            "checkpoints.txt": "".join(f"{note}\n" for note in self.checkpoints).encode(),
            "consistency.json": json.dumps(self.consistency).encode(),
            "digests.json": json.dumps(self.digests).encode(),
            **self.files,
        }
        manifest = {
            "format": "customs-warehouse-connector evidence 1",
            "log": ORIGIN,
            "made_at": "2026-04-16T00:00:00Z",
            "scope": {},
            "entries": [one["sequence"] for one in self.entries],
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in made.items()},
        }
        return {"manifest.json": json.dumps(manifest | self.manifest).encode(), **made}

    def write(self, path: Path) -> Path:
        return pack(self.members(), path)


def pack(members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
