"""A bundle: one zip with entries, what shows that they are in the log, and the files that they are about.

docs/evidence.md says what is in it. The same bundle always has the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import Connection

from connector.audit.checkpoints import Checkpoint, Issued
from connector.audit.nodes import StoredTree
from connector.audit.proofs import EntryProof
from connector.messages.records import rfc3339

_FORMAT = "customs-warehouse-connector evidence 1"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can hold; every file has it."""
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The proof that one checkpoint begins with the one before."""

    old: int
    new: int
    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that is handed over."""

    checkpoint: Checkpoint
    """Every proof leads to it."""
    note: str
    """The same, signed."""
    made_at: datetime
    scope: Mapping[str, str]
    """What was asked for."""
    proofs: Sequence[EntryProof]
    issued: Sequence[Issued]
    """Every checkpoint up to that one; none where the bundle does not tell of the others."""
    steps: Sequence[Step]
    files: Mapping[str, bytes]
    """What the entries are about, by path."""
    bound: Mapping[str, tuple[str, int]]
    """Path: the name in the detail of an entry that has the file's SHA-256, and the number of the entry."""

    def packed(self) -> bytes:
        """The zip."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in sorted(self._members().items()):
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, _PLAIN_FILE, _UNIX
                archive.writestr(info, data)
        return buffer.getvalue()

    def _members(self) -> dict[str, bytes]:
        members = {
            **self.files,
            "checkpoint.txt": self.note.encode(),
            "entries.jsonl": b"".join(_json(_entry(one)) for one in self.proofs),
            "digests.json": _json(self.bound),
            **(self._history() if self.issued else {}),
        }
        manifest = {
            "format": _FORMAT,
            "log": self.checkpoint.origin,
            "made_at": rfc3339(self.made_at),
            "scope": self.scope,
            "entries": [one.index + 1 for one in self.proofs],
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        }
        return {**members, "manifest.json": _json(manifest)}

    def _history(self) -> dict[str, bytes]:
        steps = [{"old": one.old, "new": one.new, "proof": _texts(one.hashes)} for one in self.steps]
        return {
            "checkpoints.txt": "".join(f"{one.note}\n" for one in self.issued).encode(),
            "consistency.json": _json(steps),
        }


def steps_between(connection: Connection, issued: Sequence[Issued]) -> list[Step]:
    """The proofs that each checkpoint begins with the one before. Raises `ValueError`."""
    tree = StoredTree(connection)
    return [
        Step(old=old.size, new=new.size, hashes=tree.consistency_proof(old=old.size, new=new.size))
        for old, new in pairwise(issued)
    ]


def _entry(proof: EntryProof) -> dict[str, object]:
    return {"sequence": proof.index + 1, "body": proof.body.decode(), "proof": _texts(proof.hashes)}


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in hashes]


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8", "backslashreplace")
