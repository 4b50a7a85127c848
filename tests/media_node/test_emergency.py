"""Emergency calls are recognised however they are dialled, and carry the caller's address."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.directory import Site
from media_node.call.emergency import dialled_emergency, emergency_number, multipart, pidf_lo
from media_node.sip.grammar import URI

CIVIC = "{urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr}"
NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)


SITE = Site(id="s1", street="Dorpsstraat", house_number="12 bis", postcode="1234 AB", city="Utrecht", country="NL")


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:112@sip.example.nl", "112"),
        ("sips:112@sip.example.nl", "112"),
        ("sip:112@sip.example.nl;user=phone", "112"),
        ("tel:112", "112"),
        ("tel:112;phone-context=+31", "112"),
        ("TEL:1-1-2", "112"),
        ("urn:service:sos", "112"),
        ("URN:service:SOS", "112"),
        ("urn:service:sos.police", "112"),
        ("urn:service:sos.ambulance.nl", "112"),
        ("sip:1.1.2@sip.example.nl", "112"),
        ("sip:112;phone-context=+32@sip.example.nl", "112"),
        ("sip:+31112@sip.example.nl", "112"),
        ("sip:0032112@sip.example.nl", "112"),
        ("sip:100@sip.example.nl", "100"),
        ("tel:101", "101"),
        ("sip:1121@sip.example.nl", ""),
        ("sip:0112@sip.example.nl", ""),
        ("sip:201@sip.example.nl", ""),
        ("sip:sip.example.nl", ""),
        ("urn:service:counseling", ""),
        ("urn:service:sosmed", ""),
        ("tel:+31201120112", ""),
    ],
)
def test_an_emergency_number_is_known_in_every_form(uri: str, number: str) -> None:
    assert emergency_number(URI.parse(uri)) == number


@given(st.text(max_size=30))
def test_nothing_else_is_an_emergency(dialled: str) -> None:
    digits = "".join(c for c in dialled.partition(";")[0] if c not in "-.() \xa0")
    for code in ("+31", "0031", "+32", "0032"):
        digits = digits.removeprefix(code)
    assert dialled_emergency(dialled) == (digits if digits in ("112", "100", "101") else "")


def test_the_location_names_the_sites_address() -> None:
    document = ElementTree.fromstring(pidf_lo(SITE, "pres:abc234-201@sip.example.nl", NOW))
    assert document.attrib["entity"] == "pres:abc234-201@sip.example.nl"
    civic = {element.tag.removeprefix(CIVIC): element.text for element in document.iter() if CIVIC in element.tag}
    assert civic == {
        "civicAddress": None,
        "country": "NL",
        "A3": "Utrecht",
        "RD": "Dorpsstraat",
        "HNO": "12",
        "HNS": "bis",
        "PC": "1234 AB",
    }


printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40)


@given(street=printable, number=printable, postcode=printable, city=printable)
def test_whatever_an_address_holds_the_document_is_well_formed(
    street: str, number: str, postcode: str, city: str
) -> None:
    written = pidf_lo(
        replace(SITE, street=street, house_number=number, postcode=postcode, city=city), 'pres:"x"@y', NOW
    )
    document = ElementTree.fromstring(written)
    kept = document.find(f".//{CIVIC}RD")
    assert (kept.text if kept is not None else "") == street


def test_sdp_and_location_are_parts_of_one_body() -> None:
    sdp, location = b"v=0\r\n", pidf_lo(SITE, "pres:a@b", NOW)
    body = multipart(sdp, location, boundary="b1", content_id="c1@sip.example.nl")
    whole = message_from_bytes(b'Content-Type: multipart/mixed; boundary="b1"\r\n\r\n' + body)
    parts = [part for part in whole.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["application/sdp", "application/pidf+xml"]
    assert parts[1]["Content-ID"] == "<c1@sip.example.nl>"
    assert bytes(parts[1].get_payload(decode=True)).strip() == location
