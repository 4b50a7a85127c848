"""What the pages tell machines: structured data, the feed, robots.txt."""

import json
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from ordering import pricing
from shared import clock
from tests.support.own_data import ROOT
from tests.support.site.document import pages
from tests.support.site.origin import prices


def graph(site: Path, address: str) -> dict[str, dict[str, Any]]:
    """The things a page says it is about, by type."""
    text = (site / address.strip("/") / "index.html").read_text()
    (block,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', text, re.DOTALL)
    return {thing["@type"]: thing for thing in json.loads(block)["@graph"]}


def test_every_page_that_may_be_found_says_who_we_are_and_where_it_stands(site: Path) -> None:
    for address, document in pages(site).items():
        if any(meta.attributes.get("name") == "robots" for meta in document.all("meta")):
            continue
        things = graph(site, address)
        assert things["Organization"]["vatID"]
        if address not in {"/", "/en/"}:
            trail = things["BreadcrumbList"]["itemListElement"]
            assert [step["position"] for step in trail] == list(range(1, len(trail) + 1))
            assert trail[-1]["item"].endswith(address)


def test_a_link_to_a_page_is_shown_with_its_title_and_a_picture(site: Path) -> None:
    for address, document in pages(site).items():
        told = {
            meta.attributes["property"]: meta.attributes["content"]
            for meta in document.all("meta")
            if "property" in meta.attributes
        }
        if not told:
            continue
        assert told["og:title"] and told["og:description"] and told["og:url"].endswith(address), address
        picture = site / told["og:image"].split("/", 3)[3]
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
        assert (width, height) == (1200, 630), address


def test_every_article_has_a_twin_in_markdown(site: Path) -> None:
    for address, document in pages(site).items():
        twins = [
            link.attributes["href"] for link in document.all("link") if link.attributes.get("type") == "text/markdown"
        ]
        assert bool(twins) == (site / address.strip("/") / "index.md").exists()
        if twins:
            text = (site / twins[0].strip("/")).read_text()
            assert text.startswith("# ") and "{{<" not in text and "<p" not in text, address
            assert text.count("\n### ") >= len(document.all("details")), address
    assert (site / "avg-callvoiptelefonie/index.md").exists()


def test_the_offer_is_the_catalogues(site: Path) -> None:
    today = clock.local_day(clock.now())
    cents = pricing.discounted(prices().offering("srtp", today).unit_price_cents, prices().promotion("srtp", today))
    offer = graph(site, "/versleutelde-telefoongesprekken/")["Product"]["offers"]
    assert offer["price"] == f"{cents / 100:.2f}" and offer["priceCurrency"] == prices().currency
    assert offer["priceSpecification"]["valueAddedTaxIncluded"] is False


def test_the_questions_are_told_with_their_answers(site: Path) -> None:
    questions = graph(site, "/avg-callvoiptelefonie/")["FAQPage"]["mainEntity"]
    assert len(questions) == 6
    assert all(
        question["acceptedAnswer"]["text"] and "<" not in question["acceptedAnswer"]["text"] for question in questions
    )


def test_the_feed_holds_the_articles_with_absolute_addresses(site: Path) -> None:
    channel = ElementTree.parse(site / "nieuws/index.xml").getroot().find("channel")
    assert channel is not None
    links = [item.findtext("link") or "" for item in channel.findall("item")]
    articles = [file for file in (ROOT / "content/nieuws").glob("*.md") if file.name != "_index.md"]
    assert len(links) == len(articles) and all(link.startswith("https://") for link in links)


def test_robots_may_read_every_page(site: Path) -> None:
    robots = (site / "robots.txt").read_text()
    assert "Disallow: /api/" in robots and "Disallow: /\n" not in robots
    assert re.search(r"^Sitemap: https://\S+/sitemap\.xml$", robots, re.MULTILINE)
