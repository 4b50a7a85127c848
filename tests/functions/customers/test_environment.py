"""customers.environment: the document that the fleet and the nodes read."""

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import environment
from customers.environment import Destination, Environment, Forwarding, Limits, Line, Phone, Ringing, Site
from shared import dynamodb

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
E164 = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True)
HA1 = st.fixed_dictionaries(
    {"SHA-256": st.text("0123456789abcdef", min_size=64, max_size=64), "MD5": TEXT.filter(bool)}
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2040, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
PHONES = st.builds(
    Phone,
    username=TEXT.filter(bool),
    extension=st.integers(201, 8998),
    label=TEXT,
    site=TEXT,
    number=st.one_of(st.just(""), E164),
    ha1=st.none() | HA1,
    previous_ha1=st.none() | HA1,
    previous_until=st.none() | MOMENTS,
    generation=st.integers(0, 9),
    leaves_on=st.none() | st.dates(date(2026, 1, 1), date(2040, 1, 1)),
)
OPTIONAL_NUMBER = st.one_of(st.just(""), E164)
LINES = st.builds(
    Line,
    number=E164,
    rings=st.lists(TEXT, max_size=4).map(tuple),
    order=st.sampled_from(Ringing),
    ring_seconds=st.integers(5, 120),
    forward=st.builds(Forwarding, OPTIONAL_NUMBER, OPTIONAL_NUMBER, OPTIONAL_NUMBER),
    no_answer_seconds=st.integers(5, 120),
)
SITES = st.builds(Site, TEXT.filter(bool), TEXT, TEXT, TEXT, TEXT, st.sampled_from(["NL", "BE"]))
ENVIRONMENTS = st.builds(
    Environment,
    customer_id=st.from_regex(r"[a-z2-9]{6}", fullmatch=True),
    version=st.integers(1, 10**6),
    served=st.booleans(),
    encrypted=st.booleans(),
    suspended=st.booleans(),
    awaits_proof=st.booleans(),
    country=st.sampled_from(["NL", "BE"]),
    call_history_days=st.integers(0, 365),
    phones=st.lists(PHONES, max_size=5).map(tuple),
    sites=st.lists(SITES, max_size=3).map(tuple),
    lines=st.lists(LINES, max_size=3).map(tuple),
    dedicated=st.booleans(),
    aliases=st.lists(st.from_regex(r"[a-z2-9]{6}", fullmatch=True), max_size=2).map(tuple),
    limits=st.builds(
        Limits,
        concurrent_calls=st.integers(0, 500),
        forwarded_calls=st.integers(0, 500),
        calls_per_minute=st.integers(0, 500),
        minutes_per_day=st.integers(0, 10**6),
        destinations=st.lists(st.sampled_from(Destination), unique=True).map(tuple),
    ),
)


@given(ENVIRONMENTS)
def test_an_environment_comes_back_from_its_document(found: Environment) -> None:
    document = environment.to_item(found)
    assert environment.from_item(document) == found
    assert environment.from_item(json.loads(json.dumps(document))) == found


@given(ENVIRONMENTS)
def test_an_environment_comes_back_from_dynamodb_with_whatever_the_fleet_adds(found: Environment) -> None:
    stored = dynamodb.marshal(
        {**environment.to_item(found), "pk": "an instance", "role": "standby", "epoch": 3, "calls": 2}
    )
    assert environment.from_item(dynamodb.unmarshal(stored)) == found


@given(ENVIRONMENTS)
def test_the_document_has_the_names_of_the_contract(found: Environment) -> None:
    document = environment.to_item(found)
    assert set(document) - {"aliases", "dedicated"} == {
        "environmentId", "customerId", "version", "served", "encrypted", "suspended", "awaitsProof", "country",
        "callHistoryDays", "phones", "sites", "numbers", "limits",
    }  # fmt: skip
    assert document["environmentId"] == document["customerId"] == found.id
    for phone in document["phones"]:
        assert {"username", "extension"} <= set(phone)
        assert "" not in phone.values() and None not in phone.values()
    assert set(document["limits"]) == {
        "concurrentCalls",
        "forwardedCalls",
        "callsPerMinute",
        "minutesPerDay",
        "destinations",
    }


@pytest.mark.parametrize("broken", [{}, {"customerId": "abc234"}, {"phones": 3}])
def test_what_is_no_environment_says_so(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        environment.from_item(broken)


def test_phones_are_given_a_name() -> None:
    assert environment.name("abc234", "sip.example.nl") == "abc234.sip.example.nl"
