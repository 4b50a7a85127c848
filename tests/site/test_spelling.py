"""The Dutch of all pages, of what the order's page says and of the functions' mails and refusals, word by word.

site/words.txt holds the words of the trade that hunspell's Dutch dictionary has not.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.own_data import LIVE, OWN, ROOT
from tests.support.site.document import pages, read

pytestmark = pytest.mark.needs("hunspell", "/usr/share/hunspell/nl.dic")

WORDS = ROOT / "site/words.txt"
# Addresses and numbers, markup of views, and codes are no words.
NO_WORDS = re.compile(
    r"\{[{%#].*?[}%#]\}|https?://\S+|\S+@\S+|\S*\.example\.nl\S*|\beu-central|/[a-z/#-]+|\b\w*\d\w*\b|\{[\w.]+\}|--[a-z0-9-]+",
    re.DOTALL,
)
DUTCH = re.compile(r"\b(het|een|uw|wij|niet|voor|geen|bestelling)\b")


def texts(site: Path) -> Iterator[str]:
    for address, document in pages(site).items():
        if not address.startswith("/en/") and address != "/stijl/":
            yield document.text
    for view in (file for file in (site / "views").glob("*.j2") if not file.name.endswith(".en.j2")):
        yield read(NO_WORDS.sub(" ", view.read_text())).text
    for file in [*(ROOT / "site/data").glob("*.toml"), *(ROOT / "site/data/forms").glob("*.toml")]:
        yield from strings(tomllib.loads(file.read_text()))
    yield from tomllib.loads((ROOT / "site/i18n/nl.toml").read_text()).values()
    for module in (ROOT / "functions/src").rglob("*.py"):
        tree = ast.parse(module.read_text())
        comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in comments
                and DUTCH.search(node.value)
            ):
                yield node.value


def strings(value: object) -> Iterator[str]:
    """The sentences of a TOML document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not name.endswith("_en"):
                yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str) and " " in value:
        yield value


def words(site: Path) -> set[str]:
    """Every word, hyphened parts apart: hunspell knows few compounds with a hyphen."""
    found = set()
    for text in texts(site):
        plain = re.sub(r"<[^>]+>", " ", NO_WORDS.sub(" ", text)).replace("’", "'")
        found |= {word.strip("'") for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", plain)}
    return found


def unknown(candidates: set[str]) -> set[str]:
    """Those that hunspell's Dutch dictionary has not."""
    command = ["hunspell", "-d", "nl", "-i", "utf-8", "-l"]
    done = subprocess.run(command, input="\n".join(sorted(candidates)), capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_word_is_spelt_as_the_dictionary_or_the_trade_spells_it(site: Path) -> None:
    ours = {line.strip() for line in WORDS.read_text().splitlines() if line.strip() and not line.startswith("#")}
    brand = tomllib.loads((ROOT / "site" / "data" / "brand.toml").read_text())
    found = unknown(words(site)) - {brand["name"], brand["short_name"]}
    names = {word for brand in (LIVE, OWN) for word in re.findall(r"[^\W\d_]+", (brand / "brand.toml").read_text())}
    assert found - ours - names == set(), "misspelt, or a word for site/words.txt"
