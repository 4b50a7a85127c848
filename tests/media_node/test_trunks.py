"""The ways out: several trunks, which of them is tried, how it is known and kept secure."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.trunk_settings import CallsIn, parse_trunks
from media_node.probe.phone import RequestRefused
from media_node.sip.digest import Authenticator, Credentials, Verdict
from media_node.sip.transport import Transport
from tests.support.node import DOMAIN
from tests.support.office import (
    NUMBER,
    OUTSIDE,
    Office,
    Provider,
    desk_phone,
    invite,
    provider,
    refused,
    trunk,
    trunks,
    users,
    with_number,
)

# Settings.


def test_the_parameter_holds_one_trunk_or_a_list_in_the_order_in_which_they_are_tried() -> None:
    one = {"host": "trunk.example.nl", "port": 5060, "transport": "udp"}
    assert parse_trunks({}) == parse_trunks([]) == ()
    (found,) = parse_trunks(one)
    assert (found.name, found.host, found.port, found.transport) == ("trunk-1", "trunk.example.nl", 5060, Transport.UDP)
    assert parse_trunks([one]) == (found,)
    named = [{**one, "name": "a"}, {**one, "name": "b", "srtp": True, "username": "u", "password": "p"}]
    assert [(each.name, each.srtp) for each in parse_trunks(named)] == [("a", False), ("b", True)]
    assert "p" not in str(parse_trunks(named)[1]).partition("password")[2], "no log shows a password"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"port": 5060}, "trunk 1 lacks host"),
        ([{"host": "a", "port": 1}, {"host": "b"}], "trunk 2 lacks port"),
        ({"host": "a", "port": "x"}, "trunk 1"),
        ({"host": "a", "port": 1, "transport": "sctp"}, "trunk 1"),
        (["a"], "trunk 1 is not an object"),
        ({"host": "a", "port": 1, "country": "Belgium"}, "trunk 1: Belgium is no country"),
        ({"host": "a", "port": 1, "calls_in": {"addresses": ["carrier.example.nl"]}}, "carrier.example.nl"),
        ({"host": "a", "port": 1, "calls_in": {"addresses": "192.0.2.1"}}, "no list|not a list"),
        ({"host": "a", "port": 1, "calls_in": {"username": "u"}}, "both username and password"),
        ([{"name": "a", "host": "a", "port": 1}] * 2, "same name"),
    ],
)
def test_what_is_wrong_with_a_trunk_is_named(value: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_trunks(value)


FIELDS = ["host", "port", "transport", "name", "calls_in", "addresses", "country"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner),
)


@given(JSON)
def test_whatever_the_parameter_holds_it_is_trunks_or_a_value_error(value: Any) -> None:
    with contextlib.suppress(ValueError):
        parse_trunks(json.loads(json.dumps(value)))


# Which trunk.


async def test_a_silent_trunk_is_left_for_the_next_within_two_seconds(office: Office) -> None:
    first, second = provider(), provider()
    first.silent = True
    caller = await office.handset("101")
    async with trunks(office, first, second):
        began = asyncio.get_running_loop().time()
        await caller.call(OUTSIDE)
        assert asyncio.get_running_loop().time() - began < 10
        assert second.rang[0].request.uri.user == OUTSIDE


async def test_a_trunk_known_to_be_dead_is_not_asked(office: Office) -> None:
    first, second = provider(), provider()
    first.silent = True
    caller = await office.handset("101")
    async with trunks(office, first, second):
        await office.exchange.outside.trunks.check()
        assert [each.up for each in office.exchange.outside.trunks.all] == [False, True]
        await caller.call(OUTSIDE)
        assert not any(request.method == "INVITE" for request in first.seen)
        first.silent = False
        first.connections[-1].receiver = first.transactions
        await office.exchange.outside.trunks.check()
        assert office.exchange.outside.trunks.all[0].up, "it is asked again and again"
        await caller.call(OUTSIDE)
        assert len(first.rang) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408])
async def test_a_trunk_that_fails_is_left_for_the_next(office: Office, status: int) -> None:
    first, second = provider(answers=lambda transaction: status), provider()
    caller = await office.handset("101")
    async with trunks(office, first, second):
        await caller.call(OUTSIDE)
        assert len(first.rang) == len(second.rang) == 1


@pytest.mark.parametrize("status", [404, 486, 403, 603])
async def test_what_the_called_side_decided_is_not_asked_again_elsewhere(office: Office, status: int) -> None:
    first, second = provider(answers=lambda transaction: status), provider()
    caller = await office.handset("101")
    async with trunks(office, first, second):
        assert (await refused(caller.call(OUTSIDE))).code == status
        assert second.rang == []


async def test_a_trunk_that_cannot_be_connected_to_is_passed_over(office: Office) -> None:
    first, second = provider(), provider()
    caller = await office.handset("101")
    async with trunks(office, first, second):
        settings = office.exchange.outside.trunks.settings
        office.exchange.use_trunks((replace(settings[0], port=9), settings[1]), local_host="127.0.0.1")
        await caller.call(OUTSIDE)
        assert not office.exchange.outside.trunks.all[0].up


async def test_when_no_trunk_is_left_the_caller_hears_it(office: Office) -> None:
    both = [provider(answers=lambda transaction: 503) for _ in range(2)]
    caller = await office.handset("101")
    async with trunks(office, *both):
        assert (await refused(caller.call(OUTSIDE))).code == 480


# Accounts and keys.


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_trunks_challenge_is_answered_with_its_account(office: Office, algorithm: str) -> None:
    realm = "provider.example.nl"
    authenticator = Authenticator(realm)
    asked = next(each for each in authenticator.challenges(0.0) if f"algorithm={algorithm}" in each)
    other = provider()
    other.challenge = asked
    caller = await office.handset("101")
    async with trunks(office, other, trunk_1={"username": "callvoip", "password": "geheim"}):
        await caller.call(OUTSIDE)
    first = next(request for request in other.seen if request.method == "INVITE")
    second = other.rang[0].request
    credentials = Credentials.parse(second.headers["Proxy-Authorization"])
    ha1 = {name: credentials.algorithm.ha1("callvoip", realm, "geheim") for name in (credentials.algorithm.value,)}
    assert authenticator.judge(credentials, method="INVITE", uri=credentials.uri, ha1=ha1, now=1.0) is Verdict.VALID
    assert (second.call_id, second.cseq.sequence) == (first.call_id, first.cseq.sequence + 1)


async def test_a_trunk_that_does_not_want_the_account_is_not_asked_for_ever(office: Office) -> None:
    other = provider(answers=lambda transaction: 407)
    other.challenge = 'Digest realm="r", nonce="n", qop="auth"'
    caller = await office.handset("101")
    async with trunks(office, other, trunk_1={"username": "callvoip", "password": "geheim"}):
        assert (await refused(caller.call(OUTSIDE))).code == 502
    assert len(other.rang) == 1


async def test_a_trunk_that_takes_srtp_is_offered_it(office: Office) -> None:
    other = Provider("provider", "", DOMAIN)
    caller = await office.handset("101")
    async with trunks(office, other, trunk_1={"srtp": True}):
        ours = await caller.call(OUTSIDE)
        theirs = await other.answered()
        assert (ours.suite, theirs.suite) == ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
        await ours.hang_up()
    record = await office.record()
    assert record.beyond == "secured"


async def test_beyond_a_plain_trunk_a_call_is_not_secured_and_its_record_says_so(office: Office) -> None:
    caller = await office.handset("101")
    async with trunk(office):
        ours = await caller.call(OUTSIDE)
        await ours.hang_up()
    assert (await office.record()).beyond == "notSecured"


# A trunk that makes the connection.


async def calling_in(office: Office, username: str = "", password: str = "") -> Provider:
    """A provider that comes to the node's own port, as carriers do that reuse no connection."""
    found = Provider(username or "carrier", password, DOMAIN, ())
    office.handsets.append(found)
    await found.connect("127.0.0.1", office.port, office.certificates.client_context())
    return found


async def test_a_trunk_that_calls_in_shows_its_account(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    phone = await desk_phone(office, "101")
    account = {"calls_in": CallsIn(username="carrier", password="geheim")}
    async with trunks(office, provider(), trunk_1=account):
        carrier = await calling_in(office, "carrier", "geheim")
        asserted = "<sip:+31612345678@carrier.example.nl>"
        theirs = await carrier.call(NUMBER)
        ours = await phone.answered()
        await ours.hang_up()
        await asyncio.wait_for(theirs.ended.wait(), 5)
        await invite(carrier, NUMBER, P_Asserted_Identity=asserted)  # it is known by now
        assert phone.rang[1].request.from_address.uri.user == "+31612345678"
        with pytest.raises(RequestRefused, match="403"):
            await carrier.register()
        assert (await refused(carrier.call("101"))).code == 404, "a trunk calls numbers"
        stranger = await calling_in(office, "carrier", "geraden")
        assert (await refused(stranger.call(NUMBER))).code == 403
        assert len(phone.rang) == 2


async def test_a_trunk_that_calls_in_is_known_by_its_address(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    phone = await desk_phone(office, "101")
    for network, known in (("192.0.2.0/24", False), ("127.0.0.0/30", True)):
        calls_in = CallsIn(addresses=(ip_network(network),))
        async with trunks(office, provider(), trunk_1={"calls_in": calls_in}):
            carrier = await calling_in(office)
            if known:
                await invite(carrier, NUMBER)
            else:
                assert (await refused(invite(carrier, NUMBER))).code == 403
    assert len(phone.rang) == 1
