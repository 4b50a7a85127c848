"""Phones that set themselves up: who may fetch a file, how often, and what stands in it."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import phones, provision, provisioning
from customers.account import EventKind
from customers.phone_templates import PhoneSettings, render
from customers.provisioning import CODE_LASTS, LASTS, MOST_USES, MOST_WRONG, BadMacError, Issued, Make, RefusedError
from customers.states import Actor, Role
from customers.store import store
from shared import clock
from tests.functions.customers.test_store import made, srtp

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
CUSTOMER = Actor(Role.CUSTOMER, "klant")
PHONE = "abc234-201"
MAC = "00:15:65:AA:BB:CC"
BARE = "001565aabbcc"
YEALINK = f"Yealink SIP-T46S 66.85.0.5 {MAC.lower()}"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[datetime]]:
    """The time of the handler, which the test may move."""
    moment = [NOW]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    yield moment


@pytest.fixture
def by_mac(environment: None, now: list[datetime]) -> Issued:
    store().create(made(srtp()))
    return provision.issue("abc234", PHONE, Make.YEALINK, MAC, CUSTOMER, NOW)


@pytest.fixture
def by_code(environment: None, now: list[datetime]) -> Issued:
    store().create(made(srtp()))
    return provision.issue("abc234", PHONE, Make.LINPHONE, "", CUSTOMER, NOW)


def password(content: str) -> str:
    found = re.search(r"account\.1\.password = (\S+)|\"passwd\" overwrite=\"true\">(\S+?)<", content)
    assert found
    return found[1] or found[2]


def test_a_phone_fetches_its_settings_at_its_own_address(by_mac: Issued, api: Any) -> None:
    answer = api.get(by_mac.path, headers={"User-Agent": YEALINK})
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert "account.1.outbound_proxy.1.address = abc234.sip." in answer.body
    assert "account.1.srtp_encryption = 2" in answer.body
    found = store().get("abc234").environment.phone(PHONE)
    assert found and found.ha1 and found.generation == 1
    [address] = provision.addresses("abc234")
    assert (address.uses, address.first_used_at) == (1, NOW)
    kinds = [event.kind for event in store().history("abc234")]
    assert kinds[-2:] == [EventKind.PROVISIONING_ISSUED, EventKind.PASSWORDS_HANDED_OUT]


def test_each_time_it_gets_a_new_password_and_the_one_before_holds_for_an_hour(by_mac: Issued, api: Any) -> None:
    first = password(api.get(by_mac.path, headers={"User-Agent": YEALINK}).body)
    second = password(api.get(by_mac.path, headers={"User-Agent": YEALINK}).body)
    assert first != second
    found = store().get("abc234").environment.phone(PHONE)
    assert found and found.previous_until == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.replace("-201/", "-202/"),
        lambda path: path.replace("abc234", "xyz789"),
        lambda path: path.replace("abc234-201", "A" * 3000),
        lambda path: path.replace("abc234-201", "%F0%9F%93%9E"),
        lambda path: re.sub(r"(201/.)[^/]+", r"\1AAAA", path),
        lambda path: path.rsplit("/", 2)[0] + "//x",
    ],
)
def test_whoever_guesses_learns_nothing(by_mac: Issued, api: Any, spoil: Callable[[str], str]) -> None:
    answer = api.get(spoil(by_mac.path), headers={"User-Agent": YEALINK})
    assert answer.status == 404
    found = store().get("abc234").environment.phone(PHONE)
    assert found and not found.ha1


def test_another_phone_gets_nothing_and_soon_the_address_is_over(by_mac: Issued, api: Any) -> None:
    other = by_mac.path.replace(BARE, "001565ddeeff")
    for _ in range(MOST_WRONG):
        assert api.get(other, headers={"User-Agent": "curl/8"}).status == 404
    assert api.get(by_mac.path, headers={"User-Agent": YEALINK}).status == 404


@pytest.mark.parametrize(
    "agent", [YEALINK, f"snomD785/10.1 {BARE}", "Grandstream Model HW GXP2170 DevId 001565aabbcc", ""]
)
def test_a_mac_is_read_from_the_file_or_from_the_user_agent(by_mac: Issued, api: Any, agent: str) -> None:
    path = by_mac.path if not agent else by_mac.path.rsplit("/", 1)[0] + "/y000000000066.cfg"
    assert api.get(path, headers={"User-Agent": agent}).status == 200


def test_a_code_is_for_one_setting_up(by_code: Issued, api: Any, now: list[datetime]) -> None:
    assert api.get(by_code.path).status == 404
    assert api.get(f"{by_code.path}?code=00000000").status == 404
    assert api.get(by_code.path_with_code).status == 200
    now[0] += CODE_LASTS - timedelta(seconds=1)
    assert api.get(by_code.path_with_code).status == 200
    now[0] += timedelta(seconds=1)
    assert api.get(by_code.path_with_code).status == 404


def test_an_address_expires(by_mac: Issued, api: Any, now: list[datetime]) -> None:
    now[0] += LASTS
    assert api.get(by_mac.path, headers={"User-Agent": YEALINK}).status == 404


def test_an_address_is_used_up(by_mac: Issued, api: Any) -> None:
    answers = [api.get(by_mac.path, headers={"User-Agent": YEALINK}).status for _ in range(MOST_USES + 2)]
    assert answers == [200] * MOST_USES + [404] * 2


def test_a_new_address_ends_the_one_before_and_a_revoked_one_is_none(by_mac: Issued, api: Any) -> None:
    second = provision.issue("abc234", PHONE, Make.YEALINK, MAC, CUSTOMER, NOW)
    assert api.get(by_mac.path, headers={"User-Agent": YEALINK}).status == 404
    assert api.get(second.path, headers={"User-Agent": YEALINK}).status == 200
    provision.revoke("abc234", PHONE, CUSTOMER, NOW)
    assert api.get(second.path, headers={"User-Agent": YEALINK}).status == 404


def test_a_phone_that_is_revoked_cannot_set_itself_up_again(by_mac: Issued, api: Any) -> None:
    api.get(by_mac.path, headers={"User-Agent": YEALINK})
    phones.revoke("abc234", PHONE, CUSTOMER, NOW, "gestolen")
    assert api.get(by_mac.path, headers={"User-Agent": YEALINK}).status == 404
    found = store().get("abc234").environment.phone(PHONE)
    assert found and not found.ha1


def test_no_secret_is_stored_or_logged(by_code: Issued, api: Any, log: Any) -> None:
    told = password(api.get(by_code.path_with_code).body)
    api.get(f"{by_code.path}?code=1")
    secret = by_code.path.split("/")[3]
    from shared import dynamodb

    stored = str(list(dynamodb.partition(store().table, "CUSTOMER#abc234"))) + str(store().history("abc234"))
    for each in (told, secret, by_code.code):
        assert each not in stored + log.getvalue()


@pytest.mark.parametrize("text", ["", "00:15:65:AA:BB", "00:15:65:AA:BB:CG", "0" * 13, "hallo"])
def test_what_is_no_mac_is_refused(text: str) -> None:
    with pytest.raises(BadMacError):
        provisioning.clean_mac(text)


def test_a_wrong_secret_takes_as_long_as_a_right_one_to_compare() -> None:
    issued = provisioning.issue("abc234", PHONE, Make.SNOM, "", NOW)
    with pytest.raises(RefusedError, match="secret"):
        provisioning.use(issued.address, "x", "snom.xml", issued.code, "", NOW)


SETTINGS = PhoneSettings(201, PHONE, "Passw0rdPassw0rd2345", "sip.example.nl", "abc234.sip.example.nl", "Balie")
LABELS = st.text(max_size=40) | st.sampled_from(
    ["</phone-settings>", 'a"b', "a\naccount.1.password = x", "<<END OF FILE>>", "]]>&amp;", "\u2028x", "\x00\x0b"]
)


@given(label=LABELS, encrypted=st.booleans(), make=st.sampled_from(Make))
def test_what_people_type_never_becomes_a_setting(label: str, encrypted: bool, make: Make) -> None:
    phone = PhoneSettings(201, PHONE, SETTINGS.password, "sip.example.nl", "abc234.sip.example.nl", label, encrypted)
    plain = PhoneSettings(201, PHONE, SETTINGS.password, "sip.example.nl", "abc234.sip.example.nl", "Balie", encrypted)
    file, usual = render(make, phone), render(make, plain)
    assert SETTINGS.password in file.content and "abc234.sip.example.nl" in file.content
    assert "192." not in file.content
    if file.media_type == "application/xml":
        names = [[element.tag, element.get("name")] for element in ElementTree.fromstring(file.content).iter()]
        assert names == [[element.tag, element.get("name")] for element in ElementTree.fromstring(usual.content).iter()]
    else:
        lines = re.split(r"\r?\n", file.content)
        assert len(lines) == len(usual.content.splitlines()) + 1
        assert [re.split(r" = |:", line)[0] for line in lines] == [
            re.split(r" = |:", line)[0] for line in [*usual.content.splitlines(), ""]
        ]


def test_a_qr_code_holds_the_address() -> None:
    svg = provision.qr_code("https://example.nl/instellen/abc234-201/x/linphone.xml?code=12345678")
    assert svg.startswith("<svg") and "<script" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")
