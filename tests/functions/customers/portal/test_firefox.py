"""The journeys in Firefox with the keyboard alone: an order with and without JavaScript, Mijn omgeving, and sales who approves."""

from pathlib import Path

import pytest

from customers.account import Account
from ordering.order import State
from tests.support.portal.bakery import OWNER, Post
from tests.support.portal.server import serve as serve_portal
from tests.support.site.firefox import Firefox, firefox
from tests.support.site.origin import Origin, example
from tests.support.site.origin import serve as serve_site

pytestmark = pytest.mark.needs("firefox-esr", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

FORM = "/versleutelde-telefoongesprekken/#bestellen"


def test_order_mijn_omgeving_and_console(shop: Account, post: Post, portal_site: Path, tmp_path: Path) -> None:
    with serve_site(portal_site) as origin, serve_portal(portal_site) as portal:
        with firefox(tmp_path / "with") as visitor:
            order(visitor, origin)
            add_a_phone(visitor, portal, post)
            approve(visitor, origin)
        with firefox(tmp_path / "without", scripts=False) as visitor:
            order_without_scripts(visitor, origin)


def fill_in(visitor: Firefox, phones: str, email: str) -> None:
    for name, value in example(phones=phones, email=email).items():
        if value:
            visitor.type(f"#{name}", str(value))


def order(visitor: Firefox, origin: Origin) -> None:
    visitor.goto(origin.url + FORM)
    fill_in(visitor, "vijf", "bakker@example.nl")
    visitor.press("Enter")
    visitor.arrives("#error-summary")
    visitor.go("#error-summary a")
    visitor.press("Enter")
    visitor.arrives("#phones")
    visitor.ask("chord", hold="Control", key="a")
    visitor.ask("write", text="5")
    visitor.press("Enter")
    visitor.arrives("#check-title")
    assert "€ 10,00" in visitor.text().replace("\xa0", " ")
    visitor.go("#place-order")
    visitor.press(" ")
    visitor.until("document.querySelector('#order-state')?.dataset.state === 'acknowledged'")
    (placed,) = origin.orders.values()
    assert placed.quantity == 5


def add_a_phone(visitor: Firefox, portal: str, post: Post) -> None:
    visitor.goto(f"{portal}/mijn/overzicht")
    visitor.type("#email", OWNER)
    visitor.press("Enter")
    visitor.until("location.pathname.endsWith('/verstuurd')")
    visitor.goto(portal + post.link(OWNER))
    visitor.go("#sign-in")
    visitor.press("Enter")
    visitor.until("location.pathname === '/mijn/overzicht'")
    visitor.go("nav a[href='/mijn/telefoons']")
    visitor.press("Enter")
    visitor.until("location.pathname === '/mijn/telefoons' && document.querySelector('#labels')")
    visitor.type("#labels", "Balie")
    visitor.go("form[action='/mijn/telefoons/toevoegen'] button")
    visitor.press("Enter")
    visitor.until("document.querySelector('#add-phones')")
    assert "€ 6,00" in visitor.text().replace("\xa0", " ")
    visitor.go("#add-phones")
    visitor.press("Enter")
    visitor.until("document.querySelectorAll('tr[data-username]').length === 3")
    visitor.goto(f"{portal}/mijn/telefoons/bakker-203")
    visitor.go("#rotate")
    visitor.press(" ")
    visitor.until("document.querySelectorAll('[data-password]').length === 1")


def approve(clerk: Firefox, origin: Origin) -> None:
    (placed,) = origin.orders
    clerk.goto(f"{origin.url}/console/")
    clerk.until("document.querySelector('#workplace [data-order-id]')")
    clerk.go("#orders [data-order-id] a")
    clerk.press("Enter")
    clerk.until("document.querySelector('#approve')?.checkVisibility()")
    clerk.go("#approve")
    clerk.press("Enter")
    clerk.until("document.body.innerText.includes('is goedgekeurd')")
    assert origin.orders[placed].state is State.IN_PROGRESS


def order_without_scripts(visitor: Firefox, origin: Origin) -> None:
    visitor.goto(origin.url + FORM)
    fill_in(visitor, "vijf", "zonder@example.nl")
    visitor.press("Enter")
    visitor.until("document.querySelector('#error-summary a[href=\"#phones\"]')")
    assert visitor.evaluate("document.querySelector('#company').value") == example()["company"]
    visitor.type("#phones", "3")
    visitor.press("Enter")
    visitor.until("document.querySelector('#place-order')")
    visitor.go("#place-order")
    visitor.press(" ")
    visitor.until("document.querySelector('#order-state')")
    assert sorted(one.quantity for one in origin.orders.values()) == [3, 5]
