"""Genuine receipts by three signers: ours, signxml and the xmlsec1 program, with random contents."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from connector.messages.envelope import Envelope, seal
from connector.messages.namespaces import CEB, DS, tag
from connector.messages.parser import Element, parse
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from tests.forgeries.material import WRITTEN

Sign = Callable[[Element], bytes]

_CODES = ("1", "2", "3", "100", "120", "300", "399", "500", "800", "-1", "-625001")
_SIGNS = "放行退单条码不符 abcXYZ019<>&\"'-/中😀"
_FIELDS = {
    "CEB214Message": ("RefundReturn", "agentCode", "coElNo", "invtNo"),
    "CEB216Message": ("InvtRefundDetailReturn", "operatorCode", "logisticsCode", "logisticsNo", "coElNo"),
    "CEB900Message": ("MessageReturn",),
}


def signers(key: FileKey, folder: Path) -> Mapping[str, Sign]:
    """Each by its name; folder: for the files that xmlsec1 reads."""
    certificate = folder / "office.crt.der"
    certificate.write_bytes(key.certificate.der)
    private = folder / "office.key.pem"
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.write_bytes(pem)
    signer = Signer(key)

    def by_us(root: Element) -> bytes:
        return signer.sign(root).xml

    def by_signxml(root: Element) -> bytes:
        root.attrib.pop("Id", "")  # it would refer to it, where we sign the document as a whole
        made = XMLSigner(
            signature_algorithm=SignatureMethod.ECDSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        ).sign(root, key=pem, cert=_pem(key), key_name=key.key_name)
        return etree.tostring(made, encoding="UTF-8")

    def by_xmlsec1(root: Element) -> bytes:
        # What it finds empty it fills in, wrapped into lines.
        template = parse(signer.sign(root).xml)
        for name in ("DigestValue", "SignatureValue", "X509Certificate"):
            next(template.iter(tag(DS, name))).text = None
        command = ["xmlsec1", "--sign", "--privkey-pem", f"{private},{folder / 'office.crt.pem'}", "-"]
        done = subprocess.run(command, input=etree.tostring(template), capture_output=True, check=True)
        return done.stdout

    (folder / "office.crt.pem").write_text(_pem(key))
    return {"ours": by_us, "signxml": by_signxml, "xmlsec1": by_xmlsec1}


def envelope(random: Random) -> Envelope:
    """An envelope with one to four receipts of one kind."""
    kind = random.choice(list(_FIELDS))
    return Envelope(
        message_id=_identity(random),
        sender="DXPEDCCEB0000003",
        receiver=f"DXPENT{random.randrange(10**10):010}",
        # Within a day: an old key of the office had ended by then, and its next one had not begun.
        created=WRITTEN + timedelta(seconds=random.randrange(86_400)),
        message_type=kind,
        data=_message(random, kind),
    )


def unsigned(random: Random, message: Envelope) -> Element:
    """The envelope as a tree; some have an Id."""
    root = parse(seal(message))
    if random.random() < 0.5:
        root.set("Id", f"G{random.randrange(100)}")
    return root


def _message(random: Random, kind: str) -> bytes:
    prefix = random.choice(("", "ceb:"))
    declared = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    inside = "".join(
        _record(random, kind, prefix) for _ in range(random.randint(1, 1 if kind == "CEB900Message" else 4))
    )
    return (
        f'<{prefix}{kind} {declared}="{CEB}" guid="{_identity(random)}" version="1.0">{inside}</{prefix}{kind}>'
    ).encode()


def _record(random: Random, kind: str, prefix: str) -> str:
    record, *keys = _FIELDS[kind]
    code, info = random.choice(_CODES), "".join(random.choices(_SIGNS, k=random.randrange(40)))
    day = f"2026{random.randint(1, 12):02}{random.randint(1, 28):02}"
    time = f"{day}{random.randrange(24):02}3000{random.randrange(1000):03}"
    fields = [("guid", _identity(random))]
    if keys:
        fields += [(name, f"{random.randrange(10**9)}") for name in keys]
        fields += [("returnStatus", code), ("returnTime", time), ("returnInfo", info)]
    else:
        fields += [("returnStatus", code), ("returnInfo", info), ("returnTime", time)]
        fields += [("oriCopMsgId", _identity(random)), ("oriMessageType", "CEB213Message"), ("oriBizMessage", info)]
    written = "".join(f"<{prefix}{name}>{escape(text)}</{prefix}{name}>" for name, text in fields)
    return f"<{prefix}{record}>{written}</{prefix}{record}>"


def _identity(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4)).upper()


def _pem(key: FileKey) -> str:
    text = base64.encodebytes(key.certificate.der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
