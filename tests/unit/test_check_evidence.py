"""The auditor's file: what it accepts, and what it refuses in plain words, whatever is handed to it."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from connector.signing.notes import NoteSigner
from tests.conftest import CheckEvidence
from tests.unit.evidence_bundles import SIGNED, Bundle, Log, b64, body_of, pack


@pytest.fixture(scope="module")
def log() -> Log:
    return Log()


@pytest.fixture
def bundle(log: Log) -> Bundle:
    return Bundle(log)


def rewritten(log: Log) -> Log:
    """The log as somebody with its key writes it anew, with another entry 2."""
    return Log(log.signer, [body_of(1), body_of(2) + " ", *log.bodies[2:]])


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_proof_of_an_entry_is_accepted(check_evidence: CheckEvidence, log: Log, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{number}", log.proof_file(number)) for number in (1, 5, 20)]
    said = check_evidence("--key", log.key, *files)
    assert said.count(": good\n") == 3
    assert "the log example.com/log had 20 entries" in said
    assert "entry 5 is in the log: 2026-04-15T02:30:00Z, signed" in said
    assert "What this cannot show" in said


def test_bundle_is_accepted(check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path) -> None:
    said = check_evidence("--key", log.key, bundle.write(tmp_path / "b.zip"))
    for line in (
        "3 entries are in the log under their numbers",
        "7 files are as the manifest says",
        "3 checkpoints, each beginning with the one before",
        "1 files are bound to the log",
        "1 files are not;",
        "  report.html",
    ):
        assert line in said


def test_bundle_without_what_is_optional_is_accepted(
    check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    members = bundle.members()
    for name in ("checkpoints.txt", "consistency.json", "digests.json", "messages/1.xml", "report.html"):
        del members[name]
    manifest = json.loads(members["manifest.json"])
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if name in members}
    members["manifest.json"] = json.dumps(manifest).encode()
    check_evidence("--key", log.key, pack(members, tmp_path / "b.zip"))


PROOFS: dict[str, tuple[Callable[[str], str], str]] = {
    "index": (lambda text: text.replace("index 4", "index 5"), "entry 6 is not what was logged"),
    "index-beyond": (lambda text: text.replace("index 4", "index 20"), "there is no place 20 among 20"),
    "index-padded": (lambda text: text.replace("index 4", "index 04"), "no number"),
    "index-huge": (lambda text: text.replace("index 4", f"index {'9' * 5000}"), "no number"),
    "index-missing": (lambda text: text.replace("index 4\n", ""), "does not name the place"),
    "entry-missing": (lambda text: "\n".join([text.split("\n")[0], *text.split("\n")[2:]]), "does not hold the entry"),
    "entry-altered": (
        lambda text: text.replace(text.split("\n")[1], "extra " + b64(body_of(5).replace("signed", "mapped").encode())),
        "entry 5 is not what was logged",
    ),
    "hash-missing": (lambda text: "\n".join(text.split("\n")[:3] + text.split("\n")[4:]), "too short"),
    "hash-twice": (
        lambda text: "\n".join([*text.split("\n")[:4], text.split("\n")[3], *text.split("\n")[4:]]),
        "too long",
    ),
    "hash-short": (lambda text: text.replace(text.split("\n")[3], "AAAA"), "no SHA-256"),
    "hash-no-base64": (lambda text: text.replace(text.split("\n")[3], "*"), "not in Base64"),
    "size": (lambda text: text.replace("\n20\n", "\n21\n"), "does not verify"),
    "signature-missing": (lambda text: text.partition("\n—")[0] + "\n", "a line among its signatures that is none"),
    "signature-of-another": (lambda text: text.replace("— example.com", "— example.org"), "no key that was given"),
    "control-character": (lambda text: text.replace("\n20\n", "\n20\r\n"), "no signed note"),
    "first-line": (lambda text: text.replace("@v1", "@v2"), "neither a bundle"),
    "empty": (lambda _text: "", "neither a bundle"),
}


@pytest.mark.parametrize("name", PROOFS)
def test_proof_is_refused_when_it_is_spoilt(name: str, check_evidence: CheckEvidence, log: Log, tmp_path: Path) -> None:
    spoil, said = PROOFS[name]
    text = spoil(log.proof_file(5))
    assert text != log.proof_file(5)
    told = check_evidence("--key", log.key, written(tmp_path / "p", text), code=9)
    assert f"{tmp_path}/p: NOT GOOD" in told
    assert said in told


def drop(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__delitem__(name)


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: data})


PACKED: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "file-altered": (put("report.html", b"<other>"), "report.html is not the file"),
    "file-missing": (drop("report.html"), "report.html is missing"),
    "file-added": (put("more.txt", b""), "more.txt is not in manifest.json"),
    "manifest-missing": (drop("manifest.json"), "manifest.json is missing"),
    "manifest-no-json": (put("manifest.json", b"{"), "manifest.json is no JSON"),
    "manifest-deep": (put("manifest.json", b"[" * 1_000_000), "manifest.json is no JSON"),
    "manifest-twice": (put("manifest.json", b'{"files": {}, "files": {}}'), "a name stands twice"),
    "manifest-list": (put("manifest.json", b"[]"), "manifest.json is not what it must be"),
    "manifest-latin": (put("manifest.json", b"\xff"), "not in UTF-8"),
    "path-upwards": (put("../x", b""), "odd name"),
    "path-absolute": (put("/etc/x", b""), "odd name"),
    "path-windows": (put("a\\b", b""), "odd name"),
    "path-drive": (put("c:x", b""), "odd name"),
    "path-escape": (put("\x1b[2J", b""), "odd name"),
    "folder": (put("rows/", b""), "odd name"),
    "two-in-other-case": (put("REPORT.html", b""), "two files of one name"),
}


@pytest.mark.parametrize("name", PACKED)
def test_bundle_is_refused_when_its_files_are_spoilt(
    name: str, check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    spoil, said = PACKED[name]
    members = bundle.members()
    spoil(members)
    told = check_evidence("--key", log.key, pack(members, tmp_path / "b.zip"), code=9)
    assert said in told
    assert "\x1b" not in told


def alter_entry(bundle: Bundle) -> None:
    bundle.entries[1]["body"] = bundle.entries[1]["body"].replace("signed", "mapped")


def renumber_entry(bundle: Bundle) -> None:
    bundle.entries[1]["sequence"] = 6


def rewrite_before(bundle: Bundle) -> None:
    bundle.checkpoints[0] = rewritten(bundle.log).note(4)


def sign_no_sequence(bundle: Bundle) -> None:
    bundle.log = Log(bundle.log.signer, [body_of(7) if number == 5 else body_of(number) for number in range(1, 21)])
    bundle.__post_init__()


UNTRUE: dict[str, tuple[Callable[[Bundle], object], str]] = {
    "checkpoints-and-more": (
        lambda bundle: bundle.files.update({"checkpoints.txt": bundle.members()["checkpoints.txt"] + b"more\n"}),
        "something that is no checkpoint",
    ),
    "entry-altered": (alter_entry, "entry 5 is not what was logged"),
    "entry-renumbered": (renumber_entry, "entry 6 is not what was logged"),
    "entry-of-another-number": (sign_no_sequence, "entry 5 has another number in itself"),
    "entries-out-of-order": (lambda bundle: bundle.entries.reverse(), "stands out of order, or twice"),
    "entry-twice": (lambda bundle: bundle.entries.append(bundle.entries[-1]), "stands out of order, or twice"),
    "entry-not-named": (lambda bundle: bundle.manifest.update(entries=[3, 5]), "names other entries"),
    "entry-no-number": (lambda bundle: bundle.entries[0].update(sequence=True), "is not what it must be (int)"),
    "entry-proof-text": (lambda bundle: bundle.entries[0].update(proof="A"), "is not what it must be (list)"),
    "entry-hash-number": (lambda bundle: bundle.entries[0].update(proof=[1]), "is not what it must be (str)"),
    "no-entries": (lambda bundle: bundle.entries.clear(), "line 1 of entries.jsonl is no JSON"),
    "other-log": (lambda bundle: bundle.manifest.update(log="example.com/other"), "names another log"),
    "other-format": (lambda bundle: bundle.manifest.update(format="2"), "not of the format"),
    "rewritten": (rewrite_before, "does not begin with the 4"),
    "checkpoint-dropped": (lambda bundle: bundle.checkpoints.pop(1), "has not one proof for each"),
    "checkpoints-swapped": (
        lambda bundle: bundle.checkpoints.insert(0, bundle.checkpoints.pop(1)),
        "the checkpoints are out of order",
    ),
    "not-the-newest": (
        lambda bundle: bundle.checkpoints.append(bundle.log.note(19)),
        "is not the one in checkpoint.txt",
    ),
    "consistency-empty": (lambda bundle: bundle.consistency[0].update(proof=[]), "too short"),
    "consistency-missing": (lambda bundle: bundle.consistency.pop(), "has not one proof for each"),
    "consistency-other": (lambda bundle: bundle.consistency[0].update(old=3), "is missing, or"),
    "digest-other-file": (
        lambda bundle: bundle.files.update({"messages/1.xml": SIGNED + b" "}),
        "whose digest entry 5",
    ),
    "digest-other-field": (lambda bundle: bundle.digests.update({"messages/1.xml": ["request", 5]}), "entry 5 holds"),
    "digest-other-entry": (lambda bundle: bundle.digests.update({"messages/1.xml": ["digest", 3]}), "entry 3 holds"),
    "digest-no-entry": (lambda bundle: bundle.digests.update({"messages/1.xml": ["digest", 4]}), "not in the bundle"),
    "digest-no-file": (lambda bundle: bundle.digests.update({"messages/2.xml": ["digest", 5]}), "makes no sense"),
    "not-bound": (lambda bundle: bundle.files.update({"messages/2.xml": b"<forged/>"}), "is not bound to the log"),
    "bound-no-more": (lambda bundle: bundle.digests.clear(), "messages/1.xml is not bound to the log"),
    "digest-odd": (lambda bundle: bundle.digests.update({"messages/1.xml": [5]}), "makes no sense"),
}


@pytest.mark.parametrize("name", UNTRUE)
def test_bundle_is_refused_when_what_it_says_is_untrue(
    name: str, check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    spoil, said = UNTRUE[name]
    spoil(bundle)
    assert said in check_evidence("--key", log.key, bundle.write(tmp_path / "b.zip"), code=9)


def test_zip_is_refused_when_a_name_stands_twice(
    check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    with (
        zipfile.ZipFile(bundle.write(tmp_path / "b.zip"), "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("report.html", b"<other>")
    assert "two files of one name" in check_evidence("--key", log.key, tmp_path / "b.zip", code=9)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (24, 1 << 30, "larger than any"),  # size when unpacked
        (24, 200 << 20, "larger than any"),  # no file is too large, all of them are
        (8, 1, "encrypted, or packed in an odd way"),  # flags
        (10, 12, "encrypted, or packed in an odd way"),  # way of packing: bzip2
    ],
    ids=["huge-file", "huge-bundle", "encrypted", "bzip2"],
)
def test_zip_is_refused_when_its_directory_claims_what_no_bundle_has(
    offset: int, value: int, said: str, check_evidence: CheckEvidence, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.files |= {f"rows/{number}.json": b"" for number in range(10)}
    data = bytearray(bundle.write(tmp_path / "b.zip").read_bytes())
    for found in re.finditer(b"PK\x01\x02", bytes(data)):  # each file in the directory
        struct.pack_into("<I" if offset == 24 else "<H", data, found.start() + offset, value)
    (tmp_path / "b.zip").write_bytes(data)
    assert said in check_evidence("--key", bundle.log.key, tmp_path / "b.zip", code=9)


def test_text_is_refused_when_it_is_huge(check_evidence: CheckEvidence, log: Log, tmp_path: Path) -> None:
    with (tmp_path / "p").open("wb") as file:
        file.truncate(1 << 32)
    assert "larger than any" in check_evidence("--key", log.key, tmp_path / "p", code=9)


def test_checkpoint_is_refused_when_it_names_another_log_than_its_key(
    check_evidence: CheckEvidence, log: Log, tmp_path: Path
) -> None:
    note = log.signer.sign(log.note(20).partition("\n\n")[0].replace(".com", ".org") + "\n")
    text = log.proof_file(5).replace(log.note(20), note)
    file = written(tmp_path / "p", text)
    assert "not one of example.com/log" in check_evidence("--key", log.key, file, code=9)


def test_bundle_is_refused_when_a_checkpoint_in_it_is_of_another_log(
    check_evidence: CheckEvidence, bundle: Bundle, tmp_path: Path
) -> None:
    other = NoteSigner(name="example.org/log", private_key=bundle.log.signer.private_key)
    text = bundle.log.note(4).partition("\n\n")[0].replace(".com", ".org")
    bundle.checkpoints[0] = other.sign(f"{text}\n")
    keys = ("--key", bundle.log.key, "--key", other.verifier.key)
    assert "is missing, or the" in check_evidence(*keys, bundle.write(tmp_path / "b.zip"), code=9)


def test_zip_is_read_or_refused_when_any_of_its_bytes_is_another(
    check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    whole = bundle.write(tmp_path / "b.zip").read_bytes()
    random, spoilt = Random(7), []
    for number in range(400):
        data = bytearray(whole[: random.randrange(2, len(whole))] if number % 8 == 0 else whole)
        data[random.randrange(2, len(data))] ^= 1 << random.randrange(8)
        spoilt.append(tmp_path / f"{number}.zip")
        spoilt[-1].write_bytes(data)
    told = check_evidence("--key", log.key, *spoilt, code=9)
    assert told.count(".zip: NOT GOOD\n") + told.count(".zip: good\n") == len(spoilt)
    assert told.count(".zip: NOT GOOD\n") > 300


def test_checkpoint_from_outside_shows_what_became_of_the_log(
    check_evidence: CheckEvidence, log: Log, bundle: Bundle, tmp_path: Path
) -> None:
    good = bundle.write(tmp_path / "b.zip")
    outside = written(tmp_path / "kept", f"{log.note(4)}\nexample.com/log\n9!\n\n{log.note(20)}\n")
    said = check_evidence("--key", log.key, "--checkpoint", outside, good)
    assert "checkpoint of 4 entries from outside agrees" in said
    assert "checkpoint of 20 entries from outside agrees" in said
    one = written(tmp_path / "one", log.proof_file(5))
    assert "checkpoint of 20 entries from outside agrees" in check_evidence(
        "--key", log.key, "--checkpoint", outside, one
    )
    older = written(tmp_path / "older", log.note(4))
    said = check_evidence("--key", log.key, "--checkpoint", older, good, one, code=3)
    assert f"{good}: good\n" in said
    assert f"{one}: good by itself, AND NOT COMPARED\n" in said
    assert "NOT COMPARED: the checkpoint of 4 entries" in said
    assert f"{one}: good\n" in check_evidence("--key", log.key, one)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (lambda log: log.note(8), "is missing among all that were signed"),
        (lambda log: rewritten(log).note(12), "has another root"),
        (lambda log: Log(log.signer, [*log.bodies, body_of(21)]).note(21), "cut off or set back"),
        (lambda _log: Log().note(12), "no key that was given"),
        (lambda _log: "nothing", "holds no checkpoint"),
    ],
    ids=["dropped", "rewritten", "cut-off", "another-key", "none"],
)
def test_checkpoint_from_outside_convicts_a_log_that_contradicts_it(
    kept: Callable[[Log], str], said: str, check_evidence: CheckEvidence, bundle: Bundle, tmp_path: Path
) -> None:
    outside = written(tmp_path / "kept", kept(bundle.log))
    good = bundle.write(tmp_path / "b.zip")
    assert said in check_evidence("--key", bundle.log.key, "--checkpoint", outside, good, code=9)


def test_every_file_is_told_of_when_one_is_bad(check_evidence: CheckEvidence, log: Log, tmp_path: Path) -> None:
    bad = written(tmp_path / "bad", "")
    good = written(tmp_path / "good", log.proof_file(1))
    said = check_evidence("--key", log.key, bad, good, code=9)
    assert f"{bad}: NOT GOOD" in said
    assert f"{good}: good" in said


def test_evidence_that_an_earlier_key_signed_is_accepted_when_both_are_given(
    check_evidence: CheckEvidence, log: Log, tmp_path: Path
) -> None:
    file = written(tmp_path / "p", log.proof_file(1))
    check_evidence("--key", Log().key, "--key", log.key, file)
    assert "no key that was given" in check_evidence("--key", Log().key, file, code=9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x",), "--key"),
        (("--key", "example.com/log+00000000+AAAA", "x"), "no key of a log"),
        (("--key", "OTHER ID", "x"), "no key of a log"),
        (("--key", "KEY"), "FILE"),
        (("--key", "KEY", "there-is-none"), "there-is-none: No such file"),
        (("--key", "KEY", "."), "Is a directory"),
        (("--key", "KEY", "--checkpoint", "there-is-none", "x"), "there-is-none: No such file"),
    ],
    ids=["no-key", "bad-key", "other-id", "no-file", "missing-file", "folder", "missing-checkpoint"],
)
def test_command_is_refused_when_it_makes_no_sense(
    arguments: tuple[str, ...], said: str, check_evidence: CheckEvidence, log: Log
) -> None:
    name, _, encoded = log.key.split("+", 2)
    given = [{"KEY": log.key, "OTHER ID": f"{name}+00000000+{encoded}"}.get(one, one) for one in arguments]
    assert said in check_evidence(*given, code=2)
