"""What leaves us, compared as parsed XML with the wire form of the specification notes, section 3."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lxml import etree

from connector.config import CustomsSettings
from connector.messages.parser import parse
from connector.transport.customs import SoapCustoms

ENVELOPE = "<?xml version='1.0' encoding='UTF-8'?>\n<DxpMsg>甲&amp;<a>x]]&gt;</a>\r\n\r😀\t \n</DxpMsg>\n"

EXPECTED = b"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>\
<n:receive xmlns:n="http://ws.newyork.zjport.gov.cn/"><content>@</content></n:receive></e:Body></e:Envelope>"""

WSDLS = ["receive_ceb_declare.wsdl", "receipt_service.wsdl"]


@pytest.fixture(scope="module")
def frozen() -> bytes:
    customs = SoapCustoms(CustomsSettings(submit_url="http://127.0.0.1:9/"), "DXPENT0000011351")
    return customs.freeze(ENVELOPE.encode())


def shape(element: etree._Element) -> object:
    """Names, attributes, texts and children; prefixes do not count."""
    return (element.tag, element.items(), element.text, element.tail, [shape(child) for child in element])


def test_frozen_body_has_the_published_wire_form(frozen: bytes) -> None:
    expected = parse(EXPECTED)
    expected[0][0][0].text = ENVELOPE
    assert shape(parse(frozen)) == shape(expected)


def test_frozen_body_keeps_every_character_of_the_envelope(frozen: bytes) -> None:
    (content,) = parse(frozen).iter("content")
    assert content.text == ENVELOPE


def test_frozen_body_is_escaped_utf8_with_a_declaration(frozen: bytes) -> None:
    assert frozen.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert b"CDATA" not in frozen
    assert b"\r" not in frozen
    assert frozen.count(b"&#13;") == 2
    assert "甲".encode() in frozen
    assert "😀".encode() in frozen


def test_frozen_body_is_the_same_when_frozen_again(frozen: bytes) -> None:
    customs = SoapCustoms(CustomsSettings(submit_url="http://127.0.0.1:9/other"), "DXPENT0000022222")
    assert customs.freeze(ENVELOPE.encode()) == frozen


@pytest.mark.parametrize("name", WSDLS)
def test_wsdl_needs_no_other_document(name: str) -> None:
    root = parse((files("connector.transport") / "wsdl" / name).read_bytes())
    assert not [element for element in root.iter() if etree.QName(element).localname in {"import", "include"}]


@pytest.mark.parametrize("name", WSDLS)
def test_wsdl_holds_one_address_to_fill_in(name: str) -> None:
    root = parse((files("connector.transport") / "wsdl" / name).read_bytes())
    (address,) = root.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == "http://127.0.0.1/placeholder"
