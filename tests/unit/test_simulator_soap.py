from __future__ import annotations

import pytest
from lxml import etree

from connector.errors import UnreadableMessage
from connector.simulator import soap

ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
RECEIVE = '<r:receive xmlns:r="http://ws.newyork.zjport.gov.cn/">{}</r:receive>'


def test_call_is_read_when_content_is_escaped_or_cdata() -> None:
    for text in ("&lt;a&gt;1&lt;/a&gt;", "<![CDATA[<a>1</a>]]>"):
        call = soap.read_call(ENVELOPE.format(RECEIVE.format(f"<content>{text}</content>")).encode(), "")

        assert call == soap.Call(namespace=soap.RECEIVE, operation="receive", arguments={"content": "<a>1</a>"})


@pytest.mark.parametrize(
    "body",
    [
        "<html/>",
        ENVELOPE.format(""),
        ENVELOPE.format(RECEIVE.format("") * 2),
        ENVELOPE.format(RECEIVE.format('<content xmlns="http://ws.newyork.zjport.gov.cn/">1</content>')),
        ENVELOPE.format(RECEIVE.format("<content>1</content><content>2</content>")),
        ENVELOPE.format(RECEIVE.format("<content><a/></content>")),
        ENVELOPE.replace("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope").format(""),
    ],
)
def test_call_is_refused_when_it_is_not_the_wire_form(body: str) -> None:
    with pytest.raises(UnreadableMessage):
        soap.read_call(body.encode(), "")


def test_answer_to_receive_has_an_unqualified_return() -> None:
    root = etree.fromstring(soap.write_received("<mo>处理成功</mo>"))

    assert root.findtext(f".//{{{soap.RECEIVE}}}receiveResponse/return") == "<mo>处理成功</mo>"


def test_response_of_receipt_service_is_qualified_throughout() -> None:
    response = soap.write_response("fetchReceipts", [("item", [("sequence", "1")]), ("more", "false")])

    assert etree.fromstring(response).findtext(".//{*}Body/{*}fetchReceiptsResponse/{*}item/{*}sequence") == "1"
    assert {etree.QName(one).namespace for one in etree.fromstring(response).iter()} == {soap.SOAP, soap.RECEIPTS}
