"""Check evidence from the audit log of a customs warehouse connector, without the connector.

This file needs Python 3.11 or newer and the package `cryptography`, and nothing else. Run it on your own machine::

    python -I check_evidence.py --key NAME+ID+KEY entry-17.tlog-proof bundle.zip
    python -I check_evidence.py --key NAME+ID+KEY --checkpoint checkpoints.txt bundle.zip

KEY is the public key of the log. Get it from whoever runs the connector on a way that the evidence did not come by.
A checkpoint file holds what the log signed earlier and you, or somebody you trust, kept ever since.

Exit codes: 0 everything is as it must be; 9 something is not, and the first fault of each file is named; 3 everything
is, but a file holds nothing that a checkpoint from outside could be held against, so it may be of a log that was
written anew; 2 the command cannot be carried out as it stands.

The file reads from top to bottom: what is not believed, signed notes, the Merkle tree, a proof of one entry, a bundle,
checkpoints from outside, the command line. What the formats are: https://c2sp.org/signed-note,
https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-proof, RFC 9162 section 2.1.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LIMITS = """\
What this cannot show:
- that what was logged is true: it shows only that nothing of it was altered, put in between or taken out afterwards;
- that the end of the log was not cut off, or the whole log set back to an older state or written anew by somebody who
  has its key, unless you hold it against a checkpoint that was kept elsewhere (--checkpoint);
- that there is no entry besides those that you were handed.
"""
FORMAT = "customs-warehouse-connector evidence 1"
PROOF_FORMAT = "c2sp.org/tlog-proof@v1"
MOST_OF_A_TEXT = 16 << 20
"""Bytes of a proof, or of a file of checkpoints."""
MOST_OF_A_MEMBER = 256 << 20
MOST_OF_A_BUNDLE = 2 << 30
"""Bytes of all its files, unpacked."""
MOST_MEMBERS = 200_000
GOOD, BAD, USAGE, NOT_COMPARED = 0, 9, 2, 3
T = TypeVar("T")


class Fault(Exception):
    """Something is not as it must be; the message says what, in plain words."""


# ---------------------------------------------------------------- what is not believed: text, numbers, JSON


def decimal(text: str) -> int:
    """A number as it is written in notes and proofs, below 2 to the 63rd."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) >= 1 << 63:
        raise Fault(f"{text[:40]!r} is no number as it must be written")
    return int(text)


def from_base64(text: object, what: str) -> bytes:
    """The bytes that stand in Base64, of which there is only one way to write it."""
    try:
        raw = base64.b64decode(expect(text, str, what), validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise Fault(f"{what} is not in Base64")
    return raw


def hash_of(text: object, what: str) -> bytes:
    """A SHA-256 in Base64."""
    raw = from_base64(text, what)
    if len(raw) != hashlib.sha256().digest_size:
        raise Fault(f"{what} is no SHA-256")
    return raw


def text_of(data: bytes, what: str) -> str:
    """UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Fault(f"{what} is not in UTF-8") from None


def json_of(text: str, what: str) -> Any:
    """JSON in which no name stands twice: two readers would read it differently."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise Fault(f"{what} is no JSON: {error}") from None


def expect(value: object, kind: type[T], what: str) -> T:
    """A value of exactly this type."""
    if type(value) is not kind:
        raise Fault(f"{what} is not what it must be ({kind.__name__})")
    return value


# ---------------------------------------------------------------- signed notes and checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key of a log."""

    name: str
    identity: bytes
    """Four bytes by which a signature names the key."""
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read ``NAME+ID+KEY``."""
        name, _, rest = text.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        raw = from_base64(encoded, "the key")
        computed = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if not name or raw[:1] != b"\x01" or len(raw) != 33 or computed.hex() != identity:  # noqa: PLR2004 - 1 + 32
            raise Fault(f"{text[:80]!r} is no key of a log: it must be NAME+ID+KEY, of Ed25519, copied whole")
        return cls(name=name, identity=computed, public=raw[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a checkpoint says: that the log of this name had so many entries, and this root over them."""

    origin: str
    size: int
    root: bytes
    key: Key
    """Who signed that."""


def open_note(note: str, keys: Iterable[Key]) -> Head:
    """What a checkpoint says, once a key that you trust is seen to have signed it."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not note.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note):
        raise Fault("the checkpoint is no signed note: a text, an empty line, lines of signatures")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—":
            raise Fault("the checkpoint has a line among its signatures that is none")
        raw = from_base64(encoded, "a signature of the checkpoint")
        for key in keys:
            if (key.name, key.identity) == (name, raw[:4]):
                verify_signature(key, raw[4:], text)
                return head_of(text, key)
    raise Fault("no key that was given with --key signed the checkpoint")


def verify_signature(key: Key, signature: bytes, text: str) -> None:
    """Ed25519 over the text."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        raise Fault(f"the signature of {key.name} under the checkpoint does not verify: it was altered") from None


def head_of(text: str, key: Key) -> Head:
    """What the text says: three lines, the first of which is the name of the key."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != key.name:  # noqa: PLR2004 - three lines, and nothing after the last line end
        raise Fault(f"the checkpoint is not one of {key.name}")
    return Head(origin=lines[0], size=decimal(lines[1]), root=hash_of(lines[2], "the root"), key=key)


NOTE = re.compile(r"^[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]+\n\n(?:— [^ \n]+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)
"""A checkpoint among others, in a file that is only ever added to."""


# ---------------------------------------------------------------- the Merkle tree of RFC 9162


def leaf_hash(body: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """How many leaves are on the left: the largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a tree of this size has if the leaf is at this place, counted from 0, and the proof is right."""
    if not 0 <= index < size:
        raise Fault(f"there is no place {index} among {size}")
    if size == 1:
        if proof:
            raise Fault("the proof is too long")
        return leaf
    if not proof:
        raise Fault("the proof is too short")
    below, sibling, left = proof[:-1], proof[-1], split(size)
    if index < left:
        return node_hash(root_by_inclusion(leaf, index, left, below), sibling)
    return node_hash(sibling, root_by_inclusion(leaf, index - left, size - left, below))


def roots_by_consistency(old: int, new: int, proof: Sequence[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """The roots of both trees if the newer one begins with the older one and the proof is right.

    known: the root of the older tree, as long as what is looked at begins where it begins.
    """
    if not 0 < old <= new:
        raise Fault(f"a log of {new} entries cannot begin with {old}")
    if old == new:
        if len(proof) != (known is None):
            raise Fault("the proof has the wrong length")
        reached = proof[0] if known is None else known
        return reached, reached
    if not proof:
        raise Fault("the proof is too short")
    below, sibling, left = proof[:-1], proof[-1], split(new)
    if old <= left:
        older, newer = roots_by_consistency(old, left, below, known)
        return older, node_hash(newer, sibling)
    older, newer = roots_by_consistency(old - left, new - left, below, None)
    return node_hash(sibling, older), node_hash(sibling, newer)


def check_inclusion(leaf: bytes, index: int, proof: Sequence[bytes], size: int, root: bytes) -> None:
    """Raise `Fault` unless the tree of this size and root has the leaf at this place."""
    if root_by_inclusion(leaf, index, size, proof) != root:
        raise Fault(
            f"entry {index + 1} is not what was logged, or its proof is of another: the tree is a different one"
        )


def check_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise `Fault` unless the newer tree begins with the older one."""
    if roots_by_consistency(old, new, proof, old_root) != (old_root, new_root):
        raise Fault(
            f"the log of {new} entries does not begin with the {old} of an earlier checkpoint: it was rewritten"
        )


# ---------------------------------------------------------------- a proof of one entry


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What one file shows once it is checked."""

    head: Head
    issued: dict[int, Head]
    """Every checkpoint in it, by size."""
    is_complete: bool
    """Whether these are all that were ever signed up to its own."""
    lines: list[str] = field(default_factory=list)
    """What to tell."""


def check_entry(text: str, sequence: int, proof: Sequence[bytes], head: Head) -> dict[str, Any]:
    """What an entry says, once it is seen to be in the log under its number, counted from 1."""
    check_inclusion(leaf_hash(text.encode()), sequence - 1, proof, head.size, head.root)
    body = expect(json_of(text, f"entry {sequence}"), dict, f"entry {sequence}")
    if body.get("sequence") != sequence:
        raise Fault(f"entry {sequence} has another number in itself")
    return body


def check_proof(data: bytes, keys: Iterable[Key]) -> Evidence:
    """A file of `connector audit prove`."""
    text, gap, note = text_of(data, "the proof").partition("\n\n")
    first, *lines = text.split("\n")
    if first != PROOF_FORMAT or not gap:
        raise Fault(f"it is neither a bundle (.zip) nor a proof: its first line must be {PROOF_FORMAT}")
    if not lines or not lines[0].startswith("extra "):
        raise Fault("the proof does not hold the entry itself: a line that begins with extra")
    if len(lines) == 1 or not lines[1].startswith("index "):
        raise Fault("the proof does not name the place of the entry: a line that begins with index")
    body = text_of(from_base64(lines[0].removeprefix("extra "), "the entry"), "the entry")
    sequence = decimal(lines[1].removeprefix("index ")) + 1
    head = open_note(note, keys)
    entry = check_entry(body, sequence, [hash_of(line, "a hash of the proof") for line in lines[2:]], head)
    told = [f"entry {sequence} is in the log: {summary(entry)}", f"it reads: {body}"]
    return Evidence(head=head, issued={head.size: head}, is_complete=False, lines=told)


def summary(entry: Mapping[str, Any]) -> str:
    """When, what, and whom an entry concerns."""
    names = ("time", "event", "document_type", "business_key", "source_key", "message_id")
    return ", ".join(str(entry[name]) for name in names if entry.get(name))


# ---------------------------------------------------------------- a bundle


OUR_FILES = ("manifest.json", "checkpoint.txt", "entries.jsonl", "checkpoints.txt", "consistency.json", "digests.json")


BOUND_FOLDERS = tuple(
    f"{name}/"
    for name in ("rows", "documents", "mappings", "messages", "requests", "responses", "receipts", "certificates")
)
"""Every file in these is what an entry is about; one that no entry vouches for may be anything."""


class Bundle:
    """The files of a bundle, read one at a time, none written to the disk."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        members = archive.infolist()
        if len(members) > MOST_MEMBERS or sum(one.file_size for one in members) > MOST_OF_A_BUNDLE:
            raise Fault("the bundle is larger than any that is genuine")
        for one in members:
            self._refuse_odd(one)
        self.names = {one.filename for one in members}
        if len({name.casefold() for name in self.names}) != len(members):
            raise Fault("the bundle holds two files of one name")

    @staticmethod
    def _refuse_odd(one: zipfile.ZipInfo) -> None:
        name = one.orig_filename
        parts = name.split("/")
        is_odd = not name.isprintable() or "\\" in name or ":" in name or {"", ".", ".."} & set(parts)
        if is_odd or name != one.filename:
            raise Fault(f"the bundle holds a file of an odd name: {name[:80]}")
        if one.flag_bits & 1 or one.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Fault(f"{name[:80]} is encrypted, or packed in an odd way")
        if one.file_size > MOST_OF_A_MEMBER:
            raise Fault(f"{name[:80]} is larger than any that is genuine")

    def read(self, name: str) -> bytes:
        """A file of it."""
        if name not in self.names:
            raise Fault(f"{name} is missing")
        with self._archive.open(name) as member:
            return member.read(MOST_OF_A_MEMBER)

    def text(self, name: str) -> str:
        """A file of it that is text."""
        return text_of(self.read(name), name)

    def json(self, name: str) -> Any:
        """A file of it that is JSON."""
        return json_of(self.text(name), name)


def check_bundle(file: Path, keys: Iterable[Key]) -> Evidence:
    """A file of `connector audit export`."""
    with zipfile.ZipFile(file) as archive:
        bundle = Bundle(archive)
        manifest = expect(bundle.json("manifest.json"), dict, "manifest.json")
        digests = check_manifest(bundle, manifest)
        head = open_note(bundle.text("checkpoint.txt"), keys)
        if manifest.get("log") != head.origin:
            raise Fault("manifest.json names another log than checkpoint.txt")
        entries = check_entries(bundle, head)
        if manifest.get("entries") != list(entries):
            raise Fault("manifest.json names other entries than there are in entries.jsonl")
        issued = check_checkpoints(bundle, head, keys)
        bound = check_digests(bundle, entries, digests)
        told = [
            f"{len(entries)} entries are in the log under their numbers, unaltered",
            f"{len(digests)} files are as the manifest says",
            *([f"{len(issued)} checkpoints, each beginning with the one before"] if issued else []),
            *raw_files(bundle, bound),
        ]
    return Evidence(head=head, issued=issued | {head.size: head}, is_complete=bool(issued), lines=told)


def check_manifest(bundle: Bundle, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each file but the manifest, once all are seen to be what the manifest says."""
    if manifest.get("format") != FORMAT:
        raise Fault(f"manifest.json is not of the format {FORMAT!r}")
    said = expect(manifest.get("files"), dict, "the list of files in manifest.json")
    there = bundle.names - {"manifest.json"}
    for name in sorted(there ^ set(said)):
        raise Fault(f"{name} is not in manifest.json" if name in there else f"{name} is missing")
    digests = {name: hashlib.sha256(bundle.read(name)).hexdigest() for name in sorted(there)}
    for name, digest in digests.items():
        if said[name] != digest:
            raise Fault(f"{name} is not the file that manifest.json names: it was altered")
    return digests


def check_entries(bundle: Bundle, head: Head) -> dict[int, dict[str, Any]]:
    """The entries by their numbers, once each is seen to be in the log."""
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(bundle.text("entries.jsonl").removesuffix("\n").split("\n"), start=1):
        what = f"line {number} of entries.jsonl"
        one = expect(json_of(line, what), dict, what)
        sequence = expect(one.get("sequence"), int, f"the number in {what}")
        if sequence <= next(reversed(found), 0):
            raise Fault(f"entry {sequence} in {what} stands out of order, or twice")
        proof = [
            hash_of(each, f"a hash of entry {sequence}")
            for each in expect(one.get("proof"), list, f"the proof of {what}")
        ]
        found[sequence] = check_entry(expect(one.get("body"), str, f"the body in {what}"), sequence, proof, head)
    return found


def check_checkpoints(bundle: Bundle, newest: Head, keys: Iterable[Key]) -> dict[int, Head]:
    """All checkpoints by size, once each is seen to begin with the one before; empty where the bundle has none."""
    if "checkpoints.txt" not in bundle.names:
        return {}
    text = bundle.text("checkpoints.txt")
    if NOTE.sub("", text).strip("\n"):
        raise Fault("checkpoints.txt holds something that is no checkpoint")
    heads = [open_note(note, keys) for note in NOTE.findall(text)]
    if not heads or (heads[-1].size, heads[-1].root) != (newest.size, newest.root):
        raise Fault("the last of checkpoints.txt is not the one in checkpoint.txt")
    proofs = expect(bundle.json("consistency.json") if len(heads) > 1 else [], list, "consistency.json")
    if len(proofs) != len(heads) - 1:
        raise Fault("consistency.json has not one proof for each two neighbours in checkpoints.txt")
    for (old, new), given in zip(pairwise(heads), proofs, strict=True):
        what = f"the proof that {old.size} entries became {new.size}"
        one = expect(given, dict, what)
        if (
            old.origin != newest.origin
            or old.size >= new.size
            or (one.get("old"), one.get("new")) != (old.size, new.size)
        ):
            raise Fault(f"{what} is missing, or the checkpoints are out of order")
        proof = [hash_of(each, f"a hash in {what}") for each in expect(one.get("proof"), list, what)]
        check_consistency(old.size, new.size, proof, old.root, new.root)
    return {head.size: head for head in heads}


def check_digests(bundle: Bundle, entries: Mapping[int, Mapping[str, Any]], digests: Mapping[str, str]) -> set[str]:
    """The raw files that an entry of the bundle names by digest, once each is seen to be that file."""
    if "digests.json" not in bundle.names:
        return set()
    bound = expect(bundle.json("digests.json"), dict, "digests.json")
    for name, given in bound.items():
        place = expect(given, list, f"what digests.json says of {name}")
        if [type(each) for each in place] != [str, int] or name not in digests:
            raise Fault(f"digests.json says of {name} what makes no sense")
        name_of_digest, sequence = place
        if sequence not in entries:
            raise Fault(f"{name} belongs to entry {sequence}, which is not in the bundle")
        detail = expect(entries[sequence].get("detail"), dict, f"the detail of entry {sequence}")
        if detail.get(name_of_digest) != digests[name]:
            raise Fault(
                f"{name} is not the file whose digest entry {sequence} holds ({name_of_digest}): it was altered"
            )
    return set(bound)


def raw_files(bundle: Bundle, bound: set[str]) -> list[str]:
    """Which files the log vouches for, and which only the manifest."""
    others = sorted(bundle.names - bound - set(OUR_FILES))
    for name in others:
        if name.startswith(BOUND_FOLDERS):
            raise Fault(f"{name} is not bound to the log: digests.json names no entry that holds its SHA-256")
    told = [f"{len(bound)} files are bound to the log: an entry holds the SHA-256 of each"]
    if others:
        told.append(f"{len(others)} files are not; whoever made the bundle could have written anything there:")
        told += [f"  {name}" for name in others]
    return told


# ---------------------------------------------------------------- checkpoints from outside


def compare(evidence: Evidence, outside: Head) -> tuple[bool, str]:
    """Whether the evidence agrees with a checkpoint from outside, in words; raises `Fault` if they contradict.

    False where there is nothing in the evidence to hold against it.
    """
    mine, what = evidence.head, f"the checkpoint of {outside.size} entries from outside"
    if outside.origin != mine.origin:
        return False, f"NOT COMPARED: {what} is of another log, {outside.origin}"
    if outside.size > mine.size:
        raise Fault(
            f"the log had {outside.size} entries when the checkpoint from outside was signed, and this ends at "
            f"{mine.size}: it was made before that, or the log was cut off or set back. Ask for newer evidence"
        )
    known = evidence.issued.get(outside.size)
    if known is not None and known.root == outside.root:
        return True, f"{what} agrees: its entries are still what they were when it was signed"
    if known is not None:
        raise Fault(f"{what} has another root: the log was rewritten, or there are two of it")
    if evidence.is_complete:
        raise Fault(f"{what} is missing among all that were signed: it was taken out, or there are two logs")
    return False, f"NOT COMPARED: {what}, because the file does not hold that one"


def outside_heads(file: Path, keys: Iterable[Key]) -> list[Head]:
    """The checkpoints of a file; what a crash left incomplete in it is passed over."""
    notes = NOTE.findall(text_of(read_text_file(file), str(file)))
    if not notes:
        raise Fault("it holds no checkpoint")
    return [open_note(note, keys) for note in notes]


@dataclass(frozen=True)
class Seen:
    """What a file shows, in lines to be told, and whether it agrees with any checkpoint from outside."""

    lines: list[str]
    agrees: bool


# ---------------------------------------------------------------- the command line


def read_text_file(file: Path) -> bytes:
    """A proof or a file of checkpoints."""
    with file.open("rb") as opened:
        data = opened.read(MOST_OF_A_TEXT + 1)
    if len(data) > MOST_OF_A_TEXT:
        raise Fault("it is larger than any that is genuine")
    return data


def check_file(file: Path, keys: Sequence[Key], outside: Sequence[Head]) -> Seen:
    """What one file shows."""
    with file.open("rb") as opened:
        is_bundle = opened.read(2) == b"PK"
    try:
        evidence = check_bundle(file, keys) if is_bundle else check_proof(read_text_file(file), keys)
    except OSError as error:  # the file is there: an archive that leads out of itself
        raise Fault(f"it cannot be read: {error.strerror}") from None
    head = evidence.head
    signed = f"the log {head.origin} had {head.size} entries when {head.key.name}+{head.key.identity.hex()} signed it"
    compared = [compare(evidence, one) for one in outside]
    lines = [signed, *evidence.lines, *(text for _, text in compared)]
    return Seen(lines=lines, agrees=any(agrees for agrees, _ in compared))


UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, ValueError)
"""What reading a broken archive comes to."""


def attempt(file: Path, look: Callable[[], T]) -> T | None:
    """What looking at a file gives; None once it is told what is wrong with it."""
    try:
        return look()
    except Fault as error:
        say(f"{file}: NOT GOOD", [str(error)])
    except UNREADABLE as error:
        say(f"{file}: NOT GOOD", [f"it cannot be read: {error}"])
    return None


def say(title: str, lines: Iterable[str]) -> None:
    """Tell it; what could play tricks on a terminal is shown as an escape."""
    for line in [title, *(f"  {line}" for line in lines)]:
        sys.stdout.write("".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line) + "\n")


def parser() -> argparse.ArgumentParser:
    """What may be typed."""
    made = argparse.ArgumentParser(
        prog="check_evidence.py",
        description="Check evidence from the audit log of a customs warehouse connector.",
        epilog=LIMITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--key", action="append", required=True, metavar="NAME+ID+KEY", help="public key of the log")
    made.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="FILE", help="checkpoints kept outside"
    )
    made.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .tlog-proof file, or a bundle (.zip)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what is asked for; the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    given = parser().parse_args(arguments)
    results: list[object] = []
    try:
        keys = [Key.parse(text) for text in given.key]
    except Fault as error:
        parser().error(str(error))
    outside: list[Head] = []
    alone = False
    try:
        for file in given.checkpoint:
            heads = attempt(file, partial(outside_heads, file, keys))
            results.append(heads)
            outside += heads or []
        for file in given.files:
            seen = attempt(file, partial(check_file, file, keys, outside))
            results.append(seen)
            if seen is not None:
                is_alone = bool(outside) and not seen.agrees
                alone |= is_alone
                say(f"{file}: {'good by itself, AND NOT COMPARED' if is_alone else 'good'}", seen.lines)
    except OSError as error:
        parser().error(f"{error.filename}: {error.strerror}")
    sys.stdout.write(f"\n{LIMITS}")
    if not all(results):
        return BAD
    return NOT_COMPARED if alone else GOOD


if __name__ == "__main__":
    sys.exit(main())
