"""The site's own search: what it finds and what it must not find; test_walks.py has the keyboard."""

import gzip
import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.site.build import ROOT
from tests.support.site.origin import Origin

pytestmark = pytest.mark.needs("chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

SRTP = "/versleutelde-telefoongesprekken/"
BIPT = "/nieuws/regels-rond-voip-in-belgie-volgens-bipt/"
AVG = "/avg-callvoiptelefonie/"
PRICES = "/prijzen/"


def found(page: Page, origin: Origin, query: str) -> list[str]:
    """The pages that a query finds, best first."""
    page.goto(f"{origin.url}/zoeken/?q={query}")
    expect(page.locator("#search-status")).to_contain_text(re.compile("resultaat|resultaten|Niets gevonden"))
    return [link.get_attribute("href") or "" for link in page.locator(".results__title a").all()]


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("srtp", SRTP),
        ("versleutelen", SRTP),  # the page says versleuteld and versleuteling: the stem
        ("gesprek", SRTP),  # a part of telefoongesprek
        ("afluisteren", SRTP),  # it says meeluisteren
        ("encryptie", SRTP),
        ("pbx", SRTP),
        ("noodnummer", BIPT),
        ("portering", BIPT),
        ("abonnement", PRICES),
        ("VERSLEUTELDE TELEFOONGESPREKKEN", SRTP),
        ("belgie", BIPT),  # without its diaeresis
    ],
)
def test_a_word_finds_the_page_that_says_it_otherwise(page: Page, origin: Origin, query: str, address: str) -> None:
    assert address in found(page, origin, query)[:5]


HELP, NUMBER, TERMS, WITHDRAW, CONTACT = "/hulp/", "/nummer-aanvragen/", "/voorwaarden/", "/herroepen/", "/contact/"


@pytest.mark.parametrize(
    ("query", "addresses"),
    [
        ("gesprek", {SRTP}),
        ("yealink", {HELP}),
        ("snom", {HELP}),
        ("factuur", {HELP}),
        ("rekening", {HELP}),
        ("kwijt", {HELP}),
        ("wachtwoord vergeten", {HELP}),
        ("wachtwoord kwijt", {HELP}),
        ("inloggen", {HELP}),
        ("storing", {HELP}),
        ("kapot", {HELP}),
        ("toestel instellen", {HELP, PRICES}),
        ("helpdesk", {HELP, CONTACT, PRICES}),
        ("opzeggen", {TERMS, HELP}),
        ("stoppen", {TERMS, HELP}),
        ("bedenktijd", {WITHDRAW}),
        ("geld terug", {WITHDRAW}),
        ("nummer meenemen", {NUMBER, HELP}),
        ("afluisteren", {SRTP, HELP}),
        ("korting", {PRICES}),
        ("klacht", {TERMS}),
        ("offerte", {"/offerte-aanvragen/"}),
        ("whatsapp", {NUMBER, PRICES, CONTACT}),
        ("privacy", {"/privacy/"}),
    ],
)
def test_everyday_words_find_what_people_look_for_first(
    page: Page, origin: Origin, query: str, addresses: set[str]
) -> None:
    assert found(page, origin, query)[0] in addresses


QUESTIONS: dict[str, set[str]] = {
    "hoe log ik in": {HELP},
    "account": {HELP},
    "inloglink niet ontvangen": {HELP},
    "wachtwoord wijzigen": {HELP},
    "hoe zeg ik op": {HELP, TERMS},
    "contract beëindigen": {HELP, TERMS},
    "bestelling annuleren": {HELP, WITHDRAW},
    "retour": {WITHDRAW},
    "wat kost het": {PRICES},
    "hoeveel kost bellen": {PRICES},
    "tarieven": {PRICES},
    "aansluitkosten": {PRICES},
    "nummer houden": {HELP, NUMBER},
    "nieuw nummer": {NUMBER},
    "telefoon toevoegen": {HELP},
    "extra toestel": {HELP},
    "doorschakelen naar mobiel": {HELP, PRICES},
    "mijn telefoon werkt niet": {HELP},
    "ik kan niet bellen": {HELP},
    "geen geluid": {HELP},
    "slechte kwaliteit": {HELP},
    "verhuizen": {HELP},
    "e-mailadres wijzigen": {HELP},
    "openingstijden": {CONTACT},
    "telefoonnummer klantenservice": {CONTACT},
    "bellen met mobiel": {HELP, PRICES},
    "112 bellen": {HELP, TERMS},
    "hoe lang duurt het": {HELP},
    "levertijd": {HELP},
    "wie heeft gebeld": {HELP},
    "wie zijn jullie": {CONTACT},
    "toestel gestolen": {HELP},
    "gehackt": {HELP},
    "qr code": {HELP},
    "collega toegang geven": {HELP},
    "factuur niet ontvangen": {HELP},
    "betalingsachterstand": {HELP},
    "gegevens verwijderen": {"/privacy/"},
    "is bellen via internet veilig": {SRTP},
    "btw": {PRICES, SRTP},
    "klagen": {TERMS},
    "schermlezer": {"/toegankelijkheid/"},
}


def typed(page: Page, query: str) -> list[str]:
    """The pages that a query finds, best first, typed on the search page that is open."""
    page.locator("#search-query").fill(query)
    expect(page.locator("#search-status")).to_contain_text(f"“{query}”")
    return [link.get_attribute("href") or "" for link in page.locator(".results__title a").all()]


def test_everyday_questions_find_the_page_that_answers_them_first(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/zoeken/")
    first = {query: typed(page, query)[:1] for query in QUESTIONS}
    assert {query: found for query, found in first.items() if not set(found) & QUESTIONS[query]} == {}


def test_a_question_of_the_help_page_finds_its_own_answer(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}{HELP}")
    titles = [title.inner_text() for title in page.locator(".question__title").all()]
    assert len(titles) > 15
    page.goto(f"{origin.url}/zoeken/")
    for title in titles:
        assert typed(page, title)[0] == HELP, title
        expect(page.locator(".results__item").first.locator(".results__parts a").first).to_have_text(title)


def test_the_page_about_a_word_comes_before_pages_that_mention_it(page: Page, origin: Origin) -> None:
    assert found(page, origin, "srtp")[0] == SRTP
    assert found(page, origin, "cookies")[0] == "/cookies/"
    assert found(page, origin, "bipt")[0] == BIPT


def texts(origin: Origin) -> dict[str, str]:
    """What the index holds of each page, in lower case."""
    index = origin.site / "zoeken/pagefind"
    fragments = [
        gzip.decompress(file.read_bytes()).removeprefix(b"pagefind_dcd")
        for file in index.glob("fragment/*.pf_fragment")
    ]
    return {page["url"]: page["content"].lower() for page in map(json.loads, fragments)}


@pytest.mark.parametrize("query", ["encryptie", "toestel", "noodoproep"])
def test_pages_that_say_the_word_come_before_those_that_say_a_synonym(page: Page, origin: Origin, query: str) -> None:
    said = {
        address
        for address, text in texts(origin).items()
        if re.search(rf"\b{query}", text) and not address.startswith("/en/")
    }
    addresses = found(page, origin, query)
    assert said and said < set(addresses)
    assert set(addresses[: len(said)]) == said


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("centrale", SRTP),
        ("abonnement", PRICES),
        ("abonnementen", PRICES),
        ("pbx nummer", BIPT),
    ],
)
def test_of_the_pages_that_say_a_synonym_the_best_is_first(
    page: Page, origin: Origin, query: str, address: str
) -> None:
    assert found(page, origin, query)[0] == address


def test_a_page_found_by_a_synonym_shows_where_it_says_it(page: Page, origin: Origin) -> None:
    assert found(page, origin, "afluisteren")[0] == SRTP
    expect(page.locator(".results mark").first).to_have_text(re.compile("meeluister"))


def test_an_article_that_hides_from_search_is_found_nowhere(page: Page, origin: Origin) -> None:
    for query in ("NAW-gegevens", "AVG", "nieuwsbrieven", "Click-to-Dial", "persoonsgegevens"):
        assert AVG not in found(page, origin, query), query
        assert "pasfoto" not in page.locator("#search-results").inner_text()
    expect(page.locator(".all-pages")).not_to_contain_text("AVG")


def test_the_index_holds_no_word_of_a_hidden_article(origin: Origin) -> None:
    pages = texts(origin)
    assert SRTP in pages and BIPT in pages
    for hidden in (AVG, "/", "/nieuws/", "/zoeken/", "/console/", "/stijl/", "/404.html"):
        assert hidden not in pages
    assert not any("naw-gegevens" in text or "bewerkersovereenkomst" in text for text in pages.values())


def test_a_word_that_is_nowhere_is_told_in_words(page: Page, origin: Origin) -> None:
    assert found(page, origin, "afzettingen") == []  # though there are words that begin with af
    assert found(page, origin, "xyzzyq") == []
    expect(page.locator("#search-status")).to_have_text(
        "Niets gevonden voor “xyzzyq”. Probeer een ander woord, of kies hieronder een pagina."
    )


def test_markup_in_a_query_stays_text(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/zoeken/?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E")
    expect(page.locator("#search-status")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0


def test_the_page_says_what_there_is_without_a_script(chromium, origin: Origin) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{origin.url}/zoeken/?q=srtp")
    expect(page.locator(f".all-pages a[href='{SRTP}']")).to_be_visible()
    context.close()


def test_only_the_search_page_may_compile(page: Page, origin: Origin) -> None:
    for address, allowed in (("/zoeken/", True), (SRTP, False)):
        answer = page.goto(origin.url + address)
        assert answer is not None
        assert ("wasm-unsafe-eval" in answer.headers["content-security-policy"]) is allowed


def test_synonyms_name_each_word_once_in_a_group() -> None:
    import tomllib

    for group in tomllib.loads((ROOT / "site/data/synonyms.toml").read_text())["groups"]:
        assert len(group) == len(set(group)) > 1 and all(word == word.lower() for word in group)
