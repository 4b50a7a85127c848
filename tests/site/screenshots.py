"""Pictures of every kind of page at three widths, light and dark, to be looked at; the README's few go to
docs/screenshots/.

python tests/site/screenshots.py DIRECTORY      all of them
python tests/site/screenshots.py --keep         the README's, anew
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Browser, Page, sync_playwright

from callvoip.build import index
from ordering.order import State
from tests.site.test_accessibility import placed, with_credentials, with_errors, with_order, with_orders
from tests.support.site.build import ROOT, build
from tests.support.site.measure import CHROMIUM, QUIET, Scheme
from tests.support.site.origin import Origin, serve

SRTP = "/versleutelde-telefoongesprekken/"
WIDTHS = (360, 768, 1440)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
KEPT = {
    ("srtp", 1440, "light"),
    ("srtp", 360, "dark"),
    ("order-active", 1440, "light"),
    ("console-order", 1440, "light"),
}
Prepare = Callable[[Page], None] | None


def found(page: Page) -> None:
    page.wait_for_selector(".results__title a")


def scenes(origin: Origin) -> dict[str, tuple[str, Prepare]]:
    """A name, an address and what is done there, for every kind of page."""
    return {
        "home": ("/", None),
        "srtp": (SRTP, None),
        "srtp-errors": (SRTP, with_errors),
        "english": ("/en/encrypted-calls-with-srtp/", None),
        "prices": ("/prijzen/", None),
        "news": ("/nieuws/", None),
        "category": ("/nieuws/categorie/achtergrond/", None),
        "article": ("/avg-callvoiptelefonie/", None),
        "privacy": ("/privacy/", None),
        "contract-summary": ("/contractsamenvatting/", None),
        "number": ("/nummer-aanvragen/", None),
        "contact": ("/contact/", None),
        "search": ("/zoeken/?q=gesprek", found),
        "missing": ("/nergens/", None),
        "style": ("/stijl/", None),
        "order": (placed(origin), None),
        "order-active": (placed(origin, State.IN_PROGRESS, State.COMPLETED), with_credentials),
        "console": ("/console/", with_orders),
        "console-order": ("/console/", with_order),
    }


def shoot(browser: Browser, url: str, prepare: Prepare, file: Path, width: int, scheme: Scheme, *, whole: bool) -> None:
    """Write a picture of the whole page, or of one screen."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="nl-NL", reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(url)
    if prepare:
        prepare(page)
    page.screenshot(path=file, full_page=whole)
    context.close()


def as_webp(file: Path) -> None:
    """Replace a picture by a small one."""
    scale = "scale='min(1000,iw)':-1"
    command = [
        "ffmpeg",
        "-y",
        "-loglevel",
        "error",
        "-i",
        str(file),
        "-vf",
        scale,
        "-quality",
        "75",
        str(file.with_suffix(".webp")),
    ]
    subprocess.run(command, check=True)
    file.unlink()


def main(arguments: list[str]) -> None:
    keep = arguments == ["--keep"]
    folder = ROOT / "docs/screenshots" if keep else Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        site = Path(directory)
        build(site)
        index(site)
        os.environ["VIEWS_DIR"] = str(site / "views")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        with serve(site) as origin:
            for width, scheme in ((width, scheme) for width in WIDTHS for scheme in SCHEMES):
                for name, (address, prepare) in scenes(
                    origin
                ).items():  # with orders of their own: credentials are shown once
                    if keep and (name, width, scheme) not in KEPT:
                        continue
                    file = folder / f"{name}-{width}-{scheme}.png"
                    shoot(browser, origin.url + address, prepare, file, width, scheme, whole=not keep)
                    if keep:
                        as_webp(file)


if __name__ == "__main__":
    main(sys.argv[1:])
