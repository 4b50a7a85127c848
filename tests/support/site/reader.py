"""A page as a screen reader has it: Chromium's accessibility tree (CDP, Accessibility.getFullAXTree), stop by stop."""

import itertools
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.support.site.build import ROOT

MOST_STOPS = 120
NAMELESS = frozenset({"main", "generic", "RootWebArea", "region"})
"""What may have the focus for a moment without a name: where a skip link or a heading's page leads."""


# Which stop this is, and the language that a screen reader speaks it in.
_STOP = """() => {
  const at = document.activeElement, known = (window.__stops ??= new Map());
  if (!known.has(at)) known.set(at, String(known.size));
  return [at === document.body ? "" : known.get(at), at.closest("[lang]")?.lang ?? ""];
}"""


@dataclass(frozen=True)
class Node:
    """One node of the tree: its role and name, its description (hint and error), and its states that are not false."""

    role: str
    name: str
    description: str = ""
    states: dict[str, Any] = field(default_factory=dict)
    language: str = ""


@dataclass
class Reader:
    """A screen reader over one page."""

    page: Page

    def __post_init__(self) -> None:
        self._wire = self.page.context.new_cdp_session(self.page)
        self._wire.send("Accessibility.enable")

    def nodes(self) -> list[Node]:
        """All that is told, in the order in which it is."""
        nodes = self._wire.send("Accessibility.getFullAXTree")["nodes"]
        by_id = {one["nodeId"]: one for one in nodes}
        told: list[Node] = []
        waiting = [nodes[0]]
        while waiting:
            one = waiting.pop()
            waiting += [by_id[child] for child in reversed(one.get("childIds", [])) if child in by_id]
            if not one.get("ignored"):
                told.append(_node(one))
        return told

    def here(self) -> Node:
        """What has the focus."""
        at = self._wire.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]["objectId"]
        found = self._wire.send("Accessibility.getPartialAXTree", {"objectId": at, "fetchRelatives": False})
        return _node(found["nodes"][0])

    def stops(self) -> list[Node]:
        """Each stop of the Tab key, from the top of the page to its end."""
        self.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        told: list[Node] = []
        first = None
        for _ in range(MOST_STOPS):
            self.page.keyboard.press("Tab")
            place, language = self.page.evaluate(_STOP)
            if place in ("", first):
                return told
            first = first or place
            told.append(replace(self.here(), language=language))
        raise AssertionError(f"Tab goes on and on at {self.page.url}: {told[-3:]}")

    def headings(self) -> list[tuple[int, str]]:
        """Level and words of each heading."""
        return [(int(node.states["level"]), node.name) for node in self.nodes() if node.role == "heading"]

    def alerts(self) -> str:
        """What is announced by itself, because it stands in an alert or a status."""
        return " ".join(
            text
            for text in self.page.locator("[role=alert]:visible, [role=status]:visible").all_inner_texts()
            if text.strip()
        )

    def faults(self) -> list[str]:
        """What a blind visitor would not understand of the page as it stands."""
        faults = []
        for stop in self.stops():
            if not stop.name.strip() and stop.role not in NAMELESS:
                faults.append(f"{stop.role} without a name: {stop}")
            if stop.language.startswith("en") and stop.name in dutch_only():
                faults.append(f"{stop.role} {stop.name!r} is Dutch, and spoken as English")
            if stop.states.get("invalid") == "true" and not stop.description:
                faults.append(f"{stop.role} {stop.name!r} is wrong and does not say why")
        headings = self.headings()
        if [level for level, _ in headings].count(1) != 1 or headings[0][0] != 1:
            faults.append(f"not one heading of the first level, or not at the top: {headings}")
        for (above, _), (below, words) in itertools.pairwise(headings):
            if below > above + 1:
                faults.append(f"{words!r} is a heading of level {below} below one of {above}")
        faults += [f"a heading of level {level} without words" for level, words in headings if not words.strip()]
        return [f"{self.page.url}: {fault}" for fault in faults]


@cache
def dutch_only() -> frozenset[str]:
    """The words of our Dutch pages that English ones say otherwise."""
    words = [tomllib.loads((ROOT / f"site/i18n/{language}.toml").read_text()) for language in ("nl", "en")]
    dutch, english = ({str(word) for word in each.values()} for each in words)
    return frozenset(dutch - english)


def _node(one: dict[str, Any]) -> Node:
    states = {each["name"]: each["value"].get("value") for each in one.get("properties", [])}
    return Node(
        str(one.get("role", {}).get("value", "")),
        str(one.get("name", {}).get("value", "")),
        str(one.get("description", {}).get("value", "")),
        {name: value for name, value in states.items() if value not in (False, "false")},
    )
