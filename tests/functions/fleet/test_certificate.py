"""fleet.certificate: when a certificate is due, and what phones would refuse."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callvoip.nodes.operator_values import issue
from fleet import certificate

DOMAIN = "sip.example.nl"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MADE = issue(DOMAIN, NOW)
LIFE = timedelta(days=30, hours=1)
BEGINS = NOW - timedelta(hours=1)


@given(st.floats(0, 0.999))
def test_it_is_due_when_two_thirds_of_its_life_are_over_and_not_before(part):
    found = certificate.due(MADE.pem, DOMAIN, BEGINS + LIFE * part)
    assert found == ("two thirds of its life are over" if part >= 2 / 3 else "")


@pytest.mark.parametrize(
    ("pem", "domain", "now", "why"),
    [
        ("", DOMAIN, NOW, "there is none"),
        (MADE.pem, "sip.example.com", NOW, "it is not for sip.example.com, *.sip.example.com"),
        (MADE.pem, DOMAIN, BEGINS + LIFE, "it is valid from"),
        (MADE.pem, DOMAIN, BEGINS - timedelta(seconds=1), "it is valid from"),
        (MADE.chain, DOMAIN, NOW, "there is no private key"),
        (MADE.private_key, DOMAIN, NOW, "it is no PEM"),
        (issue(DOMAIN, NOW).private_key + MADE.chain, DOMAIN, NOW, "its key is another certificate's"),
        (MADE.pem + issue(DOMAIN, NOW).authority, DOMAIN, NOW, "did not issue the one before"),
    ],
)
def test_what_cannot_serve_is_due_and_says_why(pem, domain, now, why):
    assert why in certificate.due(pem, domain, now)


def test_a_chain_with_its_authority_can_serve():
    assert certificate.problem(MADE.chain + MADE.authority + MADE.private_key, DOMAIN, NOW) == ""


@given(st.integers(0, len(MADE.pem)), st.text(max_size=20))
def test_whatever_an_operator_has_put_is_judged_and_raises_nothing(cut, text):
    """Cut off, or with something in the middle."""
    damaged = MADE.pem[:cut] + text
    assert certificate.problem(damaged, DOMAIN, NOW) == "" or certificate.due(damaged, DOMAIN, NOW)
    assert certificate.days_left(damaged, NOW) >= 0


def test_the_days_left_are_those_of_the_leaf_and_none_of_what_has_expired():
    assert certificate.days_left(MADE.pem, NOW) == 30
    assert certificate.days_left(MADE.pem, NOW + timedelta(days=31)) == 0
    assert certificate.days_left("", NOW) == 0
