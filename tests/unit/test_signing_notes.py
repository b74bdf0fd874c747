"""Signed notes: the published example, round trips, and what must not verify."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from connector.errors import ConfigurationError, SignatureInvalid, SigningError
from connector.signing.notes import NoteSigner, NoteVerifier, load_note_signer, new_note_key, open_note

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of Go's package note (https://pkg.go.dev/golang.org/x/mod/sumdb/note)."""


@pytest.fixture
def signer(tmp_path: Path) -> NoteSigner:
    new_note_key(tmp_path / "key.pem")
    return load_note_signer("example.com/log", tmp_path / "key.pem", None)


def test_note_of_another_program_verifies() -> None:
    verifier = NoteVerifier.parse(PETER)
    assert verifier.open(NOTE).startswith("If you think")
    assert verifier.key == PETER


def test_note_is_opened_by_its_key_when_others_have_signed_it_too(signer: NoteSigner) -> None:
    note = signer.sign("text\n")
    both = note + NOTE.splitlines()[-1] + "\n"
    assert signer.verifier.open(note) == signer.verifier.open(both) == "text\n"
    assert open_note(note, [NoteVerifier.parse(PETER), signer.verifier]) == "text\n"
    assert NoteVerifier.parse(signer.verifier.key) == signer.verifier


def test_note_does_not_verify_when_anything_of_it_is_changed(signer: NoteSigner) -> None:
    note = signer.sign("example.com/log\n7\nroot\n")
    for changed in (
        note.replace("7", "8"),
        note.replace("— example.com/log", "— example.org/log"),
        note.replace("— ", "- "),
        note.replace("\n\n", "\n"),
        note.partition("\n\n")[0] + "\n\n",
        note[:-3] + "\n",
        "",
    ):
        with pytest.raises(SignatureInvalid):
            signer.verifier.open(changed)
    with pytest.raises(SignatureInvalid):
        NoteVerifier.parse(PETER).open(note)
    with pytest.raises(SignatureInvalid, match="no key is trusted"):
        open_note(note, [])


@pytest.mark.parametrize("key", ["", "name", PETER[:-1], PETER.replace("c74f", "c74e"), PETER.replace("+AR", "+BR")])
def test_verifier_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="is no verifier key"):
        NoteVerifier.parse(key)


def test_new_key_is_private_and_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    new_note_key(file, "王 phrase")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_note_signer("a", file, "王 phrase").sign("t\n")
    for phrase in (None, "wrong"):
        with pytest.raises(SigningError):
            load_note_signer("a", file, phrase)
    with pytest.raises(SigningError, match="File exists"):
        new_note_key(file)
