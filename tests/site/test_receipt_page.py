"""The page that verifies call receipts in the browser, with receipts that a node signed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from media_node.control.receipts import Receipts
from tests.support.site.origin import Origin

pytestmark = pytest.mark.needs("chromium")

LEG = {"keying": "SDES", "suite": "AES_CM_128_HMAC_SHA1_80", "packets": 250, "sent": 250, "plaintextPackets": 0}
CLAIMS = {
    "environment": "abc234",
    "call": "c1",
    "from": "***",
    "to": "+31201234***",
    "startedAt": "2026-11-26T09:00:00.000Z",
    "beyond": "notSecured",
    "legs": [LEG, {"keying": "none", "suite": "none", "packets": 250, "plaintextPackets": 0}],
}


@pytest.fixture
def receipts(page: Page, origin: Origin, tmp_path: Path) -> Receipts:
    signer = Receipts(tmp_path)
    keys = json.dumps({"keys": [signer.jwk]})

    def told(route: Route) -> None:
        route.fulfill(body=keys, content_type="application/json")

    page.route("**/.well-known/call-receipt-keys.json", told)
    page.goto(f"{origin.url}/gespreksbewijs/")
    return signer


def verify(page: Page, *pasted: str) -> None:
    page.get_by_label("Gespreksbewijs", exact=True).fill("\n".join(pasted))
    page.get_by_role("button", name="Controleren").click()


def test_a_genuine_receipt_says_what_was_encrypted_and_what_was_not(page: Page, receipts: Receipts) -> None:
    verify(page, receipts.sign("abc234", CLAIMS))
    expect(page.locator("#receipt-status")).to_contain_text("Echt: 1. Niet echt: 0. Ontbrekend in de reeks: 0.")
    result = page.locator("#receipt-results")
    expect(result).to_contain_text("AES_CM_128_HMAC_SHA1_80, sleutels via SDES, 250 pakketjes, 0 onversleuteld")
    expect(result).to_contain_text("Kant van wie gebeld werd: niet versleuteld")
    expect(result).to_contain_text("Voorbij onze telefooncentrale: niet versleuteld")


def test_a_receipt_with_text_tells_of_it_for_both_sides(page: Page, receipts: Receipts) -> None:
    text = [{**LEG, "media": "text", "packets": packets} for packets in (7, 8)]
    verify(page, receipts.sign("abc234", {**CLAIMS, "legs": [*CLAIMS["legs"], *text]}))
    result = page.locator("#receipt-results")
    expect(result).to_contain_text("Kant van wie gebeld werd: niet versleuteld")
    expect(result).to_contain_text("Kant van de beller, getypte tekst: versleuteld met AES_CM_128_HMAC_SHA1_80")
    expect(result).to_contain_text("Kant van wie gebeld werd, getypte tekst: versleuteld")


def test_what_was_changed_or_is_no_receipt_is_not_genuine(page: Page, receipts: Receipts) -> None:
    good = receipts.sign("abc234", CLAIMS)
    header, payload, signature = good.split(".")
    verify(
        page, f"{header}.{payload[:-2]}AA.{signature}", f"{header}.{payload}.{signature[:-4]}AAAA", "onzin", "a.b.c.d"
    )
    expect(page.locator("#receipt-status")).to_contain_text("Echt: 0. Niet echt: 4.")


def test_one_left_out_is_noticed(page: Page, receipts: Receipts) -> None:
    chain = [receipts.sign("abc234", {**CLAIMS, "call": f"c{number}"}) for number in range(4)]
    verify(page, chain[0], chain[1], chain[3])
    expect(page.locator("#receipt-status")).to_contain_text("Echt: 3. Niet echt: 0. Ontbrekend in de reeks: 1.")


def test_nothing_pasted_is_asked_for_and_nothing_leaves_the_browser(page: Page, receipts: Receipts) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.post_data or ''}"))
    verify(page)
    expect(page.locator("#receipt-status")).to_have_text("Plak eerst een gespreksbewijs in het veld.")
    signed = receipts.sign("abc234", CLAIMS)
    verify(page, signed)
    expect(page.locator("#receipt-status")).to_contain_text("Echt: 1.")
    asked = [request for request in asked if "favicon" not in request]
    assert len(asked) == 1 and not any(signed in request for request in asked)


def test_keys_that_cannot_be_fetched_are_said(page: Page, origin: Origin) -> None:
    page.route("**/.well-known/call-receipt-keys.json", lambda route: route.fulfill(status=503, body="x"))
    page.goto(f"{origin.url}/gespreksbewijs/")
    verify(page, "a.b.c")
    expect(page.locator("#receipt-status")).to_contain_text("niet op te halen")
