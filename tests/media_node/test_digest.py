"""Digest authentication: the RFC's own figures, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip import digest
from media_node.sip.digest import NONCE_LIFETIME, Algorithm, Authenticator, Credentials, Verdict, answer, parameters

REALM, USER, PASSWORD = "sip.example.nl", "abc234-101", "geheim"
HA1 = {algorithm.value: algorithm.ha1(USER, REALM, PASSWORD) for algorithm in Algorithm}
URI = "sip:sip.example.nl"


def credentials(
    authenticator: Authenticator, now: float = 0, *, which: int = 0, password: str = PASSWORD, count: int = 1
) -> Credentials:
    challenge = authenticator.challenges(now)[which]
    return answer(challenge, username=USER, password=password, method="REGISTER", uri=URI, count=count)


def judge(
    authenticator: Authenticator,
    given: Credentials,
    now: float = 1,
    ha1: dict[str, str] | None = HA1,
    method: str = "REGISTER",
) -> Verdict:
    return authenticator.judge(given, method=method, uri=URI, ha1=ha1, now=now)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    from media_node.sip.digest import _response

    chosen = Algorithm(algorithm)
    ha1 = chosen.ha1("Mufasa", "http-auth@example.org", "Circle of Life")
    nonce, cnonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    assert _response(chosen, ha1, nonce, "00000001", cnonce, "GET", "/dir/index.html") == response


def test_sha_256_is_asked_for_before_md5() -> None:
    assert [parameters(value)["algorithm"] for value in Authenticator(REALM).challenges(0)] == ["SHA-256", "MD5"]


def test_a_phone_known_to_choke_on_sha_256_is_asked_for_md5_alone() -> None:
    assert [
        parameters(value)["algorithm"]
        for value in Authenticator(REALM).challenges(0, agent="baresip v1.0.0 (x86_64/linux)")
    ] == ["MD5"]


@pytest.mark.parametrize("which", [0, 1])
def test_the_right_password_is_valid_in_either_algorithm(which: int) -> None:
    authenticator = Authenticator(REALM)
    assert judge(authenticator, credentials(authenticator, which=which)) is Verdict.VALID


def test_a_wrong_password_and_an_unknown_user_are_wrong_alike() -> None:
    authenticator = Authenticator(REALM)
    assert judge(authenticator, credentials(authenticator, password="ander")) is Verdict.WRONG
    assert judge(authenticator, credentials(authenticator), ha1=None) is Verdict.WRONG
    assert judge(authenticator, credentials(authenticator), ha1={}) is Verdict.WRONG


def test_an_unknown_user_cannot_come_in_with_an_empty_ha1() -> None:
    from dataclasses import replace

    from media_node.sip.digest import _response

    authenticator = Authenticator(REALM)
    given = credentials(authenticator)
    forged = replace(
        given, response=_response(given.algorithm, "", given.nonce, given.count, given.cnonce, "REGISTER", URI)
    )
    assert judge(authenticator, forged, ha1=None) is Verdict.WRONG


def test_credentials_for_another_request_are_wrong() -> None:
    authenticator = Authenticator(REALM)
    assert judge(authenticator, credentials(authenticator), method="INVITE") is Verdict.WRONG


def test_a_nonce_is_stale_after_its_lifetime_and_when_somebody_else_made_it() -> None:
    authenticator = Authenticator(REALM)
    assert judge(authenticator, credentials(authenticator), now=NONCE_LIFETIME + 1) is Verdict.STALE
    assert judge(authenticator, credentials(Authenticator(REALM))) is Verdict.STALE


def test_a_count_seen_before_is_stale_and_a_higher_one_valid() -> None:
    authenticator = Authenticator(REALM)
    challenge = authenticator.challenges(0)[0]
    first, second = (
        answer(challenge, username=USER, password=PASSWORD, method="REGISTER", uri=URI, count=n) for n in (1, 2)
    )
    assert judge(authenticator, first) is Verdict.VALID
    assert judge(authenticator, first) is Verdict.STALE
    assert judge(authenticator, second) is Verdict.VALID
    assert judge(authenticator, first) is Verdict.STALE


def test_a_stale_challenge_says_so() -> None:
    assert all(parameters(value)["stale"] == "true" for value in Authenticator(REALM).challenges(0, stale=True))


def test_a_challenge_without_a_qop_is_answered_without_one() -> None:
    """Seen with sipp as a trunk, which refused a qop that it had not offered. The figures are RFC 2069's, with its erratum."""
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c"'
    given = answer(challenge, username="Mufasa", password="CircleOfLife", method="GET", uri="/dir/index.html")
    assert given.response == "1949323746fe6a43ef61f9606e7febea"
    assert parameters(str(given)).keys() == {"username", "realm", "nonce", "uri", "response", "opaque", "algorithm"}


@pytest.mark.parametrize("qop", ["auth", "auth-int, auth", "AUTH"])
def test_of_several_qops_the_known_one_is_used(qop: str) -> None:
    given = answer(
        f'Digest realm="r", nonce="n", qop="{qop}"', username="u", password="p", method="INVITE", uri="sip:x"
    )
    assert parameters(str(given))["qop"] == "auth" and parameters(str(given))["nc"] == "00000001"


def test_a_qop_that_is_not_known_is_no_reason_to_guess() -> None:
    with pytest.raises(ValueError, match="auth-int"):
        answer('Digest realm="r", nonce="n", qop="auth-int"', username="u", password="p", method="INVITE", uri="sip:x")


def test_credentials_survive_being_written_and_read() -> None:
    given = credentials(Authenticator(REALM))
    assert Credentials.parse(str(given)) == given


@pytest.mark.parametrize(
    "value",
    [
        "Basic dXNlcjpwYXNz",
        'Digest username="u"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth-int, nc=00000001, cnonce="c"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth, nc=1, cnonce="c"',
        'Digest username="u", username="v", realm="r"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth, nc=00000001, cnonce="c", algorithm=SHA-512',
    ],
)
def test_other_credentials_are_refused(value: str) -> None:
    with pytest.raises(ValueError):
        Credentials.parse(value)


def test_a_challenge_with_two_kinds_of_qop_is_read() -> None:
    assert parameters('Digest realm="r", nonce="n", qop="auth,auth-int"')["qop"] == "auth,auth-int"


def test_hostile_parameters_cost_no_time() -> None:
    with pytest.raises(ValueError):
        parameters("Digest " + 'a="",' * 400 + "!")


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_credentials(text: str) -> None:
    try:
        Credentials.parse("Digest " + text)
    except ValueError:
        return


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=40))
def test_any_user_name_can_be_quoted(name: str) -> None:
    challenge = Authenticator(REALM).challenges(0)[0]
    given_ = answer(challenge, username=name, password=PASSWORD, method="REGISTER", uri=URI)
    assert Credentials.parse(str(given_)).username == name


def test_a_login_looks_at_no_more_nonces_however_many_are_alive() -> None:
    authenticator = Authenticator(REALM)
    seals = 0
    seal = authenticator._seal

    def counted(stamp: bytes) -> bytes:
        nonlocal seals
        seals += 1
        return seal(stamp)

    authenticator._seal = counted  # type: ignore[method-assign]
    costs = []
    for number in range(3000):
        given_ = credentials(authenticator, now=number / 100)
        seals = 0
        assert judge(authenticator, given_, now=number / 100) is Verdict.VALID
        costs.append(seals)
    assert set(costs) == {1}


def test_nonces_that_are_no_longer_needed_are_forgotten_and_none_can_be_used_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digest, "_MAX_NONCES", 50)
    authenticator = Authenticator(REALM)
    given_ = [credentials(authenticator, now=number) for number in range(200)]
    assert [judge(authenticator, each, now=200) for each in given_].count(Verdict.VALID) == 200
    assert len(authenticator._counts) <= 50
    assert {judge(authenticator, each, now=200) for each in given_} == {Verdict.STALE}
    assert judge(authenticator, credentials(authenticator, now=1000), now=1000) is Verdict.VALID
    for number in range(2000, 2060):
        assert judge(authenticator, credentials(authenticator, now=number), now=number) is Verdict.VALID
    assert len(authenticator._counts) <= 50
