"""The site builds without a warning, refuses an editor's slips, and what it makes is whole."""

import itertools
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from callvoip.texts import hugo
from tests.support.site.build import ROOT, build, checkout
from tests.support.site.document import broken_links, pages

pytestmark = pytest.mark.usefixtures("processes")

DATA = ROOT / "site/data"
# The address of an article is content: links to it are out in the world, whoever the provider is.
SLUGS_THAT_MAY_NAME_THE_PROVIDER = {"avg-callvoiptelefonie"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of site/ and content/ to spoil."""
    return checkout(tmp_path)


def test_no_name_that_hugo_calls_deprecated_is_used(tmp_path: Path) -> None:
    built = hugo.run(
        "--source", str(ROOT / "site"), "--destination", str(tmp_path), "--noBuildLock", "--logLevel", "info"
    )
    assert built.returncode == 0
    assert "deprecated" not in (built.stdout + built.stderr).lower()


def test_every_page_is_well_formed(site: Path) -> None:
    for address, document in pages(site).items():
        assert not document.faults, address
        assert len(document.ids) == len(set(document.ids)), address
        assert len(document.all("h1")) == 1, address
        assert document.all("html")[0].attributes["lang"] == ("en-GB" if address.startswith("/en/") else "nl-NL")


def test_headings_never_skip_a_level(site: Path) -> None:
    for address, document in pages(site).items():
        levels = [int(element.tag[1]) for element in document.elements if re.fullmatch("h[1-6]", element.tag)]
        for before, after in itertools.pairwise(levels):
            # A heading of the second level may come before the page's own in the document, never a deeper one after a
            # shallower.
            assert after <= before + 1, (address, levels)


@pytest.mark.promise("niets-van-anderen")
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(site: Path) -> None:
    for address, document in pages(site).items():
        for element in document.elements:
            names = element.attributes
            assert "style" not in names and element.tag != "style", (address, element)
            assert not any(name.startswith("on") for name in names), (address, element)
            if element.tag == "script":
                assert names.get("src", "").startswith("/") or names.get("type") in {
                    "application/json",
                    "application/ld+json",
                }, (
                    address,
                    element,
                )
            if element.tag in {"script", "img", "iframe", "source", "video"}:
                assert not urlsplit(names.get("src", "")).netloc, (address, element)
            if element.tag == "link" and names["rel"] in {"stylesheet", "icon", "preload"}:
                assert names["href"].startswith("/"), (address, element)
            if names.get("src", "").endswith(".js") or names.get("rel") == "stylesheet":
                assert names["integrity"].startswith("sha256-"), (address, element)


def test_every_link_of_our_own_and_every_fragment_resolves(site: Path) -> None:
    assert broken_links(pages(site), lambda path: (site / path.strip("/")).is_file()) == []


def test_every_label_describes_a_control_and_every_reference_resolves(site: Path) -> None:
    for address, document in pages(site).items():
        for element in document.elements:
            for name in ("for", "aria-labelledby", "aria-describedby"):
                for wanted in element.attributes.get(name, "").split():
                    assert wanted in document.ids, (address, element, wanted)


def test_only_brand_toml_names_the_provider() -> None:
    brand = tomllib.loads((DATA / "brand.toml").read_text())
    names = re.compile(rf"\b({'|'.join(re.escape(brand[key]) for key in ('name', 'short_name'))})\b")
    for folder in ("site", "content"):
        for file in (ROOT / folder).rglob("*"):
            if (
                file == DATA / "brand.toml"
                or not file.is_file()
                or file.suffix in {".png", ".ttf"}
                or {"public", "resources"} & {*file.parts}
            ):
                continue
            text = f"{file.relative_to(ROOT)}\n{file.read_text()}"
            for slug in SLUGS_THAT_MAY_NAME_THE_PROVIDER:
                text = text.replace(slug, "")
            # callvoip is also what this code is called: the command and its build.
            found = names.findall(text.replace("callvoip.build", ""))
            assert not found, (file, found)


def test_another_provider_changes_one_file(copy: Path) -> None:
    brand = copy / "site/data/brand.toml"
    old = tomllib.loads(brand.read_text())
    brand.write_text(
        brand.read_text().replace(old["name"], "Telefonie Anders").replace(old["domain"], "anders.example")
    )
    build(copy / "out", copy)
    for file in (copy / "out").rglob("*"):
        if file.is_file() and file.suffix in {".html", ".j2", ".md", ".txt", ".xml"}:
            text = file.read_text().replace("/avg-callvoiptelefonie/", "")
            assert old["name"] not in text.replace(old["legal_name"], "").replace(old["sip_domain"], ""), file
            assert old["domain"] not in text.replace(old["sip_domain"], ""), file


def test_the_sitemap_lists_what_may_be_found_and_nothing_else(site: Path) -> None:
    maps = [urlsplit(address).path for address in re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text())]
    assert maps == ["/nl/sitemap.xml", "/en/sitemap.xml"]
    listed = {
        urlsplit(address).path
        for map in maps
        for address in re.findall("<loc>(.*?)</loc>", (site / map[1:]).read_text())
    }
    findable = {
        address
        for address, document in pages(site).items()
        if not any(meta.attributes.get("name") == "robots" for meta in document.all("meta"))
    }
    assert listed == findable
    assert "/console/" not in listed and "/avg-callvoiptelefonie/" in listed


def test_an_article_that_hides_from_google_says_noindex_and_leaves_the_sitemap(copy: Path) -> None:
    file = copy / "content/nieuws/avg-callvoiptelefonie.md"
    file.write_text(file.read_text().replace("hideingoogle: false", "hideingoogle: true"))
    build(copy / "out", copy)
    assert '<meta name="robots" content="noindex">' in (copy / "out/avg-callvoiptelefonie/index.html").read_text()
    assert "avg-callvoiptelefonie" not in (copy / "out/nl/sitemap.xml").read_text()


def test_views_are_not_part_of_the_site(site: Path) -> None:
    mijn = tomllib.loads((ROOT / "site/data/mijn.toml").read_text())["pages"]
    named = {"check", "order-form", "order", "problem", *(f"mijn-{name}" for name in mijn)}
    made = {f"{name}{language}.j2" for name in named for language in ("", ".en")}
    assert {file.name for file in (site / "views").iterdir()} == made
    assert not list((site / "views").rglob("*.html"))
