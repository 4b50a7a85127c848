"""Which numbers are emergency calls, and the caller's address for the emergency centre. Pure.

EECC article 109; emergency service URNs (RFC 5031); location by value (RFC 6442) as PIDF-LO (RFC 4119, RFC 5139).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from media_node.sip.grammar import URI

if TYPE_CHECKING:
    from media_node.call.directory import Site

NUMBERS: Final = frozenset({"112", "100", "101"})
"""Of both countries, for phones of either: 112, and Belgium's 100 (ambulance, fire) and 101 (police). None of the three
is anything else in the other country, so a guest's habit costs nobody anything.
"""
EUROPEAN: Final = "112"
_COUNTRY_CODES: Final = ("+31", "0031", "+32", "0032")
"""Some phones and address books write a country before whatever was dialled."""
_VISUAL: Final = re.compile(r"[-.() \xa0]")
_SOS: Final = re.compile(r"service:sos(?:\.[a-z0-9-]+)*", re.IGNORECASE)
CONTENT_TYPE: Final = "application/pidf+xml"


def emergency_number(uri: URI) -> str:
    """The emergency number that a Request-URI asks for, in sip:, sips:, tel: or urn:service:sos form; empty for none."""
    if uri.scheme.lower() == "urn":
        return EUROPEAN if _SOS.fullmatch(uri.user or "") else ""
    return dialled_emergency(uri.user or "")


def dialled_emergency(dialled: str) -> str:
    """The emergency number in what was dialled, with or without separators, tel parameters or a country code; empty for
    none.
    """
    number = _VISUAL.sub("", dialled.partition(";")[0])
    for code in _COUNTRY_CODES:
        number = number.removeprefix(code)
    return number if number in NUMBERS else ""


def pidf_lo(site: Site, entity: str, now: datetime) -> bytes:
    """The address of a site as a presence document with a civic location; `entity` is the caller's pres: URI."""
    number, suffix = _house_number(site.house_number)
    fields = {
        "country": site.country,
        "A3": site.city,
        "RD": site.street,
        "HNO": number,
        "HNS": suffix,
        "PC": site.postcode,
    }
    civic = "".join(f"<cl:{name}>{escape(value)}</cl:{name}>" for name, value in fields.items() if value)
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"'
        ' xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"'
        ' xmlns:cl="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"'
        f' entity="{escape(entity, {chr(34): "&quot;"})}">'
        f'<dm:device id="phone"><gp:geopriv><gp:location-info><cl:civicAddress>{civic}</cl:civicAddress>'
        "</gp:location-info><gp:usage-rules/><gp:method>Manual</gp:method></gp:geopriv>"
        f"<dm:timestamp>{at}</dm:timestamp></dm:device></presence>"
    ).encode()


def multipart(sdp: bytes, location: bytes, *, boundary: str, content_id: str) -> bytes:
    """SDP and location in one body (RFC 5621); `content_id` is what the Geolocation header's cid: URL names."""
    parts = (
        ("Content-Type: application/sdp", sdp),
        (f"Content-Type: {CONTENT_TYPE}\r\nContent-ID: <{content_id}>", location),
    )
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + part + b"\r\n" for head, part in parts)
    return body + f"--{boundary}--\r\n".encode()


def _house_number(text: str) -> tuple[str, str]:
    """Number and suffix apart, as a centre's map wants them: "12 bis" is 12 and bis."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*(.*)", text, re.DOTALL)
    return (found[1], found[2].strip()) if found else ("", text.strip())
