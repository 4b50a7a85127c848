"""Receipts: signed by the node, verified by who has nothing but the text and the public key."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jwt
import pytest

from callvoip.commands.verify_receipt import NotGenuineError, gaps, verify
from media_node.control.receipts import Receipts

CLAIMS = {
    "environment": "abc234",
    "call": "c1",
    "caller": "***",
    "legs": [{"side": "a", "suite": "AES_CM_128_HMAC_SHA1_80"}],
}


def test_a_receipt_says_what_the_node_attested(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    claims = verify(receipts.sign("abc234", CLAIMS), receipts.jwk)
    assert CLAIMS.items() <= claims.items()
    assert (claims["number"], claims["previous"]) == (1, "")


@pytest.mark.promise("gespreksbewijs")
def test_another_implementation_verifies_it_too(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    signed = receipts.sign("abc234", CLAIMS)
    key = jwt.PyJWK(receipts.jwk, algorithm="EdDSA")
    assert jwt.decode(signed, key, algorithms=["EdDSA"])["call"] == "c1"
    assert jwt.get_unverified_header(signed)["kid"] == receipts.jwk["kid"]


@pytest.mark.promise("gespreksbewijs")
def test_any_changed_character_is_noticed(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    signed = receipts.sign("abc234", CLAIMS)
    for position in range(len(signed)):
        changed = signed[:position] + ("A" if signed[position] != "A" else "B") + signed[position + 1 :]
        with pytest.raises(NotGenuineError):
            verify(changed, receipts.jwk)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "e30.e30.", "e30.e30.e30", "x" * 10_000])
def test_what_is_no_receipt_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotGenuineError):
        verify(text, Receipts(tmp_path).jwk)


def test_another_nodes_key_does_not_verify_it(tmp_path: Path) -> None:
    ours, other = Receipts(tmp_path / "a"), Receipts(tmp_path / "b")
    with pytest.raises(NotGenuineError):
        verify(ours.sign("abc234", CLAIMS), other.jwk)


def test_an_unsigned_receipt_is_refused(tmp_path: Path) -> None:
    unsigned = jwt.encode({"call": "c1"}, key="", algorithm="none")
    with pytest.raises(NotGenuineError):
        verify(unsigned, Receipts(tmp_path).jwk)


def test_one_left_out_is_noticed(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    chain = [receipts.sign("abc234", {**CLAIMS, "call": f"c{number}"}) for number in range(5)]
    receipts.sign("xyz789", CLAIMS)
    assert gaps(chain) == []
    assert gaps(reversed(chain)) == [], "in whatever order they come"
    [gap] = gaps([*chain[:2], *chain[3:]])
    assert "3" in gap
    assert gaps([*chain, receipts.sign("abc234", CLAIMS)]) == [], "another environment's calls are no gap"


def test_a_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Receipts(tmp_path)
    chain = [first.sign("abc234", CLAIMS)]
    first.save()
    second = Receipts(tmp_path)
    assert second.jwk == first.jwk
    chain.append(second.sign("abc234", CLAIMS))
    assert gaps(chain) == []
    assert verify(chain[1], first.jwk)["number"] == 2


def test_a_chain_file_that_cannot_be_read_begins_another_chain(tmp_path: Path) -> None:
    first = Receipts(tmp_path)
    one = first.sign("abc234", CLAIMS)
    first.save()
    (tmp_path / "receipt-chains.json").write_text('{"chain": ')
    other = Receipts(tmp_path).sign("abc234", CLAIMS)
    assert verify(one, first.jwk)["chain"] != verify(other, first.jwk)["chain"]
    assert gaps([one, other]) == []


def test_the_private_key_is_for_the_node_alone(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    assert stat.S_IMODE((tmp_path / "receipt-key.pem").stat().st_mode) == 0o600
    assert "d" not in json.loads(json.dumps(receipts.jwk))
