"""Where two signed documents differ, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from connector.errors import SignatureInvalid
from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import DS, XSI, tag
from connector.messages.parser import Element, parse
from connector.signing.explanation.difference import compare, first_difference
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer

Build = Callable[..., Element]


@pytest.fixture
def signed(unsigned_message: Build, sm2_key: FileKey) -> bytes:
    return Signer(sm2_key).sign(unsigned_message(names=("骑行面罩", "帽\n子"))).xml


@given(before=st.binary(), ours=st.binary(), theirs=st.binary())
def test_first_difference_is_right_behind_what_both_begin_with(before: bytes, ours: bytes, theirs: bytes) -> None:
    found = first_difference(before + ours, before + theirs)
    if found is None:
        assert ours == theirs
        return
    at = found.offset
    assert at >= len(before)
    assert (before + ours)[:at] == (before + theirs)[:at]
    assert (before + ours)[at : at + 1] != (before + theirs)[at : at + 1]
    assert found.line == 1 + (before + ours)[:at].count(b"\n")


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (b"<a>1</a>", b"<a>2</a>", "this one goes on with '1</a>', the other with '2</a>'"),
        (b"<a>1</a>", b"<a>1", "this one goes on with '</a>', the other ends there"),
        (b"<a><b>", b"<a>\n<b>", "this one goes on with '<b>', the other with white space: '\\n<b>'"),
        (b"<a>x&#xD;\n", b"<a>x\n", "this one goes on with a carriage return: '&#xD;\\n', the other with white space"),
        (b'<a xmlns:b="u">', b'<a c="">', "this one goes on with a namespace declaration: 'xmlns:b=\"u\">', the other"),
        (
            b'<a xmlns:b="u">',
            b"<a>",
            "this one goes on with a namespace declaration: ' xmlns:b=\"u\">', the other with",
        ),
        (b'<a xmlns:b="u">', b'<a xmlns:b="v">', "this one goes on with a namespace declaration: 'u\">', the other w"),
    ],
)
def test_difference_is_put_in_words(ours: bytes, theirs: bytes, words: str) -> None:
    found = first_difference(ours, theirs)
    assert found is not None
    assert found.words.startswith(words)


def test_difference_shows_forty_bytes_before_and_behind() -> None:
    found = first_difference(b"x" * 100 + b"1" + b"y" * 100, b"x" * 100 + "骑".encode())
    assert found is not None
    assert found.ours == "x" * 40 + "1" + "y" * 39
    assert found.theirs == "x" * 40 + "骑"
    cut = first_difference("骑".encode(), "骒".encode())
    assert cut is not None
    assert (cut.offset, cut.ours) == (2, "骑")


def test_documents_are_the_same_when_only_their_writing_differs(signed: bytes) -> None:
    other = signed.replace(b'guid="G-1" version="1.0"', b"version='1.0' guid='G-1'").replace(b"\n", b"\r\n")
    found = compare(signed, other)
    assert not found.same_bytes
    assert found.forms == {"document": None, "SignedInfo": None}
    assert compare(signed, signed).same_bytes


def test_both_forms_differ_when_a_namespace_was_dropped(signed: bytes) -> None:
    found = compare(signed, signed.replace(f' xmlns:xsi="{XSI}"'.encode(), b"", 1))
    for form in found.forms.values():
        assert form is not None
        assert form.ours.count("xmlns:xsi") == 1
        assert "xmlns:xsi" not in form.theirs


def test_document_is_compared_with_the_unsigned_one(signed: bytes, unsigned_message: Build) -> None:
    unsigned = etree.tostring(unsigned_message(names=("骑行面罩", "帽\n子")))
    assert compare(signed, unsigned).forms == {"document": None}
    (difference,) = compare(signed, unsigned.replace(b"RK1", b"RK2")).forms.values()
    assert difference is not None
    content = etree.tostring(parse(unsigned), method="c14n")
    assert difference.offset == content.index(b"RK1") + 2
    assert difference.line == 1


def test_signed_info_is_compared_with_what_a_signer_wrote_down(signed: bytes) -> None:
    info = next(parse(signed).iter(tag(DS, "SignedInfo")))
    dump = etree.tostring(info, method="c14n")
    assert compare(signed, dump).forms == {"SignedInfo": None}
    (difference,) = compare(signed, etree.tostring(info, method="c14n", exclusive=True)).forms.values()
    assert difference is not None
    assert difference.offset == dump.index(b"ceb=")


def test_messages_are_compared_when_they_are_in_envelopes(signed: bytes) -> None:
    envelope = seal(
        Envelope(
            message_id="1F6A",
            sender="DXPENT0000011351",
            receiver="DXPEDCCEB0000003",
            created=datetime(2026, 6, 1, tzinfo=UTC),
            message_type="CEB213Message",
            data=signed,
        )
    )
    assert compare(signed, envelope).forms == compare(envelope, signed).forms == {"document": None, "SignedInfo": None}


def test_comparison_is_refused_when_there_is_nothing_to_compare(unsigned_message: Build, signed: bytes) -> None:
    info = etree.tostring(next(parse(signed).iter(tag(DS, "SignedInfo"))))
    with pytest.raises(SignatureInvalid, match="nothing to compare"):
        compare(etree.tostring(unsigned_message()), info)
