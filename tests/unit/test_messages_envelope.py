"""Sealing and unsealing a DxpMsg."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from connector.errors import UnreadableMessage
from connector.messages.envelope import DATA_LIMIT, Envelope, seal, unseal
from connector.messages.namespaces import DXP
from connector.messages.parser import parse, validate

PLAIN = Envelope(
    message_id="2F1C0B0A-0000-4000-8000-000000000001",
    sender="DXPENT0000011351",
    receiver="DXPEDCCEB0000003",
    created=datetime(2026, 4, 15, 16, 30, 5, tzinfo=UTC),
    message_type="CEB213Message",
    data="<signed>中\r\n</signed>".encode(),
)


def account(most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=most)


@given(
    st.builds(
        Envelope,
        message_id=account(255),
        sender=account(16),
        receiver=account(16),
        created=st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
        message_type=account(30),
        data=st.binary(max_size=300),
    )
)
def test_envelope_reads_back_exactly_whatever_it_holds(envelope: Envelope) -> None:
    assert unseal(seal(envelope)) == envelope


def test_sealed_envelope_is_valid_by_the_published_schema(reference: Path) -> None:
    published = etree.XMLSchema(etree.parse(reference / "official" / "xsd202205" / "dxp-terminal.xsd"))
    root = parse(seal(PLAIN))
    assert published.validate(root), published.error_log
    assert root.get("ver") == "1.0"
    assert root.findtext(f".//{{{DXP}}}CreatTime") == "2026-04-16T00:30:05+08:00"
    assert root.findtext(f"{{{DXP}}}Data") == base64.b64encode(PLAIN.data).decode()


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (replace(PLAIN, message_id=""), "CopMsgId"),
        (replace(PLAIN, message_id="x" * 256), "CopMsgId"),
        (replace(PLAIN, sender=""), "SenderId"),
        (replace(PLAIN, sender="x" * 17), "SenderId"),
        (replace(PLAIN, receiver="x" * 17), "ReceiverId"),
        (replace(PLAIN, message_type="x" * 31), "MsgType"),
        (replace(PLAIN, sender="\x00"), "XML"),
        (replace(PLAIN, data=b"x" * (DATA_LIMIT + 1)), "7,000,001 bytes"),
    ],
)
def test_sealing_is_refused_when_the_envelope_would_not_be_valid(wrong: Envelope, cause: str) -> None:
    with pytest.raises(UnreadableMessage, match=cause) as caught:
        seal(wrong)
    assert caught.value.cause.startswith(f"message {wrong.message_id}: ")


def test_the_largest_message_can_be_sealed_and_unsealed() -> None:
    largest = replace(PLAIN, data=b"x" * DATA_LIMIT)
    assert unseal(seal(largest)) == largest


def written(data: str = "QQ==", time: str = "2026-04-15T10:30:00+08:00", rest: str = "", ver: str = "1.0") -> bytes:
    """A DxpMsg as others write it: default namespace, white space."""
    return f"""<DxpMsg xmlns="{DXP}" ver="{ver}">
  <TransInfo><CopMsgId>a</CopMsgId><SenderId>b</SenderId>
    <ReceiverIds><ReceiverId>c</ReceiverId><ReceiverId>d</ReceiverId></ReceiverIds>
    <CreatTime>{time}</CreatTime><MsgType>CEB214Message</MsgType></TransInfo>
  <Data>{data}</Data>{rest}
</DxpMsg>""".encode()


@pytest.mark.parametrize("data", ["QUI=", " Q U\nI\t=\r\n", "<![CDATA[QUI=]]>"])
def test_unsealing_reads_data_exactly_when_white_space_is_in_it(data: str) -> None:
    assert unseal(written(data)).data == b"AB"


@pytest.mark.parametrize("data", ["QUI", "QUJ=", "QUI==", "QU-=", "Q*UI=", "QUI=QUI=", "=", "QU<!-- -->I="])
def test_unsealing_is_refused_when_data_is_not_exactly_base64(data: str) -> None:
    with pytest.raises(UnreadableMessage):
        unseal(written(data))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-04-15T10:30:00+08:00", datetime(2026, 4, 15, 2, 30, tzinfo=UTC)),
        ("2026-04-15T10:30:00", datetime(2026, 4, 15, 2, 30, tzinfo=UTC)),
        ("2026-04-15T02:30:00Z", datetime(2026, 4, 15, 2, 30, tzinfo=UTC)),
        ("2026-04-15T10:30:00.1234567+08:00", datetime(2026, 4, 15, 2, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_unsealing_reads_the_time_in_utc_and_without_a_zone_as_beijing_time(text: str, time: datetime) -> None:
    assert unseal(written(time=text)).created == time
    assert unseal(written(time=text)).created.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "2026-04-15", "now", "0001-01-01T00:00:00+08:00", "12026-04-15T10:30:00Z"])
def test_unsealing_is_refused_when_the_time_is_none(text: str) -> None:
    with pytest.raises(UnreadableMessage):
        unseal(written(time=text))


SIGNATURE = (
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
    '<ds:CanonicalizationMethod Algorithm="u:c"/><ds:SignatureMethod Algorithm="u:s"/><ds:Reference URI="">'
    '<ds:Transforms><ds:Transform Algorithm="u:e"/><ds:Transform Algorithm="u:c"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="u:d"/><ds:DigestValue>QQ==</ds:DigestValue></ds:Reference></ds:SignedInfo>'
    "<ds:SignatureValue>QQ==</ds:SignatureValue></ds:Signature>"
)
ADD_INFO = (
    '<AddInfo><FileName>f</FileName><IcCard>1</IcCard><BizKey><Key name="k">v</Key></BizKey><IsText Encode="UTF-8"/>'
    "<RecMapId>m</RecMapId></AddInfo>"
)


def test_unsealing_takes_the_first_receiver_and_tolerates_a_signature_and_additions(reference: Path) -> None:
    data = written(rest=ADD_INFO + SIGNATURE)
    assert unseal(data).receiver == "c"
    published = etree.XMLSchema(etree.parse(reference / "official" / "xsd202205" / "dxp-terminal.xsd"))
    assert published.validate(parse(data)), published.error_log


@pytest.mark.parametrize(
    "data",
    [
        written(rest=SIGNATURE + ADD_INFO),
        written(rest=SIGNATURE + SIGNATURE),
        written(rest="<Data>QQ==</Data>"),
        written(ver="2.0"),
        written().replace(DXP.encode(), b"urn:other"),
        b"<a/>",
        b"not XML",
    ],
)
def test_unsealing_is_refused_when_it_is_no_valid_envelope(data: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        unseal(data)


def test_time_of_another_zone_is_written_as_beijing_time() -> None:
    moved = replace(PLAIN, created=PLAIN.created.astimezone(timezone(timedelta(hours=-5))))
    validate(parse(seal(moved)), "dxp")
    assert seal(moved) == seal(PLAIN)
