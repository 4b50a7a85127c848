"""Every page of the built site as `./dev up` serves it, with its real headers: what is wrong with it, what it weighs,
what Lighthouse says.

    python tests/bench/site.py [--json] [--only /prijzen/ ...] [--without-lighthouse]

A first view is a telephone with an empty cache. The local front compresses what CloudFront does, with gzip for its
Brotli. Lighthouse runs its mobile preset, up to three times while a score is below 100, as a busy machine only makes it
worse; a page that asks search engines to leave it out is not judged for doing so (is-crawlable); the console is not
judged, as nobody signs Lighthouse in.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Browser, Page, sync_playwright

from callvoip.paths import BUILD, NODE
from callvoip.system import LocalSystem
from tests.support.site.build import build
from tests.support.site.document import Document, broken_links, pages, read
from tests.support.site.measure import CHROMIUM, QUIET, Visit, markup_faults, visit
from tests.support.site.npm import npm_packages

CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
WIDTH = 360
CONSOLE = "/console/"
ATTEMPTS = 3
ORDER = {
    "company": "Bakkerij De Oven", "name": "A. Bakker", "email": "bakker@example.nl", "telephone": "085 555 01 00", "phones": "5",
}  # fmt: skip


@dataclass
class Measured:
    """One page."""

    path: str
    visit: Visit
    vnu: list[str]
    lighthouse: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """As issue 5 has it: faults as counts."""
        seen = self.visit
        counts = {
            "axe": len(seen.axe),
            "vnu": len(self.vnu),
            "cls": seen.cls,
            "console": len(seen.console),
            "foreign": len(seen.foreign),
        }
        return {
            "path": self.path,
            "bytes": seen.bytes,
            "requests": seen.requests,
            **counts,
            "lighthouse": self.lighthouse,
        }

    @property
    def faults(self) -> list[str]:
        """All that must not be, as texts."""
        shift = [f"shifts by {self.visit.cls}"] if self.visit.cls else []
        return self.visit.faults + self.vnu + shift


def main(arguments: list[str]) -> int:
    """Measure; status 1 when a page has a fault."""
    parser = argparse.ArgumentParser(
        prog="./dev bench site", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--only", nargs="+", metavar="PATH", help="only these pages")
    parser.add_argument(
        "--without-lighthouse", action="store_true", help="leave out what takes longest, some 15 s a page"
    )
    options = parser.parse_args(arguments)
    npm_packages()
    seconds = _build_seconds()
    with LocalSystem.start() as system:
        documents = _documents(system.site, options.only)
        read_pages = {path.partition("?")[0]: read(text) for path, text in documents.items()}
        broken = [] if options.only else broken_links(read_pages, lambda path: _exists(system.site, path))
        measured = _measure(system, documents, lighthouse=not options.without_lighthouse)
    if options.json:
        print(json.dumps({"build_seconds": round(seconds, 2), "pages": [one.as_json() for one in measured]}))
    else:
        print(_table(measured, seconds, broken))
    faults = broken + [f"{one.path}: {fault}" for one in measured for fault in one.faults]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _build_seconds() -> float:
    """The time for the whole site from nothing: texts checked, built, links checked."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.monotonic()
        build(Path(directory) / "site")
        return time.monotonic() - started


def _documents(site: str, only: list[str] | None) -> dict[str, str]:
    """The HTML of every page by its path, as it is served; one order and one page that is not there besides."""
    paths = [path for path in pages(BUILD / "site") if not path.endswith("404.html")]
    request = urllib.request.Request(
        f"{site}/api/orders",
        json.dumps(ORDER).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    paths += [json.load(urllib.request.urlopen(request))["href"], "/is-er-niet/"]
    return {path: _get(site + path) for path in paths if only is None or path in only}


def _get(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def _exists(site: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(site + path, method="HEAD")) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def _measure(system: LocalSystem, documents: dict[str, str], *, lighthouse: bool) -> list[Measured]:
    site = system.site
    with tempfile.TemporaryDirectory() as directory:
        faults = markup_faults(documents, Path(directory))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        seen = {
            path: _both(browser, site + path, partial(_sign_in, system) if path == CONSOLE else None)
            for path in documents
        }
        browser.close()
    # Lighthouse has a browser of its own, which nobody signs in.
    judged = [path for path in documents if lighthouse and path != CONSOLE]
    scores = {path: _lighthouse(site, path, read(documents[path])) for path in judged}
    return [Measured(path.partition("?")[0], seen[path], faults[path], scores.get(path, {})) for path in documents]


def _sign_in(system: LocalSystem, page: Page) -> None:
    page.goto(system.console)
    page.fill("[name=username]", system.sales_user)
    page.fill("[name=password]", system.sales_password)
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-out:visible")


def _both(browser: Browser, url: str, enter: Callable[[Page], None] | None) -> Visit:
    """A first view on a telephone, with the faults of a wide, dark screen added."""
    narrow = visit(browser, url, width=WIDTH, enter=enter)
    wide = visit(browser, url, width=1440, scheme="dark", enter=enter)
    narrow.axe += wide.axe
    narrow.console += wide.console
    narrow.policy += wide.policy
    narrow.foreign += wide.foreign
    narrow.overflow = max(narrow.overflow, wide.overflow)
    narrow.cls = max(narrow.cls, wide.cls)
    return narrow


def _lighthouse(site: str, path: str, document: Document) -> dict[str, int]:
    """Lighthouse's scores of 0 to 100.

    A page that is not there is judged at its own address: Lighthouse refuses a 404.
    """
    address = site + ("/404.html" if path == "/is-er-niet/" else path)
    hidden = any(meta.attributes.get("name") == "robots" for meta in document.all("meta"))
    scores: dict[str, float] = dict.fromkeys(CATEGORIES, 0)
    for _ in range(ATTEMPTS):
        found = _report(address, hidden)
        scores = {name: max(best, found["categories"][name]["score"] or 0) for name, best in scores.items()}
        if min(scores.values()) == 1:
            break
    for audit in found["audits"].values():
        if audit["scoreDisplayMode"] == "binary" and not audit["score"]:
            print(f"{path.partition('?')[0]}: lighthouse: {audit['id']}: {audit['title']}", file=sys.stderr)
    return {name: round(100 * score) for name, score in scores.items()}


def _report(address: str, hidden: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        command = [
            str(NODE), str(npm_packages() / "lighthouse/cli/index.js"), address, "--quiet", "--output=json", f"--output-path={report}",
            f"--chrome-flags=--headless=new {' '.join(QUIET)}", f"--only-categories={','.join(CATEGORIES)}",
            *(["--skip-audits=is-crawlable"] if hidden else []),
        ]  # fmt: skip
        environment = os.environ | {"CHROME_PATH": CHROMIUM, "TMPDIR": directory}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        if not report.exists():
            raise SystemExit(f"dev: Lighthouse on {urlsplit(address).path} failed:\n{done.stderr.strip()}")
        return json.loads(report.read_text())  # type: ignore[no-any-return]


def _table(measured: list[Measured], seconds: float, broken: list[str]) -> str:
    """For people: a line a page, the build and the peer below it."""
    width = max(len(one.path) for one in measured)
    head = f"{'page':{width}}   bytes req axe vnu con csp for   cls  perf  a11y  best   seo"
    lines = [head]
    for one in measured:
        seen, scores = one.visit, [str(one.lighthouse.get(name, "-")) for name in CATEGORIES]
        counts = f"{len(seen.axe):3} {len(one.vnu):3} {len(seen.console):3} {len(seen.policy):3} {len(seen.foreign):3} {seen.cls:5.2f}"
        lines.append(
            f"{one.path:{width}}  {seen.bytes:6} {seen.requests:3} {counts}  "
            + "  ".join(f"{score:>4}" for score in scores)
        )
    peer = npm_packages() / "govuk-frontend/dist/govuk"
    theirs = _zipped([peer / "govuk-frontend.min.css", peer / "govuk-frontend.min.js"])
    ours = _zipped(
        [
            *(BUILD / "site/css").glob("main*.css"),
            *(BUILD / "site/js").glob("page*.js"),
            *(BUILD / "site/js").glob("form*.js"),
        ]
    )
    return "\n".join(
        [
            *lines, "",
            f"broken links and fragments: {len(broken)}",
            f"Hugo's build: {seconds:.2f} s",
            f"styles and scripts, gzip: ours {ours} bytes (order form included), govuk-frontend {theirs}: {ours / theirs:.2f} of it",
        ]
    )  # fmt: skip


def _zipped(files: list[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
