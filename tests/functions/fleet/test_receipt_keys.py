"""The keys that verify call receipts: written down when a node comes into service, and told to everybody."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.items import to_heartbeat
from fleet.receipt_keys import ReceiptKeyStore, is_receipt_key
from shared import dynamodb, settings

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
KEY = {"kty": "OKP", "crv": "Ed25519", "x": "a" * 43, "kid": "b" * 43}
BEAT = {"at": 1_795_000_000_000, "state": "ready", "address": "203.0.113.9", "sipPort": 5061}


def test_a_heartbeat_says_under_which_key_the_node_signs() -> None:
    assert to_heartbeat({**BEAT, "receiptKey": KEY}).receipt_key == KEY
    assert to_heartbeat(BEAT).receipt_key is None


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.sampled_from([*KEY, "d"]), inner)
    )
)
def test_what_is_no_public_key_is_not_taken_for_one(value) -> None:
    assert not is_receipt_key(value)
    assert to_heartbeat({**BEAT, "receiptKey": value}).receipt_key is None


def test_a_private_key_is_never_kept() -> None:
    assert not is_receipt_key({**KEY, "d": "c" * 43})


@pytest.mark.needs("java")
def test_keys_outlive_their_nodes_and_the_first_time_counts(api) -> None:
    store = ReceiptKeyStore(settings.fleet_table())
    store.keep(KEY, "node-1", NOW)
    store.keep(KEY, "node-1", NOW.replace(hour=12))
    store.keep({**KEY, "kid": "c" * 43}, "node-2", NOW.replace(hour=11))
    odd = {"pk": "RECEIPT_KEYS", "sk": "odd", "jwk": {"kty": "RSA"}, "nodeId": "n", "since": "s"}
    dynamodb.transact(dynamodb.put(settings.fleet_table(), odd, lambda _: AssertionError(), "attribute_not_exists(pk)"))
    answer = api.get("/.well-known/call-receipt-keys.json")
    assert answer.status == 200
    told = answer.json["keys"]
    assert [(key["kid"][0], key["node"], key["since"]) for key in told] == [
        ("b", "node-1", "2026-11-26T10:00:00.000Z"),
        ("c", "node-2", "2026-11-26T11:00:00.000Z"),
    ]
    assert {name: told[0][name] for name in KEY} == KEY
