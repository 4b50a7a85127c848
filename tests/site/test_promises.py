"""What a page promises is kept by a test, and what a test keeps stands in the table (site/data/promises.toml)."""

import re
import tomllib
from pathlib import Path

import pytest

from callvoip.texts.check import SlipsError
from tests.support.promises import TESTED, keeping
from tests.support.site.build import ROOT, build, checkout
from tests.support.site.document import pages

TABLE = tomllib.loads((ROOT / "site/data/promises.toml").read_text())["promise"]
BY_ID = {promise["id"]: promise for promise in TABLE}
KEPT = {promise["id"] for promise in TABLE if promise["state"] == "kept"}


def faults(made: dict[str, str], kept: set[str], table: dict[str, dict[str, str]]) -> list[str]:
    """What is wrong: `made` holds each promise that is said with where; `kept` are those of the tests' markers."""
    sayable = {promise for promise, entry in table.items() if entry["state"] == "kept"}
    return [
        *(f"{where} promises {one}, which no test keeps" for one, where in made.items() if one not in kept),
        *(f"{where} promises {one}, which is not to be said" for one, where in made.items() if one not in sayable),
        *(f"a test keeps {one}, which is not in the table" for one in kept if one not in table),
        *(f"{one} is called kept, and no test keeps it" for one in sayable - kept),
        *(f"{one} is not said, yet a test keeps it" for one in kept & (table.keys() - sayable)),
    ]


def said(site: Path) -> dict[str, str]:
    """Every promise of every page and view, with where it stands."""
    found: dict[str, str] = {}
    for file in [*site.rglob("*.html"), *site.rglob("*.j2")]:
        for promise in re.findall(r'data-promise="?([\w-]+)', file.read_text()):
            found.setdefault(promise, file.relative_to(site).as_posix())
    return found


def test_every_promise_that_is_made_is_kept_and_every_one_that_is_kept_is_in_the_table(site: Path) -> None:
    assert faults(said(site), {promise for promise, _ in keeping()}, BY_ID) == []


def test_a_page_that_promises_what_no_test_keeps_is_told() -> None:
    assert faults({"112": "prijzen/index.html"}, set(), {"112": {"state": "kept"}}) == [
        "prijzen/index.html promises 112, which no test keeps",
        "112 is called kept, and no test keeps it",
    ]


def test_a_test_that_keeps_what_is_not_in_the_table_is_told() -> None:
    assert faults({}, {"verzonnen"}, {}) == ["a test keeps verzonnen, which is not in the table"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{{< promise "verzonnen" />}}', "geen belofte"),
        ('{{< promise "niemand-luistert-mee" />}}', "wordt niet nagekomen"),
        ("{{< promise />}}", "geen belofte"),
    ],
)
@pytest.mark.usefixtures("processes")
def test_the_build_refuses_a_promise_that_is_not_kept(tmp_path: Path, text: str, told: str) -> None:
    root = checkout(tmp_path)
    page = root / "content/contact.md"
    page.write_text(f"{page.read_text()}\n{text}\n")
    with pytest.raises(SlipsError) as error:
        build(root / "out", root)
    assert any(slip.file == "content/contact.md" and slip.line and told in slip.wrong for slip in error.value.slips)


def test_the_table_is_whole() -> None:
    assert len(BY_ID) == len(TABLE)
    for promise in TABLE:
        assert promise["from"] in {"law", "source", "own"} and promise["state"] in {"kept", "unsaid"}, promise["id"]
        assert promise["says"].endswith(".") and promise["why"], promise["id"]
        assert bool(promise["how"]) is (promise["state"] == "kept"), promise["id"]


def test_every_kept_promise_stands_on_its_own_page_with_when_it_was_tested(site: Path) -> None:
    page = pages(site)["/nakoming/"]
    tested = tomllib.loads(TESTED.read_text())
    assert tested.keys() <= KEPT
    assert {
        element.attributes["data-promise"] for element in page.elements if "data-promise" in element.attributes
    } == KEPT
    for promise in KEPT:
        assert BY_ID[promise]["says"] in page.text and BY_ID[promise]["how"] in page.text
    times = [element.attributes["datetime"] for element in page.all("time")]
    assert sorted(times) == sorted(str(entry["date"]) for entry in tested.values())
    assert page.text.count("nog niet vastgelegd") == len(KEPT - tested.keys())
    for address, document in pages(site).items():
        if not address.startswith("/console"):
            assert "/nakoming/" in {link.attributes.get("href") for link in document.all("a")}, address


# Words by which a text promises something; where they stand outside a promise, a person looked at it and wrote down why.
_PROMISING = re.compile(
    r"\b(altijd|nooit|niemand|gegarandeerd|garanderen|always|never|nobody"
    r"|binnen (?:één|een|\d+|veertien) (?:dag|dagen|werkdag|werkdagen|uur))\b",
    re.IGNORECASE,
)
LOOKED_AT = {
    "nooit wachtwoorden of inloggegevens": "what the visitor should not do",
    "niet altijd versleuteld": "says what is not promised",
    "not always encrypted": "says what is not promised",
    "Binnen veertien dagen kunt u als consument": "art. 6:230o BW; customers' withdrawal keeps it",
    "binnen veertien dagen zonder reden": "art. 6:230o BW; customers' withdrawal keeps it",
    "geef ze aan niemand anders": "what the visitor should not do",
    "give them to nobody else": "what the visitor should not do",
}


def test_a_page_promises_only_where_it_says_so(site: Path) -> None:
    for file in sorted((ROOT / "content").glob("*.md")):
        text = re.sub(r"\{\{< promise .*?\{\{< /promise >\}\}", "", file.read_text(), flags=re.DOTALL)
        for found in _PROMISING.finditer(text):
            near = text[max(0, found.start() - 60) : found.end() + 60].replace("\n", " ")
            assert any(words in near for words in LOOKED_AT), (file.name, near)
