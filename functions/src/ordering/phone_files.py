"""What a customer puts into the phones: a file for each phone of Yealink and Snom, and one sheet for all others.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape  # nosec: it only writes

from ordering.credentials import PhoneCredentials
from ordering.order import SipServer


@dataclass(frozen=True)
class PhoneFile:
    """A file to be saved; it holds passwords, so it is made in the answer that tells them and stored nowhere."""

    name: str
    mediaType: str
    content: str


def files(sip: SipServer, domain: str, phones: Sequence[PhoneCredentials]) -> list[PhoneFile]:
    """The sheet, and for each phone the file of either make."""
    made = [PhoneFile("telefoons.txt", "text/plain", _sheet(sip, domain, phones))]
    for phone in phones:
        made.append(PhoneFile(f"yealink-{phone.extension}.cfg", "text/plain", _yealink(sip, domain, phone)))
        made.append(PhoneFile(f"snom-{phone.extension}.xml", "application/xml", _snom(sip, domain, phone)))
    return made


def _yealink(sip: SipServer, domain: str, phone: PhoneCredentials) -> str:
    """https://support.yealink.com, Administrator Guide for SIP-T2/T3/T4/T5: accounts, TLS and SRTP."""
    settings = {
        "enable": "1",
        "label": str(phone.extension),
        "display_name": str(phone.extension),
        "user_name": phone.username,
        "auth_name": phone.username,
        "password": phone.password,
        "sip_server.1.address": domain,
        "sip_server.1.port": str(sip.port),
        "sip_server.1.transport_type": "2",  # TLS
        "outbound_proxy_enable": "1",
        "outbound_proxy.1.address": sip.host,
        "outbound_proxy.1.port": str(sip.port),
        "srtp_encryption": "2",  # compulsory
    }
    lines = ["#!version:1.0.0.1", *(f"account.1.{name} = {value}" for name, value in settings.items())]
    return "\n".join([*lines, "security.trust_certificates = 1", ""])


def _snom(sip: SipServer, domain: str, phone: PhoneCredentials) -> str:
    """https://service.snom.com/display/wiki/Settings."""
    settings = {
        "user_active": "on",
        "user_realname": str(phone.extension),
        "user_name": phone.username,
        "user_pname": phone.username,
        "user_pass": phone.password,
        "user_host": domain,
        "user_outbound": f"sip:{sip.host}:{sip.port};transport=tls",
        "user_srtp": "on",
        "user_savp": "mandatory",
        "user_auth_tag": "on",  # 80 bits
    }
    rows = [f'    <{name} idx="1" perm="">{escape(value)}</{name}>' for name, value in settings.items()]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            "<settings>",
            "  <phone-settings>",
            *rows,
            "  </phone-settings>",
            "</settings>",
            "",
        ]
    )


def _sheet(sip: SipServer, domain: str, phones: Sequence[PhoneCredentials]) -> str:
    head = [
        "Instellingen voor uw telefoons. Bewaar dit blad veilig: er staan wachtwoorden in.",
        "",
        f"SIP-domein (server, realm): {domain}",
        f"Uitgaande proxy:            {sip.host}",
        f"Poort:                      {sip.port}",
        "Transport:                  TLS (certificaat controleren: ja)",
        "Versleuteling van gesprek:  SRTP, verplicht (SDES)",
        "",
        "Toestel  Gebruikersnaam  Wachtwoord",
    ]
    return "\r\n".join(
        [*head, *(f"{phone.extension:<8} {phone.username:<15} {phone.password}" for phone in phones), ""]
    )
