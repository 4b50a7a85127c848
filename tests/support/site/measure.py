"""What a page costs and what is wrong with it, as a browser, axe and the W3C's checker see it; tests and the benchmark
ask here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.site.npm import npm_packages

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTLED_MS = 250
"""After the first paint; what a script fetches has come by then."""
Scheme = Literal["light", "dark"]

# Without a font nothing is painted, and axe passes with fewer checks.
_PAINTED = """() => new Promise((done) => {
  new PerformanceObserver((list) => { if (list.getEntriesByName("first-contentful-paint").length) done(true); })
    .observe({ type: "paint", buffered: true });
  setTimeout(done, 10000, false);
})"""
_WATCH = """
  window.__seen = { shift: 0, policy: [] };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__seen.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  addEventListener("securitypolicyviolation", (event) => window.__seen.policy.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
# Once a visit, before the scripts of its first page run; the name lasts as long as the tab shows pages of one visit.
_FORGET = """
  if (location.protocol !== "about:" && !window.name) {
    sessionStorage.clear(); localStorage.clear(); window.name = "visited";
  }
"""


@dataclass
class Visit:
    """What was seen of one page: faults as texts, `bytes` as they came over the wire with their headers, `cls` as
    Chromium counts it.
    """

    axe: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    policy: list[str] = field(default_factory=list)
    """Violations of the content security policy."""
    bytes: int = 0
    requests: int = 0
    cls: float = 0.0
    overflow: int = 0
    """How many pixels the page is wider than the screen."""

    @property
    def faults(self) -> list[str]:
        """All that must not be."""
        sideways = [f"scrolls sideways by {self.overflow} px"] if self.overflow > 0 else []
        return (
            self.axe
            + self.console
            + [f"asks {url}" for url in self.foreign]
            + [f"policy: {one}" for one in self.policy]
            + sideways
        )


def axe_faults(page: Page) -> list[str]:
    """What axe finds wrong with a page as it stands: the rule, and the elements that break it.

    Only violations are asked for: describing what passes takes half of its time
    (https://github.com/dequelabs/axe-core/blob/develop/doc/API.md#options-parameter).
    """
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in violations]


@dataclass
class _Tab:
    """One tab of a browser, and what is noted of the page in it. Its cache is off, so each page costs what it costs the
    first time.
    """

    context: BrowserContext
    page: Page
    url: str = ""
    seen: Visit = field(default_factory=Visit)
    loaded: list[float] = field(default_factory=list)

    @classmethod
    def new(cls, browser: Browser, width: int, scheme: Scheme) -> _Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            locale="nl-NL",
            timezone_id="Europe/Amsterdam",
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        tab = cls(context, context.new_page())
        tab.page.add_init_script(_FORGET)
        tab.page.add_init_script(_WATCH)
        tab.page.on("console", lambda message: tab.seen.console.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.seen.console.append(f"error: {error}"))
        tab.page.on("request", lambda request: tab.requested(request.url))
        wire = context.new_cdp_session(tab.page)
        wire.on("Network.loadingFinished", lambda event: tab.loaded.append(event["encodedDataLength"]))
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        return tab

    def visit(self, url: str) -> Visit:
        """Begin to note."""
        self.url, self.seen, self.loaded = url, Visit(), []
        return self.seen

    def requested(self, url: str) -> None:
        if not _is_own(url, self.url):
            self.seen.foreign.append(url)

    def empty(self) -> None:
        """As new: nothing of the visit runs, and what it stored is forgotten before the next page reads it (`_FORGET`)."""
        self.page.goto("about:blank")
        self.page.evaluate("window.name = ''")
        self.context.clear_cookies()
        self.context.set_offline(False)


_tabs: WeakKeyDictionary[Browser, dict[tuple[int, Scheme], _Tab]] = WeakKeyDictionary()


@contextmanager
def visited(
    browser: Browser,
    url: str,
    *,
    width: int,
    scheme: Scheme = "light",
    enter: Callable[[Page], None] | None = None,
    prepare: Callable[[Page], None] | None = None,
) -> Iterator[tuple[Page, Visit]]:
    """Open a page on a screen of `width` CSS pixels and look, after `prepare` brought it into the wanted state; it
    stays open meanwhile.

    `enter` signs in first, unseen. Without it the tab is one that an earlier visit of this size left empty: starting one
    takes more than a page does.
    """
    tab = None if enter else _tabs.setdefault(browser, {}).pop((width, scheme), None)
    tab = tab or _Tab.new(browser, width, scheme)
    try:
        page, seen = tab.page, tab.visit(url)
        if enter:
            enter(page)
            seen = tab.visit(url)
        answer = page.goto(url)
        seen.bytes, seen.requests = int(sum(tab.loaded)), len(tab.loaded)
        if prepare:
            prepare(page)
        if not page.evaluate(_PAINTED):
            raise AssertionError("nothing was painted; is a font installed?")
        page.wait_for_timeout(SETTLED_MS)
        found = page.evaluate("window.__seen")  # before axe, which scrolls the page about
        seen.cls, seen.policy = round(found["shift"], 4), found["policy"]
        seen.axe = axe_faults(page)
        seen.overflow = page.evaluate("document.documentElement.scrollWidth") - width
        if answer is not None and answer.status >= 400:  # Chromium says so itself, and no page can help it
            seen.console = [line for line in seen.console if f"responded with a status of {answer.status}" not in line]
        yield page, seen
        if not enter:
            tab.empty()
            _tabs[browser][width, scheme] = tab
            return
    except BaseException:
        tab.context.close()
        raise
    tab.context.close()


def visit(browser: Browser, url: str, **options: Any) -> Visit:
    """What is seen of a page; the options are those of `visited`."""
    with visited(browser, url, **options) as (_, seen):
        return seen


def _is_own(url: str, origin: str) -> bool:
    return url.startswith(("data:", "about:")) or urlsplit(url)[:2] == urlsplit(origin)[:2]


def markup_faults(documents: Mapping[str, str], directory: Path) -> dict[str, list[str]]:
    """What the W3C's checker says of HTML documents, by their names; `directory` is for its files."""
    names = {f"{number}.html": name for number, name in enumerate(documents)}
    for file, name in names.items():
        (directory / file).write_text(documents[name], encoding="utf-8")
    jar = npm_packages() / "vnu-jar/build/dist/vnu.jar"
    command = [
        "java",
        "-Xss1m",
        "-jar",
        str(jar),
        "--format",
        "json",
        "--exit-zero-always",
        *(str(directory / file) for file in names),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {name: [] for name in documents}
    for message in json.loads(done.stderr)["messages"]:
        line = f"{message['type']} on line {message.get('lastLine')}: {message['message']} ({message.get('extract', '').strip()})"
        found[names[Path(urlsplit(message["url"]).path).name]].append(line)
    return found
