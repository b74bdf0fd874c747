"""Forgeries in what is read: other values, parts of another envelope, additions, and white space tricks."""

from __future__ import annotations

from base64 import b64decode, b64encode
from copy import deepcopy

from connector.messages.parser import Element
from tests.forgeries.catalogue import DIGEST, MALFORMED, SCHEMA, forgery
from tests.forgeries.editing import child, part, replaced, text, tree, with_data
from tests.forgeries.material import REJECTED, RELEASED, Material


def _with_text(material: Material, name: str, value: str) -> bytes:
    root = tree(material.genuine)
    child(root, f".//dxp:{name}").text = value
    return text(root)


def _with_both(material: Material, name: str) -> tuple[Element, Element, Element]:
    """The genuine tree, and an element of it and of the other envelope."""
    root, other = tree(material.genuine), tree(material.other)
    return root, child(root, f"dxp:{name}"), child(other, f"dxp:{name}")


@forgery(DIGEST)
def status_changed_in_the_receipt(material: Material) -> bytes:
    """One code in the receipt, in a Base64 of the same length."""
    root = tree(material.genuine)
    data = b64decode(child(root, "dxp:Data").text or "")
    return text(with_data(root, replaced(data, f">{REJECTED}<", f">{RELEASED}<")))


@forgery(DIGEST)
def record_added_to_the_receipt(material: Material) -> bytes:
    root = tree(material.genuine)
    message = tree(b64decode(child(root, "dxp:Data").text or ""))
    message.append(deepcopy(message[0]))
    return text(with_data(root, text(message)))


@forgery(DIGEST)
def data_of_another_envelope(material: Material) -> bytes:
    root, old, new = _with_both(material, "Data")
    root.replace(old, new)
    return text(root)


@forgery(SCHEMA)
def data_of_another_envelope_added_behind(material: Material) -> bytes:
    root, old, new = _with_both(material, "Data")
    old.addnext(new)
    return text(root)


@forgery(SCHEMA)
def data_of_another_envelope_added_before(material: Material) -> bytes:
    root, old, new = _with_both(material, "Data")
    old.addprevious(new)
    return text(root)


@forgery(SCHEMA)
def data_inside_the_genuine_data(material: Material) -> bytes:
    root, old, new = _with_both(material, "Data")
    old.append(new)
    return text(root)


@forgery(DIGEST)
def data_empty(material: Material) -> bytes:
    return _with_text(material, "Data", "")


@forgery(DIGEST)
def data_appended(material: Material) -> bytes:
    root = tree(material.genuine)
    data = b64decode(child(root, "dxp:Data").text or "")
    return text(with_data(root, data + b"<!-- -->"))


@forgery(DIGEST)
def trans_info_of_another_envelope(material: Material) -> bytes:
    root, old, new = _with_both(material, "TransInfo")
    root.replace(old, new)
    return text(root)


@forgery(SCHEMA)
def trans_info_twice(material: Material) -> bytes:
    root, old, new = _with_both(material, "TransInfo")
    old.addprevious(new)
    return text(root)


@forgery(DIGEST)
def message_id_changed(material: Material) -> bytes:
    """So that the same receipt counts as a new one."""
    return _with_text(material, "CopMsgId", "another")


@forgery(DIGEST)
def sender_changed(material: Material) -> bytes:
    return _with_text(material, "SenderId", "DXPEDCCEB0000004")


@forgery(DIGEST)
def receiver_changed(material: Material) -> bytes:
    return _with_text(material, "ReceiverId", "DXPENT0000099999")


@forgery(DIGEST)
def receiver_added_before_the_genuine(material: Material) -> bytes:
    root = tree(material.genuine)
    child(root, ".//dxp:ReceiverIds").insert(0, part("<dxp:ReceiverId>DXPENT0000099999</dxp:ReceiverId>"))
    return text(root)


@forgery(DIGEST)
def time_changed(material: Material) -> bytes:
    """To one at which an expired key was valid."""
    return _with_text(material, "CreatTime", "2025-06-01T10:30:00+08:00")


@forgery(DIGEST)
def time_without_its_zone(material: Material) -> bytes:
    return _with_text(material, "CreatTime", "2026-04-15T10:30:00")


@forgery(DIGEST)
def message_type_changed(material: Material) -> bytes:
    return _with_text(material, "MsgType", "CEB900Message")


@forgery(DIGEST)
def add_info_added(material: Material) -> bytes:
    root = tree(material.genuine)
    child(root, "dxp:Data").addnext(part("<dxp:AddInfo><dxp:FileName>x</dxp:FileName></dxp:AddInfo>"))
    return text(root)


@forgery(SCHEMA)
def add_info_with_forged_data(material: Material) -> bytes:
    root = tree(material.genuine)
    data = b64encode(material.forged_data).decode()
    child(root, "dxp:Data").addnext(part(f"<dxp:AddInfo><dxp:Data>{data}</dxp:Data></dxp:AddInfo>"))
    return text(root)


@forgery(DIGEST)
def id_changed(material: Material) -> bytes:
    root = tree(material.genuine)
    root.set("Id", "another")
    return text(root)


@forgery(SCHEMA)
def version_changed(material: Material) -> bytes:
    root = tree(material.genuine)
    root.set("ver", "1.1")
    return text(root)


@forgery(MALFORMED)
def id_twice(material: Material) -> bytes:
    return replaced(material.genuine, ' Id="', ' Id="forged" Id="')


@forgery(DIGEST)
def white_space_in_the_data(material: Material) -> bytes:
    """It decodes to the same receipts, and is refused all the same: it was not signed."""
    return replaced(material.genuine, "<dxp:Data>", "<dxp:Data>\n")


@forgery(DIGEST)
def white_space_between_elements(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:Data>", "\n<dxp:Data>")


@forgery(DIGEST)
def white_space_behind_the_signature(material: Material) -> bytes:
    return replaced(material.genuine, "</ds:Signature>", "</ds:Signature>\n")


@forgery(DIGEST)
def white_space_in_the_message_id(material: Material) -> bytes:
    return replaced(material.genuine, "<dxp:CopMsgId>", "<dxp:CopMsgId>&#13;")


@forgery(SCHEMA)
def elements_in_another_order(material: Material) -> bytes:
    root = tree(material.genuine)
    root.insert(0, child(root, "dxp:Data"))
    return text(root)


@forgery(SCHEMA)
def envelope_in_an_envelope(material: Material) -> bytes:
    root = with_data(tree(material.genuine), material.forged_data)
    root.insert(0, tree(material.genuine))
    return text(root)
