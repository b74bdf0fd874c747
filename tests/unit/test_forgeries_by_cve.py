"""One regression test for each published failure of a verifier that could happen here: what failed there fails here.

Where the attack stands in the catalogue of forgeries, the entry is used; the docstring says what failed there.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import lxml.etree
import pytest

from connector.errors import ConnectorError, SignatureInvalid
from connector.messages.envelope import unseal
from connector.messages.parser import parse
from connector.receipts.parse import read_receipts
from connector.signing import verifier
from connector.signing.suites import SUITES
from tests.forgeries import editing
from tests.forgeries.catalogue import forgeries
from tests.forgeries.material import RELEASED, Material
from tests.forgeries.wrapping import SHAPES, wrapped


@pytest.fixture(scope="module")
def material() -> Material:
    return Material.make()


def require_refused(material: Material, *names: str) -> None:
    """Forgeries of the catalogue, or shapes of wrapping by their beginning, at every place."""
    opener = material.opener()
    shapes = {shape.name[:4]: shape for shape in SHAPES}
    for name in names:
        if name in shapes:
            made = [data for by_id in (False, True) for _, data in wrapped(shapes[name], material, by_id=by_id)]
        else:
            made = [forgeries()[name].make(material)]
        assert made
        for data in made:
            with pytest.raises(ConnectorError):
                pytest.fail(f"{name}: {opener(data)}")


def test_cve_2020_5390_pysaml2(material: Material) -> None:
    """The signature was checked somewhere in the document, not that it enveloped the element that was read."""
    require_refused(material, "xsw1", "xsw2", "xsw3", "xsw4", "xsw5", "xsw6", "xsw7", "xsw8")


def test_cve_2021_21238_pysaml2(material: Material) -> None:
    """No schema was checked, and the xmlsec1 program verified only the first signature that it found."""
    require_refused(
        material,
        "genuine_signature_before_the_attackers",
        "genuine_signature_after_the_attackers",
        "genuine_signature_in_trans_info",
        "xsw3",
    )


def test_cve_2024_45409_ruby_saml(material: Material) -> None:
    """The digest was looked for anywhere, so one that was smuggled in before the signed one counted."""
    require_refused(material, "digest_smuggled_in_before_the_signed_one", "xsw7", "xsw8")


def test_cve_2025_47949_samlify(material: Material) -> None:
    """A signed element was found and another one of the same name was read."""
    require_refused(material, "xsw2", "xsw3", "xsw4", "signature_detached_beside_what_it_signed")


def test_cve_2019_3465_xmlseclibs(material: Material) -> None:
    """Of two SignedInfo one was verified, and the digest was taken from the other."""
    require_refused(
        material,
        "forged_signed_info_before_the_signed_one",
        "forged_signed_info_after_the_signed_one",
        "forged_signed_info_at_the_end_of_the_signature",
        "forged_signed_info_in_the_signed_one",
    )


def test_cve_2025_54419_node_saml(material: Material) -> None:
    """What was read came from the document as it arrived, not from the bytes that were verified."""
    require_refused(material, "xsw4", "signature_enveloping_the_original", "envelope_in_an_envelope")
    opened = material.opener()(material.genuine)
    fingerprints = {material.office.certificate.key_id}
    content = verifier.verify(material.genuine, suites=SUITES, fingerprints=fingerprints).content
    assert opened.envelope == unseal(content)
    assert b"Signature" not in content


def test_cve_2025_54369_node_saml(material: Material) -> None:
    """The same in another place: a comment or an element put into a signed value changed what was read of it."""
    require_refused(material, "comment_cuts_the_receiver_short", "comment_cuts_the_data_short")


def test_cve_2025_25291_ruby_saml(material: Material) -> None:
    """Two parsers, REXML and Nokogiri, saw two documents where there was a document type. Here there is one parser."""
    require_refused(
        material, "document_type_empty", "entity_of_the_forged_data", "document_type_gives_an_attribute_by_default"
    )


def test_cve_2025_25292_ruby_saml(material: Material) -> None:
    """The two parsers found two signatures where namespaces were bound anew."""
    require_refused(
        material,
        "signature_in_no_namespace",
        "genuine_signature_and_one_in_another_namespace",
        "prefix_of_the_signature_bound_anew",
    )


def test_cve_2025_66567_ruby_saml(material: Material) -> None:
    """The mending of CVE-2025-25292 was not complete: further namespace tricks worked."""
    require_refused(
        material,
        "signature_in_a_namespace_like_the_right_one",
        "prefix_bound_anew_on_the_genuine_data",
        "attribute_of_a_foreign_namespace_with_the_name_of_ours",
        "data_of_another_namespace_before_the_genuine",
    )


def test_cve_2025_66568_ruby_saml(material: Material) -> None:
    """A canonicalization that failed gave no bytes, and the digest of no bytes fitted ("void canonicalization")."""
    require_refused(
        material,
        "relative_namespace_makes_the_document_void",
        "relative_namespace_makes_the_root_void",
        "relative_namespace_makes_the_signed_info_void",
    )


def test_cve_2025_29774_xml_crypto(material: Material) -> None:
    """Of several SignedInfo a forged one was taken for the references."""
    require_refused(
        material,
        "forged_signed_info_before_the_signed_one",
        "forged_signed_info_in_the_signature_value",
        "forged_signed_info_in_the_key_info",
    )


def test_cve_2025_29775_xml_crypto(material: Material) -> None:
    """A comment in DigestValue: what is before it was compared, and what was signed had it dropped."""
    require_refused(material, "comment_in_the_digest", "comment_behind_the_forged_digest")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("CVE-2017-11427", id="cve_2017_11427_python_saml"),
        pytest.param("CVE-2017-11428", id="cve_2017_11428_ruby_saml"),
        pytest.param("CVE-2017-11429", id="cve_2017_11429_saml2_js"),
        pytest.param("CVE-2017-11430", id="cve_2017_11430_omniauth_saml"),
        pytest.param("CVE-2018-0489", id="cve_2018_0489_shibboleth"),
        pytest.param("CVE-2018-7340", id="cve_2018_7340_duo"),
    ],
)
def test_comment_that_cuts_a_value_short(material: Material, number: str) -> None:
    """Six libraries: the text of an element ended at a comment that the canonical form dropped."""
    assert number
    require_refused(
        material,
        "comment_cuts_the_data_short",
        "comment_cuts_the_receiver_short",
        "comment_between_forged_and_genuine_data",
        "comment_before_the_root",
    )


def test_oneuptime_2988_xml_crypto(material: Material) -> None:
    """A processing instruction split a text, and was text in the canonical form."""
    require_refused(material, "instruction_cuts_the_data_short", "instruction_in_the_digest")


def test_cve_2021_21239_pysaml2(material: Material) -> None:
    """The key in the document was used where xmlsec1 was not told to use certificates only."""
    require_refused(
        material, "key_value_of_the_attacker", "key_value_of_the_attacker_alone", "certificate_of_the_attacker"
    )


def test_cve_2025_48994_signxml(material: Material) -> None:
    """With an expected certificate, a signature by HMAC was accepted: its kind was the document's choice."""
    require_refused(
        material,
        "hmac_with_the_certificate",
        "hmac_with_the_certificate_in_pem",
        "hmac_with_the_public_key",
        "hmac_with_nothing",
        "hmac_of_no_bits",
    )


def test_ghsa_c27r_x354_4m68_xml_crypto(material: Material) -> None:
    """The key in KeyInfo was trusted, so everybody could sign."""
    require_refused(
        material,
        "certificate_of_the_attacker",
        "attackers_certificate_before_the_offices",
        "key_fetched_from_elsewhere",
    )


def test_cve_2025_48995_signxml(material: Material) -> None:
    """An HMAC was compared byte by byte, in a time that told of it. No suite here has an HMAC, and the one comparison
    that is left, of digests, is the library's in constant time.
    """
    require_refused(material, "hmac_with_the_certificate")
    assert not [suite.name for suite in SUITES.values() if "hmac" in suite.signature_method.lower()]
    assert "hmac.compare_digest(" in Path(verifier.__file__).read_text("utf-8")
    assert not re.search(r"digest.* [!=]= ", Path(verifier.__file__).read_text("utf-8"))


def test_cve_2025_25293_ruby_saml(material: Material) -> None:
    """A compressed message was unpacked before anybody asked how large it would be. Here nothing is unpacked."""
    require_refused(material, "compressed_with_gzip", "compressed_with_deflate")


def test_cve_2017_1000061_xmlsec1(tmp_path: Path) -> None:
    """External entities were fetched while a signed document was parsed."""
    require_nothing_is_fetched(tmp_path, '<!DOCTYPE a [<!ENTITY x SYSTEM "{place}">]><a>&x;</a>')


def test_cve_2016_9318_libxml2(tmp_path: Path) -> None:
    """An external entity in the internal subset was read though the network was forbidden."""
    require_nothing_is_fetched(tmp_path, '<!DOCTYPE a [<!ENTITY % x SYSTEM "{place}"> %x;]><a/>')


def test_cve_2026_41066_lxml(tmp_path: Path, material: Material) -> None:
    """``iterparse`` and ``ETCompatXMLParser`` resolved external entities by default. `parse` refuses to declare any."""
    require_nothing_is_fetched(tmp_path, '<!DOCTYPE a SYSTEM "{place}"><a/>')
    require_refused(material, "entity_of_a_file", "entity_of_an_address_by_parameter")
    sources = [path.read_text("utf-8") for path in Path(verifier.__file__).parents[1].rglob("*.py")]
    assert not [text for text in sources if re.search(r"\biterparse\(|ETCompatXMLParser", text)]


def test_cve_2022_2309_lxml() -> None:
    """``iterwalk`` with namespace events, and canonicalization, crashed after a document that could not be parsed."""
    with pytest.raises(ConnectorError):
        parse(b'<a xmlns:x="urn:u"><b xmlns="urn:v"')
    fresh = parse(b'<a xmlns:x="urn:u"><x:b xmlns="urn:v"/></a>')
    assert list(lxml.etree.iterwalk(fresh, events=("start-ns", "end-ns")))
    assert lxml.etree.tostring(fresh, method="c14n").startswith(b"<a")


@pytest.mark.parametrize("number", ["cve_2025_7424_libxslt", "cve_2025_11731_libxslt"])
def test_stylesheet_is_never_run(material: Material, number: str) -> None:
    """Stylesheets broke libxslt's memory. No transform of a signature runs one, and lxml is one that has it mended."""
    assert number
    require_refused(material, "transform_xslt_to_the_genuine_envelope", "transform_xslt_in_name")
    assert lxml.etree.LXML_VERSION >= (6, 1, 1, 0)


def test_every_reading_of_a_genuine_receipt_gives_one_text(material: Material) -> None:
    """What the classes have in common: ``.text``, the canonical form and the schema must mean the same value."""
    opened = material.opener()(material.other)
    (receipt,) = read_receipts(opened.envelope.data).receipts
    assert receipt.code == RELEASED
    for element in editing.tree(opened.envelope.data).iter():
        assert (element.text or "") == "".join(map(str, element.itertext())) or len(element)


def require_nothing_is_fetched(folder: Path, document: str) -> None:
    """Neither from an address, where a listener waits, nor from a file, whose words are looked for."""
    secret = folder / "secret"
    secret.write_text("open sesame")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for place in (f"http://127.0.0.1:{server.getsockname()[1]}/x", secret.as_uri()):
            with pytest.raises(ConnectorError) as caught:
                parse(document.format(place=place).encode())
            assert "sesame" not in str(caught.value)
            assert not isinstance(caught.value, SignatureInvalid)
        with pytest.raises(BlockingIOError):
            server.accept()
