"""Pages that a function fills in: the templates that Hugo made, with our filters. Jinja2 is imported only when a page
is asked for.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import clock, settings

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context

DUTCH = "nl"
_DUTCH_WORDS = {
    "money": "€\u00a0{euros},{cents}",
    "money_thousands": ".",
    "moment": "{day} {month} {year} om {hour}.{minute} uur",
    "date": "{day} {month} {year}",
    "months": "januari februari maart april mei juni juli augustus september oktober november december",
}

_WORDS = {
    DUTCH: _DUTCH_WORDS,
    "en": {
        "money": "€{euros}.{cents}",
        "money_thousands": ",",
        "moment": "{day} {month} {year}, {hour}:{minute}",
        "months": "January February March April May June July August September October November December",
    },
}


def words(language: str) -> Mapping[str, str]:
    """How a language writes money and moments, as site/i18n has it for the views; Dutch for one that we do not write."""
    return _WORDS.get(language, _DUTCH_WORDS)


def render(view: str, language: str = DUTCH, **context: Any) -> str:
    """The page of a view in one of our languages, filled with `context`; raises jinja2.TemplateNotFound when the build
    did not make it.
    """
    name = f"{view}.j2" if language == DUTCH else f"{view}.{language}.j2"
    return _environment().get_template(name).render(**context)


@cache
def languages(views: Path) -> frozenset[str]:
    """The languages that the order's views in this directory were made in."""
    return frozenset({DUTCH, *(file.suffixes[0][1:] for file in views.glob("order.*.j2"))})


def euro(cents: int, words: Mapping[str, str] = _DUTCH_WORDS) -> str:
    """Cents as a reader writes euros; a Dutch one with a no-break space: 100000 -> € 1.000,00."""
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return words["money"].format(euros=f"{sign}{whole:,}".replace(",", words["money_thousands"]), cents=f"{rest:02d}")


def when(moment: datetime | str, words: Mapping[str, str] = _DUTCH_WORDS) -> str:
    """A moment, or its ISO 8601 text, on a Dutch clock: 21 november 2026 om 18.05 uur."""
    local = clock.local_time(clock.from_iso(moment) if isinstance(moment, str) else moment)
    month = words["months"].split()[local.month - 1]
    return words["moment"].format(day=local.day, month=month, year=local.year, hour=f"{local:%H}", minute=f"{local:%M}")


def day(date: str, words: Mapping[str, str] = _DUTCH_WORDS) -> str:
    """An ISO 8601 date in words: 1 december 2026."""
    year, month, number = (int(part) for part in date.split("-"))
    return words["date"].format(day=number, month=words["months"].split()[month - 1], year=year)


def add_filters(environment: "Environment") -> None:
    """Let views write `cents | euro`, `moment | when` and `date | day`, in the words (`t`) that the view brings along."""
    from jinja2 import pass_context

    @pass_context
    def euro_of(context: "Context", cents: int) -> str:
        return euro(cents, context.get("t", _DUTCH_WORDS))

    @pass_context
    def when_of(context: "Context", moment: datetime | str) -> str:
        return when(moment, context.get("t", _DUTCH_WORDS))

    @pass_context
    def day_of(context: "Context", date: str) -> str:
        return day(date, context.get("t", _DUTCH_WORDS))

    environment.filters |= {"euro": euro_of, "when": when_of, "day": day_of}


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader

    # Optional members of an order are tested with `if`, so what is undefined may be asked for but not looked into.
    environment = Environment(loader=FileSystemLoader(settings.views_directory()), autoescape=True, auto_reload=False)
    add_filters(environment)
    return environment
