"""ordering.phone_files: what a customer loads into the phones."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ordering import phone_files
from ordering.credentials import PhoneCredentials
from ordering.order import SipServer

SIP = SipServer("n0001", "192.0.2.1", 5061)
PHONES = [PhoneCredentials(101, "abc234-101", "Geheim1"), PhoneCredentials(102, "abc234-102", "Geheim2")]


def test_every_phone_has_a_file_of_either_make_and_all_share_a_sheet() -> None:
    made = phone_files.files(SIP, "sip.example.nl", PHONES)
    assert [file.name for file in made] == [
        "telefoons.txt",
        "yealink-101.cfg",
        "snom-101.xml",
        "yealink-102.cfg",
        "snom-102.xml",
    ]
    sheet = made[0].content
    for told in (
        "sip.example.nl",
        "192.0.2.1",
        "5061",
        "TLS",
        "SRTP",
        "abc234-101",
        "Geheim1",
        "abc234-102",
        "Geheim2",
    ):
        assert told in sheet


def test_a_yealink_phone_speaks_tls_and_srtp_only() -> None:
    content = phone_files.files(SIP, "sip.example.nl", PHONES)[1].content
    assert content.startswith("#!version:1.0.0.1\n")
    for line in (
        "sip_server.1.transport_type = 2",
        "srtp_encryption = 2",
        "outbound_proxy.1.address = 192.0.2.1",
        "password = Geheim1",
    ):
        assert f"account.1.{line}\n" in content


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn", "Co"]), min_size=1))
def test_a_snom_file_is_xml_whatever_the_password(password: str) -> None:
    content = phone_files.files(SIP, "sip.example.nl", [PhoneCredentials(101, "abc234-101", password)])[2].content
    settings = ElementTree.fromstring(content.encode())[0]
    found = {setting.tag: (setting.text, setting.get("idx")) for setting in settings}
    assert found["user_pass"] == (password, "1")
    assert found["user_savp"] == ("mandatory", "1")
    assert found["user_outbound"] == ("sip:192.0.2.1:5061;transport=tls", "1")
