"""Measuring visits: nothing of it unless brand.toml configures it, and then nothing before a visitor says yes."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from callvoip.texts.check import SlipsError
from tests.support.site.build import ROOT, build, checkout
from tests.support.site.document import pages
from tests.support.site.measure import visit
from tests.support.site.origin import Origin, example, serve
from tests.support.site.walk import Walk

BRAND = ROOT / "site/data/brand.toml"
COUNTER = """document.cookie = "count_visit=1; Path=/"; document.documentElement.dataset.counted = "yes";"""
SRTP = "/versleutelde-telefoongesprekken/"
needs_chromium = pytest.mark.needs("chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the site whose provider uncommented the example in brand.toml, and has the script that it names."""
    copy = checkout(tmp_path_factory.mktemp("measured"))
    text = BRAND.read_text()
    example_at = text.index("# [analytics]")
    (copy / "site/data/brand.toml").write_text(text[:example_at] + re.sub("(?m)^# ", "", text[example_at:]))
    (copy / "site/assets/analytics").mkdir()
    (copy / "site/assets/analytics/count.js").write_text(COUNTER)
    return copy


@pytest.fixture(scope="module")
def measured(source: Path) -> Path:
    """The site that was built of it."""
    build(source / "out", source)
    return source / "out"


@pytest.fixture
def counting(measured: Path, views: Path) -> Iterator[Origin]:
    with serve(measured) as running:
        yield running


def counted(page: Page) -> bool:
    """Whether the script ran, by what it does."""
    return bool(page.evaluate("document.documentElement.dataset.counted === 'yes' || document.cookie !== ''"))


def test_nothing_of_it_is_there_unless_it_is_configured(site: Path) -> None:
    assert "analytics" not in tomllib.loads(BRAND.read_text())
    assert not list(site.glob("js/consent*")) and not list(site.glob("analytics*"))
    for address, document in pages(site).items():
        assert not any("consent" in str(element.attributes) for element in document.elements), address
    told = pages(site)["/cookies/"].text
    assert "plaatst geen cookies en gebruikt geen analyseprogramma’s" in told and "instemmen" not in told


@pytest.mark.usefixtures("processes")
def test_a_script_that_is_not_ours_fails_the_build(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "spoiled", ignore=shutil.ignore_patterns("out"))
    brand = tmp_path / "spoiled/site/data/brand.toml"
    brand.write_text(brand.read_text().replace("analytics/count.js", "https://statistics.example.com/count.js"))
    with pytest.raises(SlipsError, match=r"https://statistics\.example\.com/count\.js"):
        build(tmp_path / "out", tmp_path / "spoiled")


@pytest.mark.usefixtures("processes")
def test_the_page_on_cookies_says_what_the_configuration_says(measured: Path) -> None:
    config = tomllib.loads((measured.parent / "site/data/brand.toml").read_text())["analytics"]
    for told in (pages(measured)["/cookies/"].text, (measured / "cookies/index.md").read_text()):
        assert "plaatst geen cookies" not in told and "daarmee instemmen" in told
        for said in (
            config["name"],
            config["measures"],
            config["kept"],
            config["cookies"][0]["name"],
            config["cookies"][0]["purpose"],
        ):
            assert said in told, said
    article = pages(measured)["/avg-callvoiptelefonie/"].text
    assert "plaatst geen cookies" not in article and "meten wij alleen nog zelf" in article and "<p>" not in article


@needs_chromium
def test_nothing_is_loaded_or_kept_before_a_yes(page: Page, counting: Origin) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for address in ("/", SRTP, "/cookies/"):
        page.goto(counting.url + address)
        page.wait_for_load_state("networkidle")
        assert not counted(page)
    page.goto(counting.url)
    page.click(".consent [data-consent=no]")
    expect(page.locator(".consent__done")).to_be_focused()
    page.goto(counting.url + SRTP)
    expect(page.locator(".consent")).to_be_hidden()
    assert not counted(page) and not any("count" in url for url in asked)


@needs_chromium
def test_a_yes_is_remembered_and_taken_back_on_the_page_on_cookies(page: Page, counting: Origin) -> None:
    page.goto(counting.url)
    page.click(".consent [data-consent=yes]")
    page.wait_for_function("document.documentElement.dataset.counted")
    page.goto(counting.url + SRTP)
    page.wait_for_function("document.documentElement.dataset.counted")
    expect(page.locator(".consent")).to_be_hidden()
    page.goto(f"{counting.url}/cookies/")
    expect(page.locator("[role=status] :visible")).to_have_text("U hebt ja gezegd. Wij meten uw bezoek.")
    page.click("[data-consent=no]")
    expect(page.locator("[role=status] :visible")).to_have_text("U hebt nee gezegd. Wij meten niets.")
    page.goto(counting.url)
    assert not counted(page)  # nor is the cookie there any more


@needs_chromium
def test_an_order_and_a_search_are_never_measured(page: Page, counting: Origin) -> None:
    page.goto(counting.url)
    page.click(".consent [data-consent=yes]")
    page.wait_for_function("document.documentElement.dataset.counted")
    for address in (counting.place(example()), "/zoeken/?q=srtp", "/stijl/"):
        page.goto(counting.url + address)
        assert page.locator("script[src*=consent]").count() == 0 and page.locator(".consent").count() == 0, address
        assert page.evaluate("document.documentElement.dataset.counted") is None
    assert "consent" not in (counting.site / "console/index.html").read_text()


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "light"), (1280, "dark")])
def test_the_two_answers_are_equal(chromium: Browser, counting: Origin, width: int, scheme: str) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    for address in ("/", "/cookies/"):
        page.goto(counting.url + address)
        no, yes = page.locator("[data-consent=no]"), page.locator("[data-consent=yes]")
        looks = [
            button.evaluate(
                """(it) => { const { width, height } = it.getBoundingClientRect(), s = getComputedStyle(it);
                  return [width, height, it.className, s.color, s.backgroundColor, s.borderColor, s.borderWidth, s.font]; }"""
            )
            for button in (no, yes)
        ]
        assert looks[0] == looks[1] and looks[0][0] > 100
        lengths = [len(button.inner_text()) for button in (no, yes)]
        assert max(lengths) - min(lengths) <= 2
    context.close()


@needs_chromium
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (320, 256)])
def test_the_question_is_answered_with_the_keyboard(
    chromium: Browser, counting: Origin, width: int, height: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    walk = Walk(context.new_page())
    walk.page.goto(counting.url)
    walk.go("[data-consent=no]")
    walk.press("Tab")
    walk.page.keyboard.press("Space")
    walk.arrives(".consent__done")
    walk.look()
    assert walk.page.evaluate("localStorage.getItem('consent-analytics')") == "yes"
    context.close()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_asking_is_without_fault_and_moves_nothing(
    chromium: Browser, counting: Origin, width: int, scheme: str
) -> None:
    for address in ("/", SRTP, "/cookies/", "/en/encrypted-calls-with-srtp/"):
        seen = visit(chromium, counting.url + address, width=width, scheme=scheme)
        assert seen.faults == [] and seen.cls == 0, (address, seen)
