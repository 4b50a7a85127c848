"""ordering.credentials: what is told once."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ordering import credentials
from ordering.credentials import PhoneCredentials


def test_ha1_is_that_of_rfc_7616() -> None:
    """The example of RFC 7616 section 3.9.1; its values are those of the user, realm and password alone."""
    mufasa = PhoneCredentials(101, "Mufasa", "Circle of Life")
    assert mufasa.ha1("http-auth@example.org") == {
        "SHA-256": "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
        "MD5": "3d78807defe7de2157e2b0b6573a855f",
    }


@given(st.text(), st.text(), st.text())
def test_an_orders_token_is_of_its_key_and_its_id_only(key: str, order_id: str, other: str) -> None:
    token = credentials.order_token(key, order_id)
    assert token == credentials.order_token(key, order_id)
    assert len(token) == 43
    if other != order_id:
        assert token != credentials.order_token(key, other)


@given(st.text(st.characters(exclude_categories=())))
def test_only_the_token_matches_its_hash(guess: str) -> None:
    token = credentials.order_token("key", "0RDER00001")
    assert credentials.matches(token, credentials.sha256(token))
    assert not credentials.matches(guess, credentials.sha256(token))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_an_orders_id_is_of_its_idempotency_key(idempotency_key: str) -> None:
    order_id = credentials.order_id("key", idempotency_key)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{10}", order_id)
    assert order_id == credentials.order_id("key", idempotency_key)
    assert order_id not in (
        credentials.order_id("key", idempotency_key + "x"),
        credentials.order_id("other", idempotency_key),
    )


def test_what_is_read_aloud_or_typed_has_no_look_alikes() -> None:
    for _ in range(200):
        assert not set(credentials.new_order_id()) & set("ILOU")
        assert not set(credentials.new_customer_id()) & set("0o1il")
        assert not set(credentials.new_password()) & set("0Oo1IilL")
