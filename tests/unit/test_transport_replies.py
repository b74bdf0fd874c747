from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import UnreadableMessage
from connector.messages.deliveries import Answer, InDoubt, RefusedAtDoor, TakenIn
from connector.transport.replies import payload, read_answer, read_retry_after

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_FAR = "Wed, 21 Oct 99999999999 07:28:00 GMT"
NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)


def envelope(content: str) -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Header/><s:Body>{content}</s:Body></s:Envelope>'.encode()


def responding(text: str) -> bytes:
    """A receiveResponse that returns this text."""
    return envelope(
        f'<n:receiveResponse xmlns:n="http://ws.newyork.zjport.gov.cn/"><return>{escape(text)}</return></n:receiveResponse>'
    )


def mo(*marks: str) -> str:
    records = "".join(
        f"<jkfResult><companyCode/><chkMark>{mark}</chkMark><resultList><jkfResultDetail><resultInfo>结果{number}"
        "</resultInfo></jkfResultDetail></resultList></jkfResult>"
        for number, mark in enumerate(marks)
    )
    return f'<mo version="1.0.0"><head/><body><list>{records}</list></body></mo>'


def fault(code: str, *, more: str = "") -> bytes:
    return envelope(f"<s:Fault {more}><faultcode>{code}</faultcode><faultstring>why</faultstring></s:Fault>")


def test_answer_is_taken_in_when_chk_mark_is_1() -> None:
    raw = responding(mo("1"))
    assert read_answer(200, raw) == TakenIn(raw=raw, info="结果0")


def test_answer_is_refused_when_chk_mark_is_2() -> None:
    raw = responding(mo("2", "2"))
    assert read_answer(200, raw) == RefusedAtDoor(raw=raw, info="结果0; 结果1")


@pytest.mark.parametrize("declaration", ['<?xml version="1.0"?>', '\n <?xml version="1.0" encoding="UTF-8"?>\n'])
def test_answer_is_taken_in_when_the_inner_document_has_a_declaration(declaration: str) -> None:
    assert isinstance(read_answer(200, responding(declaration + mo("1"))), TakenIn)


def test_answer_is_taken_in_when_the_inner_document_stands_in_cdata() -> None:
    raw = responding("@").replace(b"@", f"<![CDATA[{mo('1')}]]>".encode())
    assert isinstance(read_answer(200, raw), TakenIn)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("code", ["s:Client", "s:Client.Authentication", "Client", " s:Client\n"])
def test_answer_is_refused_when_a_fault_blames_the_client(status: int, code: str) -> None:
    raw = fault(code)
    result = read_answer(status, raw)
    assert isinstance(result, RefusedAtDoor)
    assert result.raw == raw
    assert "why" in result.info


SIX_MARKS = responding(mo("1", "1", "1", "1", "1", "2"))


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        pytest.param(500, fault("s:Server"), id="server fault"),
        pytest.param(500, fault("s:MustUnderstand"), id="another fault"),
        pytest.param(500, fault("s:ClientServer"), id="a code that only begins alike"),
        pytest.param(500, fault("x:Client", more='xmlns:x="urn:other"'), id="a code of another namespace"),
        pytest.param(500, envelope("<s:Fault/>"), id="fault without a code"),
        pytest.param(500, responding(mo("1")), id="taken in, but status 500"),
        pytest.param(202, responding(mo("2")), id="refused, but status 202"),
        pytest.param(200, b"", id="empty"),
        pytest.param(200, b"\x00\xff", id="no text"),
        pytest.param(502, b"<html><body>Bad Gateway</body></html>", id="a gateway's page"),
        pytest.param(200, responding(mo("1"))[:-5], id="cut"),
        pytest.param(200, responding(mo("3")), id="unknown mark"),
        pytest.param(200, responding(mo("")), id="empty mark"),
        pytest.param(200, responding(mo(" 1")), id="not exactly the mark"),
        pytest.param(200, responding(mo("1</chkMark><chkMark>2")), id="two marks in a record"),
        pytest.param(200, responding(mo("<b>1</b>")), id="a mark that holds an element"),
        pytest.param(200, responding(mo("2<!-- -->1")), id="a mark with a comment"),
        pytest.param(200, SIX_MARKS, id="mixed marks"),
        pytest.param(200, responding(mo()), id="no record"),
        pytest.param(200, responding(mo("1").replace("chkMark", "chkmark")), id="no mark"),
        pytest.param(200, responding(""), id="empty return"),
        pytest.param(200, responding("SUCCESS"), id="no XML in return"),
        pytest.param(200, responding("<result>1</result>"), id="other XML in return"),
        pytest.param(200, responding(mo("1")[:-1]), id="inner document cut"),
        pytest.param(200, responding(mo("1")).replace(b"<return>", b"<return><x/>"), id="an element in return"),
        pytest.param(200, responding(mo("1")).replace(b"zjport", b"elsewhere"), id="response of another namespace"),
        pytest.param(200, responding(mo("1")).replace(b"soap/envelope", b"other"), id="another SOAP version"),
        pytest.param(200, responding(mo("1")).replace(b"s:Body", b"s:Bodies"), id="no Body"),
        pytest.param(200, responding(mo("1")).replace(b"<s:Body>", b"<s:Body><s:Fault/>"), id="two elements in Body"),
        pytest.param(200, responding(mo("1")).replace(b"<s:Header/>", b"<s:Body/>"), id="two Bodies"),
        pytest.param(200, b"<!DOCTYPE a>" + responding(mo("1")), id="document type"),
        pytest.param(200, responding("<!DOCTYPE mo [<!ENTITY x '1'>]>" + mo("&x;")), id="entity in the inner document"),
        pytest.param(200, mo("1").encode(), id="no SOAP at all"),
    ],
)
def test_answer_is_in_doubt_when_it_says_nothing_certain(status: int, raw: bytes) -> None:
    result: Answer = read_answer(status, raw)
    assert isinstance(result, InDoubt)
    assert result.raw == raw
    assert result.info


def test_payload_is_refused_when_the_envelope_is_empty() -> None:
    with pytest.raises(UnreadableMessage, match="0 elements in the SOAP Body"):
        payload(envelope(""))


@pytest.mark.parametrize(
    ("status", "raw"),
    [(503, b"<html>maintenance</html>"), (429, b""), (500, fault("s:Server")), (503, responding(mo("1")))],
)
def test_answer_in_doubt_says_how_long_to_stay_away_when_customs_does(status: int, raw: bytes) -> None:
    answer = read_answer(status, raw, timedelta(seconds=7))
    assert isinstance(answer, InDoubt)
    assert answer.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("raw", [responding(mo("1")), responding(mo("2")), fault("s:Client")])
def test_answer_that_is_certain_is_the_same_whatever_time_customs_names(raw: bytes) -> None:
    assert read_answer(200, raw, timedelta(seconds=7)) == read_answer(200, raw)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("1", 1), ("120", 120), ("007", 7), ("86400", 86400)])
def test_retry_after_is_read_when_it_is_a_number_of_seconds(value: str, seconds: int) -> None:
    assert read_retry_after(value, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jun 2026 08:02:00 GMT",
        "Monday, 01-Jun-26 08:02:00 GMT",
        "Mon Jun  1 08:02:00 2026",
        "1 Jun 2026 16:02:00 +0800",
    ],
)
def test_retry_after_is_read_when_it_is_a_date(value: str) -> None:
    assert read_retry_after(value, NOW) == timedelta(minutes=2)


def test_retry_after_is_nothing_to_wait_for_when_its_date_has_passed() -> None:
    assert read_retry_after("Mon, 01 Jun 2026 07:59:59 GMT", NOW) == timedelta()


@given(
    moment=st.datetimes(datetime(1990, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as it asks
    hours=st.integers(-23, 23),
)
def test_retry_after_is_the_same_moment_in_whatever_zone_its_date_stands(moment: datetime, hours: int) -> None:
    whole = moment.replace(microsecond=0)
    written = format_datetime(whole.astimezone(timezone(timedelta(hours=hours))))
    assert read_retry_after(written, NOW) == max(whole - NOW, timedelta())


@pytest.mark.parametrize(
    "value", ["", "soon", "-1", "1.5", "12 0", "²", "٣", "Mon, 99 Jun 2026 08:02:00 GMT", "0x10", _FAR]
)
def test_retry_after_is_left_alone_when_it_says_nothing_certain(value: str) -> None:
    assert read_retry_after(value, NOW) is None


@pytest.mark.parametrize("value", ["9" * 12, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_is_a_time_however_long_it_asks_us_to_stay_away(value: str) -> None:
    found = read_retry_after(value, NOW)
    assert found is not None
    assert found > timedelta(days=1000)


@given(value=st.text(alphabet="0123456789 ,:+-.GMTJanMonEST", max_size=40))
def test_retry_after_never_fails_whatever_it_says(value: str) -> None:
    found = read_retry_after(value, NOW)
    assert found is None or found >= timedelta()
