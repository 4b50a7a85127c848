"""An order from a page in English is answered in English: the form's errors, the check step, and the order's own
page.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ordering import request
from shared import html, settings, translation
from shared.problem import Kind
from tests.support.own_data import DATA

BROWSER = {"accept": "text/html"}
FIELDS = {
    "company": "Baker Ltd",
    "name": "A. Baker",
    "email": "baker@example.nl",
    "telephone": "085 555 01 00",
    "phones": "5",
}
ENGLISH = {**FIELDS, "language": "en"}
WORDS = """{% set t = {"money": "€{euros}.{cents}", "money_thousands": ",", "moment": "{day} {month} {year}, {hour}:{minute}",
  "months": "January February March April May June July August September October November December"} %}english """


@pytest.fixture(autouse=True)
def _views(api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The views, and what the site's build makes of them for English: their words at the top."""
    for view in settings.views_directory().glob("*.j2"):
        shutil.copy(view, tmp_path)
        (tmp_path / f"{view.stem}.en.j2").write_text(WORDS + view.read_text())
    monkeypatch.setenv("VIEWS_DIR", str(tmp_path))
    caches = (settings.views_directory, html._environment, request.form_of)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_a_wrong_form_is_told_in_its_own_language(api: Any) -> None:
    told = api.post("/api/orders", form={**ENGLISH, "step": "check", "phones": "0"}, headers=BROWSER)
    assert (told.status, told.body.startswith("english")) == (422, True)
    assert "You order for at least 1 telephone" in told.body
    assert (
        "U bestelt voor minstens 1 telefoon"
        in api.post("/api/orders", form={**FIELDS, "phones": "0"}, headers=BROWSER).body
    )


def test_more_phones_than_a_node_carries_are_refused_in_its_own_language(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "node_capacity_calls", lambda: 5)
    answer = api.post("/api/orders", json_body={**ENGLISH, "phones": 100})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "phones")
    assert "You can order at most 7 phones" in answer.json["detail"]


def test_the_check_step_and_the_page_stay_in_the_language(api: Any) -> None:
    check = api.post("/api/orders", form={**ENGLISH, "step": "check"}, headers=BROWSER).body
    assert (
        check.startswith("english")
        and "€10.00" in check
        and '<input type="hidden" name="language" value="en">' in check
    )
    placed = api.post("/api/orders", form={**ENGLISH, "step": "order"}, headers=BROWSER)
    assert placed.headers["location"].endswith("&language=en")
    path, _, query = placed.headers["location"].partition("?")
    token = query.split("&")[0].removeprefix("token=")
    page = api.get(f"{path}?token={token}&language=en").body
    assert page.startswith("english") and "November" in page
    cancelled = api.post(f"{path}/cancel", form={"token": token, "language": "en"}, headers=BROWSER)
    assert cancelled.headers["location"] == placed.headers["location"]


@pytest.mark.parametrize("language", ["", "nl", "de", "../en", "EN"])
def test_a_language_that_we_do_not_have_is_dutch(api: Any, language: str) -> None:
    placed = api.post("/api/orders", json_body={**FIELDS, "language": language})
    assert placed.status == 201 and "language" not in placed.json["href"]
    page = api.get(f"/bestelling/{placed.json['id']}?token={placed.json['token']}&language={language}").body
    assert "€\u00a010,00" in page and not page.startswith("english")


def test_a_refusal_is_told_in_the_language_of_the_page_that_it_came_from(api: Any) -> None:
    lost = api.get("/bestelling/ABCDEFGHJK?token=x&language=en", headers=BROWSER)
    assert (
        lost.status == 404 and lost.body.startswith("english") and "Check whether the address is complete" in lost.body
    )
    api.post("/api/orders", json_body=ENGLISH)
    again = api.post("/api/orders", json_body=ENGLISH)
    assert again.status == 409 and again.json["title"] == "You have an order already"
    assert "mailed the link" in again.json["errors"][0]["message"]
    changed = {**ENGLISH, "email": "b@example.nl", "monthlyTotalCents": 900}
    told = api.post("/api/orders", json_body=changed).json
    assert told["detail"].startswith("It is now €10.00 a month and not €9.00.")
    page = {**BROWSER, "referer": "https://callvoip.example.nl/en/encrypted-calls-with-srtp/"}
    assert api.get("/bestelling/ABCDEFGHJK?token=x", headers=page).body.startswith("english")


@pytest.mark.parametrize(
    "body", ["{", '{"language": ["en"]}', "[]", "language=en&language=fr", "language=../x", "\ud800"]
)
def test_what_a_stranger_says_his_language_is_breaks_nothing(body: str) -> None:
    event = {"headers": {"referer": "http://[::"}, "queryStringParameters": None} if body == "[]" else {}
    assert translation.asked_for(event, body) in ("nl", "en")


def test_every_problem_that_a_visitor_meets_has_english_words() -> None:
    from customers.portal import door
    from customers.portal import problems as portal
    from ordering import problems as ordering
    from shared import problem as shared

    kinds = {
        each.name
        for module in (door, portal, ordering, shared)
        for each in vars(module).values()
        if isinstance(each, Kind)
    }
    assert kinds == set(tomllib.loads((DATA / "en/problems.toml").read_text()))
