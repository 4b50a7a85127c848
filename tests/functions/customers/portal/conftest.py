"""What the tests of Mijn omgeving share: the real views, customers with contacts, mail that can be read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from customers.account import Account
from customers.customer import Contact, ContactRole
from shared import aws, clock, html, settings
from tests.support.portal.bakery import (
    BILLING,
    OTHER,
    OWNER,
    TECHNICAL,
    Clock,
    Post,
    SignIn,
    order,
    settle,
    with_number,
)
from tests.support.portal.browser import Browser
from tests.support.site.build import built


@pytest.fixture(scope="session")
def portal_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return built(tmp_path_factory)


@pytest.fixture(scope="session")
def portal_views(portal_site: Path) -> Path:
    """The templates among it."""
    return portal_site / "views"


@pytest.fixture(scope="session")
def pages(portal_views: Path) -> Environment:
    """The templates, each compiled once: for every test anew it took half of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIEWS_DIR", str(portal_views))
        settings.views_directory.cache_clear()
        html._environment.cache_clear()
        made = html._environment()
    settings.views_directory.cache_clear()
    html._environment.cache_clear()
    return made


@pytest.fixture
def time(environment: None, portal_views: Path, pages: Environment, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """An empty portal at a moment that the test moves."""
    made = Clock()
    monkeypatch.setattr(clock, "now", made)
    monkeypatch.setenv("VIEWS_DIR", str(portal_views))
    settings.views_directory.cache_clear()
    monkeypatch.setattr(html, "_environment", lambda: pages)
    return made


@pytest.fixture
def post(time: Clock) -> Iterator[Post]:
    """Mail, as SES got it."""
    from shared import dynamodb, outbox

    dynamodb.client()  # real, before moto takes over the others
    outbox.client.cache_clear()
    with mock_aws(config={"core": {"passthrough": {"urls": [".*127.0.0.1.*"]}}}):
        ses = aws.client("sesv2", connect_timeout_s=2, read_timeout_s=5, attempts=1)
        ses.create_email_identity(EmailIdentity="bestellingen@callvoip.example.nl")
        yield Post(ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sent_messages)
    outbox.client.cache_clear()


@pytest.fixture
def signed_in(post: Post) -> SignIn:
    """Sign somebody in, by a mail, in a browser of their own."""

    def sign_in(address: str, browser: Browser | None = None) -> Browser:
        browser = browser or Browser()
        page = browser.get("/mijn/aanmelden")
        browser.send(page.form("/mijn/aanmelden"), email=address)
        link = post.link(address)
        page = browser.get(link)
        seen = browser.send(page.form(link.partition("?")[0]))
        assert seen.path == "/mijn/overzicht", seen.text
        return browser

    return sign_in


@pytest.fixture
def bakery(post: Post, time: Clock) -> Account:
    """A bakery with an owner, a technician and a bookkeeper; in the same table a butcher that is none of its business."""
    settle(order("slager", OTHER, "Slagerij Vet", "9876543210", time()))
    found = settle(
        order("bakker", OWNER, "Bakkerij De Korst", "0123456789", time()),
        Contact("2", "Techniek", TECHNICAL, roles=frozenset({ContactRole.TECHNICAL})),
        Contact("3", "Boekhouding", BILLING, roles=frozenset({ContactRole.BILLING})),
    )
    post.pass_over()
    return found


@pytest.fixture
def shop(bakery: Account, post: Post) -> Account:
    """The bakery with a plan and its number."""
    found = with_number(bakery)
    post.pass_over()
    return found
