"""Languages: no word is typed in a layout, view or script, every key has its translation, and who reads English gets
English.
"""

import re
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ordering import form
from ordering.order import State
from tests.support.own_data import DATA
from tests.support.site.build import ROOT
from tests.support.site.document import pages
from tests.support.site.origin import SALES, Origin, example, order_form

I18N = ROOT / "site/i18n"
ENGLISH = "/en/encrypted-calls-with-srtp/"
DUTCH = "/versleutelde-telefoongesprekken/"


def words(language: str) -> dict[str, str]:
    return tomllib.loads((I18N / f"{language}.toml").read_text())


MIJN = tomllib.loads((DATA / "mijn.toml").read_text())["pages"]


def asked_for() -> set[str]:
    """Every key that a layout or a script asks for by name."""
    folders = (ROOT / "site/layouts", ROOT / "site/components")
    texts = [file.read_text() for folder in folders for file in folder.rglob("*") if file.is_file()]
    pages = sorted((ROOT / "site/pages").rglob("*.gotmpl"))
    texts += [file.read_text() for file in pages]
    named = {key for text in texts for key in re.findall(r'\bT "(\w+)"', text)}
    families = {
        "unit": ("phone", "number"),
        "period": ("month", "once"),
        "retention_by": ("system", "staff", "customer"),
        "promises": ("law", "source", "own"),
        "mijn_title": tuple(page.replace("-", "_") for page in MIJN),
    }
    made = {f"{family}_{one}" for family, ones in families.items() for one in ones}
    named |= {
        key for view in (ROOT / "site/components").rglob("*.j2") for key in re.findall(r"\bt\.(\w+)", view.read_text())
    }
    made |= {"money", "money_thousands", "moment", "date", "months"}  # shared/html.py
    scripts = tomllib.loads((ROOT / "site/data/scripts.toml").read_text())
    return named | made | {key for keys in scripts.values() for key in keys}


def test_every_key_that_is_asked_for_is_there_and_every_key_there_is_asked_for() -> None:
    assert set(words("nl")) == asked_for()


# The style page shows components with words of no meaning.
NOT_FOR_VISITORS = {"style.html"}
# Names that are the same in every language.
NAMES = {"SRTP", "TLS", "SDES", "Yealink", "Snom", "cfg", "txt", "xml"}


def typed(template: str) -> set[str]:
    """The words that stand in a template itself: between its tags, and in the attributes that a reader hears."""
    # A string that is a piece of a view, which a layout writes, has its own tags.
    strings = re.compile(r'"(?:\\.|[^"\\\n])*"')
    template = strings.sub(lambda found: '""' if re.search(r"\{[{%]", found[0]) else found[0], template)
    bare = re.sub(
        r"\{\{-?\s*/\*.*?\*/\s*-?\}\}|\{#.*?#\}|<!--.*?-->|<script.*?</script>|<code>.*?</code>",
        " ",
        template,
        flags=re.DOTALL,
    )
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", bare, flags=re.DOTALL)
    heard = re.findall(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"', bare)
    between = re.sub(r"<[^>]*>", " ", bare, flags=re.DOTALL)
    return set(re.findall(r"[^\W\d_]{3,}", " ".join([between, *heard]))) - NAMES


def test_no_word_is_typed_in_a_layout_or_view() -> None:
    site = ROOT / "site"
    markup = [*(site / "layouts").rglob("*.html"), *(site / "components").rglob("*.html")]
    layouts = [file for file in markup if file.name not in NOT_FOR_VISITORS]
    for file in [*layouts, *(site / "components").rglob("*.j2")]:
        text = file.read_text()
        assert typed(text) == set(), file
        # Words handed to a filter of a view: {{ name | default("onbekend") }}.
        quoted = re.findall(r"\{[{%][^}]*?default\(\"([^\"]*)\"", text)
        assert set(quoted) <= {"srtp", ""}, file


@pytest.mark.parametrize(
    "slip",
    [
        '<p class="x">Vergeten</p>',
        '<nav aria-label="Hoofdmenu">',
        "{% if x %}intrekken{% endif %}",
        '<b>{{ T "a" }} per maand</b>',
    ],
)
def test_a_typed_word_is_found(slip: str) -> None:
    assert typed(slip)


def test_no_word_is_typed_in_a_script() -> None:
    """A text with a space that begins with a capital, or holds a Dutch word, is for a person; errors are for the
    developer's console.
    """
    for file in (ROOT / "site/components").glob("*/*.js"):
        if file.parent.name == "console":
            continue
        code = re.sub(r"(?m)^\s*(?://.*|import .*)$|/\*.*?\*/|new Error\(.*?\);|\s//.*$", "", file.read_text())
        texts = [text for _, text in re.findall(r"([\"`'])((?:(?!\1).)*)\1", code)]
        told = [text for text in texts if re.search(r"[A-Za-zé]{2,} [a-zé]{2,}", re.sub(r"\$\{[^}]*\}", "", text))]
        dutch = [text for text in told if not re.fullmatch(r"[a-z\[\]\-=.#,:() ]+", text)]
        assert dutch == [], file.name


def test_the_translation_is_complete_and_fills_in_the_same() -> None:
    dutch, english = words("nl"), words("en")
    assert set(english) == set(dutch)
    for key, text in dutch.items():
        assert sorted(re.findall(r"\{\{?[^}]*\}", text)) == sorted(re.findall(r"\{\{?[^}]*\}", english[key])), key
    dutch_states, english_states = (
        tomllib.loads((DATA / f"{place}order_states.toml").read_text()) for place in ("", "en/")
    )
    told = {state: {"name", "text", "next", "expect"} & set(said) for state, said in dutch_states.items()}
    assert {state: set(said) for state, said in english_states.items()} == told
    dutch_kinds = tomllib.loads((DATA / "order_kinds.toml").read_text())
    for kind, english_kind in tomllib.loads((DATA / "en/order_kinds.toml").read_text()).items():
        assert english_kind.get("state", {}).keys() == dutch_kinds[kind].get("state", {}).keys()
        dutch_fields = {
            field["name"]: field for field in tomllib.loads((DATA / f"forms/{kind}.toml").read_text())["field"]
        }
        english_fields = tomllib.loads((DATA / f"en/forms/{kind}.toml").read_text())
        assert {name: set(field["messages"]) for name, field in dutch_fields.items()} == {
            name: set(field["messages"]) for name, field in english_fields.items()
        }


def test_the_two_languages_of_a_page_point_at_each_other(site: Path) -> None:
    for address in (DUTCH, ENGLISH):
        document = pages(site)[address]
        alternates = {
            link.attributes["hreflang"]: link.attributes["href"]
            for link in document.all("link")
            if "hreflang" in link.attributes
        }
        assert {language: re.sub("^https://[^/]+", "", href) for language, href in alternates.items()} == {
            "nl": DUTCH, "en": ENGLISH, "x-default": DUTCH,
        }  # fmt: skip


DUTCH_WORDS = set(
    re.findall(
        r"\w+",
        "de het een uw wij niet voor btw telefoons vul naar bestelling bestellen maand eenmalig inloggegevens nog deze zijn ontvangen "
        "wacht verloop bewaar vragen gegevens fout telefooncentrale nummer hebt en van",
    )
)


def dutch_in(text: str) -> set[str]:
    """Dutch words in a text that should have none; letters between the digits of a password are no word."""
    return set(re.findall(r"[a-z0-9]+", text.lower())) & DUTCH_WORDS


# What is in another language says so; the provider's name and address are what they are.
_SHOWN = """() => {
  const own = document.body.cloneNode(true);
  own.querySelectorAll("[lang='nl-NL'], [download], script, address, .site-footer__legal").forEach((part) => part.remove());
  return `${document.title} ${own.textContent}`;
}"""


def shown(page: Page) -> str:
    """What a page says in its own language."""
    return str(page.evaluate(_SHOWN))


@pytest.mark.needs("chromium")
def test_the_english_page_says_nothing_in_dutch(page: Page, origin: Origin) -> None:
    page.goto(origin.url + ENGLISH)
    assert page.locator("html").get_attribute("lang") == "en-GB"
    assert dutch_in(shown(page)) == set()


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scripted", [True, False], ids=["script", "no-script"])
def test_an_order_in_english_is_english_to_its_end(chromium: Browser, origin: Origin, scripted: bool) -> None:
    page = chromium.new_context(java_script_enabled=scripted, locale="en-GB").new_page()
    page.goto(origin.url + ENGLISH)
    for name, value in example(phones="five", note="Please", company="Baker Ltd").items():
        page.fill(f"#{name}", str(value))
    page.click("#order-form button[type=submit]")
    expect(page.locator("#error-summary a")).to_have_text("Fill in the number of telephones as a number, like 5")
    assert page.title().startswith("Error: ")
    page.fill("#phones", "5")
    page.click("#order-form button[type=submit]")
    expect(page.locator("#check-title")).to_have_text("Check your order")
    expect(page.locator("#check")).to_contain_text("Per month, incl. 21% VAT")
    expect(page.locator("#check")).to_contain_text("€12.10")
    expect(page.locator("#place-order")).to_have_text("Order with obligation to pay")
    assert dutch_in(shown(page)) == set()
    page.click("#place-order")
    page.wait_for_url("**/bestelling/**language=en")
    expect(page.locator("html")).to_have_attribute("lang", "en-GB")
    (order_id,) = origin.orders
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    if not scripted:
        page.reload()
    expect(page.locator("#order-state")).to_have_text("Active")
    page.click("#issue-credentials")
    expect(page.locator("#credentials-title")).to_have_text("Sign-in details of your telephones")
    assert dutch_in(shown(page)) == set()
    page.context.close()


@pytest.mark.needs("chromium")
def test_the_page_of_an_order_is_there_in_the_other_language_too(page: Page, origin: Origin) -> None:
    page.goto(origin.url + origin.place(example()))
    expect(page.locator("#order-state")).to_have_text("Ontvangen")
    page.click(".menu a[lang='en-GB']")
    expect(page.locator("#order-state")).to_have_text("Received")
    page.click("#cancel summary")
    page.click("#cancel-order")
    expect(page.locator("#order-state")).to_have_text("Cancelled")
    page.click(".menu a[lang='nl-NL'][href*=bestelling]")
    expect(page.locator("#order-state")).to_have_text("Geannuleerd")


def test_the_check_of_the_functions_says_its_faults_in_english() -> None:
    errors = form.check(order_form("srtp", "en"), example(phones="0", email="", telephone="0000 000 000")).errors
    assert [error.message for error in errors] == [
        "Fill in your e-mail address",
        "Fill in a telephone number like 085 555 01 00 or +32 3 555 01 00",
        "You order for at least 1 telephone",
    ]


def test_both_tell_the_same_price(site: Path) -> None:
    assert "€ 2,00 excl. btw (€ 2,42 incl. btw)" in pages(site)[DUTCH].text
    assert "€2.00 excl. VAT (€2.42 incl. VAT)" in pages(site)[ENGLISH].text


@pytest.mark.needs("chromium")
def test_the_english_form_speaks_english_about_faults_and_prices(page: Page, origin: Origin) -> None:
    page.goto(origin.url + ENGLISH)
    page.click("#order-form button[type=submit]")
    expect(page.locator("#error-summary-title")).to_have_text("Something is not right yet")
    assert page.title().startswith("Error: ")
    page.fill("#phones", "5")
    expect(page.locator("#monthly-total")).to_contain_text("€10.00 per month, excl. VAT (€12.10 incl. 21% VAT)")
    for name, value in example(telephone="0000 000 000").items():
        page.fill(f"#{name}", str(value))
    page.click("#order-form button[type=submit]")
    expect(page.locator("#telephone-error")).to_contain_text(
        "Fill in a telephone number like"
    )  # which only the server knows


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    ("address", "sum_of_seven", "sum_of_none"),
    [
        (DUTCH, "7 × € 2,00 = € 14,00 per maand excl. btw (€ 16,94 incl. btw)", "5 telefoons kosten"),
        (ENGLISH, "7 × €2.00 = €14.00", "5 telephones cost"),
    ],
)
def test_the_calculator_sums_in_the_language_of_the_page(
    page: Page, origin: Origin, address: str, sum_of_seven: str, sum_of_none: str
) -> None:
    page.goto(origin.url + address)
    page.fill("#calculator-count", "7")
    expect(page.locator("#calculator-sum")).to_contain_text(sum_of_seven)
    page.click(".calculator__order")
    expect(page.locator("#phones")).to_have_value("7")
    page.fill("#calculator-count", "")
    expect(page.locator("#calculator-sum")).to_contain_text(sum_of_none)


@pytest.mark.needs("chromium")
def test_the_price_rule_is_a_sentence_without_a_script(chromium: Browser, origin: Origin) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(origin.url + DUTCH)
    expect(page.locator("#calculator")).to_contain_text(
        "5 telefoons kosten 5 × € 2,00 = € 10,00 per maand excl. btw (€ 12,10 incl. btw)."
    )
    expect(page.locator("#calculator-count")).to_be_hidden()
    context.close()
