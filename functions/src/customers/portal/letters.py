"""What Mijn omgeving writes to the contacts of a customer: the words stand in site/data/mijn_mails.toml, in each language. Pure."""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from shared import html, settings
from shared.brand import Brand
from shared.outbox import Letter

_FILE = "mijn_mails.toml"


def letter(kind: str, to: str, language: str, name: str, link: str, brand: Brand, **facts: Any) -> Letter:
    """The letter of a kind; raises KeyError for an unknown kind or a fact that its words need and nobody gave."""
    words = _words(language)
    own, common = words[kind], words["all"]
    known = {
        "name": name,
        "telephone": brand.telephone,
        "email": brand.email,
        "sender": brand.name,
        **facts,
    }
    if known.get("by"):
        known["by"] = common["by_sales"]
    # The provider's own address and the contact's: the words of a kind say which they mean.
    closing = {**known, "email": brand.email}
    greeting = common["greeting"] if name else common["greeting_nobody"]
    before = [greeting, *own["text"]]
    after = [*own.get("after", ()), common["questions"], common["regards"]]
    return Letter(
        to=to,
        subject=own["subject"].format_map(known),
        language=language,
        before=[paragraph for text in before if (paragraph := text.format_map(known))],
        link=link,
        link_text=own["button"],
        after=[text.format_map(closing) for text in after],
    )


def kinds(language: str = html.DUTCH) -> frozenset[str]:
    """The kinds of letters that there are in a language."""
    return frozenset(_words(language)) - {"all"}


@cache
def _words(language: str) -> Mapping[str, Any]:
    directory = settings.data_directory() / ("" if language == html.DUTCH else language)
    return tomllib.loads((directory / _FILE).read_text())
