"""What sales asks for in the address: which orders, in which order, which page, which month. Parsed once; wrong parameters are a 422."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ordering.order import State
from ordering.queue import Filter, Sort
from shared import clock, problem
from shared import text as texts
from shared.problem import FieldProblem, ProblemError

FILTERS = ("state", "category", "q", "sort", "order")
"""The parameters of `listing`."""

_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_MOST_ON_A_PAGE = 100
_ON_A_PAGE = 50
_LONGEST_QUERY = 100


@dataclass(frozen=True)
class Listing:
    """Which orders are asked for, and in which order."""

    filter: Filter
    sort: Sort
    descending: bool

    @property
    def is_plain(self) -> bool:
        """Whether the index itself has this order and filter, so that there is no bound."""
        return self.sort is Sort.ORDER_DATE and self.descending and not self.filter.category and not self.filter.text

    @property
    def states(self) -> list[State]:
        """The states that are asked for; none named means all."""
        return [state for state in State if not self.filter.states or state in self.filter.states]


def listing(query: Mapping[str, str]) -> Listing:
    """What to list; raises ProblemError."""
    category = query.get("category", "")
    if len(category) > _LONGEST_QUERY:
        raise wrong("category", "Deze soort bestelling kennen wij niet")
    text = texts.line(query.get("q", ""))
    if len(text) > _LONGEST_QUERY:
        raise wrong("q", f"Zoek met hoogstens {_LONGEST_QUERY} tekens")
    sort = _one_of("sort", query.get("sort") or Sort.ORDER_DATE.value, [each.value for each in Sort])
    direction = _one_of("order", query.get("order") or "desc", ["asc", "desc"])
    return Listing(Filter(frozenset(_states(query.get("state", ""))), category, text), Sort(sort), direction == "desc")


def limit(query: Mapping[str, str]) -> int:
    """How many on a page; raises ProblemError."""
    text = query.get("limit", "")
    if not text:
        return _ON_A_PAGE
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _MOST_ON_A_PAGE:
        raise wrong("limit", f"Het aantal moet tussen 1 en {_MOST_ON_A_PAGE} liggen")
    return int(text)


def month(name: str) -> tuple[str, str]:
    """The first and last moment of a month as the Netherlands have it, in UTC; raises ProblemError."""
    if not _MONTH.fullmatch(name):
        raise wrong("month", "Een maand is jaar en maand, zoals 2026-11")
    year, number = int(name[:4]), int(name[5:])
    following = date(year + number // 12, number % 12 + 1, 1)
    return clock.to_iso(clock.midnight(date(year, number, 1))), clock.to_iso(
        clock.midnight(following) - timedelta(milliseconds=1)
    )


def wrong(name: str, message: str) -> ProblemError:
    """The 422 of a parameter."""
    return problem.invalid([FieldProblem(name, "invalid", message)])


def _states(text: str) -> list[State]:
    return [State(_one_of("state", part, [state.value for state in State])) for part in text.split(",") if text]


def _one_of(name: str, text: str, values: Sequence[str]) -> str:
    if text not in values:
        raise wrong(name, f"De waarde moet een van deze zijn: {', '.join(values)}")
    return text
