"""What a phone is told to set itself up: a file for each make, in its own words. Pure.

All of them get the environment's name and find its nodes by SRV (RFC 3263), so that a phone moves to another node by itself; TLS with the
certificate checked; SRTP compulsory where the customer has it. What people typed is kept from becoming a setting of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr  # nosec: they only write

from customers.provisioning import Make

REGISTER_SECONDS = 600


@dataclass(frozen=True)
class PhoneSettings:
    """What one phone needs: its account, the SIP domain (realm) and the name of its environment."""

    extension: int
    username: str
    password: str
    domain: str
    server: str
    label: str = ""
    encrypted: bool = True
    language: str = "nl"

    @property
    def shown(self) -> str:
        """What its display shows."""
        return f"{self.extension} {self.label}".strip() if self.label else str(self.extension)


@dataclass(frozen=True)
class File:
    """What is sent to a phone."""

    media_type: str
    content: str


def render(make: Make, phone: PhoneSettings) -> File:
    """The file for a phone of this make."""
    match make:
        case Make.YEALINK:
            return File("text/plain", _yealink(phone))
        case Make.SNOM:
            return File("application/xml", _snom(phone))
        case Make.GRANDSTREAM:
            return File("application/xml", _grandstream(phone))
        case Make.FANVIL:
            return File("text/plain", _fanvil(phone))
        case Make.LINPHONE:
            return File("application/xml", _linphone(phone))
        case Make.OTHER:
            return File("text/plain", _sheet(phone))


def _yealink(phone: PhoneSettings) -> str:
    """Yealink's Administrator Guide for SIP-T2/T3/T4/T5: with transport TLS and port 0 the phone asks for SRV."""
    settings = {
        "account.1.enable": "1",
        "account.1.label": phone.shown,
        "account.1.display_name": phone.shown,
        "account.1.user_name": phone.username,
        "account.1.auth_name": phone.username,
        "account.1.password": phone.password,
        "account.1.sip_server.1.address": phone.domain,
        "account.1.sip_server.1.port": "0",
        "account.1.sip_server.1.transport_type": "2",  # TLS
        "account.1.sip_server.1.expires": str(REGISTER_SECONDS),
        "account.1.outbound_proxy_enable": "1",
        "account.1.outbound_proxy.1.address": phone.server,
        "account.1.outbound_proxy.1.port": "0",
        "account.1.srtp_encryption": "2" if phone.encrypted else "0",  # compulsory
        "account.1.session_timer.enable": "1",
        "security.trust_certificates": "1",
        "security.cn_validation": "1",
        "lang.gui": "Dutch" if phone.language == "nl" else "English",
    }
    lines = ["#!version:1.0.0.1", *(f"{name} = {_one_line(value)}" for name, value in settings.items())]
    return "\n".join([*lines, ""])


def _snom(phone: PhoneSettings) -> str:
    """https://service.snom.com/display/wiki/Settings; without a port the outbound proxy is found by NAPTR and SRV."""
    settings = {
        "user_active": "on",
        "user_realname": phone.shown,
        "user_name": phone.username,
        "user_pname": phone.username,
        "user_pass": phone.password,
        "user_host": phone.domain,
        "user_outbound": f"sip:{phone.server};transport=tls",
        "user_expiry": str(REGISTER_SECONDS),
        "user_srtp": "on" if phone.encrypted else "off",
        "user_savp": "mandatory" if phone.encrypted else "off",
        "user_auth_tag": "on",  # 80 bits
    }
    rows = [f'    <{name} idx="1" perm="">{_text(value)}</{name}>' for name, value in settings.items()]
    language = "Nederlands" if phone.language == "nl" else "English"
    rows += [
        '    <tls_server_authentication perm="">on</tls_server_authentication>',
        f'    <language perm="">{language}</language>',
    ]
    return _xml(["<settings>", "  <phone-settings>", *rows, "  </phone-settings>", "</settings>"])


def _grandstream(phone: PhoneSettings) -> str:
    """Grandstream's Configuration Template Guide: P values of account 1 of the GXP and GRP series."""
    settings = {
        "P271": "1",  # account active
        "P270": phone.shown,  # account name
        "P47": phone.domain,  # SIP server
        "P48": phone.server,  # outbound proxy
        "P35": phone.username,
        "P36": phone.username,  # authenticate id
        "P34": phone.password,
        "P3": phone.shown,  # name
        "P103": "1",  # DNS mode: SRV
        "P130": "2",  # transport TLS
        "P2329": "1",  # sip: with transport=tls, as SRV names it
        "P2311": "1",  # check the certificate's domain
        "P2867": "1",  # check the certificate's chain
        "P32": str(max(1, REGISTER_SECONDS // 60)),  # minutes
        "P183": "2" if phone.encrypted else "0",  # SRTP enabled and forced
    }
    rows = [f"    <{name}>{_text(value)}</{name}>" for name, value in settings.items()]
    return _xml(['<gs_provision version="1">', '  <config version="1">', *rows, "  </config>", "</gs_provision>"])


def _fanvil(phone: PhoneSettings) -> str:
    """Fanvil's Auto Provision Guide: the text form of a configuration, whose version makes the phone take it."""
    settings = {
        "SIP1 Phone Number": phone.username,
        "SIP1 Display Name": phone.shown,
        "SIP1 Sip Name": phone.shown,
        "SIP1 Register Addr": phone.domain,
        "SIP1 Register Port": "0",
        "SIP1 Register User": phone.username,
        "SIP1 Register Pswd": phone.password,
        "SIP1 Register TTL": str(REGISTER_SECONDS),
        "SIP1 Enable Reg": "1",
        "SIP1 Proxy Addr": phone.server,
        "SIP1 Proxy Port": "0",
        "SIP1 Proxy User": phone.username,
        "SIP1 Proxy Pswd": phone.password,
        "SIP1 Use DNS SRV": "1",
        "SIP1 Transport": "3",  # TLS
        "SIP1 Voice Encrypt": "2" if phone.encrypted else "0",  # SRTP, compulsory
    }
    lines = ["<<VOIP CONFIG FILE>>Version:2.0002", "", "<SIP CONFIG MODULE>"]
    lines += [f"{name:<20}:{_one_line(value)}" for name, value in settings.items()]
    return "\r\n".join([*lines, "", "<<END OF FILE>>", ""])


def _linphone(phone: PhoneSettings) -> str:
    """Linphone's remote provisioning: https://wiki.linphone.org/xwiki/wiki/public/view/Lib/Features/Remote%20Provisioning/."""
    sections: Mapping[str, Mapping[str, str]] = {
        "sip": {
            "media_encryption": "srtp" if phone.encrypted else "none",
            "media_encryption_mandatory": "1" if phone.encrypted else "0",
            "verify_server_certs": "1",
            "verify_server_cn": "1",
            "default_proxy": "0",
            # SDES keys of 80-bit tags first: what every exchange of ours speaks.
            "srtp_crypto_suites": "AES_CM_128_HMAC_SHA1_80,AES_256_CM_HMAC_SHA1_80",
        },
        "proxy_0": {
            "reg_proxy": f"<sip:{phone.server};transport=tls>",
            "reg_route": f"<sip:{phone.server};transport=tls;lr>",
            "reg_identity": f'"{_quoted(phone.shown)}" <sip:{phone.username}@{phone.domain}>',
            "reg_expires": str(REGISTER_SECONDS),
            "reg_sendregister": "1",
            "publish": "0",
            "dial_escape_plus": "0",
        },
        "auth_info_0": {
            "username": phone.username,
            "userid": phone.username,
            "passwd": phone.password,
            "realm": phone.domain,
            "domain": phone.domain,
            "algorithm": "SHA-256",
            "available_algorithms": "SHA-256,MD5",
        },
    }
    rows = []
    for section, entries in sections.items():
        rows.append(f"  <section name={quoteattr(section)}>")
        rows += [
            f'    <entry name={quoteattr(name)} overwrite="true">{_text(value)}</entry>'
            for name, value in entries.items()
        ]
        rows.append("  </section>")
    return _xml(['<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd">', *rows, "</config>"])


def _sheet(phone: PhoneSettings) -> str:
    dutch = phone.language == "nl"
    rows = (
        [
            ("Toestel", phone.shown),
            ("SIP-domein (server, realm)", phone.domain),
            ("Uitgaande proxy", f"{phone.server} (poort leeg of 0: SRV; anders 5061)"),
            ("Transport", "TLS (certificaat controleren: ja)"),
            ("Versleuteling van gesprek", "SRTP, verplicht (SDES)" if phone.encrypted else "geen (RTP)"),
            ("Gebruikersnaam", phone.username),
            ("Wachtwoord", phone.password),
        ]
        if dutch
        else [
            ("Phone", phone.shown),
            ("SIP domain (server, realm)", phone.domain),
            ("Outbound proxy", f"{phone.server} (port empty or 0: SRV; else 5061)"),
            ("Transport", "TLS (check the certificate: yes)"),
            ("Encryption of calls", "SRTP, compulsory (SDES)" if phone.encrypted else "none (RTP)"),
            ("User name", phone.username),
            ("Password", phone.password),
        ]
    )
    return "\r\n".join([*(f"{name + ':':<28} {_one_line(value)}" for name, value in rows), ""])


def _xml(lines: list[str]) -> str:
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', *lines, ""])


def _one_line(text: str) -> str:
    """What people typed, so that a line of settings stays one line."""
    return "".join(character if character.isprintable() else " " for character in text)


def _text(text: str) -> str:
    return escape(_one_line(text))


def _quoted(text: str) -> str:
    """Inside a quoted-string (RFC 3261 section 25.1)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
